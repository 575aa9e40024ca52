//! Taking up the files of decisions: those that a crash left, and those that came through git. All that lie there for one run
//! were made by people who saw the same, and are taken together; what cannot count stands aside, and the run says so.

use std::path::Path;

use chrono::Utc;

use crate::capability::{Decision, Verdict as FileVerdict};
use crate::registry;
use crate::run::command::{Command, Verdict};
use crate::run::decide::decide;
use crate::run::each::{Said, decide_each};
use crate::run::id::RequestId;
use crate::run::refusal::Refusal;
use crate::run::state::{RequestStatus, State};
use crate::signature::Proof;

use super::actor::{TICK, operator};
use super::approvers::{self, Unproven};
use super::decisions::judge;
use super::error::Error;
use super::images;
use super::store::Store;

/// What lies at the place of a decision.
enum Found {
    /// Nothing, or nothing yet: its signature may be on its way, or a person about to make it.
    Nothing,
    /// What can never count; its bytes, if it has any.
    Wrong {
        judged: Option<Vec<u8>>,
        reason: String,
    },
    Word(Box<Word>),
}

/// A decision that is what it says, and by whom.
struct Word {
    id: RequestId,
    bytes: Vec<u8>,
    said: Said,
    by: String,
}

/// Takes up decision files for what waits.
pub(crate) fn take_files(store: &Store<'_>, mut state: State) -> Result<State, Error> {
    let mut ids = state.waiting_for_a_person();
    ids.extend(state.requests.iter().filter(|r| r.status == RequestStatus::Requested).map(|r| r.id.clone()));
    let mut words = Vec::new();
    for id in ids {
        match look(store, &state, &id)? {
            Found::Nothing => {}
            Found::Wrong { judged, reason } => state = reject(store, &id, judged.as_deref(), &reason)?,
            Found::Word(word) => words.push(*word),
        }
    }
    if words.is_empty() {
        return Ok(state);
    }
    for word in &words {
        // What the policies say is a part of what was decided on: a word on what they said before is stale.
        images::is_ruled_the_same(store, &state, &word.id)?;
    }
    let said: Vec<Said> = words.iter().map(|word| word.said.clone()).collect();
    let mut refusals = Vec::new();
    // Each record names its own; a batch of several people is nobody's in particular.
    let one = words.iter().all(|word| word.by == words[0].by);
    let by = if one { words[0].by.as_str() } else { TICK };
    state = store.commit_with(by, |state, now| {
        let (events, refused) = decide_each(state, &said, now);
        refusals = refused;
        Ok(events)
    })?;
    for (word, refusal) in words.iter().zip(refusals) {
        match refusal {
            // Not resolved yet, or to be resolved again: it may fit then. Decided since our look: the file is of that
            // very decision, whose process had written it and was about to journal it.
            None | Some(Refusal::NotApprovable { .. } | Refusal::Decided { .. }) => {}
            Some(refusal) => state = reject(store, &word.id, Some(&word.bytes), &refusal.to_string())?,
        }
    }
    Ok(state)
}

fn look(store: &Store<'_>, state: &State, id: &RequestId) -> Result<Found, Error> {
    let path = store.registry().layout().decision(id);
    let bytes = match registry::decisions::read(&path) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(Found::Nothing),
        Err(error) => return Ok(Found::Wrong { judged: None, reason: why_unreadable(&path, &error) }),
    };
    let wrong = |bytes, reason: &str| Ok(Found::Wrong { judged: Some(bytes), reason: reason.to_owned() });
    let parsed = Decision::parse(&bytes);
    let proof = match proof_of(store, state, &path, &bytes)? {
        Ok(proof) => proof,
        Err(Unproven::Unsigned) if parsed.is_ok() => return Ok(Found::Nothing),
        Err(unproven) => return wrong(bytes, &unproven.to_string()),
    };
    let file = match parsed {
        Ok(file) => file,
        Err(error) => return wrong(bytes, &error.to_string()),
    };
    if !file.is_of(&state.created.registry) {
        return wrong(bytes, "it is of another registry");
    }
    if file.request != *id || file.run != *store.run() {
        return wrong(bytes, "it is for another request");
    }
    if let Some(early) = proof.as_ref().and_then(|_| approvers::too_early(state, id, &file.at)) {
        return wrong(bytes, &format!("it {early}"));
    }
    let verdict = match file.verdict {
        FileVerdict::Approve => Verdict::Approve,
        FileVerdict::Deny => Verdict::Deny,
        FileVerdict::Suggest => Verdict::Suggest,
    };
    let by = if proof.is_some() { file.by.clone() } else { operator() };
    let said = (id.clone(), verdict, judge(&file, &bytes, proof.as_ref()));
    Ok(Found::Word(Box::new(Word { id: id.clone(), bytes, said, by })))
}

/// Why what lies at `path` is no file that could be read, without the path, which is another on each machine.
fn why_unreadable(path: &Path, error: &registry::Error) -> String {
    let Ok(meta) = path.symlink_metadata() else { return error.to_string() };
    let kind = meta.file_type();
    match error {
        _ if kind.is_symlink() => "it is a symbolic link".to_owned(),
        _ if kind.is_dir() => "it is a folder".to_owned(),
        _ if !kind.is_file() => "it is no regular file".to_owned(),
        registry::Error::TooLarge { limit, .. } => format!("it has {} bytes, and may have {limit}", meta.len()),
        registry::Error::Io { doing, source, .. } => format!("cannot {doing} it: {source}"),
        other => other.to_string(),
    }
}

/// The signature beside the decision at `path`, if that proves it; an error is why it never will.
fn proof_of(
    store: &Store<'_>,
    state: &State,
    path: &Path,
    bytes: &[u8],
) -> Result<Result<Option<(String, Proof)>, Unproven>, Error> {
    let Some(allowed) = approvers::of_run(store.registry(), state)? else { return Ok(Ok(None)) };
    let signature = match registry::decisions::read(&registry::decisions::signature(path)) {
        Ok(signature) => signature,
        Err(error) => {
            let why = why_unreadable(&registry::decisions::signature(path), &error);
            return Ok(Err(Unproven::Refused(format!("its signature cannot be read: {why}"))));
        }
    };
    let proof = approvers::prove(&allowed, &state.created.registry, bytes, signature.as_deref(), &[Utc::now()]);
    let armoured = || String::from_utf8_lossy(signature.as_deref().unwrap_or_default()).into_owned();
    Ok(proof.map(|proof| Some((armoured(), proof))))
}

/// A decision that cannot count stands aside, so that a right one can be made. Under the run's lock, where nobody can
/// put that right one in place of the `judged` one before it is set aside.
fn reject(store: &Store<'_>, id: &RequestId, judged: Option<&[u8]>, reason: &str) -> Result<State, Error> {
    let path = store.registry().layout().decision(id);
    store.commit_with(TICK, |state, now| {
        let gone = path.symlink_metadata().is_err();
        if gone || registry::decisions::read(&path).ok().flatten().as_deref() != judged {
            return Ok(Vec::new());
        }
        let file = registry::decisions::set_aside(&path)?;
        let command = Command::RejectDecision { id: id.clone(), file, reason: reason.to_owned() };
        decide(state, command, now).map_err(|refusal| Error::Refused { run: store.run().clone(), refusal })
    })
}
