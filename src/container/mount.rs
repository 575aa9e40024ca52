//! Bind mounts: the only files of the host a container sees.

use std::path::{Component, Path, PathBuf};

use super::refusal::Refusal;
use super::role::Role;

/// A folder or file of the host, seen inside the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Absolute path on the host, without symlinks; it has to exist.
    pub source: PathBuf,
    /// Absolute path inside the container.
    pub target: String,
    pub read_only: bool,
    /// Without what is mounted below it: only what was looked at is given.
    pub alone: bool,
}

/// Never mounted, nor anything that contains or lies in them.
const FORBIDDEN: [&str; 9] = [
    "/etc",
    "/proc",
    "/sys",
    "/dev",
    "/boot",
    "/var/lib/docker",
    "/var/lib/containerd",
    "/run/docker",
    "/run/containerd",
];

/// Never mounted as a whole; single things in them may be.
const FORBIDDEN_WHOLE: [&str; 12] =
    ["/", "/bin", "/home", "/lib", "/lib64", "/root", "/run", "/sbin", "/tmp", "/usr", "/var", "/var/run"];

/// Where a host keeps the certificates it trusts; one file of these may be mounted read-only, for those that speak TLS.
const CERTIFICATES: [&str; 2] = ["/etc/ssl/certs", "/etc/pki"];

/// What of `.taskforge` a gate may write: the counts that all gates of the registry share.
const SHARED_BY_GATES: &str = "spent";

/// What of `.taskforge` a container may see: the kill folder and a pinned binary.
const OPEN_IN_STATE: [&str; 2] = ["kill", "bin"];

/// Targets that belong to the kernel or the runtime.
const FORBIDDEN_TARGETS: [&str; 3] = ["/proc", "/sys", "/dev"];

impl Mount {
    #[must_use]
    pub fn read_only(source: impl Into<PathBuf>, target: impl Into<String>) -> Self {
        Self { source: source.into(), target: target.into(), read_only: true, alone: false }
    }

    #[must_use]
    pub fn writable(source: impl Into<PathBuf>, target: impl Into<String>) -> Self {
        Self { source: source.into(), target: target.into(), read_only: false, alone: false }
    }

    /// A folder of the host that was granted.
    #[must_use]
    pub fn granted(source: impl Into<PathBuf>, target: impl Into<String>, read_only: bool) -> Self {
        Self { source: source.into(), target: target.into(), read_only, alone: true }
    }

    /// The rules that need no file system.
    pub(crate) fn check(&self, role: Role, registry_root: &Path) -> Result<(), Refusal> {
        self.check_target()?;
        let refuse = |reason| Err(Refusal::Source { path: self.source.clone(), reason });
        let source = self.source.as_path();
        if source.to_str().is_none_or(|text| text.contains(['\0', '\n'])) {
            return refuse("its name is not plain text");
        }
        if !is_plain(source) {
            return refuse("it is not an absolute path free of `.` and `..`");
        }
        if FORBIDDEN_WHOLE.iter().any(|path| source == Path::new(path)) {
            return refuse("a system folder is never mounted whole");
        }
        let certificates = self.read_only
            && matches!(role, Role::Gate | Role::Resolve | Role::Fetch)
            && CERTIFICATES.iter().any(|path| source.starts_with(path) && source != Path::new(path));
        let shared_memory = source.starts_with("/dev/shm") && source != Path::new("/dev/shm");
        if !certificates && !shared_memory && FORBIDDEN.iter().any(|path| overlaps(source, Path::new(path))) {
            return refuse("files of the system or of the Engine are never mounted");
        }
        check_registry(source, registry_root, self.read_only, role)
            .map_err(|reason| Refusal::Source { path: self.source.clone(), reason })
    }

    fn check_target(&self) -> Result<(), Refusal> {
        check_target(&self.target)
    }

    /// The rules that need the file system: the source exists, is a folder or a regular file, has no symlink on its
    /// way (an agent that swapped a folder for a link would choose what is mounted), and is no way to the Engine.
    pub(crate) fn check_on_disk(&self, engine_socket: &Path) -> Result<(), Refusal> {
        let refuse = |reason| Refusal::Source { path: self.source.clone(), reason };
        let real = self.source.canonicalize().map_err(|_| refuse("it does not exist, or cannot be read"))?;
        if real != self.source {
            return Err(refuse("there is a symlink on its path"));
        }
        let metadata = self.source.symlink_metadata().map_err(|_| refuse("it cannot be read"))?;
        if !metadata.is_dir() && !metadata.is_file() {
            return Err(refuse("it is neither a folder nor a regular file"));
        }
        let socket = engine_socket.canonicalize().unwrap_or_else(|_| engine_socket.to_path_buf());
        if socket.starts_with(&self.source) {
            return Err(refuse("the Engine's socket lies in it"));
        }
        Ok(())
    }
}

/// A target is absolute, free of `.` and `..`, not the root and not the kernel's.
pub(crate) fn check_target(target: &str) -> Result<(), Refusal> {
    let path = Path::new(target);
    let plain = is_plain(path) && target != "/" && !target.contains(['\0', '\n', ':', ',']);
    if !plain || FORBIDDEN_TARGETS.iter().any(|forbidden| path.starts_with(forbidden)) {
        return Err(Refusal::Target { target: target.to_owned() });
    }
    Ok(())
}

/// The registry itself, what it contains of the host's own, and a run's folder with its journal are never mounted; the
/// folders within a run are.
fn check_registry(source: &Path, root: &Path, read_only: bool, role: Role) -> Result<(), &'static str> {
    if root.starts_with(source) {
        return Err("the registry lies in it");
    }
    let Ok(inside) = source.strip_prefix(root) else {
        return Ok(());
    };
    let parts: Vec<_> = inside.iter().map(|part| part.to_str().unwrap_or_default()).collect();
    match parts.as_slice() {
        [".git", ..] => Err("the registry's `.git` is never mounted"),
        [".taskforge", folder, ..] if OPEN_IN_STATE.contains(folder) => {
            if read_only {
                Ok(())
            } else {
                Err("the registry's own state is mounted read-only")
            }
        }
        [".taskforge", "tmp", _, ..] => Ok(()),
        [".taskforge", SHARED_BY_GATES] if role == Role::Gate => Ok(()),
        [".taskforge", ..] => Err("the registry's own state is never mounted"),
        ["runs"] | ["runs", _] => Err("a run's journal lies in it"),
        _ => Ok(()),
    }
}

fn is_plain(path: &Path) -> bool {
    let Some(text) = path.to_str() else {
        return false;
    };
    // `Path` drops `/./`, doubled and trailing slashes by itself; the text must not contain what it drops.
    path.is_absolute()
        && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)))
        && path.components().collect::<PathBuf>().to_str() == Some(text)
}

fn overlaps(a: &Path, b: &Path) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

#[cfg(test)]
#[path = "mount_tests.rs"]
mod tests;
