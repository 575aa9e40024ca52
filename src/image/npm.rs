//! npm's packages in an image. They lie in `/node_modules`, where an import from any folder finds them, each unpacked
//! from its own archive at the place that the lock names. No npm takes part, so that no package's script can run: not
//! at install, and not by a later call.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::dockerfile::{Ecosystem, PACKAGES, Step};
use super::error::Error;
use super::lock::Lock;

/// Unpacks what `npm.txt` lists. It runs in an image that has no tool for this but Python.
const UNPACK: &str = include_str!("npm/unpack.py");
/// Prints what lies in `/node_modules`.
const LIST: &str = include_str!("npm/list.py");

/// Files that are left out. OpenClaw's first call would run its install scripts where it finds this one, and fail in an
/// image that cannot be written.
const WITHOUT: [(&str, &str); 1] = [("openclaw", ".openclaw-lifecycle-pending")];

/// `npm.txt` of a lock: what is unpacked where, what is left out, and the commands.
pub(super) fn tree(lock: &Lock) -> String {
    let mut text = String::new();
    // Sorted by place, so that a package comes before those in it.
    for pin in lock.npm() {
        let _ = writeln!(text, "unpack {} {}", pin.filename(), pin.location);
    }
    for (name, file) in WITHOUT {
        if lock.npm().iter().any(|pin| pin.is_top(name) && pin.name == name) {
            let _ = writeln!(text, "without {file} node_modules/{name}");
        }
    }
    for pin in lock.npm() {
        for (command, file) in &pin.bin {
            let _ = writeln!(text, "command {command} {}/{file}", pin.location);
        }
    }
    text
}

pub(super) fn step() -> Step {
    let argv = ["python3", "-I", "-B", "-c", UNPACK, PACKAGES];
    Step { ecosystem: Ecosystem::Npm, argv: argv.map(str::to_owned).to_vec(), env: Vec::new() }
}

/// The command whose answer [`read_list`] reads.
pub(super) const fn list() -> [&'static str; 5] {
    ["python3", "-I", "-B", "-c", LIST]
}

/// `[[place, name, version], …]` as places with `name@version`.
pub(super) fn read_list(bytes: &[u8]) -> Result<BTreeMap<String, String>, Error> {
    let listed: Vec<(String, String, String)> =
        serde_json::from_slice(bytes).map_err(|e| Error::format("the list of npm packages", e.to_string()))?;
    Ok(listed.into_iter().map(|(place, name, version)| (place, shown(&name, &version))).collect())
}

pub(super) fn wanted(lock: &Lock) -> BTreeMap<String, String> {
    let own = lock.npm().iter().map(|pin| (pin.location.clone(), shown(&pin.name, &pin.version)));
    let inner = lock.bundled().map(|(_, inner)| (inner.location.clone(), shown(&inner.name, &inner.version)));
    own.chain(inner).collect()
}

pub(super) fn shown(name: &str, version: &str) -> String {
    // Old packages write `v1.0.0`, which npm reads as `1.0.0`.
    format!("{name}@{}", version.trim_start_matches(['v', '=']))
}

/// `found` without what came within the archive of a package whose lock is from before those were listed: its digest
/// covers them.
pub(super) fn without_unlisted(lock: &Lock, found: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let places: BTreeSet<&str> = lock.npm().iter().map(|pin| pin.location.as_str()).collect();
    let unlisted = |place: &str| {
        let holder = lock.npm().iter().filter(|pin| pin.holds(place)).max_by_key(|pin| pin.location.len());
        !places.contains(place) && holder.is_some_and(|pin| pin.bundles && pin.bundled.is_empty())
    };
    found.into_iter().filter(|(place, _)| !unlisted(place)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::lock::tests::npm;
    use super::super::npm_pin::{Bundled, NpmPin};
    use super::*;

    #[test]
    fn a_tree_says_what_lies_where() {
        let nested = NpmPin { location: "node_modules/openclaw/node_modules/b".to_owned(), ..npm("b", "1.0.0") };
        let bin = BTreeMap::from([("openclaw".to_owned(), "openclaw.mjs".to_owned())]);
        let openclaw = NpmPin { bin, ..npm("openclaw", "2.0.0") };
        let lock = Lock::default().with_npm(vec![nested, npm("@a/b", "1.0.0"), openclaw]).unwrap();
        assert_eq!(
            tree(&lock),
            "unpack a+b-1.0.0.tgz node_modules/@a/b\n\
             unpack openclaw-2.0.0.tgz node_modules/openclaw\n\
             unpack b-1.0.0.tgz node_modules/openclaw/node_modules/b\n\
             without .openclaw-lifecycle-pending node_modules/openclaw\n\
             command openclaw node_modules/openclaw/openclaw.mjs\n"
        );
    }

    #[test]
    fn only_a_bundles_own_packages_are_excused_and_only_where_the_lock_does_not_list_them() {
        let listed = Bundled {
            location: "node_modules/c/node_modules/y".to_owned(),
            name: "y".to_owned(),
            version: "1.0.0".to_owned(),
        };
        let lock = vec![
            NpmPin { bundles: true, ..npm("a", "1.0.0") },
            npm("b", "1.0.0"),
            NpmPin { bundles: true, bundled: vec![listed], ..npm("c", "1.0.0") },
        ];
        let lock = Lock::default().with_npm(lock).unwrap();
        let list = r#"[["node_modules/a","a","v1.0.0"],["node_modules/a/node_modules/x","x","1"],
            ["node_modules/b","b","1.0.0"],["node_modules/b/node_modules/x","x","1"],["node_modules/ab","ab","1"],
            ["node_modules/c","c","1.0.0"],["node_modules/c/node_modules/x","x","1"]]"#;
        let found = without_unlisted(&lock, read_list(list.as_bytes()).unwrap());
        let places: Vec<&str> = found.keys().map(String::as_str).collect();
        let kept = ["a", "ab", "b", "b/node_modules/x", "c", "c/node_modules/x"];
        assert_eq!(places, kept.map(|place| format!("node_modules/{place}")));
        assert_eq!(wanted(&lock)["node_modules/c/node_modules/y"], "y@1.0.0");
        assert_eq!(found["node_modules/a"], "a@1.0.0");
        assert!(read_list(b"{}").is_err());
    }
}
