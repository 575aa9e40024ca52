//! What the end of an attempt comes down to: its node is done, waits, is tried again or has failed.

use chrono::{DateTime, Utc};

use super::super::capability::Capability;
use super::super::command::{EXIT_SUSPENDED, EXIT_TIMEOUT, How, Seen};
use super::super::definition::{NodeDefinition, Retry};
use super::super::deployment;
use super::super::event::{AttemptEnd, Event, FailureCode, Outcome, ReadyReason, WaitingOn};
use super::super::id::{NodeId, RequestId};
use super::super::refusal::Refusal;
use super::super::state::{Node, Request, RequestStatus, State};
use super::super::status::RunStatus;
use super::find;

pub(super) fn end(
    state: &State,
    id: &NodeId,
    attempt: u32,
    seen: Seen,
    now: DateTime<Utc>,
) -> Result<Vec<Event>, Refusal> {
    let (definition, node) = find(state, id)?;
    let Some(live) = node.live().filter(|live| live.number == attempt) else {
        let known = node.attempts.iter().any(|a| a.number == attempt && a.end.is_some());
        return if known { Ok(Vec::new()) } else { Err(Refusal::NotLive { node: id.clone(), attempt }) };
    };
    let asker = (id.clone(), attempt);
    let asked = state.requests.iter().filter(|request| request.askers.contains(&asker));
    let asked: Vec<RequestId> = asked.map(|request| request.id.clone()).collect();
    let short = seen.spent.as_ref().and_then(|spent| short_of(state, spent, &asker));
    let (outcome, code, detail) = match &seen.how {
        _ if state.status == RunStatus::Cancelled => (Outcome::Cancelled, None, "the run was cancelled".to_owned()),
        How::Cancelled => (Outcome::Cancelled, None, "cancelled".to_owned()),
        How::Revoked => {
            let taken = state.taken_from(live).map_or("a folder", |mount| mount.folder.path.as_str());
            (Outcome::Revoked, None, format!("it had {taken}, which was taken back"))
        }
        How::Offboarded => {
            let agent = definition.agent().map_or("", |agent| agent.as_str());
            (Outcome::Offboarded, None, format!("agent `{agent}` was offboarded"))
        }
        How::Gone => (Outcome::Lost, None, "the container is gone".to_owned()),
        How::NotStarted { reason } => (Outcome::NotStarted, None, reason.clone()),
        How::OverDisk { limit } => {
            (Outcome::OverDisk, None, format!("its workspace holds more than {limit} bytes, or more files than may be"))
        }
        How::Exited { code, oom: true, .. } => (Outcome::Oom, Some(*code), "its memory limit was reached".to_owned()),
        // By what the gate said, and not by the exit code: a program knows nothing of budgets.
        How::Exited { code, .. } if short.is_some() && !(*code == 0 && seen.missing.is_empty()) => {
            let what = short.map_or_else(String::new, |(_, what)| format!("; {what} is asked for"));
            (Outcome::Suspended, Some(*code), format!("a budget is spent{what}"))
        }
        How::Exited { code, timed_out, .. } if *timed_out || *code == EXIT_TIMEOUT => {
            (Outcome::Timeout, Some(*code), "its wall clock limit was reached".to_owned())
        }
        How::Exited { code: 0, .. } if !seen.missing.is_empty() => {
            (Outcome::OutputsMissing, Some(0), seen.missing.join("; "))
        }
        How::Exited { code: 0, .. } => (Outcome::Succeeded, Some(0), String::new()),
        How::Exited { code, .. } if *code == EXIT_SUSPENDED && !asked.is_empty() => {
            (Outcome::Suspended, Some(*code), String::new())
        }
        How::Exited { code, .. } if *code == EXIT_SUSPENDED => {
            (Outcome::Failed, Some(*code), "exit 75 says that it waits, but this attempt asked for nothing".to_owned())
        }
        How::Exited { code, .. } if seen.said.is_empty() => (Outcome::Failed, Some(*code), format!("exit code {code}")),
        How::Exited { code, .. } => (Outcome::Failed, Some(*code), format!("exit code {code}: {}", seen.said)),
    };
    let ended = AttemptEnd { outcome, exit_code: code, detail: detail.clone(), traffic: seen.traffic };
    let mut events = vec![];
    if live.container_id.is_none() && matches!(seen.how, How::Exited { .. } | How::OverDisk { .. }) {
        // Found exited before its start was journaled: it did run.
        events.push(Event::NodeStarted { node: id.clone(), attempt, container_id: String::new() });
    }
    events.push(Event::AttemptEnded { node: id.clone(), attempt, end: ended });
    let next = match outcome {
        Outcome::Succeeded => {
            events.extend(deployment::declared(state, definition, attempt));
            Some(Event::NodeCompleted { node: id.clone(), artifacts: seen.artifacts, decision: None })
        }
        Outcome::Suspended => {
            let before = node.counted().filter(|end| end.outcome == Outcome::Suspended).count();
            if before as u64 + 1 > u64::from(state.created.limits.suspensions) {
                let limit = state.created.limits.suspensions;
                let detail = format!("it was suspended more than {limit} times");
                Some(Event::NodeFailed { node: id.clone(), code: FailureCode::Suspended, detail, decision: None })
            } else {
                let on = short.map_or(asked, |(request, _)| vec![request.clone()]);
                Some(Event::NodeWaiting { node: id.clone(), on: WaitingOn::Requests(on) })
            }
        }
        Outcome::Cancelled => Some(Event::NodeFailed {
            node: id.clone(),
            code: FailureCode::Cancelled,
            detail: detail.clone(),
            decision: None,
        }),
        Outcome::Offboarded => Some(Event::NodeFailed {
            node: id.clone(),
            code: FailureCode::Offboarded,
            detail: detail.clone(),
            decision: None,
        }),
        // A person did it, so that it is no failure and counts towards no bound.
        Outcome::Revoked => Some(Event::NodeReady { node: id.clone(), why: ReadyReason::Revoked, not_before: None }),
        Outcome::Lost if may_try_again(state, node) => {
            Some(Event::NodeReady { node: id.clone(), why: ReadyReason::Lost, not_before: None })
        }
        _ => Some(match retry_at(definition, node, code, now) {
            Some(at) if may_try_again(state, node) => {
                Event::NodeReady { node: id.clone(), why: ReadyReason::Retry, not_before: Some(at) }
            }
            _ => Event::NodeFailed { node: id.clone(), code: failure_code(outcome), detail, decision: None },
        }),
    };
    events.extend(next);
    Ok(events)
}

/// The request for what the attempt `asker` could not go on without, unless the answer is no.
fn short_of<'a>(
    state: &'a State,
    spent: &Capability,
    asker: &(NodeId, u32),
) -> Option<(&'a RequestId, &'a Capability)> {
    let of_it = |request: &&Request| request.capability == *spent && request.askers.contains(asker);
    let request = state.requests.iter().rfind(of_it)?;
    let hopeless = request.status.is_answered() && request.status != RequestStatus::Applied;
    (!hopeless).then_some((&request.id, &request.capability))
}

const fn failure_code(outcome: Outcome) -> FailureCode {
    match outcome {
        Outcome::Timeout => FailureCode::Timeout,
        Outcome::Oom => FailureCode::Oom,
        Outcome::OverDisk => FailureCode::OverDisk,
        Outcome::Lost => FailureCode::Lost,
        Outcome::OutputsMissing => FailureCode::OutputsMissing,
        Outcome::NotStarted => FailureCode::NotStarted,
        Outcome::Suspended => FailureCode::Suspended,
        Outcome::Cancelled | Outcome::Killed | Outcome::Revoked => FailureCode::Cancelled,
        Outcome::Offboarded => FailureCode::Offboarded,
        Outcome::Succeeded | Outcome::Failed => FailureCode::Exit,
    }
}

/// The bound on attempts counts what did not end in a suspension: waiting for a person is not a failure.
fn may_try_again(state: &State, node: &Node) -> bool {
    let spent = node.counted().filter(|end| is_a_try(end.outcome)).count();
    (spent as u64) + 1 < u64::from(state.created.limits.attempts)
}

/// Whether an attempt that ended so was one to do the work, and not cut short by a person.
const fn is_a_try(outcome: Outcome) -> bool {
    !matches!(outcome, Outcome::Suspended | Outcome::Killed | Outcome::Revoked)
}

fn retry_at(definition: &NodeDefinition, node: &Node, code: Option<i64>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let Retry { limit, backoff_ms, max_backoff_ms, on } = definition.retry.as_ref()?;
    if !on.is_empty() && !code.is_some_and(|code| on.contains(&code)) {
        return None;
    }
    let failed = node.counted().filter(|end| is_a_try(end.outcome)).count();
    let failed = u32::try_from(failed).unwrap_or(u32::MAX);
    if failed >= *limit {
        return None;
    }
    let wait = backoff_ms.saturating_mul(1_u64.checked_shl(failed.min(40)).unwrap_or(u64::MAX)).min(*max_backoff_ms);
    let wait = chrono::Duration::milliseconds(i64::try_from(wait.min(86_400_000 * 365)).unwrap_or(0));
    Some(now + wait)
}
