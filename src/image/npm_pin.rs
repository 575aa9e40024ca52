//! One package of npm in a lock: where it lies in the tree, its exact version and the digest of the one archive that is
//! it. npm gives digests in SHA-512 and in base64; here they are hexadecimal like all others.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::pins::{PinError, check_url};
use crate::run::capability::Capability;

/// With the digest in front it has to fit into the 255 bytes of a directory entry.
const FILE_NAME: usize = 180;
const LOCATION: usize = 1024;

/// SHA-512, 128 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha512(String);

#[cfg(test)]
impl schemars::JsonSchema for Sha512 {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Sha512".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^[0-9a-f]{128}$"})
    }
}

impl Sha512 {
    /// Reads the digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        (text.len() == 128 && text.bytes().all(digit)).then(|| Self(text.to_owned()))
    }

    /// Reads `sha512-<base64>`, as npm's lock writes it; of several digests, this one.
    #[must_use]
    pub fn of_integrity(text: &str) -> Option<Self> {
        let coded = text.split_ascii_whitespace().find_map(|one| one.strip_prefix("sha512-"))?;
        let bytes = STANDARD.decode(coded).ok()?;
        Self::parse(&bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Sha512 {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("a SHA-512 has 128 lower-case hexadecimal digits")
    }
}

impl From<Sha512> for String {
    fn from(digest: Sha512) -> Self {
        digest.0
    }
}

/// A package of npm at its place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NpmPin {
    /// `node_modules/a/node_modules/@b/c`, below `/`.
    pub location: String,
    /// The package's own name, which an alias may differ from.
    pub name: String,
    pub version: String,
    pub sha512: Sha512,
    /// Commands that are put into `/usr/local/bin`, with the files that they are; only of what was asked for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bin: BTreeMap<String, String>,
    /// Whether the archive brings packages of its own in its `node_modules`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bundles: bool,
    /// Those packages. Locks of before they were listed have none, whose digests stay what they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bundled: Vec<Bundled>,
    /// Where the registry offered it, without credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// A package that came within another's archive, whose digest covers it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Bundled {
    /// Below the place of the package that brings it.
    pub location: String,
    pub name: String,
    pub version: String,
}

impl Bundled {
    /// Where it lies, below the topmost `node_modules`.
    #[must_use]
    pub fn place(&self) -> &str {
        below_the_topmost(&self.location)
    }

    /// The package as a capability, as [`NpmPin::granted`].
    #[must_use]
    pub fn granted(&self) -> Option<Capability> {
        granted(&self.name, &self.version)
    }
}

/// What holds for every package in a tree, wherever it came from.
fn check_placed(name: &str, version: &str, location: &str) -> Result<(), PinError> {
    let error = |what, text: &str, expected| PinError::new(name, what, text, expected);
    if !is_name(name) {
        return Err(error("name", name, "an npm name"));
    }
    let fits = |b: u8| b.is_ascii_alphanumeric() || b".+-".contains(&b);
    let digit = version.starts_with(|c: char| c.is_ascii_digit());
    if !digit || !version.bytes().all(fits) || version.len() > 64 {
        return Err(error("version", version, "an npm version"));
    }
    if location.len() > LOCATION || !is_location(location) {
        return Err(error("location", location, "a path of `node_modules/NAME`"));
    }
    Ok(())
}

fn granted(name: &str, version: &str) -> Option<Capability> {
    let exact = Capability::parse(&format!("npm:{name}@{version}"));
    exact.or_else(|_| Capability::parse(&format!("npm:{name}"))).ok()
}

fn below_the_topmost(location: &str) -> &str {
    location.strip_prefix("node_modules/").unwrap_or(location)
}

impl NpmPin {
    pub(super) fn check(&self) -> Result<(), PinError> {
        let error = |what, text: &str, expected| PinError::new(&self.name, what, text, expected);
        check_placed(&self.name, &self.version, &self.location)?;
        for inner in &self.bundled {
            check_placed(&inner.name, &inner.version, &inner.location)?;
            if !self.bundles || !self.holds(&inner.location) {
                return Err(error("bundled package", &inner.location, "below the package that bundles it"));
            }
        }
        if self.filename().len() > FILE_NAME {
            return Err(error("name", &self.name, "short enough for a file's name"));
        }
        for (command, file) in &self.bin {
            if !is_plain(command) {
                return Err(error("command", command, "a plain name"));
            }
            if file.len() > LOCATION || !file.split('/').all(is_plain) {
                return Err(error("command", file, "a path within the package"));
            }
        }
        check_url(&self.name, self.url.as_deref())
    }

    /// The archive's name where it is kept: the same for every place that the package lies at.
    #[must_use]
    pub fn filename(&self) -> String {
        format!("{}-{}.tgz", self.name.trim_start_matches('@').replace('/', "+"), self.version)
    }

    /// Where it lies, below the topmost `node_modules`.
    #[must_use]
    pub fn place(&self) -> &str {
        below_the_topmost(&self.location)
    }

    /// Whether `location` lies below this package's.
    pub(super) fn holds(&self, location: &str) -> bool {
        location.strip_prefix(self.location.as_str()).is_some_and(|rest| rest.starts_with('/'))
    }

    /// Whether this is the `name` that an import from anywhere finds.
    #[must_use]
    pub fn is_top(&self, name: &str) -> bool {
        self.place() == name
    }

    /// The package as a capability: `npm:name@version`, or without the version if it has build metadata.
    #[must_use]
    pub fn granted(&self) -> Option<Capability> {
        granted(&self.name, &self.version)
    }
}

/// `a` or `@scope/a`, as a capability may name it. What nobody could ask for, a rule could not keep back either: the few
/// old packages with capitals in their names are refused with all that needs them.
pub(super) fn is_name(name: &str) -> bool {
    matches!(Capability::parse(&format!("npm:{name}")), Ok(Capability::Npm(package)) if package.version().is_none())
}

/// A part of a path that is nothing special to a file system, a tool or `xargs`.
fn is_plain(part: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"._~-".contains(&b);
    // What begins with a dot is npm's own (`.bin`), or climbs.
    part.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') && part.bytes().all(fits)
}

fn is_location(location: &str) -> bool {
    let Some(rest) = location.strip_prefix("node_modules/") else { return false };
    // No name is `node_modules`, so that the places can be told apart.
    rest.split("/node_modules/").all(|name| is_name(name) && !name.split('/').any(|part| part == "node_modules"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::lock::tests::npm;
    use super::*;

    #[test]
    fn reads_npms_digests() {
        let integrity = format!("sha1-abc sha512-{}", STANDARD.encode([255_u8; 64]));
        assert_eq!(Sha512::of_integrity(&integrity).unwrap().as_str(), "ff".repeat(64));
        for bad in ["", "sha512-", "sha512-!!", "sha1-qqqq", "sha512-AAAA"] {
            assert!(Sha512::of_integrity(bad).is_none(), "{bad}");
        }
        assert!(serde_json::from_str::<Sha512>("\"AB\"").is_err());
    }

    #[test]
    fn accepts_what_npm_has() {
        for location in ["node_modules/a", "node_modules/@b/c", "node_modules/x.js/node_modules/@b/c/node_modules/2d"] {
            let pin = NpmPin { location: location.to_owned(), ..npm("a", "1.2.3-rc.1+build.5") };
            pin.check().unwrap();
        }
        assert_eq!(npm("@types/node", "20.1.0").filename(), "types+node-20.1.0.tgz");
        assert_eq!(npm("@types/node", "20.1.0").granted().unwrap().to_string(), "npm:@types/node@20.1.0");
        assert_eq!(npm("a", "1.0.0+b").granted().unwrap().to_string(), "npm:a");
    }

    #[test]
    fn refuses_what_could_leave_its_place() {
        let bad = |change: fn(&mut NpmPin)| {
            let mut pin = npm("a", "1.0.0");
            change(&mut pin);
            assert!(pin.check().is_err(), "{pin:?}");
        };
        bad(|p| p.location = "a".into());
        bad(|p| p.location = "/node_modules/a".into());
        bad(|p| p.location = "node_modules/../etc".into());
        bad(|p| p.location = "node_modules/a/../../etc".into());
        bad(|p| p.location = "node_modules/.bin".into());
        bad(|p| p.location = "node_modules/a/b".into());
        bad(|p| p.location = "node_modules/node_modules".into());
        bad(|p| p.location = "node_modules/a\nb".into());
        bad(|p| p.location = "node_modules/@a".into());
        bad(|p| p.location = format!("node_modules/{}", "a/node_modules/".repeat(100) + "a"));
        bad(|p| p.name = "--prefix".into());
        bad(|p| p.name = "a b".into());
        bad(|p| p.name = "JSONStream".into());
        bad(|p| p.name = "a@1.0.0".into());
        bad(|p| p.name = "a".repeat(200));
        bad(|p| p.version = "latest".into());
        bad(|p| p.version = "1 --x".into());
        bad(|p| p.bin = BTreeMap::from([("../sh".into(), "x".into())]));
        bad(|p| p.bin = BTreeMap::from([("a".into(), "../x".into())]));
        bad(|p| p.bin = BTreeMap::from([("a".into(), "/bin/sh".into())]));
        let inner = |location: &str, name: &str, version: &str| {
            vec![Bundled { location: location.into(), name: name.into(), version: version.into() }]
        };
        let bundling = |bundled| NpmPin { bundles: true, bundled, ..npm("a", "1.0.0") };
        let below = "node_modules/a/node_modules/b";
        bundling(inner(below, "b", "1.0.0")).check().unwrap();
        for wrong in [
            inner("node_modules/b", "b", "1.0.0"),
            inner("node_modules/ab/node_modules/b", "b", "1.0.0"),
            inner("node_modules/a/../b", "b", "1.0.0"),
            inner(below, "JSONStream", "1.0.0"),
            inner(below, "b", "latest"),
        ] {
            assert!(bundling(wrong.clone()).check().is_err(), "{wrong:?}");
        }
        assert!(NpmPin { bundles: false, ..bundling(inner(below, "b", "1.0.0")) }.check().is_err());
        bad(|p| p.url = Some("https://me:secret@host/a.tgz".into()));
        bad(|p| p.url = Some("git+ssh://host/a.git".into()));
    }
}
