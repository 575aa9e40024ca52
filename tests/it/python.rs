//! Python environments that `tests/setup.sh` makes.

use std::fs;
use std::path::PathBuf;

use crate::model_server::repository;

/// The folder of environment `name`, whose version `tests/setup.sh` has as `version`, and which `ensure` makes.
pub fn environment(name: &str, version: &str, ensure: &str) -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"));
    let setup = fs::read_to_string(repository("tests/setup.sh")).unwrap();
    let version = setup.lines().find_map(|line| line.strip_prefix(&format!("{version}="))).unwrap();
    let folder = cache.join(name).join(version);
    assert!(folder.join("bin/python").is_file(), "{} is missing: run `bash tests/setup.sh {ensure}`", folder.display());
    folder
}
