//! Whether what is installed is the base's own plus exactly the lock.

use std::collections::BTreeMap;

use super::error::Error;
use super::lock::Lock;
use super::npm;
use super::sandbox::{Command, Sandbox};
use crate::run::capability::PythonVersion;

const KEEP: usize = 8 << 20;

/// Installed packages by name.
pub(super) type Versions = BTreeMap<String, String>;

async fn lines(sandbox: &Sandbox<'_>, argv: &[&str]) -> Result<Vec<u8>, Error> {
    let argv: Vec<String> = argv.iter().map(|w| (*w).to_owned()).collect();
    let output = sandbox.succeed(Command { argv: &argv, env: Vec::new(), keep: KEEP }).await?;
    output.stdout.whole().ok_or_else(|| Error::TooMuchOutput { command: argv.join(" "), limit: KEEP as u64 })
}

/// npm's packages in a container that nothing was installed in, by their places, each as `name@version`.
pub(super) async fn npm(sandbox: &Sandbox<'_>) -> Result<Versions, Error> {
    npm::read_list(&lines(sandbox, &npm::list()).await?)
}

/// A version as pip prints it: the metadata's `2024.01` is `2024.1` (PEP 440). A local part stays as it is.
pub(super) fn normal(version: &str) -> String {
    let (public, local) = version.split_at(version.find('+').unwrap_or(version.len()));
    PythonVersion::parse(public).map_or_else(|_| version.to_owned(), |public| format!("{public}{local}"))
}

pub(super) fn wanted_debs(lock: &Lock) -> Versions {
    lock.apt().iter().map(|a| (format!("{}:{}", a.name, a.arch), a.version.clone())).collect()
}

pub(super) fn wanted_wheels(lock: &Lock) -> Versions {
    lock.pip().iter().map(|p| (p.name.clone(), normal(&p.version))).collect()
}

/// Where `after` is not `before` with `wanted` put on top.
pub(super) fn differences(what: &str, before: &Versions, wanted: &Versions, after: &Versions) -> Vec<String> {
    let mut expected = before.clone();
    expected.extend(wanted.clone());
    let mut found = Vec::new();
    for (name, version) in &expected {
        match after.get(name) {
            Some(installed) if installed == version => {}
            Some(installed) => found.push(format!("{what} `{name}` is {installed} instead of {version}")),
            None => found.push(format!("{what} `{name}` {version} is missing")),
        }
    }
    for (name, version) in after.iter().filter(|(name, _)| !expected.contains_key(*name)) {
        found.push(format!("{what} `{name}` {version} was not asked for"));
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn versions(pairs: &[(&str, &str)]) -> Versions {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn versions_are_compared_as_pip_prints_them() {
        assert_eq!(normal("2024.01"), "2024.1");
        assert_eq!(normal("2.01.0+cpu"), "2.1.0+cpu");
        assert_eq!(normal("weird"), "weird");
    }

    #[test]
    fn names_what_differs() {
        let before = versions(&[("pip", "23"), ("six", "1.0")]);
        let wanted = versions(&[("pygal", "3"), ("six", "1.1")]);
        let exact = versions(&[("pip", "23"), ("six", "1.1"), ("pygal", "3")]);
        assert!(differences("wheel", &before, &wanted, &exact).is_empty());
        let other = versions(&[("six", "1.1"), ("pygal", "4"), ("evil", "1")]);
        assert_eq!(
            differences("wheel", &before, &wanted, &other),
            ["wheel `pip` 23 is missing", "wheel `pygal` is 4 instead of 3", "wheel `evil` 1 was not asked for"]
        );
    }

    proptest! {
        #[test]
        fn only_the_exact_set_passes(
            before in prop::collection::btree_map("[a-c]", "[0-2]", 0..3),
            wanted in prop::collection::btree_map("[b-d]", "[0-2]", 0..3),
            after in prop::collection::btree_map("[a-d]", "[0-2]", 0..4),
        ) {
            let mut expected = before.clone();
            expected.extend(wanted.clone());
            prop_assert_eq!(differences("x", &before, &wanted, &after).is_empty(), expected == after);
        }
    }
}
