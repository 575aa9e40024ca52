//! What each node did when, from the journal: when it could have run, ran, and waited, and for whom.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::run::event::{Event, FailureCode, Outcome, ReadyReason, SkipReason, WaitingOn};
use crate::run::id::NodeId;
use crate::run::record::Record;
use crate::run::state::State;
use crate::run::status::NodeStatus;
use crate::run::time::parse_time;

use super::journal::is_ours;

/// What a node was doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Doing {
    /// It could run, and did not yet.
    Ready,
    /// A container, by the number of its attempt; the outcome when it has ended.
    Attempt(u32, Option<Outcome>),
    /// A session did it; where the node stood when it had ended.
    Session(Option<NodeStatus>),
    Waiting(For),
}

/// Whom a node waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    /// A decision on a request for a capability.
    Request,
    /// The decision of an approval node.
    Approval,
    Condition,
    Session,
}

impl Doing {
    pub(super) const fn is_work(&self) -> bool {
        matches!(self, Self::Attempt(..) | Self::Session(_))
    }

    pub(super) fn words(&self) -> String {
        match self {
            Self::Ready => "ready to run".to_owned(),
            Self::Attempt(number, None) => format!("attempt {number} runs"),
            Self::Attempt(number, Some(outcome)) => format!("attempt {number} {}", outcome.words()),
            Self::Session(None) => "a session does it".to_owned(),
            Self::Session(Some(status)) => format!("a session did it: {}", status.as_str()),
            Self::Waiting(For::Request) => "waited for a decision on a request".to_owned(),
            Self::Waiting(For::Approval) => "waited for an approval".to_owned(),
            Self::Waiting(For::Condition) => "waited for its condition".to_owned(),
            Self::Waiting(For::Session) => "waited for a session".to_owned(),
        }
    }
}

/// A stretch of a node's life.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Span {
    pub(super) from: DateTime<Utc>,
    pub(super) to: DateTime<Utc>,
    pub(super) doing: Doing,
    /// It had not ended when the journal was read; `to` is the journal's last moment.
    pub(super) is_open: bool,
}

/// The spans of each node, in the state's order.
pub(super) fn lanes(state: &State, events: &[(DateTime<Utc>, Event)]) -> Vec<Vec<Span>> {
    let index: HashMap<&NodeId, usize> =
        state.created.nodes.iter().enumerate().map(|(n, node)| (&node.id, n)).collect();
    let mut lanes = Lanes { lanes: vec![Vec::new(); state.nodes.len()], open: vec![None; state.nodes.len()] };
    for (at, event) in events {
        if let Event::RegistryAdopted(adoption) = event {
            for adopted in &adoption.nodes {
                if let (Some(n), Some(status)) = (index.get(&adopted.node), &adopted.status) {
                    lanes.adopt(*n, *at, status.to, status.started_at, status.completed_at);
                }
            }
            continue;
        }
        let Some(n) = event.node().and_then(|node| index.get(node)).copied() else { continue };
        match event {
            Event::NodeReady { .. } => lanes.turn(n, *at, Some(Doing::Ready)),
            Event::NodeDispatching { attempt, .. } => lanes.turn(n, *at, Some(Doing::Attempt(*attempt, None))),
            Event::NodeStarted { attempt: 0, .. } => lanes.turn(n, *at, Some(Doing::Session(None))),
            Event::AttemptEnded { attempt, end, .. } => {
                lanes.becomes(n, Doing::Attempt(*attempt, Some(end.outcome)));
                lanes.turn(n, *at, None);
            }
            Event::NodeWaiting { on, .. } => {
                let whom = match on {
                    WaitingOn::Requests(_) => For::Request,
                    WaitingOn::Approval(_) => For::Approval,
                    WaitingOn::Condition => For::Condition,
                    WaitingOn::Session => For::Session,
                };
                lanes.turn(n, *at, Some(Doing::Waiting(whom)));
            }
            Event::NodeCompleted { .. } => lanes.finish(n, *at, NodeStatus::Completed),
            Event::NodeFailed { .. } => lanes.finish(n, *at, NodeStatus::Failed),
            Event::NodeSkipped { .. } | Event::NodeReset { .. } => lanes.turn(n, *at, None),
            _ => {}
        }
    }
    lanes.end(state.updated_at)
}

struct Lanes {
    lanes: Vec<Vec<Span>>,
    open: Vec<Option<(DateTime<Utc>, Doing)>>,
}

impl Lanes {
    /// Node `n` stops what it did, and does `next`.
    fn turn(&mut self, n: usize, at: DateTime<Utc>, next: Option<Doing>) {
        // Said twice: by the program that did it, and by us when we took it over.
        if next.is_some() && self.open[n].as_ref().map(|(_, doing)| doing) == next.as_ref() {
            return;
        }
        if let Some((from, doing)) = self.open[n].take() {
            self.lanes[n].push(Span { from, to: at.max(from), doing, is_open: false });
        }
        self.open[n] = next.map(|doing| (at, doing));
    }

    /// The node is done with.
    fn finish(&mut self, n: usize, at: DateTime<Utc>, status: NodeStatus) {
        if let Some((_, doing @ Doing::Session(_))) = &mut self.open[n] {
            *doing = Doing::Session(Some(status));
        }
        self.turn(n, at, None);
    }

    fn becomes(&mut self, n: usize, doing: Doing) {
        if let Some(open) = &mut self.open[n]
            && matches!(open.1, Doing::Attempt(..))
        {
            open.1 = doing;
        }
    }

    /// Another program moved the node; its times are what that program said.
    fn adopt(
        &mut self,
        n: usize,
        at: DateTime<Utc>,
        to: NodeStatus,
        started: Option<DateTime<Utc>>,
        completed: Option<DateTime<Utc>>,
    ) {
        let doing = match to {
            NodeStatus::Ready => Some(Doing::Ready),
            NodeStatus::Running => Some(Doing::Session(None)),
            NodeStatus::Waiting => Some(Doing::Waiting(For::Session)),
            _ => None,
        };
        let begun = self.open[n].as_ref().is_some_and(|(_, doing)| matches!(doing, Doing::Session(_)));
        let known = self.lanes[n].last().is_some_and(|last| started.is_some_and(|started| last.to > started));
        if let (None, Some(started), false) = (&doing, started, begun || known) {
            self.turn(n, started, Some(Doing::Session(None)));
        }
        match doing {
            None => self.finish(n, completed.unwrap_or(at).min(at), to),
            doing => self.turn(n, at, doing),
        }
    }

    fn end(mut self, at: DateTime<Utc>) -> Vec<Vec<Span>> {
        for (lane, open) in self.lanes.iter_mut().zip(self.open) {
            if let Some((from, doing)) = open {
                lane.push(Span { from, to: at.max(from), doing, is_open: true });
            }
        }
        self.lanes
    }
}

/// Events with their moments; lines of other versions and bad times are left out.
pub(super) fn events(records: &[Record]) -> Vec<(DateTime<Utc>, Event)> {
    let event = |record: &Record| if is_ours(record) { Event::from_record(record).ok() } else { foreign(record) };
    records.iter().filter_map(|record| Some((parse_time(&record.timestamp)?, event(record)?))).collect()
}

/// What a line of another program says of a node, as an event: OpenTask names six of them.
fn foreign(record: &Record) -> Option<Event> {
    let node = NodeId::parse(record.node_id.as_deref()?).ok()?;
    Some(match record.event.as_str() {
        "node.ready" => Event::NodeReady { node, why: ReadyReason::Session, not_before: None },
        "node.started" => Event::NodeStarted { node, attempt: 0, container_id: String::new() },
        "node.waiting" => Event::NodeWaiting { node, on: WaitingOn::Session },
        "node.completed" => Event::NodeCompleted { node, artifacts: Vec::new(), decision: None },
        "node.failed" => Event::NodeFailed { node, code: FailureCode::Session, detail: String::new(), decision: None },
        "node.skipped" => Event::NodeSkipped { node, why: SkipReason::Session },
        _ => return None,
    })
}
