//! Proving that a journal is what was written. Walks the bytes again and by itself, with none of the reader's leniency:
//! what the reader passes over is a problem here, or at least a warning. Reads only, and takes no lock.

mod chain;
mod journal;
pub mod note;
mod report;
mod traffic;

#[cfg(test)]
mod tests;

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

pub use self::report::{Lifts, Problem, Report, Traffic};
use crate::registry::error::{Error, Result};
use crate::registry::journal::heads;
use crate::registry::journal::scan::Head;
use crate::registry::{Registry, agents, beneath};
use crate::run::id::{AgentName, Digest, RunId};

/// The largest file that is verified, in bytes.
const LARGEST: u64 = 1 << 30;

/// What the journal's events say about other files, for a caller who knows what events mean.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// Files below the run's folder and the digest that an event recorded.
    pub files: Vec<(PathBuf, Digest)>,
    /// Heads of `gate/traffic.jsonl` that events recorded; `seq` is not looked at.
    pub traffic: Vec<Head>,
    /// The same of each deployment's own records: its folder below the run's, and the heads.
    pub deployments: Vec<(PathBuf, Vec<Head>)>,
    /// Heads of the journal itself, from checkpoints or from `taskforge.json`.
    pub journal: Vec<Head>,
}

/// Verifies a run: its journal against itself and this machine's last head, its traffic records, and `expected`.
///
/// # Errors
/// [`Error::RunNotFound`], or when a file that is there cannot be read. What is wrong in the files is in the report.
pub fn verify(registry: &Registry, run: &RunId, expected: &Expected) -> Result<Report> {
    let layout = registry.layout().run(run);
    let mut report = verify_journal(registry, run, &expected.journal)?;
    if let Some(bytes) = read(&layout.traffic())? {
        let gate = Path::new("gate");
        let found = traffic::verify(run, gate, &bytes, &expected.traffic, &layout.bodies(), &mut report)?;
        report.traffic = Some(found);
    } else if !expected.traffic.is_empty() {
        report.problems.push(Problem::of("gate/traffic.jsonl", 0, 0, "is gone, and the journal names its head"));
    }
    for (folder, heads) in &expected.deployments {
        let gate = folder.join("gate");
        let place = layout.root().join(&gate);
        if let Some(bytes) = read(&place.join("traffic.jsonl"))? {
            traffic::verify(run, &gate, &bytes, heads, &place.join("bodies"), &mut report)?;
        } else if !heads.is_empty() {
            let name = gate.join("traffic.jsonl").display().to_string();
            report.problems.push(Problem::of(&name, 0, 0, "is gone, and the journal names its head"));
        }
    }
    for (path, digest) in &expected.files {
        check_file(layout.root(), path, digest, &mut report)?;
    }
    Ok(report)
}

/// Verifies the journal alone: against itself, this machine's last head, and `known` ones.
///
/// # Errors
/// As [`verify`].
pub fn verify_journal(registry: &Registry, run: &RunId, known: &[Head]) -> Result<Report> {
    // The head first: of two that grow, the one that must not be longer is read earlier.
    let kept = heads::read(&registry.layout().head(run))?.map(|kept| kept.head());
    let bytes = read(&registry.layout().run(run).journal())?.ok_or_else(|| Error::RunNotFound { run: run.clone() })?;
    Ok(journal::verify(run, &bytes, kept.as_ref(), known))
}

/// Verifies the journal of a hired agent: against itself and this machine's last head.
///
/// # Errors
/// [`Error::NoAgent`] without a folder of that name, or when the file cannot be read. What is wrong in it is in the
/// report, and so is a folder without one.
pub fn verify_agent_journal(registry: &Registry, agent: &AgentName, known: &[Head]) -> Result<Report> {
    let layout = registry.layout();
    let kept = heads::read(&layout.agent_head(agent))?.map(|kept| kept.head());
    let folder = layout.agent(agent);
    let bytes = read(&folder.journal())?;
    if bytes.is_none() && folder.root().symlink_metadata().is_err() {
        return Err(Error::NoAgent { agent: agent.clone() });
    }
    let name = agents::journal_name(agent)?;
    let mut report = journal::verify(&name, bytes.as_deref().unwrap_or_default(), kept.as_ref(), known);
    report.agent = true;
    if bytes.is_none() {
        report.problems.push(Problem::of("events.jsonl", 0, 0, "is gone, and the agent's folder is there"));
    }
    Ok(report)
}

fn check_file(root: &Path, path: &Path, expected: &Digest, report: &mut Report) -> Result<()> {
    let name = path.display().to_string();
    let fits = beneath::check(&name).is_ok();
    let what = match fits.then(|| digest_of(root, path)).transpose()? {
        None => "is not a path below the run".to_owned(),
        Some(None) => "is gone, or is no regular file; the journal names its digest".to_owned(),
        Some(Some(found)) if found == *expected => return Ok(()),
        Some(Some(found)) => format!("has digest {}, and the journal says {}", found.short(), expected.short()),
    };
    report.problems.push(Problem::of(&name, 0, 0, what));
    Ok(())
}

/// The digest of a regular file below `root`; `None` if there is none.
fn digest_of(root: &Path, path: &Path) -> Result<Option<Digest>> {
    let folder = std::fs::File::open(root).map_err(Error::io("open", root))?;
    let Ok(mut file) = beneath::open(&folder, path) else { return Ok(None) };
    let read = |error| Error::io("read", root.join(path))(error);
    if !file.metadata().map_err(read)?.is_file() {
        return Ok(None);
    }
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(Some(Digest::from_bytes(&hash.finalize().into()))),
            Ok(count) => hash.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(read(error)),
        }
    }
}

/// The file as long as it is now; `None` if there is none.
fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let Some(folder) = path.parent() else { return Ok(None) };
    let name = Path::new(path.file_name().unwrap_or_default());
    let folder = match std::fs::File::open(folder) {
        Ok(folder) => folder,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("open", path)(error)),
    };
    let file = match beneath::open(&folder, name) {
        Ok(file) => file,
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(Error::errno("open", path)(errno)),
    };
    let metadata = file.metadata().map_err(Error::io("read", path))?;
    if !metadata.is_file() {
        return Err(Error::io("read", path)(io::Error::other("not a regular file")));
    }
    if metadata.len() > LARGEST {
        return Err(Error::TooLarge { path: path.to_owned(), bytes: metadata.len(), limit: LARGEST });
    }
    // Bounded by the length now: what is being appended is not looked at.
    let mut bytes = Vec::new();
    file.take(metadata.len()).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    Ok(Some(bytes))
}
