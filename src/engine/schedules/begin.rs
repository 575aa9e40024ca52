//! A schedule begins with its file, and ends with it.

use chrono::{SubsecRound as _, Utc};

use super::propose::hindrance;
use crate::engine::actor::TICK;
use crate::engine::error::Error;
use crate::engine::store::Store;
use crate::registry::schedules::{self as files, ScheduleFile};
use crate::registry::{Registry, SchedulesLock, WatchLock};
use crate::run::capability::Capability;
use crate::run::command::Command;
use crate::run::id::RequestId;
use crate::run::state::State;

/// Puts the approved schedule `id` into force, or says why it cannot be any more. The file comes first, and is nothing
/// without the approval; a crash between the two finds it again.
///
/// # Errors
/// Those of the file system; when the journal cannot be written.
pub(crate) fn begin(store: &Store<'_>, state: &State, id: RequestId) -> Result<(), Error> {
    let registry = store.registry();
    let _lock = SchedulesLock::acquire(registry)?;
    let Some(request) = state.request(&id).filter(|request| request.status.is_granted()) else { return Ok(()) };
    let shown = request.presented.as_ref();
    let (Some(presented), Some(approved), Capability::Schedule(name)) =
        (shown, shown.and_then(|shown| shown.schedule.as_ref()), &request.capability)
    else {
        return Ok(());
    };
    let now = Utc::now().trunc_subsecs(3);
    if let Some(reason) = hindrance(registry, &approved.agent, name, &id, now)? {
        return store.commit(TICK, Command::CannotGive { id, reason }).map(drop);
    }
    let called = files::called(&approved.agent, name);
    let is_ours = matches!(files::read(registry, &called)?, Some(Ok(file)) if file.request == id);
    if !is_ours {
        // What is left of one that is over.
        files::remove(registry, &called)?;
        let file = ScheduleFile {
            format: 1,
            agent: approved.agent.clone(),
            when: approved.when.clone(),
            task: approved.task.clone(),
            run: state.run.clone(),
            request: id.clone(),
            approved_by: request.decision.as_ref().map(|decision| decision.by.clone()).unwrap_or_default(),
            since: now,
            review: presented.review.clone(),
        };
        files::write(registry, &called, &file)?;
    }
    store.commit(TICK, Command::Given { id }).map(drop)
}

/// Ends the schedule of request `id`, if it is one, which is granted no more: when this returns, nobody begins a run by it.
///
/// # Errors
/// Those of the file system; when a look takes too long. The schedule is over all the same.
pub(crate) fn end(registry: &Registry, state: &State, id: &RequestId) -> Result<(), Error> {
    let Some(request) = state.request(id).filter(|request| !request.status.is_granted()) else { return Ok(()) };
    let Capability::Schedule(name) = &request.capability else { return Ok(()) };
    let shown = request.presented.as_ref().and_then(|presented| presented.schedule.as_ref());
    let Some(approved) = shown else { return Ok(()) };
    let called = files::called(&approved.agent, name);
    // A look that began before may be about to begin a run.
    let _look = WatchLock::acquire(registry, &called)?;
    clear(registry, &called, id)
}

/// Removes what is left of the schedule of request `id` that goes by `called`, and not another one that has begun under
/// that name meanwhile.
///
/// # Errors
/// Those of the file system.
pub(crate) fn clear(registry: &Registry, called: &str, id: &RequestId) -> Result<(), Error> {
    let _lock = SchedulesLock::acquire(registry)?;
    match files::read(registry, called)? {
        Some(Ok(file)) if file.request == *id => files::remove(registry, called).map_err(Error::from),
        _ => Ok(()),
    }
}
