//! One package of a bill, of whatever ecosystem.

use std::collections::BTreeSet;

use super::super::installed::{Installed, Layer};
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
    pub(super) layer: Layer,
}

/// The packages of `lock`, and those of `installed` beyond them.
pub(super) fn all(lock: &Lock, installed: Option<&Installed>) -> Vec<Package> {
    let apt = lock.apt().iter().map(|pin| Package {
        name: pin.name.clone(),
        version: pin.version.clone(),
        purl: deb(&pin.name, &pin.version, &pin.arch),
        sum: Some(Sum::Sha256(pin.sha256.clone())),
        url: pin.url.clone(),
        layer: Layer::Approved,
    });
    let pip = lock.pip().iter().map(|pin| Package {
        name: pin.name.clone(),
        version: pin.version.clone(),
        purl: pypi(&pin.name, &pin.version),
        sum: Some(Sum::Sha256(pin.sha256.clone())),
        url: pin.url.clone(),
        layer: Layer::Approved,
    });
    let npm = lock.npm().iter().map(|pin| Package {
        name: pin.name.clone(),
        version: pin.version.clone(),
        purl: purl_of_npm(&pin.name, &pin.version),
        sum: Some(Sum::Sha512(pin.sha512.clone())),
        url: pin.url.clone(),
        layer: Layer::Approved,
    });
    let other = |name: &str, version: &str, purl: String, layer| Package {
        name: name.to_owned(),
        version: version.to_owned(),
        purl,
        sum: None,
        url: None,
        layer,
    };
    let inner = lock
        .bundled()
        .map(|(_, inner)| other(&inner.name, &inner.version, purl_of_npm(&inner.name, &inner.version), Layer::Bundled));
    let mut all: Vec<Package> = apt.chain(pip).chain(npm).chain(inner).collect();
    for (name, version, layer) in installed.into_iter().flat_map(|installed| installed.beyond(lock)) {
        let Some((kind, name)) = name.split_once(':') else { continue };
        all.push(match kind {
            "apt" => {
                let (name, arch) = name.split_once(':').unwrap_or((name, "all"));
                other(name, version, deb(name, version, arch), layer)
            }
            "pip" => other(name, version, pypi(name, version), layer),
            _ => {
                // What lies at a place says itself what it is called.
                let said = installed.and_then(|installed| installed.npm.get(&format!("node_modules/{name}")));
                let name = said.and_then(|said| said.rsplit_once('@')).map_or(name, |(name, _)| name);
                other(name, version, purl_of_npm(name, version), layer)
            }
        });
    }
    // What lies at several places is one package, and a folder that says no name is none.
    let mut seen = BTreeSet::new();
    all.retain(|package| !package.name.is_empty() && seen.insert(package.purl.clone()));
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
