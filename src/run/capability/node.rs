//! npm's package names (the `validate-npm-package-name` rules for new packages) and exact versions (semver.org 2.0).

use std::fmt;

/// A package of the npm registry, scoped or not, with at most one exact version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NpmPackage {
    name: String,
    version: Option<String>,
}

impl NpmPackage {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        // A scope's `@` is the first character; any later `@` starts the version.
        let (name, version) = match text.get(1..).and_then(|t| t.find('@')) {
            Some(at) => (&text[..=at], Some(&text[at + 2..])),
            None => (text, None),
        };
        let plain = match name.strip_prefix('@') {
            Some(scoped) => {
                let (scope, plain) = scoped.split_once('/').ok_or("a scoped npm name is `@scope/name`")?;
                check_name(scope)?;
                plain
            }
            None => name,
        };
        check_name(plain)?;
        if name.len() > 214 {
            return Err("an npm name has at most 214 characters");
        }
        if let Some(version) = version {
            check_version(version)?;
        }
        Ok(Self { name: name.to_owned(), version: version.map(str::to_owned) })
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }
}

fn check_name(name: &str) -> Result<(), &'static str> {
    let first = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    let rest = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b));
    if first && rest {
        return Ok(());
    }
    Err("an npm name holds `a-z`, `0-9`, `.`, `_` and `-`, starts with a letter or digit, and at most `@version` \
         follows it")
}

fn check_version(version: &str) -> Result<(), &'static str> {
    const RULE: &str = "an exact npm version follows `@`, such as `1.2.3` or `1.2.3-rc.1` (no ranges, no tags)";
    let number = |n: &str| {
        !n.is_empty() && n.len() <= 16 && n.bytes().all(|b| b.is_ascii_digit()) && (n == "0" || !n.starts_with('0'))
    };
    let (core, pre) = match version.split_once('-') {
        Some((core, pre)) => (core, Some(pre)),
        None => (version, None),
    };
    let numbers: Vec<&str> = core.split('.').collect();
    let identifier = |part: &str| {
        let digits = part.bytes().all(|b| b.is_ascii_digit());
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') && (!digits || number(part))
    };
    if numbers.len() != 3 || !numbers.into_iter().all(number) || !pre.is_none_or(|p| p.split('.').all(identifier)) {
        return Err(RULE);
    }
    Ok(())
}

impl fmt::Display for NpmPackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.version {
            Some(version) => write!(f, "@{version}"),
            None => Ok(()),
        }
    }
}
