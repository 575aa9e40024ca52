//! `status.json`: what the gate tells the host about itself. A grant or a revocation counts as applied when its
//! generation stands here.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Error;
use super::durable;

const FILE: &str = "status.json";
const LARGEST: u64 = 64 * 1024;

/// The gate's state as the host reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Status {
    pub format: u32,
    /// The policy generation in force; 0 before the first. While `error` is set, nothing passes.
    pub generation: u64,
    pub pid: u32,
    /// RFC 3339 in UTC.
    pub started_at: String,
    /// The first 12 digits of the running binary's SHA-256.
    pub version: String,
    /// Why the policy on disk, or a part of it, is not in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Status {
    /// Reads `status.json` in the gate's folder; `None` before the first gate has started.
    ///
    /// # Errors
    /// When the file cannot be read or is not a status.
    pub fn read(gate: &Path) -> Result<Option<Self>, Error> {
        let path = gate.join(FILE);
        let bytes = match durable::read(&path, LARGEST) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("read", path)(e)),
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|e| Error::Format { path, reason: e.to_string() })
    }

    pub(crate) fn write(&self, gate: &Path) -> Result<(), Error> {
        let path = gate.join(FILE);
        let bytes =
            serde_json::to_vec(self).map_err(|e| Error::Format { path: path.clone(), reason: e.to_string() })?;
        durable::write(gate, FILE, &bytes, 0o644).map_err(Error::io("write", path))
    }
}
