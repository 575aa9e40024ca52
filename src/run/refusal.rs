//! Why a command does not apply. A refusal changes nothing.

use thiserror::Error;

use super::id::{Digest, NodeId, RequestId};

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    #[error("run is {0}: nothing more happens to it")]
    RunFinished(&'static str),
    #[error("run is already {0}")]
    RunIs(&'static str),
    #[error("the run has no node {0}")]
    NoNode(NodeId),
    #[error("the run has no request {0}")]
    NoRequest(RequestId),
    #[error("node {node} is {status}: it cannot be {wanted}")]
    NodeIs { node: NodeId, status: &'static str, wanted: &'static str },
    #[error("node {0} is an approval: it takes a decision, nothing else completes or skips it")]
    NeedsDecision(NodeId),
    #[error("attempt {attempt} of node {node} is not the live one")]
    NotLive { node: NodeId, attempt: u32 },
    #[error("request {id} is {status}: it was decided once, and is not decided again")]
    Decided { id: RequestId, status: &'static str },
    #[error("request {id} cannot be approved: it is {status}")]
    NotApprovable { id: RequestId, status: String },
    #[error("what was decided on ({given}) is not what stands there now ({now}) for {id}", given = given.short(), now = now.short())]
    Stale { id: RequestId, given: Digest, now: Digest },
    #[error("no approved request waits for image {recipe}")]
    NoSuchImage { recipe: Digest },
    #[error("node {node} has a need that is not met: {need}")]
    Unmet { node: NodeId, need: NodeId },
}
