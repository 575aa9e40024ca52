//! Debian's package names and versions: Debian Policy 5.6.1 (`Source`, `Package`) and 5.6.12 (`Version`).

use std::fmt;

/// A binary package of a Debian-like distribution, with at most one exact version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AptPackage {
    name: String,
    version: Option<DebianVersion>,
}

impl AptPackage {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (name, version) = match text.split_once('=') {
            Some((name, version)) => (name, Some(DebianVersion::parse(version)?)),
            None => (text, None),
        };
        let mut bytes = name.bytes();
        let first = bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let rest = bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+.-".contains(&b));
        if !first || !rest || name.len() < 2 {
            return Err("a Debian package name is at least two of `a-z`, `0-9`, `+`, `.`, `-`, the first a letter or \
                        digit, and a version follows `=`");
        }
        // apt-get reads a trailing `-` as "remove this package".
        if name.ends_with('-') {
            return Err("a Debian package name does not end with `-`");
        }
        Ok(Self { name: name.to_owned(), version })
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    #[must_use]
    pub const fn version(&self) -> Option<&DebianVersion> {
        self.version.as_ref()
    }
}

impl fmt::Display for AptPackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.version {
            Some(version) => write!(f, "={version}"),
            None => Ok(()),
        }
    }
}

/// `[epoch:]upstream[-revision]`, as dpkg writes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DebianVersion(String);

impl DebianVersion {
    /// Parses a version.
    ///
    /// # Errors
    /// The rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (epoch, rest) = match text.split_once(':') {
            Some((epoch, rest)) => (Some(epoch), rest),
            None => (None, text),
        };
        if epoch.is_some_and(|e| e.is_empty() || e.len() > 9 || !e.bytes().all(|b| b.is_ascii_digit())) {
            return Err("a Debian version's epoch (before `:`) is a number");
        }
        let (upstream, revision) = match rest.rsplit_once('-') {
            Some((upstream, revision)) => (upstream, Some(revision)),
            None => (rest, None),
        };
        let allowed = |b: u8, extra: &[u8]| b.is_ascii_alphanumeric() || b".+~".contains(&b) || extra.contains(&b);
        if !upstream.starts_with(|c: char| c.is_ascii_digit())
            || !upstream.bytes().all(|b| allowed(b, if revision.is_some() { b"-" } else { b"" }))
        {
            return Err("a Debian version starts with a digit and holds letters, digits, `.`, `+`, `~` and `-`");
        }
        if revision.is_some_and(|r| r.is_empty() || !r.bytes().all(|b| allowed(b, b""))) {
            return Err("a Debian version's revision (after the last `-`) holds letters, digits, `.`, `+` and `~`");
        }
        Ok(Self(text.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DebianVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
