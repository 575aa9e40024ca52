//! What a page says, before it has a form: chosen and counted from what was read. Bounds on sizes are kept here and in
//! the pages, so that a journal of any length gives a page that a browser opens.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};

use crate::gate::records::{Traffic, Usage};
use crate::registry::Head;
use crate::run::event::{DecisionRecord, FailureCode, SkipReason, WaitingOn};
use crate::run::id::{Digest, NodeId, RequestId};
use crate::run::record::Record;
use crate::run::review;
use crate::run::state::{Node, State};
use crate::run::status::{NodeKind, NodeStatus};

use super::deliverable::{Content, Deliverable};
use super::timeline::{self, Span};

/// What the journal's bytes prove, as far as a reader saw.
#[derive(Debug, Clone)]
pub struct Proof {
    pub head: Head,
    /// Lines that were read.
    pub lines: u64,
    /// Lines of other programs.
    pub foreign: u64,
    /// What is odd about lines, in words.
    pub findings: Vec<String>,
}

/// Everything that was read. The state is the fold of our records.
#[derive(Debug)]
pub struct Source<'a> {
    pub state: &'a State,
    /// The journal's lines in order, those of other programs as [`foreign_line`](super::foreign_line) makes them.
    pub records: &'a [Record],
    pub proof: &'a Proof,
    /// The gate's records, or why they could not be read.
    pub traffic: Result<&'a Traffic, &'a str>,
    /// Files that nodes left, by their paths in the run's folder.
    pub contents: &'a BTreeMap<String, Content>,
    /// Who has to do something before the run goes on; commands stand in backticks.
    pub waits_for: &'a [String],
    /// The program's version.
    pub version: &'a str,
}

/// A report, ready to be put on a page.
#[derive(Debug)]
pub struct Report<'a> {
    pub(super) source: Source<'a>,
    pub(super) lanes: Vec<Vec<Span>>,
    /// What each node needs, as places in the state's order.
    pub(super) needs: Vec<Vec<usize>>,
    pub(super) deliverables: Vec<Deliverable<'a>>,
    pub(super) usage: Vec<((String, String), Usage)>,
    pub(super) approvals: Vec<Approval<'a>>,
}

/// An approval node that waits for a decision, or was decided.
#[derive(Debug)]
pub(super) struct Approval<'a> {
    pub(super) id: RequestId,
    pub(super) node: usize,
    pub(super) standing: Standing<'a>,
}

/// How an approval stands.
#[derive(Debug)]
pub(super) enum Standing<'a> {
    /// The digest that a decision has to name.
    Waits(Option<Digest>),
    Approved(&'a DecisionRecord),
    /// By whom and why, as the journal has it.
    Denied(&'a str),
}

impl Standing<'_> {
    /// The word for it, which is also that of a request that stands so.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Waits(_) => "pending",
            Self::Approved(_) => "approved",
            Self::Denied(_) => "denied",
        }
    }
}

impl<'a> Report<'a> {
    /// Works out what there is to say.
    #[must_use]
    pub fn new(source: Source<'a>) -> Self {
        let state = source.state;
        let index: HashMap<&NodeId, usize> =
            state.created.nodes.iter().enumerate().map(|(n, node)| (&node.id, n)).collect();
        let needs = state
            .created
            .nodes
            .iter()
            .map(|node| node.needs.iter().filter_map(|need| index.get(need).copied()).collect())
            .collect();
        let lanes = timeline::lanes(state, &timeline::events(source.records));
        let contents = source.contents;
        let deliverables = state
            .pairs()
            .flat_map(|(definition, node)| node.artifacts.iter().map(move |artifact| (&definition.id, artifact)))
            .map(|(node, artifact)| Deliverable { node, artifact, content: contents.get(&artifact.path) })
            .collect();
        let usage = source.traffic.map(|traffic| traffic.usage().into_iter().collect()).unwrap_or_default();
        let approvals = state
            .pairs()
            .enumerate()
            .filter(|(_, (definition, _))| definition.kind == NodeKind::Approval)
            .filter_map(|(n, (definition, node))| {
                // The id it is decided under is that of its last wait.
                let then = Node { approvals: node.approvals.checked_sub(1)?, ..node.clone() };
                let id = review::approval_id(state, definition, &then);
                let standing = match (&node.waiting_on, &node.failure, &node.decision) {
                    (Some(WaitingOn::Approval(_)), _, _) => Standing::Waits(review::approval_digest(state, &id)),
                    (_, Some((FailureCode::Denied, detail)), _) => Standing::Denied(detail),
                    (_, _, decision) => Standing::Approved(decision.as_ref()?),
                };
                Some(Approval { id, node: n, standing })
            })
            .collect();
        Self { source, lanes, needs, deliverables, usage, approvals }
    }

    pub(super) const fn state(&self) -> &'a State {
        self.source.state
    }

    /// From the start to the last thing that happened.
    pub(super) fn took(&self) -> TimeDelta {
        self.state().updated_at - self.state().created_at
    }

    /// When something ran.
    pub(super) fn busy(&self) -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
        let spans = self.lanes.iter().flatten().filter(|span| span.doing.is_work());
        spans.map(|span| (span.from, span.to)).collect()
    }

    pub(super) fn nodes_that_are(&self, status: NodeStatus) -> usize {
        self.state().nodes.iter().filter(|node| node.status == status).count()
    }

    /// Requests and tokens over all nodes.
    pub(super) fn usage_of_all(&self) -> Usage {
        self.usage.iter().fold(Usage::default(), |mut sum, (_, usage)| {
            sum.requests += usage.requests;
            sum.answered += usage.answered;
            sum.failed += usage.failed;
            sum.aborted += usage.aborted;
            sum.prompt_tokens = sum.prompt_tokens.saturating_add(usage.prompt_tokens);
            sum.completion_tokens = sum.completion_tokens.saturating_add(usage.completion_tokens);
            sum
        })
    }

    /// What became of node `n` beyond its status, for a person; empty if there is nothing to say.
    pub(super) fn remark(&self, n: usize) -> String {
        let node = &self.state().nodes[n];
        match &node.failure {
            Some((FailureCode::Session, detail)) if detail.is_empty() => return "the session said so".to_owned(),
            Some((_, detail)) => return detail.clone(),
            None => {}
        }
        match (&node.skipped, &node.waiting_on) {
            (Some(SkipReason::NeedFailed(need)), _) => return format!("{need}, which it needs, was not completed"),
            (Some(SkipReason::Operator), _) => return "skipped by a person".to_owned(),
            (Some(SkipReason::Session), _) => return "skipped by the session".to_owned(),
            (_, Some(WaitingOn::Requests(ids))) => return format!("waits for {}", join(ids)),
            (_, Some(WaitingOn::Approval(id))) => return format!("waits for {id}"),
            (_, Some(WaitingOn::Condition)) => return "waits for its condition".to_owned(),
            (_, Some(WaitingOn::Session)) => return "waits for a session".to_owned(),
            _ => {}
        }
        let said = node.report.as_ref().and_then(|report| report.summary.clone());
        let result = node.result.as_ref().and_then(|result| result.get("summary")?.as_str().map(str::to_owned));
        said.or(result).unwrap_or_default()
    }
}

fn join(ids: &[RequestId]) -> String {
    ids.iter().map(RequestId::as_str).collect::<Vec<_>>().join(", ")
}
