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
    #[error("node {0} is an approval: it is approved or denied, and nothing stands for it")]
    NothingInstead(NodeId),
    #[error("node {0} has a container: the engine does it, and `taskforge tick` takes it on")]
    HasContainer(NodeId),
    #[error("illegal transition for node {node}: {from} -> {to}")]
    IllegalTransition { node: NodeId, from: &'static str, to: &'static str },
    #[error("the run has a node {0} already")]
    NodeExists(NodeId),
    #[error("the needs {0} would close a cycle")]
    Cycle(String),
    #[error("node {node} needs {need}, which the run does not have")]
    NoNeed { node: NodeId, need: NodeId },
    #[error(
        "node {node} would no longer wait for the approval {approval}: only a person takes that away, in the workflow"
    )]
    DropsApproval { node: NodeId, approval: NodeId },
    #[error("node {node} waits for the approval {approval}, and only a person's decision ends that")]
    PassesBy { node: NodeId, approval: NodeId },
    #[error("the run has {0} nodes, and may have no more")]
    TooManyNodes(usize),
    #[error("the run has no cron job: `taskforge helper bind RUN cron --value JOB` names one")]
    NoCronJob,
    #[error("nothing was asked of OpenClaw under {0}")]
    NotAsked(String),
    #[error("node {0} is neither an approval nor a wait; what an agent asks for takes a decision: `taskforge approve`")]
    NothingToApprove(NodeId),
    #[error("attempt {attempt} of node {node} is not the live one")]
    NotLive { node: NodeId, attempt: u32 },
    #[error("request {id} is {status}: it was decided once, and is not decided again")]
    Decided { id: RequestId, status: &'static str },
    #[error("request {id} cannot be approved: it is {status}")]
    NotApprovable { id: RequestId, status: String },
    #[error("what was decided on ({given}) is not what stands there now ({now}) for {id}", given = given.short(), now = now.short())]
    Stale { id: RequestId, given: Digest, now: Digest },
    #[error("the decision on {id} is dated {at}, and it is {now}: what is not said yet does not count")]
    NotYet { id: RequestId, at: String, now: String },
    #[error("request {id} asks for {capability} already: that is no alternative to it")]
    NoOther { id: RequestId, capability: String },
    #[error("request {id} is {status}: only what is granted can be revoked")]
    NotRevocable { id: RequestId, status: &'static str },
    #[error("request {id} cannot be granted as that list: {why}")]
    NotThatList { id: RequestId, why: String },
    #[error("request {id} cannot be granted for a time that is over")]
    OverAlready { id: RequestId },
    #[error(
        "request {id} is for a budget, which holds to the end of its run: it takes no time limit; revoke it when it is enough"
    )]
    NoTimeLimit { id: RequestId },
    #[error("request {id} is for a budget, which is of its run and of no other")]
    OnlyOfItsRun { id: RequestId },
    #[error("request {id} is for a schedule, which is decided on by itself and for no other request")]
    OnlyItself { id: RequestId },
    #[error("what was decided for request {id} names another workflow than its run has")]
    OtherWorkflow { id: RequestId },
    #[error("node {node} has no role, so that nothing can be granted to its role")]
    NoRole { node: NodeId },
    #[error("node {node} has role {role}, and the decision names another")]
    OtherRole { node: NodeId, role: String },
    #[error("node {0} is an approval: it has neither a time nor a scope")]
    NoTerms(NodeId),
    #[error("request {id} is for a package, which is part of an image and given with that")]
    PartOfImage { id: RequestId },
    #[error("the run has no deployment {0}")]
    NoDeployment(RequestId),
    #[error("deployment {0} was revoked: it is proposed and approved again, or not at all")]
    DeploymentRevoked(RequestId),
    #[error("deployment {0} is not to be started now")]
    NotToBeStarted(RequestId),
    #[error("no approved request waits for image {recipe}")]
    NoSuchImage { recipe: Digest },
    #[error("node {node} has a need that is not met: {need}")]
    Unmet { node: NodeId, need: NodeId },
}
