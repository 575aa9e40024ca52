//! A folder of the host that is given to a container: the one that was found when somebody asked, and no other.

use serde::{Deserialize, Serialize};

use super::id::RequestId;

/// A folder as it was found. Device and inode say which one it is, whatever stands under its name later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Folder {
    /// Absolute, without symlinks.
    pub path: String,
    /// The file system it lies on, as `major:minor`.
    pub device: String,
    pub inode: u64,
    /// Whose it was: `uid:gid`.
    pub owner: String,
    /// Its permission bits in octal: `0755`.
    pub permissions: String,
    /// Where keys and credentials are kept in it or around it, absolute.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// It holds more than was looked through for these.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unsearched: bool,
}

impl Folder {
    /// Whether `other` is this very folder; owner and permissions may have changed.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        (&self.path, &self.device, self.inode) == (&other.path, &other.device, other.inode)
    }
}

/// A folder that an attempt's container has, with the request that it was granted by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrantedMount {
    pub request: RequestId,
    pub folder: Folder,
    /// Where the container has it, absolute.
    pub target: String,
    pub read_only: bool,
}
