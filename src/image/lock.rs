//! The complete set of packages that an image has beyond its base, each with version and digest. Sorted, without
//! repetition, and checked on the way in, so that later steps may use its texts as arguments and file names.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::Error;
use super::npm_pin::{Bundled, NpmPin};
use super::pins::{AptPin, PinError, PipPin};
use crate::run::canonical;
use crate::run::capability::Capability;
use crate::run::id::Digest;

/// The largest lock that is read back, in bytes: some ten thousand packages.
const LIMIT: usize = 8 << 20;

/// What is installed on top of a base.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(try_from = "Unchecked", into = "Unchecked")]
pub struct Lock {
    pip: Vec<PipPin>,
    apt: Vec<AptPin>,
    npm: Vec<NpmPin>,
}

#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Unchecked {
    format: u32,
    pip: Vec<PipPin>,
    apt: Vec<AptPin>,
    // Absent from locks of before there was one, whose digests stay what they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    npm: Vec<NpmPin>,
}

impl TryFrom<Unchecked> for Lock {
    type Error = PinError;
    fn try_from(lock: Unchecked) -> Result<Self, PinError> {
        if lock.format != 1 {
            return Err(PinError::new("", "lock format", &lock.format.to_string(), "1"));
        }
        Self::new(lock.pip, lock.apt)?.with_npm(lock.npm)
    }
}

impl From<Lock> for Unchecked {
    fn from(lock: Lock) -> Self {
        Self { format: 1, pip: lock.pip, apt: lock.apt, npm: lock.npm }
    }
}

impl Lock {
    /// A lock of these packages.
    ///
    /// # Errors
    /// [`PinError`] if a text does not fit its grammar or a name stands twice.
    pub fn new(mut pip: Vec<PipPin>, mut apt: Vec<AptPin>) -> Result<Self, PinError> {
        pip.iter().try_for_each(PipPin::check)?;
        apt.iter().try_for_each(AptPin::check)?;
        pip.sort_unstable();
        apt.sort_unstable();
        if let Some(twice) = pip.windows(2).find(|pair| pair[0].name == pair[1].name) {
            return Err(PinError::new(&twice[0].name, "name", &twice[0].name, "in the lock only once"));
        }
        let twice = |pair: &&[AptPin]| pair[0].name == pair[1].name && pair[0].arch == pair[1].arch;
        if let Some(twice) = apt.windows(2).find(twice) {
            return Err(PinError::new(&twice[0].name, "name", &twice[0].name, "in the lock only once"));
        }
        Ok(Self { pip, apt, npm: Vec::new() })
    }

    /// The same lock with these packages of npm instead of those it has.
    ///
    /// # Errors
    /// [`PinError`] if a text does not fit its grammar, a place or a command stands twice, or one version of a package
    /// has two digests.
    pub fn with_npm(mut self, mut npm: Vec<NpmPin>) -> Result<Self, PinError> {
        npm.iter_mut().for_each(|pin| pin.bundled.sort_unstable());
        npm.iter().try_for_each(NpmPin::check)?;
        npm.sort_unstable();
        let mut places = BTreeSet::new();
        for pin in &npm {
            let all = pin.bundled.iter().map(|inner| &inner.location).chain([&pin.location]);
            if let Some(twice) = all.into_iter().find(|place| !places.insert((*place).clone())) {
                return Err(PinError::new(&pin.name, "location", twice, "in the lock only once"));
            }
        }
        let (mut digests, mut commands) = (BTreeMap::new(), BTreeSet::new());
        for pin in &npm {
            if *digests.entry(pin.filename()).or_insert(&pin.sha512) != &pin.sha512 {
                return Err(PinError::new(&pin.name, "digest", pin.sha512.as_str(), "the same everywhere"));
            }
            if let Some(twice) = pin.bin.keys().find(|command| !commands.insert((*command).clone())) {
                return Err(PinError::new(&pin.name, "command", twice, "in the lock only once"));
            }
        }
        self.npm = npm;
        Ok(self)
    }

    /// Reads what [`Lock::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`Error::Format`] if it is too large, not JSON of this shape, or breaks a rule of [`Lock::new`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > LIMIT {
            return Err(Error::format("a lock", format!("it is larger than {LIMIT} bytes")));
        }
        serde_json::from_slice(bytes).map_err(|e| Error::format("a lock", e.to_string()))
    }

    /// The lock as a file for people and git: indented, one field a line.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    #[must_use]
    pub fn pip(&self) -> &[PipPin] {
        &self.pip
    }

    #[must_use]
    pub fn apt(&self) -> &[AptPin] {
        &self.apt
    }

    /// How many packages it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pip.len() + self.apt.len() + self.npm.len()
    }

    /// All packages: the name behind its ecosystem (`pip:six`, `apt:jq:amd64`, `npm:a`, or `npm:b/node_modules/a` where
    /// another has its own), version, digest of the file (`sha256 …`; npm's is `sha512 …`).
    pub fn pins(&self) -> impl Iterator<Item = (String, &str, String)> {
        let sum = |digest: &Digest| format!("sha256 {digest}");
        let apt =
            self.apt.iter().map(move |a| (format!("apt:{}:{}", a.name, a.arch), a.version.as_str(), sum(&a.sha256)));
        let pip = self.pip.iter().map(move |p| (format!("pip:{}", p.name), p.version.as_str(), sum(&p.sha256)));
        let npm = self.npm.iter().map(|n| {
            let sum = format!("sha512 {}", n.sha512.as_str());
            (format!("npm:{}", n.place()), n.version.as_str(), sum)
        });
        apt.chain(pip).chain(npm)
    }

    #[must_use]
    pub fn npm(&self) -> &[NpmPin] {
        &self.npm
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pip.is_empty() && self.apt.is_empty() && self.npm.is_empty()
    }

    /// What is installed, without where it came from: two mirrors that serve the same files give the same value.
    #[must_use]
    pub fn content(&self) -> Value {
        let pip =
            |p: &PipPin| json!({"name": p.name, "version": p.version, "sha256": p.sha256, "filename": p.filename});
        let apt = |a: &AptPin| {
            json!({"name": a.name, "version": a.version, "arch": a.arch, "sha256": a.sha256, "size": a.size,
                   "filename": a.filename})
        };
        let mut content = json!({
            "format": 1,
            "pip": self.pip.iter().map(pip).collect::<Vec<_>>(),
            "apt": self.apt.iter().map(apt).collect::<Vec<_>>(),
        });
        if !self.npm.is_empty() {
            let npm = |n: &NpmPin| {
                let mut pin = json!({"location": n.location, "name": n.name, "version": n.version, "sha512": n.sha512,
                                     "bin": n.bin, "bundles": n.bundles});
                if !n.bundled.is_empty() {
                    pin["bundled"] = json!(n.bundled);
                }
                pin
            };
            content["npm"] = self.npm.iter().map(npm).collect();
        }
        content
    }

    /// SHA-256 of [`Lock::content`].
    #[must_use]
    pub fn digest(&self) -> Digest {
        canonical::digest("taskforge-lock-v1", &self.content())
    }

    /// What came within the archives of npm's packages, each with the one that brings it.
    pub fn bundled(&self) -> impl Iterator<Item = (&NpmPin, &Bundled)> {
        self.npm.iter().flat_map(|pin| pin.bundled.iter().map(move |inner| (pin, inner)))
    }

    /// What this lock installs that `before` does not, in just this version, also within another's archive.
    #[must_use]
    pub fn beyond(&self, before: &Self) -> Vec<Capability> {
        let pip = self.pip.iter().filter(|pin| !before.pip.contains(pin)).filter_map(PipPin::granted);
        let apt = self.apt.iter().filter(|pin| !before.apt.contains(pin)).filter_map(AptPin::granted);
        let npm = self.npm.iter().filter(|pin| !before.npm.contains(pin));
        let npm = npm.flat_map(|pin| pin.granted().into_iter().chain(pin.bundled.iter().filter_map(Bundled::granted)));
        let mut seen = BTreeSet::new();
        // One version of a package may lie at several places.
        pip.chain(apt).chain(npm).filter(|one| seen.insert(one.clone())).collect()
    }

    /// `capability` with the version that the lock gives it; `None` if the lock does not hold it.
    #[must_use]
    pub fn granted(&self, capability: &Capability) -> Option<Capability> {
        match capability {
            Capability::Pip(package) => self.pip.iter().find(|p| p.name == package.name().as_str())?.granted(),
            Capability::Apt(package) => self.apt.iter().find(|a| a.name == package.name())?.granted(),
            Capability::Npm(package) => self.npm.iter().find(|n| n.is_top(package.name()))?.granted(),
            _ => None,
        }
    }
}

mod sets;

#[cfg(test)]
#[path = "lock_tests.rs"]
pub(in crate::image) mod tests;
