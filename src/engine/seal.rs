//! Signed checkpoints of a journal. Who writes the registry can write a history that verifies; a checkpoint that is kept
//! elsewhere is what tells it from the one that was.

use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;
use serde::Serialize;

use crate::audit::note::{self, Checkpoint, Vkey};
use crate::audit::{self, Problem};
use crate::registry::{Head, Registry, RunLayout, checkpoints};
use crate::run::id::{AgentName, RunId};

use super::error::Error;

/// Whose journal is sealed.
#[derive(Debug, Clone, Copy)]
pub enum Sealable<'a> {
    Run(&'a RunId),
    /// A hired agent.
    Agent(&'a AgentName),
}

impl Sealable<'_> {
    /// Its name in an origin: of an agent one that no run can have.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Run(run) => run.to_string(),
            Self::Agent(agent) => format!("@{agent}"),
        }
    }

    /// Where its checkpoints are: under the same name in either folder.
    fn layout(self, registry: &Registry) -> RunLayout {
        match self {
            Self::Run(run) => registry.layout().run(run),
            Self::Agent(agent) => RunLayout::new(registry.layout().agent(agent).root()),
        }
    }

    fn require(self, registry: &Registry) -> Result<(), Error> {
        match self {
            Self::Run(run) => super::Store::open(registry, run).map(drop),
            Self::Agent(agent) => super::AgentStore::open(registry, agent).map(drop),
        }
    }

    fn journal(self) -> Result<RunId, Error> {
        match self {
            Self::Run(run) => Ok(run.clone()),
            Self::Agent(agent) => Ok(crate::registry::agents::journal_name(agent)?),
        }
    }

    fn verify(self, registry: &Registry, known: &[Head]) -> Result<audit::Report, Error> {
        Ok(match self {
            Self::Run(run) => audit::verify_journal(registry, run, known)?,
            Self::Agent(agent) => audit::verify_agent_journal(registry, agent, known)?,
        })
    }
}

/// A checkpoint as it lies on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sealed {
    /// The run, or the agent.
    pub run: RunId,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub agent: bool,
    /// Relative to its folder.
    pub file: String,
    pub head: Head,
    /// The note itself: what to carry elsewhere.
    pub note: String,
    /// Whether this call made it.
    pub new: bool,
}

/// Why a checkpoint cannot be used against a run.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error(transparent)]
    Note(#[from] note::NoteError),
    #[error("is of {found:?}, and not of `{name}` of this registry")]
    Elsewhere { name: String, found: String },
    #[error("says seq {0}, and its name says another")]
    Name(u64),
}

/// The id that stands in origins; empty in OpenTask's own registry, whose path is no name for it.
fn registry_id(registry: &Registry) -> Result<String, Error> {
    if registry.is_bare() {
        return Ok(String::new());
    }
    let id = registry.id()?;
    let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    if plain { Ok(id) } else { Err(Error::Usage(format!("the registry's id {id:?} fits into no checkpoint"))) }
}

/// The public keys that this registry goes by.
///
/// # Errors
/// When `checkpoint.pub` cannot be read or holds something else.
pub fn checkpoint_keys(registry: &Registry) -> Result<Vec<Vkey>, Error> {
    let unfit =
        |error: note::NoteError| Error::Checkpoint { file: "checkpoint.pub".to_owned(), what: error.to_string() };
    Vkey::parse_all(&checkpoints::public_keys(registry)?).map_err(unfit)
}

/// What a checkpoint says of the journal of `whose`, signed by one of `keys`.
///
/// # Errors
/// [`CheckpointError`], in [`Ok`]: it says something of the checkpoint. Those of the file system otherwise.
pub(crate) fn open(
    registry: &Registry,
    whose: Sealable<'_>,
    note: &[u8],
    keys: &[Vkey],
) -> Result<Result<Checkpoint, CheckpointError>, Error> {
    let id = registry_id(registry)?;
    Ok(Checkpoint::open(note, keys).map_err(CheckpointError::from).and_then(|checkpoint| {
        // One from the time before `taskforge.toml` names no registry.
        let fits = ["", &id].iter().any(|id| checkpoint.origin == Checkpoint::origin(id, &whose.name()));
        if fits {
            Ok(checkpoint)
        } else {
            Err(CheckpointError::Elsewhere { name: whose.name(), found: checkpoint.origin })
        }
    }))
}

/// The checkpoints of a journal, oldest first: name, bytes, and what they say.
type Stored = (String, Vec<u8>, Result<Checkpoint, CheckpointError>);

pub(crate) fn stored(registry: &Registry, whose: Sealable<'_>, keys: &[Vkey]) -> Result<Vec<Stored>, Error> {
    let layout = whose.layout(registry);
    let mut found = Vec::new();
    for seq in checkpoints::list(&layout)? {
        let file = format!("checkpoints/{}", checkpoints::file_name(seq));
        let (bytes, said) = match checkpoints::read(&layout, seq, note::LARGEST) {
            Ok(None) => continue,
            Ok(Some(bytes)) => {
                let said = open(registry, whose, &bytes, keys)?.and_then(|checkpoint| {
                    if checkpoint.head.seq == seq {
                        Ok(checkpoint)
                    } else {
                        Err(CheckpointError::Name(checkpoint.head.seq))
                    }
                });
                (bytes, said)
            }
            Err(crate::registry::Error::TooLarge { .. }) => (Vec::new(), Err(note::NoteError::TooLarge.into())),
            Err(error) => return Err(error.into()),
        };
        found.push((file, bytes, said));
    }
    Ok(found)
}

/// The checkpoints of a journal as they lie on disk, oldest first, each proven to be signed.
///
/// # Errors
/// [`Error::Checkpoint`] with the first that is not; those of the file system.
pub fn list_checkpoints(registry: &Registry, whose: Sealable<'_>) -> Result<Vec<Sealed>, Error> {
    whose.require(registry)?;
    let run = whose.journal()?;
    let keys = checkpoint_keys(registry)?;
    let mut found = Vec::new();
    for (file, bytes, said) in stored(registry, whose, &keys)? {
        match said {
            Ok(said) => found.push(Sealed {
                run: run.clone(),
                agent: matches!(whose, Sealable::Agent(_)),
                file,
                head: said.head,
                note: String::from_utf8_lossy(&bytes).into_owned(),
                new: false,
            }),
            Err(error) => return Err(Error::Checkpoint { file, what: error.to_string() }),
        }
    }
    Ok(found)
}

/// Signs the journal's head. The same head gives the same file, and none is ever replaced.
///
/// # Errors
/// [`Error::Unsound`] where the journal is not what was written: that is not signed. Those of keys and files.
pub fn seal(registry: &Registry, whose: Sealable<'_>) -> Result<Sealed, Error> {
    whose.require(registry)?;
    let run = &whose.journal()?;
    registry.require_local()?;
    let (key, pair) = signer(registry)?;
    let keys = checkpoint_keys(registry)?;
    let before = stored(registry, whose, &keys)?;
    let mut known = Vec::new();
    for (file, _, said) in &before {
        match said {
            Ok(said) => known.push(said.head.clone()),
            Err(error) => return Err(Error::Checkpoint { file: file.clone(), what: error.to_string() }),
        }
    }
    let report = whose.verify(registry, &known)?;
    if let Some(Problem { what, line, .. }) = report.problems.into_iter().next() {
        return Err(Error::Unsound { run: run.clone(), what: format!("events.jsonl line {line}: {what}") });
    }
    let head = report.head;
    if head.seq == 0 {
        return Err(Error::NothingToSeal(run.clone()));
    }
    let file = format!("checkpoints/{}", checkpoints::file_name(head.seq));
    let sealed = |note: Vec<u8>, new| Sealed {
        run: run.clone(),
        agent: matches!(whose, Sealable::Agent(_)),
        file: file.clone(),
        head: head.clone(),
        note: String::from_utf8_lossy(&note).into_owned(),
        new,
    };
    if let Some((_, bytes, _)) = before.into_iter().find(|(name, ..)| *name == file) {
        return Ok(sealed(bytes, false));
    }
    let origin = Checkpoint::origin(&registry_id(registry)?, &whose.name());
    let note = Checkpoint { origin, head: head.clone() }.sign(&key, &pair).into_bytes();
    let layout = whose.layout(registry);
    match checkpoints::write(&layout, head.seq, &note) {
        Ok(()) => Ok(sealed(note, true)),
        // Somebody was faster, with the same head: otherwise `verify` says so.
        Err(error) if error.io_kind() == Some(std::io::ErrorKind::AlreadyExists) => {
            let theirs = checkpoints::read(&layout, head.seq, note::LARGEST)?.unwrap_or_default();
            Ok(sealed(theirs, false))
        }
        Err(error) => Err(error.into()),
    }
}

/// Seals a run that has ended; what goes wrong is said and loses nothing, for `audit seal` can be called at any time.
pub(crate) fn seal_ended(registry: &Registry, run: &RunId) {
    if let Err(error) = seal(registry, Sealable::Run(run)) {
        let error = crate::run::visible::visible(&error.to_string());
        eprintln!("warning: run {run} has ended and is not sealed: {error}; `taskforge audit seal {run}` tries again");
    }
}

/// As [`seal_ended`], of an agent that was offboarded.
pub(crate) fn seal_offboarded(registry: &Registry, agent: &AgentName) {
    if let Err(error) = seal(registry, Sealable::Agent(agent)) {
        let error = crate::run::visible::visible(&error.to_string());
        eprintln!("warning: agent {agent} is not sealed: {error}; `taskforge audit seal --agent {agent}` tries again");
    }
}

/// This machine's key, made on first use, with its public half in `checkpoint.pub`.
fn signer(registry: &Registry) -> Result<(Vkey, Ed25519KeyPair), Error> {
    let make = || {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
        made.map(|key| key.as_ref().to_vec()).map_err(|_| std::io::Error::other("the system gave no random numbers"))
    };
    let bytes = checkpoints::key(registry, make)?;
    let unfit = || Error::Checkpoint {
        file: ".taskforge/keys/checkpoint.key".to_owned(),
        what: "is no Ed25519 key in PKCS#8; moved away, it is made anew, and what the old one signed still holds"
            .to_owned(),
    };
    let pair = Ed25519KeyPair::from_pkcs8(&bytes).map_err(|_| unfit())?;
    let id = registry_id(registry)?;
    let name = if id.is_empty() { "taskforge".to_owned() } else { format!("taskforge/{id}") };
    let key = Vkey::of(&name, &pair).ok_or_else(unfit)?;
    checkpoints::publish_key(registry, &key.to_string())?;
    Ok((key, pair))
}
