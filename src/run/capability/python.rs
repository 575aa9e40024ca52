//! Python distributions: names after PEP 508, normalised after PEP 503; extras after PEP 508 and PEP 685.

use std::collections::BTreeSet;
use std::fmt;

use super::python_version::PythonVersion;

/// The normalised name of a Python distribution: `[a-z0-9]+(-[a-z0-9]+)*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PipName(String);

impl PipName {
    /// Parses and normalises: `Zope.Interface` and `zope_interface` are both `zope-interface` (PEP 503).
    ///
    /// # Errors
    /// The rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        // PEP 508: ^([A-Z0-9]|[A-Z0-9][A-Z0-9._-]*[A-Z0-9])$, ignoring case.
        let inner = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        let ends = text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.ends_with(|c: char| c.is_ascii_alphanumeric());
        if !inner || !ends {
            return Err(
                "a Python package name holds letters, digits, `.`, `_` and `-`, starts and ends with a letter \
                        or digit, and at most `[extras]` and `==version` follow it (no ranges, URLs, markers or \
                        options)",
            );
        }
        let mut name = String::with_capacity(text.len());
        for byte in text.bytes() {
            if !b"._-".contains(&byte) {
                name.push(char::from(byte.to_ascii_lowercase()));
            } else if !name.ends_with('-') {
                name.push('-');
            }
        }
        Ok(Self(name))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PipName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A Python distribution, with extras and at most one exact version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PipPackage {
    name: PipName,
    extras: BTreeSet<PipName>,
    version: Option<PythonVersion>,
}

impl PipPackage {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (requirement, version) = match text.split_once("==") {
            Some((requirement, version)) => (requirement, Some(PythonVersion::parse(version)?)),
            None => (text, None),
        };
        let (name, extras) = match requirement.split_once('[') {
            Some((name, rest)) => {
                let Some(list) = rest.strip_suffix(']') else {
                    return Err("extras stand in `[` and `]` behind the name, separated by commas");
                };
                (name, list.split(',').map(PipName::parse).collect::<Result<_, _>>()?)
            }
            None => (requirement, BTreeSet::new()),
        };
        Ok(Self { name: PipName::parse(name)?, extras, version })
    }

    #[must_use]
    pub const fn name(&self) -> &PipName {
        &self.name
    }

    #[must_use]
    pub const fn extras(&self) -> &BTreeSet<PipName> {
        &self.extras
    }

    #[must_use]
    pub const fn version(&self) -> Option<&PythonVersion> {
        self.version.as_ref()
    }
}

impl fmt::Display for PipPackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name.as_str())?;
        for (i, extra) in self.extras.iter().enumerate() {
            write!(f, "{}{extra}", if i == 0 { '[' } else { ',' })?;
        }
        if !self.extras.is_empty() {
            f.write_str("]")?;
        }
        match &self.version {
            Some(version) => write!(f, "=={version}"),
            None => Ok(()),
        }
    }
}
