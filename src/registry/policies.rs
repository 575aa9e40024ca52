//! `policies/`: the written rules and what is expected of them, as files. Read whole or not at all.

use std::path::Path;

use super::disk;
use super::error::{Error, Result};

/// The largest file that is read, in bytes.
const LARGEST: u64 = 1 << 20;
/// More files than a person keeps an eye on.
const MOST: usize = 1000;
/// How deep folders are looked into for what is not read.
const DEEPEST: usize = 8;
/// How the name of a file of expected answers ends.
pub const EXPECTED: &str = ".test.yaml";

/// The rules: all `*.yaml` and `*.yml` of `folder` that hold no expected answers. None if there is no such folder.
///
/// # Errors
/// When one of them cannot be read, is a symlink or larger than 1 MiB, or there are more than a thousand.
pub fn rules(folder: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    read(folder, |name| is_yaml(name) && !name.ends_with(EXPECTED))
}

/// The expected answers: all `*.test.yaml` of `folder`.
///
/// # Errors
/// As [`rules`].
pub fn expected(folder: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    read(folder, |name| name.ends_with(EXPECTED))
}

/// One file, of whatever name, with the name that it is known by.
///
/// # Errors
/// As [`rules`].
pub fn one(path: &Path) -> Result<(String, Vec<u8>)> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let file = disk::open_read(path).map_err(Error::io("read", path))?;
    match disk::read_bounded(&file, LARGEST).map_err(Error::io("read", path))? {
        Some(bytes) => Ok((name, bytes)),
        None => Err(Error::TooLarge { path: path.to_owned(), bytes: LARGEST + 1, limit: LARGEST }),
    }
}

/// What looks like rules in `folder` and is not read: hidden files, and those of folders in it; each by its name below
/// `folder`, with the reason. As many as would be read are named.
///
/// # Errors
/// When a folder cannot be listed.
pub fn unread(folder: &Path) -> Result<Vec<(String, &'static str)>> {
    let mut found = Vec::new();
    let mut open = vec![(folder.to_owned(), String::new())];
    while let Some((folder, above)) = open.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            entries => entries.map_err(Error::io("read", &folder))?,
        };
        for entry in entries {
            let entry = entry.map_err(Error::io("read", &folder))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let below = format!("{above}{name}");
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                // One that is named as a file of rules is an error of its own.
                if !(above.is_empty() && is_yaml(&name)) && below.split('/').count() <= DEEPEST {
                    open.push((entry.path(), format!("{below}/")));
                }
            } else if ends_as_yaml(&name) && found.len() < MOST {
                let why = match above.is_empty() {
                    true if name.starts_with('.') => "is hidden",
                    true => continue,
                    false => "lies in a folder below",
                };
                found.push((below, why));
            }
        }
    }
    found.sort();
    Ok(found)
}

fn is_yaml(name: &str) -> bool {
    // Editors' and hidden files are nobody's rules.
    ends_as_yaml(name) && !name.starts_with('.')
}

fn ends_as_yaml(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|end| end == "yaml" || end == "yml")
}

fn read(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<(String, Vec<u8>)>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("read", folder)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::io("read", folder))?;
        let name = entry.file_name();
        // A name that is not UTF-8 is no reason to overlook a rule.
        if !wanted(&name.to_string_lossy()) {
            continue;
        }
        if found.len() == MOST {
            let most = std::io::Error::other(format!("there are more than {MOST} files"));
            return Err(Error::io("read", folder)(most));
        }
        found.push(one(&entry.path())?);
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn rules_and_expectations_are_told_apart_and_nothing_else_is_read() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.yaml", "a.yml", "x.test.yaml", "README.md", ".b.yaml.swp", ".hidden.yaml", "a.yaml.sig"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        let names = |found: Vec<(String, Vec<u8>)>| found.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(rules(folder.path()).unwrap()), ["a.yml", "b.yaml"]);
        assert_eq!(names(expected(folder.path()).unwrap()), ["x.test.yaml"]);
        assert!(rules(&folder.path().join("none")).unwrap().is_empty());
    }

    #[test]
    fn what_looks_like_rules_and_is_not_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("team/deep")).unwrap();
        for name in ["a.yaml", ".b.yaml", ".c.yaml.swp", "a.yaml.sig", "team/d.yml", "team/deep/e.yaml", "team/README"]
        {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let below = "lies in a folder below";
        let expected = [(".b.yaml", "is hidden"), ("team/d.yml", below), ("team/deep/e.yaml", below)]
            .map(|(n, w)| (n.to_owned(), w));
        assert_eq!(unread(folder.path()).unwrap(), expected);
        assert!(unread(&folder.path().join("none")).unwrap().is_empty());
    }

    #[test]
    fn a_symlink_a_folder_and_a_large_file_are_refused() {
        for plant in [
            |path: &Path| std::os::unix::fs::symlink("/etc/hostname", path).unwrap(),
            |path: &Path| std::fs::create_dir(path).unwrap(),
            |path: &Path| std::fs::write(path, vec![b'#'; 1 << 21]).unwrap(),
        ] {
            let folder = tempfile::tempdir().unwrap();
            plant(&folder.path().join("p.yaml"));
            rules(folder.path()).unwrap_err();
        }
    }
}
