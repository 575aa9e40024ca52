//! A node's workspace: a folder, whose size is kept by looking, or an image of a fixed size, which the kernel keeps.
//!
//! An image is mounted on the workspace's folder only while a container is started with it, and while outputs are
//! copied out of it: the container holds what was mounted for as long as it lives, and nothing else has to be undone
//! after a crash, a kill or a reboot. What a process left mounted that was ended in between, the next tick takes away.

mod image;
mod mounts;

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::registry::config::Workspaces;
use crate::registry::{Layout, Registry};
use crate::run::id::{NodeId, RunId};
use crate::run::state::State;

use self::mounts::Mounted;
use super::dispatch::make_folder;
use super::docker::Docker;
use super::error::Error;
use super::store::Store;
use super::{binary, inspect::DiskEnforcement};

/// What may be left in an image for it to count as full, in bytes: the kernel refuses a large write whole.
const FULL: u64 = 2 << 20;

/// A workspace that can be looked into, until this is dropped.
pub(crate) struct Open {
    mounted: Option<Mounted>,
}

impl Open {
    /// Whether it is an image with no room left.
    pub(crate) fn is_full(&self) -> bool {
        self.mounted.as_ref().is_some_and(|mounted| mounted.left().is_some_and(|left| left < FULL))
    }

    /// Whether the container with the process `pid` has in `/workspace` what is open here. Where it is a folder, it has.
    fn is_seen_by(&self, pid: u32) -> bool {
        let Some(mounted) = &self.mounted else { return true };
        let device = |path: &Path| path.metadata().map(|found| found.dev()).ok();
        let theirs = device(&PathBuf::from(format!("/proc/{pid}/root/workspace")));
        // One that has ended meanwhile is past being asked.
        theirs.is_none_or(|theirs| Some(theirs) == device(mounted.folder()))
    }
}

/// How the workspaces of new nodes are kept within their limits on this machine.
pub(crate) fn enforcement(registry: &Registry) -> Result<DiskEnforcement, Error> {
    Ok(match registry.config()?.containers.workspace {
        Workspaces::Folder => DiskEnforcement::Soft,
        Workspaces::Image => DiskEnforcement::Image,
        Workspaces::Auto if image::missing().is_none() => DiskEnforcement::Image,
        Workspaces::Auto => DiskEnforcement::Soft,
    })
}

/// How the workspace of `node` is kept within its limit.
pub(crate) fn enforcement_of(store: &Store<'_>, node: &NodeId) -> DiskEnforcement {
    if image_of(store, node).exists() { DiskEnforcement::Image } else { DiskEnforcement::Soft }
}

/// Makes the workspace of `node` ready to be mounted into its container. What was begun as a folder or as an image stays
/// that.
///
/// # Errors
/// When it has to be an image and cannot be one.
pub(crate) fn prepare(store: &Store<'_>, state: &State, node: &NodeId, limit: u64) -> Result<Open, Error> {
    let folder = store.layout().workspace(node);
    let image = image_of(store, node);
    let wanted = enforcement(store.registry())? == DiskEnforcement::Image;
    if !image.exists() && (!wanted || !is_empty(&folder)) {
        return Ok(Open { mounted: None });
    }
    if let Some(what) = image::missing() {
        return Err(Error::Workspace { node: node.clone(), reason: format!("it cannot be an image: {what}") });
    }
    let users = binary::users(state)?;
    let failed = |reason| Error::Workspace { node: node.clone(), reason };
    if !image.exists() {
        let layout = store.registry().layout();
        make_folder(&layout.workspaces(), 0o700, None)?;
        make_folder(&layout.workspaces().join(store.run().as_str()), 0o700, None)?;
        image::make(&image, limit).map_err(failed)?;
    }
    let mounted = Mounted::mount(&image, &folder).map_err(failed)?;
    make_folder(&folder, 0o700, Some((users.agent_uid, users.agent_gid)))?;
    Ok(Open { mounted: Some(mounted) })
}

/// Opens the workspace of `node` for its outputs to be taken out.
///
/// # Errors
/// When it is an image that cannot be mounted.
pub(crate) fn look_into(store: &Store<'_>, node: &NodeId) -> Result<Open, Error> {
    let image = image_of(store, node);
    if !image.exists() {
        return Ok(Open { mounted: None });
    }
    let mounted = Mounted::mount(&image, &store.layout().workspace(node));
    let mounted = mounted.map_err(|reason| Error::Workspace { node: node.clone(), reason })?;
    Ok(Open { mounted: Some(mounted) })
}

/// Looks whether the container was given the workspace that was prepared: an Engine in another mount namespace does not see
/// what is mounted here, and its agents would write to the folder beneath without a limit.
///
/// # Errors
/// When it was not; the container is removed.
pub(crate) fn prove(open: &Open, docker: &Docker, container: &str, node: &NodeId) -> Result<(), Error> {
    if open.mounted.is_none() {
        return Ok(());
    }
    let Some(pid) = docker.wait(|engine| engine.pid(container))? else { return Ok(()) };
    if open.is_seen_by(pid) {
        return Ok(());
    }
    docker.wait(|engine| engine.remove(container))?;
    let reason = "the Engine does not see what is mounted here: it runs in another mount namespace".to_owned();
    Err(Error::Workspace { node: node.clone(), reason })
}

/// Takes away what a process has left mounted in the run that was ended while it had a workspace open.
pub(crate) fn release_run(store: &Store<'_>) {
    if store.registry().layout().workspaces().exists() {
        mounts::release(store.layout().root());
    }
}

/// The same for all runs of a registry.
pub(crate) fn release_all(layout: &Layout) {
    if layout.workspaces().exists() {
        mounts::release(&layout.runs());
    }
}

/// Runs whose folder is gone, and whose workspaces lie here as images: each with the bytes that they take.
///
/// # Errors
/// When the folder of the images cannot be read.
pub(crate) fn orphans(registry: &Registry) -> Result<Vec<(String, u64)>, Error> {
    let folder = registry.layout().workspaces();
    let entries = match std::fs::read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|source| Error::Io { action: "read", path: folder.clone(), source })?,
    };
    let mut orphans = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        // What has no run's name is nobody's of ours.
        let Ok(run) = RunId::parse(&name) else { continue };
        if registry.layout().run(&run).root().symlink_metadata().is_ok() {
            continue;
        }
        let files = std::fs::read_dir(entry.path()).into_iter().flatten().flatten();
        let taken = files.filter_map(|file| file.metadata().ok()).map(|found| found.blocks().saturating_mul(512));
        orphans.push((name, taken.sum()));
    }
    orphans.sort();
    Ok(orphans)
}

/// Removes what [`orphans`] found. A container that still has one keeps it until its end.
///
/// # Errors
/// The first folder that cannot be removed.
pub(crate) fn remove_orphans(registry: &Registry, orphans: &[(String, u64)]) -> Result<(), Error> {
    for (run, _) in orphans {
        let path = registry.layout().workspaces().join(run);
        std::fs::remove_dir_all(&path).map_err(|source| Error::Io { action: "remove", path, source })?;
    }
    Ok(())
}

fn image_of(store: &Store<'_>, node: &NodeId) -> PathBuf {
    store.registry().layout().workspace_image(store.run(), node)
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}
