//! Which registry a command means, and whether its disk is one that may be written to.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Registry;
use super::error::{Error, Result};

/// The variables that name a registry, the first that is set and not empty wins.
pub const VARIABLES: [&str; 2] = ["TASKFORGE_REGISTRY", "OPENTASK_REGISTRY_ROOT"];

/// File systems of other machines, and those that may be: `f_type` of `statfs(2)`, from `linux/magic.h` and the file
/// systems' own sources.
const REMOTE: [(u64, &str); 16] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xfe53_4d42, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x0102_1997, "9P (a folder of another system)"),
    (0x7375_7245, "Coda"),
    (0x564c, "NCP"),
    (0x6573_5546, "FUSE"),
    (0x0bd0_0bd0, "Lustre"),
    (0x7461_636f, "OCFS2"),
    (0x4750_4653, "GPFS"),
    (0x2003_0528, "PVFS2"),
    (0x786f_4256, "a VirtualBox shared folder"),
];

impl Registry {
    /// The registry of a command: `flag`, else `TASKFORGE_REGISTRY`, else `OPENTASK_REGISTRY_ROOT`, else the nearest folder
    /// from `cwd` upwards that is one.
    ///
    /// # Errors
    /// [`Error::NotARegistry`] if the named folder is none, [`Error::NoRegistry`] if nothing was named or found.
    pub fn resolve(flag: Option<&Path>, cwd: &Path) -> Result<Self> {
        resolve(flag, cwd, |name| std::env::var_os(name))
    }

    /// As [`resolve`](Self::resolve), for `helper`: any folder will do, it need not exist, and `cwd` itself is the last
    /// resort, as in OpenTask.
    ///
    /// # Errors
    /// None but those of a path that cannot be made absolute.
    pub fn resolve_for_helper(flag: Option<&Path>, cwd: &Path) -> Result<Self> {
        let env = |name: &str| std::env::var_os(name);
        let root = named(flag, env).unwrap_or_else(|| cwd.to_owned());
        Ok(Self::at(&real(&cwd.join(root))?))
    }
}

fn resolve(flag: Option<&Path>, cwd: &Path, env: impl Fn(&str) -> Option<OsString>) -> Result<Registry> {
    if let Some(named) = named(flag, env) {
        let root = real(&cwd.join(named))?;
        if !is_registry(&root) {
            return Err(Error::NotARegistry { path: root });
        }
        return Ok(Registry::at(&root));
    }
    let start = real(cwd)?;
    let found = start.ancestors().find(|folder| is_registry(folder));
    found.map(Registry::at).ok_or(Error::NoRegistry { searched: start })
}

fn named(flag: Option<&Path>, env: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name: &&str| env(name).filter(|value| !value.is_empty());
    let path = flag.map(Path::to_owned).or_else(|| VARIABLES.iter().find_map(set).map(PathBuf::from))?;
    // As OpenTask does; a shell has expanded a flag already, but `~` in a unit file reaches us.
    match path.strip_prefix("~") {
        Ok(rest) => Some(env("HOME").map_or(path.clone(), |home| Path::new(&home).join(rest))),
        Err(_) => Some(path),
    }
}

/// Without symlinks, as far as it exists.
fn real(path: &Path) -> Result<PathBuf> {
    match path.canonicalize() {
        Ok(path) => Ok(path),
        Err(_) => std::path::absolute(path).map_err(Error::io("find", path)),
    }
}

pub(crate) fn is_registry(folder: &Path) -> bool {
    folder.join("taskforge.toml").is_file() || (folder.join("workflows").is_dir() && folder.join("runs").is_dir())
}

/// Whether a folder stands here, not a symlink to one.
pub(crate) fn is_dir(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir())
}

pub(crate) fn require_local(root: &Path) -> Result<()> {
    let stat = rustix::fs::statfs(root).map_err(Error::errno("find the file system of", root))?;
    // The kernel's type is a long, of which these constants use 32 bits.
    #[allow(clippy::cast_sign_loss)]
    let magic = stat.f_type as u64 & 0xffff_ffff;
    match remote(magic) {
        Some(kind) => Err(Error::Remote { path: root.to_owned(), kind }),
        None => Ok(()),
    }
}

fn remote(magic: u64) -> Option<&'static str> {
    REMOTE.iter().find(|(value, _)| *value == magic).map(|(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    fn registry(path: &Path) -> PathBuf {
        fs::create_dir_all(path.join("workflows")).unwrap();
        fs::create_dir_all(path.join("runs/x")).unwrap();
        path.canonicalize().unwrap()
    }

    #[test]
    fn flag_then_variables_then_ancestors() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| registry(&folder.path().join(name)));
        let env = |set: &'static [(&'static str, &'static str)]| {
            let base = folder.path().to_owned();
            move |name: &str| {
                set.iter().find(|(key, _)| *key == name).map(|(_, value)| match *value {
                    "" => OsString::new(),
                    value => base.join(value).into_os_string(),
                })
            }
        };
        let cwd = d.join("runs/x");
        let both = env(&[("TASKFORGE_REGISTRY", "b"), ("OPENTASK_REGISTRY_ROOT", "c")]);
        let root = |flag: Option<&Path>, env: &dyn Fn(&str) -> Option<OsString>| {
            resolve(flag, &cwd, env).unwrap().root().to_owned()
        };
        assert_eq!(root(Some(&a), &both), a);
        assert_eq!(root(Some(Path::new("../../../a")), &both), a);
        assert_eq!(root(None, &both), b);
        assert_eq!(root(None, &env(&[("TASKFORGE_REGISTRY", ""), ("OPENTASK_REGISTRY_ROOT", "c")])), c);
        assert_eq!(root(None, &env(&[])), d);
        let home = env(&[("HOME", "")]);
        let home = |name: &str| home(name).map(|_| folder.path().as_os_str().to_owned());
        assert_eq!(root(Some(Path::new("~/b")), &home), b);
    }

    #[test]
    fn nothing_is_guessed() {
        let folder = tempfile::tempdir().unwrap();
        let none = |_: &str| None;
        assert!(matches!(resolve(None, folder.path(), none), Err(Error::NoRegistry { .. })));
        assert!(matches!(resolve(Some(folder.path()), folder.path(), none), Err(Error::NotARegistry { .. })));
        let bare = Registry::resolve_for_helper(Some(&folder.path().join("new")), folder.path()).unwrap();
        assert!(bare.root().ends_with("new") && !bare.root().exists());
    }

    #[test]
    fn remote_file_systems_are_known() {
        assert_eq!(remote(0x6969), Some("NFS"));
        assert_eq!(remote(0xef53), None);
        require_local(Path::new("/")).unwrap();
    }
}
