//! What is installed, asked of the image itself, and whether it is the base's own plus exactly the lock.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::error::Error;
use super::lock::Lock;
use super::npm;
use super::sandbox::{Command, Sandbox};
use crate::run::capability::{PipName, PythonVersion};

const KEEP: usize = 8 << 20;

/// Installed packages by name.
pub(super) type Versions = BTreeMap<String, String>;

#[derive(Deserialize)]
struct Listed {
    name: String,
    version: String,
}

async fn lines(sandbox: &Sandbox<'_>, argv: &[&str]) -> Result<Vec<u8>, Error> {
    let argv: Vec<String> = argv.iter().map(|w| (*w).to_owned()).collect();
    let output = sandbox.succeed(Command { argv: &argv, env: Vec::new(), keep: KEEP }).await?;
    output.stdout.whole().ok_or_else(|| Error::TooMuchOutput { command: argv.join(" "), limit: KEEP as u64 })
}

/// Debian's packages as `name:arch`, and their versions with every state but "installed" spelt out.
pub(super) async fn debs(sandbox: &Sandbox<'_>) -> Result<Versions, Error> {
    let format = "-f=${Package}:${Architecture}\t${Version}\t${db:Status-Status}\n";
    let text = lines(sandbox, &["dpkg-query", "-W", format]).await?;
    read_debs(&String::from_utf8_lossy(&text))
}

fn read_debs(text: &str) -> Result<Versions, Error> {
    let line = |line: &str| {
        let mut fields = line.split('\t');
        let (name, version, state) = (fields.next()?, fields.next()?, fields.next()?);
        let version = if state == "installed" { version.to_owned() } else { format!("{version} ({state})") };
        Some((name.to_owned(), version))
    };
    let read: Option<Versions> = text.lines().map(line).collect();
    read.ok_or_else(|| Error::format("dpkg's answer", "a line has no three fields"))
}

/// Python's distributions under their normalised names.
pub(super) async fn wheels(sandbox: &Sandbox<'_>) -> Result<Versions, Error> {
    let argv = ["python3", "-I", "-B", "-m", "pip", "list", "--format=json", "--disable-pip-version-check"];
    let text = lines(sandbox, &argv).await?;
    let listed: Vec<Listed> =
        serde_json::from_slice(&text).map_err(|e| Error::format("pip's answer", e.to_string()))?;
    let name = |name: String| PipName::parse(&name).map_or(name, |n| n.to_string());
    Ok(listed.into_iter().map(|l| (name(l.name), normal(&l.version))).collect())
}

/// npm's packages by their places, each as `name@version`.
pub(super) async fn npm(sandbox: &Sandbox<'_>) -> Result<Versions, Error> {
    npm::read_list(&lines(sandbox, &npm::list()).await?)
}

/// Files that run as their owner or their group whoever starts them.
pub(super) async fn setuid(sandbox: &Sandbox<'_>) -> Result<BTreeSet<String>, Error> {
    let found = lines(sandbox, &["find", "/", "-xdev", "-type", "f", "-perm", "/6000", "-print0"]).await?;
    let paths = found.split(|b| *b == 0).filter(|p| !p.is_empty());
    Ok(paths.map(|p| String::from_utf8_lossy(p).into_owned()).collect())
}

/// A version as pip prints it: the metadata's `2024.01` is `2024.1` (PEP 440). A local part stays as it is.
fn normal(version: &str) -> String {
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
    fn reads_dpkg() {
        let read = read_debs("jq:amd64\t1.6\tinstalled\nold:all\t1\tconfig-files\n").unwrap();
        assert_eq!(read, versions(&[("jq:amd64", "1.6"), ("old:all", "1 (config-files)")]));
        assert!(read_debs("jq").is_err());
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
