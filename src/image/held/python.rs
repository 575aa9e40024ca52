//! Python's distributions, by the metadata that each leaves beside its modules (`*.dist-info`, `*.egg-info`).

use std::collections::BTreeMap;

use super::super::readback::{Versions, normal};
use crate::run::capability::PipName;

/// By the place of its metadata, a distribution's name and version.
pub(super) type Places = BTreeMap<String, (String, String)>;

/// Whether `path` is the file that says what a distribution is, in a folder that Python looks into.
pub(super) fn is_metadata(path: &str) -> bool {
    let mut parts = path.rsplit('/');
    let Some(file) = parts.next() else { return false };
    let holder = match file {
        "METADATA" => parts.next().filter(|folder| folder.ends_with(".dist-info")),
        "PKG-INFO" => parts.next().filter(|folder| folder.ends_with(".egg-info")),
        // Debian's are a file.
        name => Some(name).filter(|name| name.ends_with(".egg-info")),
    };
    holder.is_some() && matches!(parts.next(), Some("dist-packages" | "site-packages"))
}

/// Name, normalised, and version of a distribution; empty where it says none.
pub(super) fn metadata(bytes: &[u8]) -> (String, String) {
    let text = String::from_utf8_lossy(bytes);
    let field = |wanted: &str| {
        let mut head = text.lines().take_while(|line| !line.trim().is_empty());
        let found = head.find_map(|line| line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case(wanted)));
        found.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let name = field("Name");
    (PipName::parse(&name).map_or(name, |name| name.to_string()), normal(&field("Version")))
}

/// Where `after` is not `before` with `wanted` put on top. A distribution of the base's that another now stands before is
/// still there; anything else at its place or at a new one has to be wanted.
pub(super) fn differences(before: &Places, wanted: &Versions, after: &Places) -> Vec<String> {
    let mut found = Vec::new();
    for (place, (name, version)) in after {
        let was = before.get(place);
        if was == Some(&(name.clone(), version.clone())) || wanted.get(name) == Some(version) {
            continue;
        }
        found.push(match wanted.get(name) {
            Some(wanted) => format!("Python package `{name}` is {version} instead of {wanted}"),
            None => format!("Python package `{name}` {version} was not asked for (/{place})"),
        });
    }
    for (name, version) in wanted {
        if !after.values().any(|there| there == &(name.clone(), version.clone())) {
            found.push(format!("Python package `{name}` {version} is missing"));
        }
    }
    for (place, (name, version)) in before.iter().filter(|(place, _)| !after.contains_key(*place)) {
        if !wanted.contains_key(name) {
            found.push(format!("Python package `{name}` {version} is missing (/{place})"));
        }
    }
    found
}

/// Each distribution once. Of two places, what lies below `/usr/local` is found first by Debian's Python.
pub(super) fn versions(places: &Places) -> Versions {
    let (local, system): (Vec<_>, Vec<_>) = places.iter().partition(|(place, _)| place.starts_with("usr/local/"));
    let all = system.into_iter().chain(local);
    all.map(|(_, (name, version))| (name.clone(), version.clone())).collect()
}
