//! Making another list of what was asked for. Nobody's word counts on it before it has been resolved and shown: the list
//! is a part of the review, and so of the digest.

use std::time::{Duration, Instant};

use crate::registry::Registry;
use crate::run::capability::Capability;
use crate::run::command::Command;
use crate::run::state::RequestStatus;

use super::actor::operator;
use super::error::Error;
use super::inbox::Waiting;
use super::store::Store;
use super::{images, tick};

/// How long another process that drives the run may take to resolve the list.
const PATIENCE: Duration = Duration::from_secs(600);

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

/// Makes `list` of what waits and has it resolved; `false` if that is its list already.
///
/// # Errors
/// [`Error::Refused`] if the request cannot be that list; [`Error::Unresolvable`].
pub fn edit(registry: &Registry, waiting: &Waiting, list: Vec<Capability>) -> Result<bool, Error> {
    if let Some(why) = list.iter().find_map(|capability| capability.check().err()) {
        return Err(Error::Usage(why));
    }
    let asked = list_of(registry, waiting)?;
    let store = Store::open(registry, &waiting.run)?;
    let (by, id) = (operator(), waiting.id.clone());
    let before = store.load()?.request(&id).and_then(|request| request.edited.clone());
    let wanted = list.clone();
    let command = Command::Edit { id: id.clone(), by: by.clone(), asked, list };
    let state = store.commit(&by, command)?;
    if state.request(&id).is_some_and(|request| request.edited == before) {
        return Ok(false);
    }
    let begun = Instant::now();
    loop {
        tick::tick(registry, &waiting.run)?;
        let state = store.load()?;
        match state.request(&id) {
            Some(request) if request.status == RequestStatus::Requested && begun.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Some(request) if request.status == RequestStatus::Unresolvable => {
                return Err(Error::Unresolvable { id, reason: request.problem.clone() });
            }
            Some(request) if request.edited.as_ref().is_some_and(|edited| edited.list != wanted) => {
                return Err(Error::Unresolvable { id, reason: request.problem.clone() });
            }
            _ => return Ok(true),
        }
    }
}

fn no_list(waiting: &Waiting) -> Error {
    Error::Usage(format!("{} is an approval, which has no list to edit", waiting.id))
}
