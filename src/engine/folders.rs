//! Folders of the host for containers: finding the one that a request means, and looking whether it is still that one
//! when a container is started with it.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{major, minor};
use rustix::io::Errno;
use thiserror::Error;

use crate::container::{self, Engine, Refusal, Role, engine_socket};
use crate::registry::{Registry, beneath};
use crate::run::capability::{Mount, MountMode};
use crate::run::folder::{Folder, GrantedMount};

use super::docker::Docker;
use super::error::Error;
use super::mount_table::MountTable;
use super::of_the_operator;

/// Why a folder is not given to a container.
#[derive(Debug, Error)]
pub enum Unfit {
    #[error("no folder can be granted: `[mounts] roots` in taskforge.toml names none")]
    NoRoots,
    #[error("{path} lies below none of the roots that taskforge.toml allows: {roots}")]
    Outside { path: String, roots: String },
    #[error("there is no {path}")]
    Absent { path: String },
    #[error("{path} has a symlink on its way")]
    Link { path: String },
    #[error("{path} is not a folder")]
    NoFolder { path: String },
    #[error("{path} is, contains or lies in {what}")]
    Forbidden { path: String, what: &'static str },
    #[error("{path} lies on a file system of the kernel's own (`{kind}`)")]
    OfKernel { path: String, kind: String },
    #[error("{path} is not the folder that was granted: device {then} then, {now} now; ask again to have this one")]
    Changed { path: String, then: String, now: String },
    #[error("the container has something else than {path} at {target}; it was removed")]
    Swapped { path: String, target: String },
    #[error(transparent)]
    Refused(Refusal),
    #[error("cannot look at {path}: {source}")]
    Unreadable { path: String, source: std::io::Error },
}

/// Whatever lies in these is the machine's.
const OF_THE_MACHINE: [(&str, &str); 9] = [
    ("/etc", "/etc"),
    ("/proc", "/proc"),
    ("/sys", "/sys"),
    ("/dev", "/dev"),
    ("/run", "/run"),
    ("/boot", "/boot"),
    ("/var/lib/docker", "the Engine's own files"),
    ("/var/lib/containerd", "the Engine's own files"),
    ("/var/run", "/run"),
];

/// File systems that show or change the machine instead of holding files.
const KERNELS: [&str; 17] = [
    "proc",
    "sysfs",
    "devtmpfs",
    "devpts",
    "cgroup",
    "cgroup2",
    "securityfs",
    "debugfs",
    "tracefs",
    "bpf",
    "configfs",
    "fusectl",
    "pstore",
    "efivarfs",
    "mqueue",
    "nsfs",
    "binfmt_misc",
];

/// The folder that `mount` means now.
///
/// # Errors
/// [`Unfit`] with the reason, for the one who asked and for a person.
pub(super) fn find(registry: &Registry, mount: &Mount) -> Result<Folder, Error> {
    let roots = &registry.config()?.mounts.roots;
    let found = look(roots, registry.root(), mount)?;
    let read_only = mount.mode() == MountMode::ReadOnly;
    let wanted = container::Mount::granted(found.path.clone(), mount.target(), read_only);
    wanted.check(Role::Agent, registry.root()).map_err(Unfit::Refused)?;
    Ok(found)
}

/// Looks whether what an attempt is to be given is what was granted.
///
/// # Errors
/// [`Unfit`] for the first that is not, or may not be given any more.
pub(super) fn confirm(registry: &Registry, mounts: &[GrantedMount]) -> Result<(), Error> {
    for granted in mounts {
        let mode = if granted.read_only { "ro" } else { "rw" };
        let path = &granted.folder.path;
        let mount = Mount::parse(&format!("{path}:{mode}")).map_err(|rule| Error::Usage(rule.to_owned()))?;
        let found = find(registry, &mount)?;
        if !found.is(&granted.folder) {
            let name = |folder: &Folder| format!("{}, inode {}", folder.device, folder.inode);
            return Err(Unfit::Changed { path: path.clone(), then: name(&granted.folder), now: name(&found) }.into());
        }
    }
    Ok(())
}

/// Looks whether the container that was started has what was granted: whoever may write to a folder above could have
/// put something else there between our look and the Engine's. Where this process may not look into the container, it
/// takes the Engine's word.
///
/// # Errors
/// When it has something else; the container is removed.
pub(super) fn prove(docker: &Docker, container: &str, mounts: &[GrantedMount]) -> Result<(), Error> {
    if mounts.is_empty() {
        return Ok(());
    }
    let Some(pid) = docker.wait(|engine| engine.pid(container))? else { return Ok(()) };
    for granted in mounts {
        let inside = PathBuf::from(format!("/proc/{pid}/root{}", granted.target));
        let Ok(found) = inside.metadata() else { continue };
        if (device(found.dev()), found.ino()) != (granted.folder.device.clone(), granted.folder.inode) {
            docker.wait(|engine: &Engine| engine.remove(container))?;
            let (path, target) = (granted.folder.path.clone(), granted.target.clone());
            return Err(Unfit::Swapped { path, target }.into());
        }
    }
    Ok(())
}

fn look(roots: &[PathBuf], registry: &Path, mount: &Mount) -> Result<Folder, Unfit> {
    let path = mount.path().to_owned();
    // Of what lies elsewhere nothing is said, not even whether it is there.
    if roots.is_empty() {
        return Err(Unfit::NoRoots);
    }
    if !roots.iter().any(|root| Path::new(&path).starts_with(root)) {
        let roots = roots.iter().map(|root| root.display().to_string()).collect::<Vec<_>>().join(", ");
        return Err(Unfit::Outside { path, roots });
    }
    let file = open(&path)?;
    let unreadable = |source| Unfit::Unreadable { path: path.clone(), source };
    let found = file.metadata().map_err(unreadable)?;
    let table = MountTable::read().map_err(unreadable)?;
    refuse_forbidden(&path, &file, &table, registry)?;
    let within = of_the_operator::look_through(Path::new(&path), &file);
    if within.registry || of_the_operator::lies_in_a_registry(Path::new(&path)) {
        return Err(Unfit::Forbidden { path, what: "another registry" });
    }
    Ok(Folder {
        keys: within.keys,
        unsearched: within.unsearched,
        device: device(found.dev()),
        inode: found.ino(),
        owner: format!("{}:{}", found.uid(), found.gid()),
        permissions: format!("{:04o}", found.mode() & 0o7777),
        path,
    })
}

/// Opens a folder by its absolute path, each part of it in the one before, none of them a symlink: the kernel sees to it.
fn open(path: &str) -> Result<File, Unfit> {
    let unreadable = |source| Unfit::Unreadable { path: path.to_owned(), source };
    let top = File::open("/").map_err(unreadable)?;
    let path_below = Path::new(path.trim_start_matches('/'));
    beneath::open_dir(&top, path_below).map_err(|errno| match errno {
        Errno::NOENT => Unfit::Absent { path: path.to_owned() },
        Errno::LOOP => Unfit::Link { path: path.to_owned() },
        Errno::NOTDIR => match path_is_link(path) {
            true => Unfit::Link { path: path.to_owned() },
            false => Unfit::NoFolder { path: path.to_owned() },
        },
        errno => unreadable(errno.into()),
    })
}

/// Told `O_DIRECTORY`, the kernel says of a symlink at the end that it is no folder: only for the words of the refusal.
fn path_is_link(path: &str) -> bool {
    Path::new(path).symlink_metadata().is_ok_and(|found| found.is_symlink())
}

fn refuse_forbidden(path: &str, file: &File, table: &MountTable, registry: &Path) -> Result<(), Unfit> {
    let unknown = || Unfit::Unreadable { path: path.to_owned(), source: std::io::Error::other("it lies on no mount") };
    let on = table.of(file).ok_or_else(unknown)?;
    if KERNELS.contains(&on.kind.as_str()) {
        return Err(Unfit::OfKernel { path: path.to_owned(), kind: on.kind.clone() });
    }
    let here = on.place(Path::new(path)).ok_or_else(unknown)?;
    let forbidden = |what| Err(Unfit::Forbidden { path: path.to_owned(), what });
    let place = |path: &Path| table.place(&path.canonicalize().ok()?);
    if place(Path::new("/")).is_some_and(|top| here.contains(&top)) {
        return forbidden("/");
    }
    let of_the_machine = OF_THE_MACHINE.iter().map(|(place, what)| (PathBuf::from(place), *what));
    let ours = [(registry.to_owned(), "the registry"), (git_of(registry), "the registry's `.git`")];
    let socket = engine_socket().map(|socket| (socket, "the Engine's socket"));
    let of_the_operator = of_the_operator::kept_places();
    for (other, what) in ours.into_iter().chain(socket).chain(of_the_operator).chain(of_the_machine) {
        // By name, too: a folder may be reached by a name under which nothing else of it is known.
        let by_name = Path::new(path).starts_with(&other) || other.starts_with(path);
        if by_name || place(&other).is_some_and(|other| here.overlaps(&other)) {
            return forbidden(what);
        }
    }
    Ok(())
}

/// Where the history of the registry lies: its `.git`, what a file of that name leads to, or that of a folder above.
fn git_of(registry: &Path) -> PathBuf {
    let own = registry.join(".git");
    let Some(git) = registry.ancestors().map(|folder| folder.join(".git")).find(|git| git.exists()) else { return own };
    let text = if git.is_file() { std::fs::read_to_string(&git).unwrap_or_default() } else { String::new() };
    let led = text.lines().find_map(|line| line.strip_prefix("gitdir:"));
    led.map_or(git.clone(), |to| git.parent().unwrap_or(registry).join(to.trim()))
}

fn device(device: u64) -> String {
    format!("{}:{}", major(device), minor(device))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::symlink;

    use super::*;

    fn looked(roots: &[&Path], registry: &Path, path: &Path) -> Result<Folder, Unfit> {
        let roots: Vec<PathBuf> = roots.iter().map(|root| root.to_path_buf()).collect();
        look(&roots, registry, &Mount::parse(&format!("{}:ro", path.display())).unwrap())
    }

    #[test]
    fn only_a_folder_without_a_symlink_on_its_way_is_found() {
        let scratch = tempfile::tempdir().unwrap();
        let top = scratch.path().canonicalize().unwrap();
        let registry = top.join("registry");
        for folder in ["data/sets", "registry/.git", "other"] {
            std::fs::create_dir_all(top.join(folder)).unwrap();
        }
        std::fs::write(top.join("data/file"), "x").unwrap();
        symlink(top.join("other"), top.join("data/link")).unwrap();
        let data = top.join("data");
        let found = looked(&[&data], &registry, &data.join("sets")).unwrap();
        assert_eq!(found.inode, data.join("sets").metadata().unwrap().ino());
        assert!(found.is(&looked(&[&data], &registry, &data.join("sets")).unwrap()));
        let why = |path: &Path| looked(&[&data], &registry, path).unwrap_err();
        assert!(matches!(why(&data.join("link")), Unfit::Link { .. }));
        assert!(matches!(why(&data.join("link/x")), Unfit::Link { .. }));
        assert!(matches!(why(&data.join("file")), Unfit::NoFolder { .. }));
        assert!(matches!(why(&data.join("none")), Unfit::Absent { .. }));
        assert!(matches!(why(&top.join("other")), Unfit::Outside { .. }));
        assert!(matches!(why(&top.join("database")), Unfit::Outside { .. }), "a name that only begins the same");
        assert!(matches!(looked(&[], &registry, &data).unwrap_err(), Unfit::NoRoots));
    }

    #[test]
    fn neither_the_registry_nor_what_is_the_machines_is_found() {
        let scratch = tempfile::tempdir().unwrap();
        let top = scratch.path().canonicalize().unwrap();
        let registry = top.join("registry");
        std::fs::create_dir_all(registry.join(".git/objects")).unwrap();
        std::fs::create_dir(registry.join("runs")).unwrap();
        for path in [&top, &registry, &registry.join(".git"), &registry.join(".git/objects"), &registry.join("runs")] {
            let why = looked(&[&top], &registry, path).unwrap_err();
            assert!(matches!(why, Unfit::Forbidden { .. }), "{path:?}: {why}");
        }
        for path in ["/etc", "/etc/ssl", "/proc", "/proc/self", "/sys", "/dev", "/dev/shm", "/run", "/var"] {
            let why = looked(&[Path::new("/")], &registry, Path::new(path)).unwrap_err();
            let refused = matches!(why, Unfit::Forbidden { .. } | Unfit::OfKernel { .. } | Unfit::Link { .. });
            assert!(refused, "{path}: {why}");
        }
    }
}
