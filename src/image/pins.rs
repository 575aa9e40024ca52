//! One package of a lock: its name, its exact version and the digest of the one file that is it.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::run::capability::{Capability, DebianVersion, PipName};
use crate::run::id::Digest;

/// A file name with the digest in front has to fit into the 255 bytes of a directory entry.
const FILE_NAME: usize = 180;
const URL: usize = 1024;

/// Why something an index, a tool or a file said is not a pin.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("package {name:?}: {what} {text:?} is not {expected}")]
pub struct PinError {
    pub name: String,
    pub what: &'static str,
    pub text: String,
    pub expected: &'static str,
}

/// A Python wheel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PipPin {
    /// Normalised after PEP 503.
    pub name: String,
    /// As the wheel's metadata spells it.
    pub version: String,
    pub sha256: Digest,
    /// The wheel's file name, which says what it is for (PEP 427).
    pub filename: String,
    /// Where the index offered it, without credentials; `None` if it said nothing that can be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// A Debian package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AptPin {
    pub name: String,
    pub version: String,
    /// Debian's name of the architecture, or `all`.
    pub arch: String,
    pub sha256: Digest,
    /// Bytes.
    pub size: u64,
    /// The file's name as apt writes it, an epoch's colon as `%3a`.
    pub filename: String,
    /// Where the index offered it, without credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl PipPin {
    pub(super) fn check(&self) -> Result<(), PinError> {
        let error = |what, text: &str, expected| PinError::new(&self.name, what, text, expected);
        if PipName::parse(&self.name).map(|n| n.to_string()).as_deref() != Ok(&self.name) {
            return Err(error("name", &self.name, "a normalised Python name"));
        }
        // Wider than `PythonVersion`: an index may serve local versions such as `2.1.0+cpu`.
        let version = |b: u8| b.is_ascii_alphanumeric() || b".!+_-".contains(&b);
        if !starts_plain(&self.version) || !self.version.bytes().all(version) || self.version.len() > 64 {
            return Err(error("version", &self.version, "a Python version"));
        }
        let name = |b: u8| b.is_ascii_alphanumeric() || b"._+!-".contains(&b);
        if !self.filename.ends_with(".whl")
            || !starts_plain(&self.filename)
            || !self.filename.bytes().all(name)
            || self.filename.len() > FILE_NAME
        {
            return Err(error("file", &self.filename, "a wheel's name"));
        }
        check_url(&self.name, self.url.as_deref())
    }

    /// The wheel as a capability: `pip:name==version`, or without the version if it has a local part.
    #[must_use]
    pub fn granted(&self) -> Option<Capability> {
        let exact = Capability::parse(&format!("pip:{}=={}", self.name, self.version));
        exact.or_else(|_| Capability::parse(&format!("pip:{}", self.name))).ok()
    }
}

impl AptPin {
    pub(super) fn check(&self) -> Result<(), PinError> {
        let error = |what, text: &str, expected| PinError::new(&self.name, what, text, expected);
        if !matches!(Capability::parse(&format!("apt:{}", self.name)), Ok(Capability::Apt(p)) if p.version().is_none())
        {
            return Err(error("name", &self.name, "a Debian package name"));
        }
        if DebianVersion::parse(&self.version).is_err() {
            return Err(error("version", &self.version, "a Debian version"));
        }
        let arch = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !starts_plain(&self.arch) || !self.arch.bytes().all(arch) || self.arch.len() > 32 {
            return Err(error("architecture", &self.arch, "a Debian architecture"));
        }
        let name = |b: u8| b.is_ascii_alphanumeric() || b"._+~%-".contains(&b);
        if !self.filename.ends_with(".deb")
            || !starts_plain(&self.filename)
            || !self.filename.bytes().all(name)
            || self.filename.len() > FILE_NAME
        {
            return Err(error("file", &self.filename, "a Debian package's file name"));
        }
        check_url(&self.name, self.url.as_deref())
    }

    /// The package as a capability: `apt:name=version`.
    #[must_use]
    pub fn granted(&self) -> Option<Capability> {
        Capability::parse(&format!("apt:{}={}", self.name, self.version)).ok()
    }
}

impl PinError {
    pub(super) fn new(name: &str, what: &'static str, text: &str, expected: &'static str) -> Self {
        let cut = |text: &str| text.chars().take(120).collect();
        Self { name: cut(name), what, text: cut(text), expected }
    }
}

fn starts_plain(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
}

pub(super) fn check_url(name: &str, url: Option<&str>) -> Result<(), PinError> {
    let Some(url) = url else {
        return Ok(());
    };
    let web = url.starts_with("http://") || url.starts_with("https://");
    // npm writes a scope's `@` into its paths; before the path it would end a user's name.
    let anonymous = url.split('/').nth(2).is_some_and(|host| !host.contains('@'));
    let graphic = url.bytes().all(|b| b.is_ascii_graphic() && !b"'\"\\`<>?#".contains(&b));
    if web && anonymous && url.len() <= URL && graphic {
        return Ok(());
    }
    Err(PinError::new(name, "address", url, "an http or https address without credentials"))
}

/// `url` without credentials, query and fragment, if what is left may stand in a lock.
pub(super) fn shown_url(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let rest = rest.split(['?', '#']).next()?;
    let (authority, path) = rest.split_once('/')?;
    // Credentials in an address mean that it does not work without them.
    let host = authority.rsplit('@').next()?;
    let shown = format!("{scheme}://{host}/{path}");
    check_url("", Some(&shown)).ok().map(|()| shown)
}
