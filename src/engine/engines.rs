//! Which Engines something of a registry may live on. A command finds its Engine where `DOCKER_HOST` says, and cron, a service
//! and a person need not say the same: a kill has to end what any of them has started.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::container::Engine;
use crate::registry::{Registry, project};
use crate::run::id::Digest;

use super::docker::Docker;
use super::error::Error;

/// How long an Engine has to say who it is.
const SOON: Duration = Duration::from_millis(500);

/// Largest note, in bytes.
const LARGEST: u64 = 8192;

/// An Engine that was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Known {
    pub socket: PathBuf,
    /// What it says of itself: [`Engine::identity`].
    pub id: String,
}

impl Known {
    fn note(&self, registry: &Registry) -> PathBuf {
        let name = Digest::of(self.socket.as_os_str().as_encoded_bytes());
        registry.layout().engines().join(format!("{}.json", name.short()))
    }

    /// What a person is told who does not have that Engine any more.
    pub(super) fn unreachable(&self, registry: &Registry) -> String {
        let (socket, note) = (self.socket.display(), self.note(registry));
        let note = note.strip_prefix(registry.root()).unwrap_or(&note).display();
        format!("the Engine at {socket}, on which something was started; if it is gone for good, remove {note}")
    }
}

/// Notes that something is about to be started by `docker`; looks only whether that was noted, if it was.
///
/// # Errors
/// Those of the Engine, and of the file system: then nothing is started.
pub(super) fn note(registry: &Registry, docker: &Docker) -> Result<(), Error> {
    let socket = docker.engine()?.socket();
    let mut known = Known { socket: socket.canonicalize().unwrap_or_else(|_| socket.to_owned()), id: String::new() };
    let path = known.note(registry);
    if path.exists() {
        return Ok(());
    }
    known.id = docker.wait(|engine| engine.identity())?;
    project::make_durable_folders(&registry.layout().engines(), 0o700)?;
    project::write_durable(&path, &serde_json::to_vec(&known).map_err(Error::Json)?)?;
    Ok(())
}

/// The Engines that were noted, but for the one that `docker` leads to; or why one of the notes cannot be read.
pub(super) fn others(registry: &Registry, docker: &Docker) -> Result<Vec<Known>, String> {
    let folder = registry.layout().engines();
    let entries = match std::fs::read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| format!("{}: cannot read: {error}", folder.display()))?,
    };
    let here = docker.engine().ok().map(|engine| engine.socket().to_owned());
    let here = here.map(|socket| socket.canonicalize().unwrap_or(socket));
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        // What a crash left of one that was being written.
        if path.extension().is_none_or(|end| end != "json") || entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let unreadable = |what: String| format!("{}: {what}", path.display());
        let bytes = project::read_file(&path, LARGEST).map_err(|error| error.to_string())?.unwrap_or_default();
        let known: Known = serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
        if here.as_ref() != Some(&known.socket) {
            found.push(known);
        }
    }
    if found.is_empty() {
        return Ok(found);
    }
    // One Engine may have several sockets, and one that is asked by another way is the same.
    let soon = |engine| async move {
        match tokio::time::timeout(SOON, Engine::identity(engine)).await {
            Ok(said) => said.map_err(Error::from),
            // Then it is another one, as far as anybody knows.
            Err(_) => Ok(String::new()),
        }
    };
    let id = docker.wait(soon).ok().filter(|id| !id.is_empty());
    found.retain(|known| id.as_ref() != Some(&known.id));
    Ok(found)
}

/// Forgets them all: nothing lives on any. Losing that costs a kill one more look.
pub(super) fn forget(registry: &Registry) {
    for entry in std::fs::read_dir(registry.layout().engines()).into_iter().flatten().flatten() {
        let _ = std::fs::remove_file(entry.path());
    }
}
