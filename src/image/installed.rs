//! `installed.json`: all that an image held when it was built, the base's own packages included, by its files.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::folder;
use super::lock::Lock;
use super::readback::Versions;
use crate::run::id::Digest;

const NAME: &str = "installed.json";
/// A base holds some hundred packages, and the largest images some ten thousand.
const LIMIT: u64 = 8 << 20;

/// Where a package of an image came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// It is in the lock.
    Approved,
    /// It came within a file of the lock's.
    Bundled,
    Base,
}

impl Layer {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Bundled => "bundled",
            Self::Base => "base",
        }
    }
}

/// What was read back from an image, beside which recipe and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Installed {
    format: u32,
    pub recipe: Digest,
    /// RFC 3339, UTC.
    pub at: String,
    /// Debian's packages as `name:arch`, with their versions.
    pub apt: Versions,
    /// Python's distributions, with their versions.
    pub pip: Versions,
    /// npm's packages by their places below `/`, each as `name@version`.
    #[serde(default, skip_serializing_if = "Versions::is_empty")]
    pub npm: Versions,
    /// What approved packages of Debian's brought for Python and npm, as `pip:NAME` and `npm:PLACE`.
    #[serde(default, rename = "byDebian", skip_serializing_if = "BTreeSet::is_empty")]
    pub by_debian: BTreeSet<String>,
    /// How often the installation tried to reach a network, which it has none of; absent where it was not seen to.
    #[serde(default, rename = "networkAttempts", skip_serializing_if = "Option::is_none")]
    pub network_attempts: Option<NonZeroU64>,
    /// Whether the installation, or a part of it, could not be looked at for that. Earlier versions did not say.
    #[serde(default, rename = "networkUnseen", skip_serializing_if = "std::ops::Not::not")]
    pub network_unseen: bool,
}

impl Installed {
    pub(super) fn new(recipe: Digest, at: String, apt: Versions, pip: Versions, npm: Versions) -> Self {
        Self {
            format: 1,
            recipe,
            at,
            apt,
            pip,
            npm,
            by_debian: BTreeSet::new(),
            network_attempts: None,
            network_unseen: false,
        }
    }

    /// Takes down what was counted of one step: `None` where nobody could look.
    pub(super) fn count_attempts(&mut self, tried: Option<u64>) {
        let before = self.network_attempts.map_or(0, NonZeroU64::get);
        self.network_attempts = NonZeroU64::new(before.saturating_add(tried.unwrap_or_default()));
        self.network_unseen |= tried.is_none();
    }

    /// Where each package came from, those of `lock` left out: named as by [`Installed::all`], and with its version.
    pub fn beyond<'a>(&'a self, lock: &Lock) -> impl Iterator<Item = (String, &'a str, Layer)> {
        let approved: BTreeSet<String> = lock.pins().map(|(name, ..)| name).collect();
        // Whoever lies below an approved package of npm's came within its archive.
        let is_within = move |name: &str, approved: &BTreeSet<String>| {
            let mut outer = name;
            let holder = std::iter::from_fn(|| {
                outer = outer.rsplit_once("/node_modules/")?.0;
                Some(approved.contains(outer))
            });
            self.by_debian.contains(name) || holder.into_iter().any(|is| is)
        };
        self.all().filter_map(move |(name, version)| match approved.contains(&name) {
            true => None,
            false if is_within(&name, &approved) => Some((name, version, Layer::Bundled)),
            false => Some((name, version, Layer::Base)),
        })
    }

    /// All packages, the base's among them: the name behind its ecosystem, as a lock has it, and the version.
    pub fn all(&self) -> impl Iterator<Item = (String, &str)> {
        let apt = self.apt.iter().map(|(name, version)| (format!("apt:{name}"), version.as_str()));
        let pip = self.pip.iter().map(|(name, version)| (format!("pip:{name}"), version.as_str()));
        let npm = self.npm.iter().filter_map(|(location, said)| {
            let place = location.strip_prefix("node_modules/").unwrap_or(location);
            Some((format!("npm:{place}"), said.rsplit_once('@')?.1))
        });
        apt.chain(pip).chain(npm)
    }

    /// Reads the file in an image's folder; `None` if there is none: of an image that an earlier version built, or that
    /// another registry had built.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Format`].
    pub fn read(images_folder: &Path) -> Result<Option<Self>, Error> {
        let path = images_folder.join(NAME);
        if !path.try_exists().map_err(Error::file("look for", &path))? {
            return Ok(None);
        }
        let bytes = folder::read(&path, LIMIT)?;
        let read: Self = serde_json::from_slice(&bytes).map_err(|error| Error::format(NAME, error.to_string()))?;
        if read.format != 1 {
            return Err(Error::format(NAME, format!("format {} is not known", read.format)));
        }
        Ok(Some(read))
    }

    pub(super) fn write(&self, images_folder: &Path) -> Result<(), Error> {
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        if bytes.len() as u64 > LIMIT {
            return Err(Error::format(NAME, format!("it would be larger than {LIMIT} bytes")));
        }
        folder::replace(&images_folder.join(NAME), &bytes)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn none_that_was_seen_is_told_from_none_that_could_be_seen() {
        let said = |tried: &[Option<u64>]| {
            let empty = Versions::new;
            let mut installed = Installed::new(Digest::of(b"x"), String::new(), empty(), empty(), empty());
            tried.iter().for_each(|tried| installed.count_attempts(*tried));
            let folder = tempfile::tempdir().unwrap();
            installed.write(folder.path()).unwrap();
            let text = std::fs::read_to_string(folder.path().join(NAME)).unwrap();
            assert_eq!(Installed::read(folder.path()).unwrap().unwrap(), installed);
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            (value["networkAttempts"].as_u64(), value["networkUnseen"].as_bool())
        };
        assert_eq!(said(&[Some(0), Some(0)]), (None, None));
        assert_eq!(said(&[Some(2), Some(0), Some(3)]), (Some(5), None));
        assert_eq!(said(&[None]), (None, Some(true)));
        assert_eq!(said(&[Some(2), None, Some(0)]), (Some(2), Some(true)));
    }
}
