//! One package of a bill, of whatever ecosystem.

use std::collections::BTreeSet;

use super::super::installed::Installed;
use super::super::lock::Lock;
use super::super::npm_pin::Sha512;
use crate::run::id::Digest;

/// The digest of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sum {
    Sha256(Digest),
    Sha512(Sha512),
}

/// A package as both formats tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    /// A package URL: type, name, version and what else tells it from others.
    pub(super) purl: String,
    /// Of the file that it was installed from; none of what the base held.
    pub(super) sum: Option<Sum>,
    pub(super) url: Option<String>,
    /// Whether the base held it.
    pub(super) of_base: bool,
}

/// The packages of `lock`, and those of `installed` beyond them.
pub(super) fn all(lock: &Lock, installed: Option<&Installed>) -> Vec<Package> {
    let apt = lock.apt().iter().map(|pin| Package {
        name: pin.name.clone(),
        version: pin.version.clone(),
        purl: deb(&pin.name, &pin.version, &pin.arch),
        sum: Some(Sum::Sha256(pin.sha256.clone())),
        url: pin.url.clone(),
        of_base: false,
    });
    let pip = lock.pip().iter().map(|pin| Package {
        name: pin.name.clone(),
        version: pin.version.clone(),
        purl: pypi(&pin.name, &pin.version),
        sum: Some(Sum::Sha256(pin.sha256.clone())),
        url: pin.url.clone(),
        of_base: false,
    });
    // What lies at several places is one package.
    let mut seen = BTreeSet::new();
    let npm = lock.npm().iter().filter(|pin| seen.insert((&pin.name, &pin.version))).map(|pin| Package {
        name: pin.name.clone(),
        version: pin.version.clone(),
        purl: purl_of_npm(&pin.name, &pin.version),
        sum: Some(Sum::Sha512(pin.sha512.clone())),
        url: pin.url.clone(),
        of_base: false,
    });
    let mut all: Vec<Package> = apt.chain(pip).chain(npm).collect();
    let Some(installed) = installed else { return all };
    let locked: BTreeSet<String> = lock.apt().iter().map(|pin| format!("{}:{}", pin.name, pin.arch)).collect();
    let base = |name: &str, version: &str, purl: String| Package {
        name: name.to_owned(),
        version: version.to_owned(),
        purl,
        sum: None,
        url: None,
        of_base: true,
    };
    for (id, version) in installed.apt.iter().filter(|(id, _)| !locked.contains(*id)) {
        let (name, arch) = id.split_once(':').unwrap_or((id, "all"));
        all.push(base(name, version, deb(name, version, arch)));
    }
    let locked: BTreeSet<&str> = lock.pip().iter().map(|pin| pin.name.as_str()).collect();
    for (name, version) in installed.pip.iter().filter(|(name, _)| !locked.contains(name.as_str())) {
        all.push(base(name, version, pypi(name, version)));
    }
    // What the base brought, and what came within another package's archive.
    let locked: BTreeSet<&str> = lock.npm().iter().map(|pin| pin.location.as_str()).collect();
    let mut others = BTreeSet::new();
    for (_, said) in installed.npm.iter().filter(|(place, _)| !locked.contains(place.as_str())) {
        let Some((name, version)) = said.rsplit_once('@').filter(|_| others.insert(said)) else { continue };
        all.push(base(name, version, purl_of_npm(name, version)));
    }
    all
}

/// A scope is the name's space.
fn purl_of_npm(name: &str, version: &str) -> String {
    let path = name.split('/').map(encoded).collect::<Vec<_>>().join("/");
    format!("pkg:npm/{path}@{}", encoded(version))
}

fn deb(name: &str, version: &str, arch: &str) -> String {
    format!("pkg:deb/debian/{}@{}?arch={}", encoded(name), encoded(version), encoded(arch))
}

fn pypi(name: &str, version: &str) -> String {
    format!("pkg:pypi/{}@{}", encoded(name), encoded(version))
}

/// As a part of a package URL: all but letters, digits and four marks percent-encoded.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut all, byte| {
        if byte.is_ascii_alphanumeric() || b".-_~".contains(&byte) {
            all.push(char::from(byte));
        } else {
            all.push_str(&format!("%{byte:02X}"));
        }
        all
    })
}
