//! A person's decision: shown, made on exactly what was shown, written as a file, and applied. The same file, merged
//! through git, counts the same.

use std::path::Path;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::capability::{Decision, Review, Verdict as FileVerdict};
use crate::registry::{self, Registry};
use crate::run::capability::Capability;
use crate::run::command::{Command, Verdict};
use crate::run::decide::decide;
use crate::run::event::DecisionRecord;
use crate::run::id::{Digest, RequestId};
use crate::run::refusal::Refusal;
use crate::run::review;
use crate::run::state::{RequestStatus, State};
use crate::run::terms::Terms;
use crate::signature::{self, AllowedSigners, Proof};

use super::actor::operator;
use super::approvers::{self, Hand, Unproven};
use super::error::Error;
use super::given;
use super::images;
use super::inbox::{Inbox, Waiting, inbox};
use super::standing;
use super::store::Store;

/// What a person is shown.
#[derive(Debug, Clone)]
pub enum Shown {
    Capability(Box<Review>),
    Approval {
        /// Files of the nodes that it needs: path, digest, bytes.
        artifacts: Vec<crate::run::definition::Artifact>,
        prompt: String,
    },
}

/// What a person says of something that waits.
#[derive(Debug, Clone, Copy)]
pub struct Word<'a> {
    pub verdict: Verdict,
    /// Of what was shown.
    pub digest: &'a Digest,
    pub comment: &'a str,
    /// What may be asked for instead; of a suggestion only.
    pub instead: &'a [Capability],
    /// The bounds of a grant; of an approval only.
    pub terms: &'a Terms,
}

/// What became of a decision.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decided {
    pub id: RequestId,
    pub run: crate::run::id::RunId,
    pub verdict: &'static str,
    pub by: String,
    pub digest: Digest,
    /// Whether a signature proves it.
    pub proven: bool,
    /// The key that signed it, as `SHA256:…`.
    pub key: Option<String>,
}

/// What waits under `text`: an id, the start of one that fits nothing else, or `run/node`.
///
/// # Errors
/// [`Error::NothingWaits`], [`Error::Ambiguous`], or that the registry cannot be read.
pub fn find_waiting(registry: &Registry, text: &str) -> Result<Waiting, Error> {
    let Inbox { waiting, .. } = inbox(registry)?;
    let fits = |item: &&Waiting| item.id.as_str().starts_with(text) || format!("{}/{}", item.run, item.node) == text;
    let found: Vec<&Waiting> = waiting.iter().filter(fits).collect();
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] => Err(decided_before(registry, text).unwrap_or_else(|| Error::NothingWaits(text.to_owned()))),
        many => {
            let found = many.iter().map(|item| item.id.to_string()).collect();
            Err(Error::Ambiguous { text: text.to_owned(), found })
        }
    }
}

/// A request that does not wait any more deserves a better answer than "unknown".
fn decided_before(registry: &Registry, text: &str) -> Option<Error> {
    let id = RequestId::parse(text).ok()?;
    for run in registry::queries::list_runs(registry).ok()? {
        let Ok(state) = Store::open(registry, &run).and_then(|store| store.load()) else { continue };
        if let Some(request) = state.request(&id) {
            return Some(match request.status {
                RequestStatus::Requested => Error::NotResolvedYet { id },
                RequestStatus::Unresolvable => Error::Unresolvable { id, reason: request.problem.clone() },
                _ => Error::DecidedBefore { id },
            });
        }
        if review::approval_node(&state, &id).is_some() {
            return Some(Error::DecidedBefore { id });
        }
    }
    None
}

/// Everything that a decision on `waiting` would be about.
///
/// # Errors
/// When the run cannot be read, or nothing waits there any more.
pub fn show(registry: &Registry, waiting: &Waiting) -> Result<Shown, Error> {
    let store = Store::open(registry, &waiting.run)?;
    let mut state = store.load()?;
    if !images::is_ruled_the_same(&store, &state, &waiting.id)? {
        state = store.load()?;
    }
    if let Some(request) = state.request(&waiting.id) {
        let review = match (&request.resolution, &request.presented) {
            (Some(resolution), _) => images::review_of(&state, request, resolution)?,
            (None, Some(presented)) => given::review_of(&state, request, presented),
            (None, None) => return Err(Error::NotResolvedYet { id: waiting.id.clone() }),
        };
        return Ok(Shown::Capability(Box::new(review)));
    }
    let Some((definition, _)) = review::approval_node(&state, &waiting.id) else {
        return Err(Error::NothingWaits(waiting.id.to_string()));
    };
    let artifacts = definition.needs.iter().filter_map(|need| state.node(need));
    let artifacts = artifacts.flat_map(|(_, node)| node.artifacts.clone()).collect();
    let workflow = super::policy::frozen_workflow(&store, &state)?;
    let prompt = super::policy::prompt_of(&workflow, &state, &definition.id)?;
    Ok(Shown::Approval { artifacts, prompt })
}

/// Decides what waits under `waiting`, on what `digest` names, and lets it take effect in the journal.
///
/// # Errors
/// [`Error::Stale`] when something else stands there now; [`Error::Refused`] when it was decided before.
pub fn decide_on(registry: &Registry, waiting: &Waiting, word: &Word<'_>, hand: &Hand<'_>) -> Result<Decided, Error> {
    let mut decided = decide_all(registry, &[(waiting, word)], hand)?;
    decided.pop().ok_or_else(|| Error::NothingWaits(waiting.id.to_string()))
}

/// Decides several things that wait in one run as they stand beside each other: all of them, or none.
///
/// # Errors
/// As [`decide_on`], of the first that cannot be decided so; nothing was decided then.
pub fn decide_all(
    registry: &Registry,
    words: &[(&Waiting, &Word<'_>)],
    hand: &Hand<'_>,
) -> Result<Vec<Decided>, Error> {
    let Some((first, _)) = words.first() else { return Ok(Vec::new()) };
    let store = Store::open(registry, &first.run)?;
    // What a crash left of an earlier decision counts first.
    let state = take_files(&store, store.load()?)?;
    for (waiting, _) in words {
        if !images::is_ruled_the_same(&store, &state, &waiting.id)? {
            return Err(Error::RuledAnew { id: waiting.id.clone() });
        }
    }
    let allowed = approvers::of_run(registry, &state)?;
    let mut made = Vec::new();
    for (waiting, word) in words {
        let signed = sign(&state, waiting, word, allowed.as_ref(), hand)?;
        let record = judge(&signed.file, &signed.bytes, signed.proof.as_ref());
        made.push((*waiting, *word, signed, record));
    }
    let by = made.first().map_or_else(operator, |(_, _, signed, _)| signed.file.by.clone());
    let committed = store.commit_with(&by, |state, now| {
        let words = made.iter().map(|(waiting, word, _, record)| (waiting.id.clone(), word.verdict, record.clone()));
        let events = decide(state, Command::DecideAll(words.collect()), now)
            .map_err(|refusal| Error::Refused { run: store.run().clone(), refusal })?;
        for (waiting, _, signed, _) in &made {
            make_room(state, &registry.layout().decision(&waiting.id), signed, allowed.as_ref(), now)?;
        }
        // The files first: a crash before the journal leaves decisions that the next tick takes up.
        for (waiting, _, signed, _) in &made {
            write(&registry.layout().decision(&waiting.id), signed)?;
        }
        Ok(events)
    });
    match committed {
        // Written by somebody who did not come to journal it, or through git, since our look: it came first.
        Err(Error::Registry(error)) if error.io_kind() == Some(std::io::ErrorKind::AlreadyExists) => {
            take_files(&store, store.load()?)?;
            let there = |waiting: &&Waiting| registry.layout().decision(&waiting.id).exists();
            let taken = words.iter().map(|(waiting, _)| *waiting).find(there).unwrap_or(first);
            return Err(Error::DecidedBefore { id: taken.id.clone() });
        }
        other => other?,
    };
    for (waiting, _, signed, _) in &made {
        standing::keep(registry, &state, &waiting.id, &signed.file)?;
    }
    Ok(made.iter().map(|(waiting, word, signed, _)| decided(waiting, word, signed)).collect())
}

/// Decides as [`decide_on`] does, and leaves it at the file and its signature: for a clone of the registry that another
/// machine drives, which takes the decision up when it comes there.
///
/// # Errors
/// As [`decide_on`]; [`Error::Usage`] where no approvers are configured, since only a signature travels.
pub fn decide_for_elsewhere(
    registry: &Registry,
    waiting: &Waiting,
    word: &Word<'_>,
    hand: &Hand<'_>,
) -> Result<Decided, Error> {
    let state = Store::open(registry, &waiting.run)?.load()?;
    let allowed = approvers::of_run(registry, &state)?;
    if allowed.is_none() {
        let why = "only a signed decision can be made for another machine, and no approvers are configured";
        return Err(Error::Usage(why.to_owned()));
    }
    let signed = sign(&state, waiting, word, allowed.as_ref(), hand)?;
    let record = judge(&signed.file, &signed.bytes, signed.proof.as_ref());
    let command = Command::Decide { id: waiting.id.clone(), verdict: word.verdict, decision: record };
    decide(&state, command, Utc::now()).map_err(|refusal| Error::Refused { run: waiting.run.clone(), refusal })?;
    let path = registry.layout().decision(&waiting.id);
    let placed = make_room(&state, &path, &signed, allowed.as_ref(), Utc::now()).and_then(|()| write(&path, &signed));
    match placed {
        Err(Error::Registry(error)) if error.io_kind() == Some(std::io::ErrorKind::AlreadyExists) => {
            Err(Error::DecidedBefore { id: waiting.id.clone() })
        }
        other => other.map(|()| decided(waiting, word, &signed)),
    }
}

/// A decision as it will lie on disk.
struct Signed {
    file: Decision,
    bytes: Vec<u8>,
    /// Armoured, and whose it is.
    proof: Option<(String, Proof)>,
}

/// Makes the decision's file, and signs it where approvers are configured.
fn sign(
    state: &State,
    waiting: &Waiting,
    word: &Word<'_>,
    allowed: Option<&AllowedSigners>,
    hand: &Hand<'_>,
) -> Result<Signed, Error> {
    let signer = allowed.map(|allowed| hand.signer(allowed, signature::DECISION)).transpose()?;
    let by = signer.map_or_else(operator, |signer| format!("operator:{}", signer.name()));
    let file = Decision::new(
        &state.created.registry,
        waiting.id.clone(),
        waiting.run.clone(),
        match word.verdict {
            Verdict::Approve => FileVerdict::Approve,
            Verdict::Deny => FileVerdict::Deny,
            Verdict::Suggest => FileVerdict::Suggest,
        },
        word.instead.to_vec(),
        word.terms.clone(),
        word.digest.clone(),
        word.comment,
        &by,
        &crate::run::time::isoformat(Utc::now()),
    )?;
    let bytes = file.to_bytes();
    let proof = match (signer, allowed) {
        (Some(signer), Some(allowed)) => {
            let armoured = signer.sign(signature::DECISION, &bytes)?;
            // As whoever reads it will see it: nothing is written that would not count.
            let proof =
                approvers::prove(allowed, &state.created.registry, &bytes, Some(armoured.as_bytes()), &[Utc::now()]);
            Some((armoured, proof.map_err(|unproven| Error::Unsigned(unproven.to_string()))?))
        }
        _ => None,
    };
    Ok(Signed { file, bytes, proof })
}

/// Sees that the place of a decision is free, and sets aside what lies there and does not count.
fn make_room(
    state: &State,
    path: &Path,
    signed: &Signed,
    allowed: Option<&AllowedSigners>,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let Some(bytes) = registry::decisions::read(path)? else { return Ok(()) };
    if let (Some(allowed), Some(_)) = (allowed, &signed.proof) {
        let signature = registry::decisions::read(&registry::decisions::signature(path))?;
        if approvers::prove(allowed, &state.created.registry, &bytes, signature.as_deref(), &[now]).is_err() {
            registry::decisions::set_aside(path)?;
            return Ok(());
        }
    }
    let taken = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
    Err(registry::Error::io("create", path)(taken).into())
}

/// Puts a decision into its place, with its signature.
fn write(path: &Path, signed: &Signed) -> Result<(), Error> {
    if let Some((armoured, _)) = &signed.proof {
        registry::decisions::write_signature(path, armoured)?;
    }
    Ok(registry::decisions::write(path, &signed.bytes)?)
}

fn decided(waiting: &Waiting, word: &Word<'_>, signed: &Signed) -> Decided {
    Decided {
        id: waiting.id.clone(),
        run: waiting.run.clone(),
        verdict: match word.verdict {
            Verdict::Approve => "approved",
            Verdict::Deny => "denied",
            Verdict::Suggest => "answered with an alternative",
        },
        by: signed.file.by.clone(),
        digest: word.digest.clone(),
        proven: signed.proof.is_some(),
        key: signed.proof.as_ref().map(|(_, proof)| proof.key.clone()),
    }
}

/// What the journal says of a decision.
fn judge(file: &Decision, bytes: &[u8], proof: Option<&(String, Proof)>) -> DecisionRecord {
    DecisionRecord {
        by: file.by.clone(),
        at: file.at.clone(),
        digest: file.digest.clone(),
        comment: file.comment.clone(),
        instead: file.instead.clone(),
        until: file.until,
        scope: file.scope.clone(),
        file: Digest::of(bytes),
        proven: proof.is_some(),
        key: proof.map(|(_, proof)| proof.key.clone()),
        signature: proof.map(|(armoured, _)| Digest::of(armoured.as_bytes())),
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
    let signature = registry::decisions::read(&registry::decisions::signature(path))?;
    let proof = approvers::prove(&allowed, &state.created.registry, bytes, signature.as_deref(), &[Utc::now()]);
    let armoured = || String::from_utf8_lossy(signature.as_deref().unwrap_or_default()).into_owned();
    Ok(proof.map(|proof| Some((armoured(), proof))))
}

/// Takes up decision files for what waits: those that a crash left, and those that came through git.
pub(crate) fn take_files(store: &Store<'_>, mut state: State) -> Result<State, Error> {
    let mut ids = state.waiting_for_a_person();
    ids.extend(state.requests.iter().filter(|r| r.status == RequestStatus::Requested).map(|r| r.id.clone()));
    for id in ids {
        let path = store.registry().layout().decision(&id);
        let bytes = match registry::decisions::read(&path) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => continue,
            Err(error) => {
                state = reject(store, &id, None, &error.to_string())?;
                continue;
            }
        };
        let parsed = Decision::parse(&bytes);
        let proof = match proof_of(store, &state, &path, &bytes)? {
            Ok(proof) => proof,
            // Nothing yet, and nothing wrong: its signature may be on its way, or a person about to make it.
            Err(Unproven::Unsigned) if parsed.is_ok() => continue,
            Err(unproven) => {
                state = reject(store, &id, Some(&bytes), &unproven.to_string())?;
                continue;
            }
        };
        let command = match &parsed {
            Ok(file) if !file.is_of(&state.created.registry) => {
                state = reject(store, &id, Some(&bytes), "it is of another registry")?;
                continue;
            }
            Ok(file) if file.request == id && file.run == *store.run() => {
                // What the policies say is a part of what was decided on: a word on what they said before is stale.
                images::is_ruled_the_same(store, &state, &id)?;
                let verdict = match file.verdict {
                    FileVerdict::Approve => Verdict::Approve,
                    FileVerdict::Deny => Verdict::Deny,
                    FileVerdict::Suggest => Verdict::Suggest,
                };
                Command::Decide { id: id.clone(), verdict, decision: judge(file, &bytes, proof.as_ref()) }
            }
            Ok(_) => {
                state = reject(store, &id, Some(&bytes), "it is for another request")?;
                continue;
            }
            Err(error) => {
                state = reject(store, &id, Some(&bytes), &error.to_string())?;
                continue;
            }
        };
        let by = parsed.as_ref().ok().filter(|_| proof.is_some()).map_or_else(operator, |file| file.by.clone());
        state = match store.commit(&by, command) {
            // Not resolved yet, or to be resolved again: it may fit then. Decided since our look: the file is of that
            // very decision, whose process had written it and was about to journal it.
            Err(Error::Refused { refusal: Refusal::NotApprovable { .. } | Refusal::Decided { .. }, .. }) => {
                store.load()?
            }
            Err(Error::Refused { refusal, .. }) => reject(store, &id, Some(&bytes), &refusal.to_string())?,
            other => other?,
        };
    }
    Ok(state)
}

/// A decision that cannot count stands aside, so that a right one can be made. Under the run's lock, where nobody can
/// put that right one in place of the `judged` one before it is set aside.
fn reject(store: &Store<'_>, id: &RequestId, judged: Option<&[u8]>, reason: &str) -> Result<State, Error> {
    let path = store.registry().layout().decision(id);
    store.commit_with(super::actor::TICK, |state, now| {
        if registry::decisions::read(&path).ok().flatten().as_deref() != judged {
            return Ok(Vec::new());
        }
        let input = registry::decisions::set_aside(&path)?;
        let command = Command::RejectInput { input, reason: reason.to_owned() };
        decide(state, command, now).map_err(|refusal| Error::Refused { run: store.run().clone(), refusal })
    })
}
