//! What of a machine is the operator's own: taskforge's keys and settings, other registries, and where programs keep keys
//! and credentials. Of the first two nothing is ever given to a container; of the last a person is told before the word.

use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::registry::private;

/// Folders of keys and credentials, by the names that programs give them.
const OF_KEYS: [&str; 9] =
    [".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".password-store", ".mozilla", "gcloud"];

/// A registry is known by either.
const OF_REGISTRIES: [&str; 2] = ["taskforge.toml", ".taskforge"];

/// How many entries of a folder are looked at.
const MOST: usize = 20_000;

/// How many of the places found are named.
const NAMED: usize = 5;

/// What lies in a folder.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Within {
    /// Whether a registry is in it.
    pub(super) registry: bool,
    /// Where keys are kept in it, absolute and sorted.
    pub(super) keys: Vec<String>,
    /// It has more entries than were looked at.
    pub(super) unsearched: bool,
}

/// Where taskforge keeps the operator's keys and settings, and where copies that are unlocked for a while lie.
pub(super) fn kept_places() -> impl Iterator<Item = (PathBuf, &'static str)> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = absolute("HOME").map(|home| home.join(".config"));
    let config = [absolute("XDG_CONFIG_HOME"), home].into_iter().flatten();
    let config = config.map(|config| (config.join("taskforge"), "taskforge's own keys and settings"));
    config.chain(private::folders().map(|folder| (folder, "taskforge's own keys and settings")))
}

/// Whether `path` is a registry or lies in one.
pub(super) fn lies_in_a_registry(path: &Path) -> bool {
    path.ancestors().any(|folder| {
        folder.file_name().is_some_and(|name| name == ".taskforge")
            || OF_REGISTRIES.iter().any(|name| folder.join(name).symlink_metadata().is_ok())
    })
}

/// Looks through `folder`, which was opened as `path`: as far as its own file system goes, which is all that a container
/// sees of it, and never through a symlink.
pub(super) fn look_through(path: &Path, folder: &File) -> Within {
    let mut within = Within::default();
    if let Some(kept) = path.ancestors().find(|above| is_of_keys(above)) {
        within.keys.push(kept.display().to_string());
    }
    let device = folder.metadata().map(|found| found.dev()).ok();
    let top = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
    let mut open = VecDeque::from([PathBuf::new()]);
    let mut left = MOST;
    while let Some(inner) = open.pop_front() {
        // What we may not read, whoever runs as us may not read either.
        let Ok(entries) = std::fs::read_dir(top.join(&inner)) else { continue };
        for entry in entries.flatten() {
            if left == 0 {
                within.unsearched = true;
                within.keys.sort_unstable();
                return within;
            }
            left -= 1;
            let name = entry.file_name();
            within.registry |= OF_REGISTRIES.iter().any(|known| name == *known);
            let inner = inner.join(&name);
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if !is_folder || entry.metadata().map(|found| found.dev()).ok() != device {
                continue;
            }
            if is_of_keys(&inner) && within.keys.len() < NAMED {
                within.keys.push(path.join(&inner).display().to_string());
            }
            open.push_back(inner);
        }
    }
    within.keys.sort_unstable();
    within
}

fn is_of_keys(path: &Path) -> bool {
    path.file_name().is_some_and(|name| OF_KEYS.iter().any(|known| name == *known))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_lies_in_a_folder_is_found_without_a_symlink() {
        let scratch = tempfile::tempdir().unwrap();
        let top = scratch.path().canonicalize().unwrap();
        for folder in ["home/ada/.ssh", "home/ada/work", "elsewhere/.gnupg"] {
            std::fs::create_dir_all(top.join(folder)).unwrap();
        }
        std::os::unix::fs::symlink(top.join("elsewhere"), top.join("home/ada/link")).unwrap();
        let look = |path: &str| look_through(&top.join(path), &File::open(top.join(path)).unwrap());
        let ssh = top.join("home/ada/.ssh").display().to_string();
        assert_eq!(look("home"), Within { keys: vec![ssh.clone()], ..Within::default() });
        assert_eq!(look("home/ada/.ssh").keys, [ssh]);
        assert_eq!(look("home/ada/work"), Within::default());
        std::fs::create_dir_all(top.join("home/ada/work/other/.taskforge/vault")).unwrap();
        assert!(look("home").registry && look("home/ada/work").registry);
        for (path, lies) in [
            ("home/ada/work", false),
            ("home/ada/work/other", true),
            ("home/ada/work/other/data", true),
            ("home/ada/work/other/.taskforge/vault", true),
        ] {
            assert_eq!(lies_in_a_registry(&top.join(path)), lies, "{path}");
        }
    }

    #[test]
    fn a_folder_of_more_than_is_looked_at_says_so() {
        let scratch = tempfile::tempdir().unwrap();
        for number in 0..=MOST {
            std::fs::write(scratch.path().join(number.to_string()), "").unwrap();
        }
        assert!(look_through(scratch.path(), &File::open(scratch.path()).unwrap()).unsearched);
    }
}
