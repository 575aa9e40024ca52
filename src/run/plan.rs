//! `plan`: what should happen next to a run, given what was seen of the world. Pure; when nothing has changed there
//! is nothing to do, and a tick that finds nothing to do has cost nothing.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::command::{EXIT_TIMEOUT, How};
use super::consequence;
use super::definition::{ContainerDefinition, NodeDefinition, WaitKind};
use super::deployment;
use super::event::WaitingOn;
use super::id::{Digest, NodeId, RequestId, RunId};
use super::outgoing::Outgoing;
use super::state::{Attempt, Node, Request, RequestStatus, State};
use super::status::{NodeKind, NodeStatus, RunStatus};

/// What was seen of the world. Everything in it is an observation, nothing an opinion.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    pub now: DateTime<Utc>,
    /// The kill switch is on.
    pub killed: bool,
    /// Containers of this run by name; none if the Engine was not looked at, since nothing could be there.
    pub containers: Option<BTreeMap<String, Container>>,
    /// The image of each recipe that [`State::wanted_recipes`] and [`State::needed_to_start`] name.
    pub images: BTreeMap<Digest, Image>,
    /// `file_exists` nodes whose file is there.
    pub files_there: BTreeSet<NodeId>,
    /// The deployments that are not known to have ended.
    pub deployments: BTreeMap<RequestId, DeploymentSeen>,
    /// Whether the gate's container runs; looked at while attempts live.
    pub gate_runs: bool,
    /// Nodes whose live attempt's workspace holds more than it may.
    pub over_disk: BTreeSet<NodeId>,
    /// Nodes whose agent was offboarded.
    pub offboarded: BTreeSet<NodeId>,
    /// Nodes that are ready and whose agent is at work on others, each with what it waits for, and whether that was noted.
    pub queued: BTreeMap<NodeId, Queued>,
    /// Whether `gate/policy.json` says what [`State`] says.
    pub policy_is_current: bool,
    /// How long a request may wait for a decision; for ever if there is no limit.
    pub request_expiry: Option<chrono::Duration>,
    /// Whether somebody wants to be told of what waits.
    pub notify: bool,
    /// Whether an OpenClaw command line is configured, through which sessions can be woken.
    pub openclaw: bool,
}

/// A node that waits for its agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    pub why: String,
    /// The run that it waits for.
    pub behind: RunId,
    /// It stands in the agent's queue.
    pub noted: bool,
}

/// A container as the Engine shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    pub id: String,
    pub state: ContainerState,
}

/// A deployment as the Engine shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeploymentSeen {
    pub container: Option<Container>,
    /// Whether its own gate runs.
    pub gate_runs: bool,
}

/// How a deployment's container was found ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeploymentEnd {
    Exited { code: i64, oom: bool },
    Lost,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerState {
    Created,
    Running,
    Exited { code: i64, oom: bool, finished_at: Option<DateTime<Utc>> },
}

/// An image that a recipe stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Image {
    Missing,
    Building,
    Ready(String),
    Failed(String),
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Journal what follows by itself: another program, or OpenTask's helper, left it to a tick.
    Settle,
    /// Ask the session that drives the run to do what is ready.
    Wake {
        nodes: Vec<NodeId>,
    },
    /// Do what is asked of OpenClaw under this id.
    Deliver {
        id: String,
    },
    /// Finish what the kill switch began: nothing of this run is left running, and the journal says so.
    FinishKill,
    /// Find the lock that a request comes down to.
    Resolve {
        id: RequestId,
    },
    /// The time of a request, or of what was granted upon it, is over.
    Expire {
        id: RequestId,
        limit: Option<chrono::Duration>,
    },
    /// Find the lock of what is left of a granted set, since something beneath it has ended.
    Relock {
        id: RequestId,
    },
    /// Start a detached build.
    Build {
        recipe: Digest,
    },
    /// What was approved and needs no image comes into force: the gate has it, or there is nobody to give it to.
    Give {
        id: RequestId,
    },
    TakeImage {
        recipe: Digest,
        image: String,
    },
    FailImage {
        recipe: Digest,
        reason: String,
    },
    /// A node that waits for its agent's requests, when that agent is no more.
    Dismiss {
        node: NodeId,
    },
    /// Put a node into its agent's queue, and say so.
    Queue {
        node: NodeId,
        why: String,
    },
    /// Start a new attempt.
    Dispatch {
        node: NodeId,
    },
    /// Go on with an attempt whose intent is journaled and whose start is not.
    Start {
        node: NodeId,
        attempt: u32,
    },
    /// Journal a start that happened.
    Adopt {
        node: NodeId,
        attempt: u32,
        container_id: String,
    },
    /// Take in logs and outputs, and journal the end.
    Collect {
        node: NodeId,
        attempt: u32,
        how: How,
    },
    /// End a container that may not go on.
    Stop {
        node: NodeId,
        attempt: u32,
        container: String,
    },
    /// Remove a container whose end is journaled.
    Remove {
        container: String,
    },
    PublishPolicy,
    /// Bring back a gate that died under its agents.
    StartGate,
    StopGate,
    CompleteWait {
        node: NodeId,
    },
    /// Start a deployment.
    Deploy {
        id: RequestId,
    },
    /// Go on with a deployment whose start is journaled: its gate or its container does not run yet.
    GoOnDeploying {
        id: RequestId,
    },
    /// Take in the logs of a deployment that has ended, and journal its end.
    EndDeployment {
        id: RequestId,
        how: DeploymentEnd,
    },
    /// End a deployment that may not go on: its connections first.
    TakeDown {
        id: RequestId,
    },
    Notify {
        ids: Vec<RequestId>,
    },
}

/// How long after its deadline a container may still be ending by itself.
const GRACE: chrono::Duration = chrono::Duration::seconds(5);

/// What to do now, in order.
#[must_use]
pub fn plan(state: &State, seen: &Observed) -> Vec<Action> {
    if seen.killed {
        return if state.may_have_containers() { vec![Action::FinishKill] } else { Vec::new() };
    }
    let mut actions = Vec::new();
    let attempts: Vec<Action> =
        state.pairs().filter_map(|(definition, node)| attempt_action(state, seen, definition, node)).collect();
    actions.extend(attempts);
    actions.extend(leftovers(state, seen));
    if consequence::is_unsettled(state) {
        return vec![Action::Settle];
    }
    if seen.openclaw {
        let open = state.outgoing.iter().filter(|request| request.is_open());
        actions.extend(open.map(|request| Action::Deliver { id: request.id.clone() }));
    }
    if !state.status.is_terminal() {
        let over = expiries(state, seen);
        if !over.is_empty() {
            // What is granted no more is in no container that is started.
            return over;
        }
        let sets: Vec<Action> = state.to_relock().iter().map(|set| Action::Relock { id: set.id.clone() }).collect();
        if !sets.is_empty() {
            return sets;
        }
        actions.extend(dismissals(state, seen));
        actions.extend(wakes(state, seen));
        actions.extend(waits(state, seen));
        actions.extend(images(state, seen));
        actions.extend(dispatches(state, seen));
        actions.extend(notices(state, seen));
    }
    actions.extend(deployment::plan(state, seen));
    let live = state.live_attempts().next().is_some();
    let starting = actions.iter().any(|action| matches!(action, Action::Dispatch { .. } | Action::Start { .. }));
    if live && !seen.policy_is_current && !starting {
        actions.push(Action::PublishPolicy);
    }
    if !state.status.is_terminal() && (!live || seen.gate_runs) && !starting {
        actions.extend(gifts(state));
    }
    if live && !seen.gate_runs && !starting && seen.containers.is_some() {
        actions.push(Action::StartGate);
    }
    if state.gate_up && !live && !starting {
        actions.push(Action::StopGate);
    }
    if !state.status.is_terminal() {
        // It may take as long as a package index does: what was approved comes first.
        actions.extend(resolutions(state));
    }
    actions
}

fn attempt_action(state: &State, seen: &Observed, definition: &NodeDefinition, node: &Node) -> Option<Action> {
    let live = node.live()?;
    let (id, attempt) = (definition.id.clone(), live.number);
    let containers = seen.containers.as_ref()?;
    let taken = state.status != RunStatus::Cancelled && state.taken_from(live).is_some();
    let dismissed = state.status != RunStatus::Cancelled && seen.offboarded.contains(&id);
    let Some(container) = containers.get(&live.plan.container) else {
        if taken {
            return Some(Action::Collect { node: id, attempt, how: How::Revoked });
        }
        if dismissed {
            return Some(Action::Collect { node: id, attempt, how: How::Offboarded });
        }
        if live.container_id.is_some() {
            return Some(Action::Collect { node: id, attempt, how: How::Gone });
        }
        return Some(if state.status.is_terminal() {
            Action::Collect { node: id, attempt, how: How::Cancelled }
        } else if seen.now >= live.plan.deadline {
            let reason = "its time was over before it could be started".to_owned();
            Action::Collect { node: id, attempt, how: How::NotStarted { reason } }
        } else {
            Action::Start { node: id, attempt }
        });
    };
    let over_disk = seen.over_disk.contains(&id);
    match &container.state {
        // Whatever it ended with: its work was done with what it may not have.
        ContainerState::Exited { .. } if taken => Some(Action::Collect { node: id, attempt, how: How::Revoked }),
        ContainerState::Exited { .. } if dismissed => Some(Action::Collect { node: id, attempt, how: How::Offboarded }),
        ContainerState::Created if taken || dismissed => {
            Some(Action::Remove { container: live.plan.container.clone() })
        }
        ContainerState::Exited { .. } if over_disk && state.status != RunStatus::Cancelled => {
            let limit = definition.container.as_ref().map_or(0, |container| container.resources.disk);
            Some(Action::Collect { node: id, attempt, how: How::OverDisk { limit } })
        }
        ContainerState::Exited { code, oom, finished_at } => {
            Some(Action::Collect { node: id, attempt, how: how_it_ended(state, live, *code, *oom, *finished_at) })
        }
        _ if state.status == RunStatus::Cancelled
            || over_disk
            || taken
            || dismissed
            || seen.now >= live.plan.deadline + GRACE =>
        {
            Some(Action::Stop { node: id, attempt, container: live.plan.container.clone() })
        }
        ContainerState::Created => Some(Action::Start { node: id, attempt }),
        ContainerState::Running if live.container_id.is_none() => {
            Some(Action::Adopt { node: id, attempt, container_id: container.id.clone() })
        }
        ContainerState::Running => None,
    }
}

/// Exit code that the Engine gives a container whose end it did not see; the shim reports a program's own as 254.
const EXIT_UNSEEN: i64 = 255;

/// Only PID 1's end is visible. 137 and 143 without a reason of ours mean that somebody, or an Engine that was
/// restarted, ended the container from outside: that is a lost attempt, never a result.
fn how_it_ended(state: &State, live: &Attempt, code: i64, oom: bool, finished_at: Option<DateTime<Utc>>) -> How {
    if state.status == RunStatus::Cancelled {
        return How::Cancelled;
    }
    let over = finished_at.is_some_and(|finished| finished >= live.plan.deadline);
    // The shim ends it at the deadline. Whoever got around the shim and went on is late, whatever it exits with.
    let late = finished_at.is_some_and(|finished| finished >= live.plan.deadline + GRACE);
    let timed_out = code == EXIT_TIMEOUT || (over && code != 0) || late;
    let oom = oom && !matches!(code, 0 | super::command::EXIT_SUSPENDED);
    if matches!(code, 137 | 143 | EXIT_UNSEEN) && !oom && !timed_out {
        return How::Gone;
    }
    How::Exited { code, oom, timed_out }
}

/// Containers of attempts that have ended.
fn leftovers(state: &State, seen: &Observed) -> Vec<Action> {
    let Some(containers) = &seen.containers else { return Vec::new() };
    state
        .nodes
        .iter()
        .flat_map(|node| &node.attempts)
        .filter(|attempt| attempt.end.is_some() && containers.contains_key(&attempt.plan.container))
        .map(|attempt| Action::Remove { container: attempt.plan.container.clone() })
        .collect()
}

fn waits(state: &State, seen: &Observed) -> Vec<Action> {
    state
        .pairs()
        .filter(|(definition, node)| {
            let Some(wait) = &definition.wait_for else { return false };
            let holds = match wait.kind {
                WaitKind::NextTick => node.started_at.is_none_or(|since| seen.now > since),
                WaitKind::Manual => false,
                WaitKind::FileExists => seen.files_there.contains(&definition.id),
            };
            definition.kind == NodeKind::Wait && node.status == NodeStatus::Waiting && holds
        })
        .map(|(definition, _)| Action::CompleteWait { node: definition.id.clone() })
        .collect()
}

/// How long a session that was asked to do a node has until it is asked again, the node still being only `ready`.
const REMINDER: chrono::Duration = chrono::Duration::minutes(30);

/// Nodes that an OpenClaw session has to do and was not asked to, or not lately: nothing hangs because a message was lost.
fn wakes(state: &State, seen: &Observed) -> Vec<Action> {
    let asking = state.outgoing.iter().any(|asked| asked.is_open() && matches!(asked.request, Outgoing::Wake { .. }));
    if !seen.openclaw || asking || state.status != RunStatus::Running {
        return Vec::new();
    }
    let due = |node: &Node| node.woken_at.is_none_or(|woken| woken + REMINDER <= seen.now);
    let nodes: Vec<NodeId> =
        state.for_a_session().filter(|(_, node)| due(node)).map(|(definition, _)| definition.id.clone()).collect();
    if nodes.is_empty() { Vec::new() } else { vec![Action::Wake { nodes }] }
}

fn resolutions(state: &State) -> Vec<Action> {
    state
        .requests
        .iter()
        .filter(|request| match request.status {
            RequestStatus::Requested => true,
            // What it builds upon has changed: what a person would decide on is not what would be built.
            RequestStatus::Pending => !state.is_shown_as_it_stands(request),
            _ => false,
        })
        .map(|request| Action::Resolve { id: request.id.clone() })
        .collect()
}

/// Requests whose time is over.
fn expiries(state: &State, seen: &Observed) -> Vec<Action> {
    let limit = seen.request_expiry;
    let late = |request: &Request| request.is_undecided() && limit.is_some_and(|limit| request.at + limit <= seen.now);
    let over = state.requests.iter().filter(|request| request.is_over(seen.now) || late(request));
    over.map(|request| Action::Expire { id: request.id.clone(), limit }).collect()
}

/// What was approved and needs no image.
fn gifts(state: &State) -> impl Iterator<Item = Action> {
    let approved = state.requests.iter().filter(|request| request.status == RequestStatus::Approved);
    let given = approved.filter(|request| request.capability.kind().is_given());
    given.map(|request| Action::Give { id: request.id.clone() })
}

fn images(state: &State, seen: &Observed) -> Vec<Action> {
    // Of sets that are applied, where the others wait to be.
    let needed: BTreeSet<&Digest> = state.needed_to_start(seen.now).collect();
    let gone = needed.into_iter().filter(|recipe| seen.images.get(*recipe) == Some(&Image::Missing));
    let again = gone.map(|recipe| Action::Build { recipe: recipe.clone() });
    state
        .wanted_recipes()
        .into_iter()
        .filter_map(|recipe| match seen.images.get(&recipe)? {
            Image::Missing => state.lets_somebody_go_on(&recipe).then_some(Action::Build { recipe }),
            Image::Building => None,
            Image::Ready(image) => Some(Action::TakeImage { recipe, image: image.clone() }),
            Image::Failed(reason) => Some(Action::FailImage { recipe, reason: reason.clone() }),
        })
        .chain(again)
        .collect()
}

fn dispatches(state: &State, seen: &Observed) -> Vec<Action> {
    if state.status != RunStatus::Running {
        return Vec::new();
    }
    let live = state.live_attempts().count();
    let room = (state.created.concurrency as usize).saturating_sub(live);
    // An image that cannot be built again is the attempt's failure.
    let is_coming = |container: &ContainerDefinition| {
        let image = state.recipe_for(&container.image).and_then(|recipe| seen.images.get(recipe));
        matches!(image, Some(Image::Missing | Image::Building))
    };
    state
        .startable(seen.now)
        .filter(|(definition, _)| !definition.container.as_ref().is_some_and(is_coming))
        .filter_map(|(definition, _)| match seen.queued.get(&definition.id) {
            None => Some(Action::Dispatch { node: definition.id.clone() }),
            Some(queued) if queued.noted => None,
            Some(queued) => Some(Action::Queue { node: definition.id.clone(), why: queued.why.clone() }),
        })
        .take(room)
        .collect()
}

/// Nobody would go on with these, whatever is decided.
fn dismissals(state: &State, seen: &Observed) -> Vec<Action> {
    let waits = |node: &Node| node.status == NodeStatus::Waiting && node.live().is_none();
    let gone = state.pairs().filter(|(definition, node)| waits(node) && seen.offboarded.contains(&definition.id));
    gone.map(|(definition, _)| Action::Dismiss { node: definition.id.clone() }).collect()
}

fn notices(state: &State, seen: &Observed) -> Vec<Action> {
    let ids: Vec<_> = state.waiting_for_a_person().into_iter().filter(|id| !state.notified.contains(id)).collect();
    if seen.notify && !ids.is_empty() { vec![Action::Notify { ids }] } else { Vec::new() }
}

impl State {
    /// Nodes that wait for an OpenClaw session to begin them.
    pub fn for_a_session(&self) -> impl Iterator<Item = (&NodeDefinition, &Node)> {
        self.pairs().filter(|(definition, node)| {
            let session = matches!(definition.kind, NodeKind::SessionTurn | NodeKind::Subagent | NodeKind::Summary);
            session && definition.container.is_none() && node.status == NodeStatus::Ready
        })
    }

    /// Nodes of a run that goes on whose next attempt nothing but room is in the way of: what was granted is applied.
    fn startable(&self, now: DateTime<Utc>) -> impl Iterator<Item = (&NodeDefinition, &Node)> {
        let runs = self.status == RunStatus::Running;
        self.pairs().filter(move |(definition, node)| {
            let Some(container) = &definition.container else { return false };
            let is_applied = self.granted(&container.image).is_none_or(|r| r.status == RequestStatus::Applied);
            let may_start = node.not_before.is_none_or(|time| time <= now);
            runs && node.status == NodeStatus::Ready && node.live().is_none() && is_applied && may_start
        })
    }

    /// Recipes of the images that attempts are to be started in now, which somebody may have taken from the Engine since
    /// they were applied.
    pub fn needed_to_start(&self, now: DateTime<Utc>) -> impl Iterator<Item = &Digest> {
        self.startable(now).filter_map(|(definition, _)| self.recipe_for(&definition.container.as_ref()?.image))
    }

    /// Recipes whose image an approved request waits for: the newest set of each base.
    #[must_use]
    pub fn wanted_recipes(&self) -> Vec<Digest> {
        let mut bases: Vec<&str> = self
            .requests
            .iter()
            .filter(|request| request.status == RequestStatus::Approved)
            .filter_map(|request| request.resolution.as_ref().map(|resolution| resolution.base.as_str()))
            .collect();
        bases.sort_unstable();
        bases.dedup();
        bases.into_iter().filter_map(|base| self.recipe_for(base)).cloned().collect()
    }

    /// Whether an image of `recipe` is all that somebody waits for who asked for what is in it. Who has more packages that
    /// are still looked up waits for these as well: one image with all of them will do.
    fn lets_somebody_go_on(&self, recipe: &Digest) -> bool {
        let of_images = |request: &&Request| request.capability.kind().needs_image();
        let unresolved: Vec<&NodeId> = self
            .requests
            .iter()
            .filter(of_images)
            .filter(|request| request.status == RequestStatus::Requested)
            .flat_map(|request| request.askers.iter().map(|(node, _)| node))
            .collect();
        let approved = self.requests.iter().filter(|request| request.status == RequestStatus::Approved);
        let upon = |request: &&Request| {
            let base = request.resolution.as_ref().map(|resolution| resolution.base.as_str());
            base.and_then(|base| self.recipe_for(base)) == Some(recipe)
        };
        let mut askers = approved.filter(of_images).filter(upon).flat_map(|request| &request.askers);
        askers.any(|(node, _)| !unresolved.contains(&node))
    }

    /// What only a person can move: requests that are resolved, approval nodes that wait.
    #[must_use]
    pub fn waiting_for_a_person(&self) -> Vec<RequestId> {
        if self.status.is_terminal() {
            return Vec::new();
        }
        let requests = self.requests.iter().filter(|r| r.status == RequestStatus::Pending).map(|r| r.id.clone());
        let approvals = self.nodes.iter().filter_map(|node| match &node.waiting_on {
            Some(WaitingOn::Approval(id)) if node.status == NodeStatus::Waiting => Some(id.clone()),
            _ => None,
        });
        requests.chain(approvals).collect()
    }

    /// Whether ticks alone would bring a container, now or later: what is to be tried again after a while, and what waits
    /// for a file or the next tick, count as well; what waits for a person does not.
    #[must_use]
    pub fn goes_on_by_itself(&self) -> bool {
        if self.status != RunStatus::Running {
            return false;
        }
        let comes = self.pairs().any(|(definition, node)| definition.container.is_some() && !node.status.is_terminal());
        let moves = self.pairs().any(|(definition, node)| match node.status {
            NodeStatus::Ready => definition.container.is_some(),
            NodeStatus::Waiting => {
                definition.wait_for.as_ref().is_some_and(|wait| wait.kind != WaitKind::Manual)
                    && matches!(node.waiting_on, Some(WaitingOn::Condition))
            }
            _ => false,
        });
        comes && (moves || !self.wanted_recipes().is_empty() || !resolutions(self).is_empty())
    }

    /// Whether a tick would have to look at the Engine.
    #[must_use]
    pub fn needs_engine(&self, now: DateTime<Utc>) -> bool {
        if self.may_have_containers() {
            return true;
        }
        if self.status.is_terminal() {
            return false;
        }
        let blank = Observed { now, policy_is_current: true, ..Observed::default() };
        !self.wanted_recipes().is_empty() || !resolutions(self).is_empty() || !dispatches(self, &blank).is_empty()
    }
}
