//! What a request for a schedule comes down to, before anyone is asked: whose it is, and which times are next.

use chrono::{DateTime, Utc};

use super::authority::{Authority, allowed, authority};
use crate::engine::agents::AgentStore;
use crate::engine::error::Error;
use crate::registry::{Registry, schedules as files};
use crate::run::capability::{Capability, ScheduleName};
use crate::run::id::{AgentName, RequestId};
use crate::run::state::{Request, State};
use crate::run::timetable::{SHOWN, Scheduled, Timetable, When};

/// What `request` would do, and when; the inner result says why it cannot be had.
///
/// # Errors
/// When the journal of the agent, or of a run that another schedule is from, cannot be read.
pub(crate) fn propose(
    registry: &Registry,
    state: &State,
    request: &Request,
) -> Result<Result<Scheduled, String>, Error> {
    let (Some(Timetable { when, task }), Capability::Schedule(name)) = (&request.schedule, &request.capability) else {
        return Ok(Err("it names no time and no task".to_owned()));
    };
    if state.created.parent.is_some() {
        let why = "the time of a child ends with that of the attempt it works for: it may schedule nothing";
        return Ok(Err(why.to_owned()));
    }
    let Some(agent) = state.node(&request.node).and_then(|(definition, _)| definition.agent()) else {
        return Ok(Err("only a hired agent has schedules, and this node is none's".to_owned()));
    };
    if let Err(refusal) = AgentStore::open(registry, agent)?.peek()?.require_hired() {
        return Ok(Err(refusal.to_string()));
    }
    let now = Utc::now();
    if let Some(why) = hindrance(registry, agent, name, &request.id, now)? {
        return Ok(Err(why));
    }
    if let Err(why) = allowed(&registry.config()?.schedules, when, now) {
        return Ok(Err(why));
    }
    let next = When::parse(when).map(|when| when.next(now, SHOWN)).unwrap_or_default();
    if next.is_empty() {
        return Ok(Err(format!("none of the times of {when:?} ever comes")));
    }
    Ok(Ok(Scheduled { agent: agent.clone(), when: when.clone(), task: task.clone(), next }))
}

/// Why `agent` cannot have one more schedule, called `name`.
pub(super) fn hindrance(
    registry: &Registry,
    agent: &AgentName,
    name: &ScheduleName,
    request: &RequestId,
    now: DateTime<Utc>,
) -> Result<Option<String>, Error> {
    let called = files::called(agent, name);
    if called.len() > files::LONGEST_NAME {
        return Ok(Some(format!("{called} has more than {} characters", files::LONGEST_NAME)));
    }
    let mut others = Vec::new();
    for other in files::list(registry)? {
        if files::parts(&other).is_none_or(|(whose, _)| whose != *agent) {
            continue;
        }
        match files::read(registry, &other)? {
            Some(Ok(file)) if file.request == *request => continue,
            Some(Ok(file)) if matches!(authority(registry, &other, &file, now)?, Authority::Over(_)) => continue,
            None => continue,
            Some(_) => {}
        }
        if other == called {
            return Ok(Some(format!(
                "agent {agent} has a schedule {name}: it has to be revoked before another begins"
            )));
        }
        others.push(other);
    }
    let most = registry.config()?.schedules.most;
    let full = others.len() as u64 >= u64::from(most);
    Ok(full.then(|| {
        let have = others.join(", ");
        format!("agent {agent} may have {most} schedules (`schedules.most`), and has {}: {have}", others.len())
    }))
}

/// Whether what was shown of a request that waits is what would be done: while one of the times that were shown is still
/// to come.
///
/// # Errors
/// As [`propose`].
pub(crate) fn is_the_same(registry: &Registry, state: &State, request: &Request) -> Result<bool, Error> {
    let Some(shown) = request.presented.as_ref().and_then(|presented| presented.schedule.as_ref()) else {
        return Ok(true);
    };
    let to_come = shown.next.last().is_some_and(|last| *last > Utc::now());
    let now = propose(registry, state, request)?;
    Ok(to_come
        && now.is_ok_and(|now| {
            (now.agent, now.when, now.task) == (shown.agent.clone(), shown.when.clone(), shown.task.clone())
        }))
}
