//! Making another list of what was asked for. Nobody's word counts on it before it has been resolved and shown: the list
//! is a part of the review, and so of the digest. It is tried first, and journaled with the word on it: who only looks
//! changes nothing.

use chrono::Utc;

use crate::capability::Review;
use crate::registry::Registry;
use crate::run::capability::Capability;
use crate::run::command::Command;
use crate::run::decide::decide;
use crate::run::id::{RequestId, RunId};
use crate::run::refusal::Refusal;
use crate::run::ruling::Effect;
use crate::run::state::{Request, State};

use super::actor::operator;
use super::docker::Docker;
use super::error::Error;
use super::inbox::Waiting;
use super::store::Store;
use super::{given, images, rulings};

/// A list that was tried: what it comes down to, and what makes it the request's own.
#[derive(Debug, Clone)]
pub struct Trial {
    run: RunId,
    by: String,
    /// The list, and what is shown of it.
    commands: [Command; 2],
    pub review: Box<Review>,
}

/// What a request stands for now, one entry a line of its list.
///
/// # Errors
/// When the run cannot be read, or it is no request.
pub fn list_of(registry: &Registry, waiting: &Waiting) -> Result<Vec<Capability>, Error> {
    let state = Store::open(registry, &waiting.run)?.load()?;
    let request = state.request(&waiting.id).ok_or_else(|| no_list(waiting))?;
    let list = images::asked_of(registry.config()?, request).map_err(Error::Usage)?;
    Ok(if list.is_empty() { vec![request.meant().clone()] } else { list })
}

/// Resolves what waits as if it stood for `list`; nothing if that is its list already. Nothing is journaled.
///
/// # Errors
/// [`Error::Refused`] if the request cannot be that list, or a rule denies it; [`Error::Unresolvable`].
pub fn try_list(registry: &Registry, waiting: &Waiting, list: Vec<Capability>) -> Result<Option<Trial>, Error> {
    if let Some(why) = list.iter().find_map(|capability| capability.check().err()) {
        return Err(Error::Usage(why));
    }
    let asked = list_of(registry, waiting)?;
    let store = Store::open(registry, &waiting.run)?;
    let (by, id) = (operator(), waiting.id.clone());
    let mut state = store.load()?;
    let edit = Command::Edit { id: id.clone(), by: by.clone(), asked, list: list.clone() };
    if !apply(&store, &mut state, edit.clone())? {
        return Ok(None);
    }
    let Some(request) = state.request(&id).cloned() else { return Err(no_list(waiting)) };
    let role = state.role_of(&request.node);
    for one in &list {
        let ruling = rulings::on(registry, &state, role, one, &[]);
        if ruling.effect == Effect::Deny {
            return Err(not_that(&store, &request, format!("{one} is denied: {ruling}")));
        }
    }
    let shown = match request.capability.kind().is_given() {
        true => given::trying(&store, &state, &request)?,
        false => images::resolving(&store, &Docker::default(), &state, &request)?,
    };
    let review = match &shown {
        Command::Present { presented, .. } => given::review_of(&state, &request, presented),
        Command::Resolve { resolution, .. } => images::review_of(&state, &request, resolution)?,
        Command::CannotResolve { reason, .. } => return Err(Error::Unresolvable { id, reason: reason.clone() }),
        _ => return Err(Error::NotResolvedYet { id }),
    };
    Ok(Some(Trial { run: waiting.run.clone(), by, commands: [edit, shown], review: Box::new(review) }))
}

/// Makes a list that was tried that of its request, shown as it was shown.
///
/// # Errors
/// [`Error::Refused`] if the request has changed or was decided since.
pub fn make_list(registry: &Registry, trial: &Trial) -> Result<(), Error> {
    let store = Store::open(registry, &trial.run)?;
    let committed = store.commit_with(&trial.by, |state, now| {
        let (mut state, mut all) = (state.clone(), Vec::new());
        for command in trial.commands.clone() {
            let refused = |refusal| Error::Refused { run: store.run().clone(), refusal };
            for event in decide(&state, command, now).map_err(refused)? {
                state.apply(&event, now).map_err(|source| Error::Fold { run: store.run().clone(), source })?;
                all.push(event);
            }
        }
        Ok(all)
    });
    committed.map(drop)
}

/// Whether `command` changes anything of `state`, which is nobody's but ours.
fn apply(store: &Store<'_>, state: &mut State, command: Command) -> Result<bool, Error> {
    let now = Utc::now();
    let refused = |refusal| Error::Refused { run: store.run().clone(), refusal };
    let events = decide(state, command, now).map_err(refused)?;
    for event in &events {
        state.apply(event, now).map_err(|source| Error::Fold { run: store.run().clone(), source })?;
    }
    Ok(!events.is_empty())
}

fn not_that(store: &Store<'_>, request: &Request, why: String) -> Error {
    let id: RequestId = request.id.clone();
    Error::Refused { run: store.run().clone(), refusal: Refusal::NotThatList { id, why } }
}

fn no_list(waiting: &Waiting) -> Error {
    Error::Usage(format!("{} is an approval, which has no list to edit", waiting.id))
}
