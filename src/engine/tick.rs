//! One tick of one run. Idempotent: where nothing has changed nothing is done, and nothing but the journal was read.

use std::collections::BTreeSet;
use std::thread::Scope;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::registry::{DriveLock, Registry};
use crate::run::command::{Command, How};
use crate::run::definition::NodeDefinition;
use crate::run::id::{Digest, NodeId, RequestId, RunId};
use crate::run::plan::{Action, plan};
use crate::run::state::{RejectedDecision, State};
use crate::run::status::RunStatus;

use super::actor::TICK;
use super::beside::Beside;
use super::docker::Docker;
use super::error::Error;
use super::store::Store;
use super::{
    agents, approvers, children, collect, deployments, dispatch, executors, gate, given, images, ingest, notify,
    observe, outgoing, package_set, standing, verify, workspace,
};

/// Rounds of look, plan and perform in one tick. Each round takes a run forward by what became possible in the last;
/// what needs waiting for ends the tick long before this bound.
const ROUNDS: usize = 64;

/// What a tick did.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ticked {
    pub run: RunId,
    /// Another process drives this run at the moment; nothing was done.
    pub busy: bool,
    /// What was done, in order, one line each.
    pub actions: Vec<String>,
    pub status: RunStatus,
    /// Decisions that lay there and could not count; they stand aside now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<RejectedDecision>,
    /// Who has to do something before the run goes on.
    pub waits_for: Vec<String>,
    /// Runs that hold the agents it waits for.
    #[serde(skip)]
    pub behind: Vec<RunId>,
    /// The part of it that nothing else tells anybody of.
    #[serde(skip)]
    pub unattended: Vec<String>,
}

/// Takes run `run` as far as it goes without waiting.
///
/// # Errors
/// The first thing that could not be done and is not the run's own failure: the Engine, a file, the journal.
pub fn tick(registry: &Registry, run: &RunId) -> Result<Ticked, Error> {
    let docker = Docker::default();
    tick_with(registry, run, &docker)
}

/// [`tick`] over a connection that is kept for the next one.
pub(crate) fn tick_with(registry: &Registry, run: &RunId, docker: &Docker) -> Result<Ticked, Error> {
    tick_store(&Store::open(registry, run)?, docker)
}

/// [`tick`] of a run that this process has open already.
pub(crate) fn tick_store(store: &Store<'_>, docker: &Docker) -> Result<Ticked, Error> {
    let (registry, run) = (store.registry(), store.run());
    let Some(_drive) = DriveLock::try_acquire(registry, run)? else {
        let status = store.load()?.status;
        let (actions, waits_for, unattended) = (Vec::new(), Vec::new(), Vec::new());
        let (behind, rejected) = (Vec::new(), Vec::new());
        return Ok(Ticked { run: run.clone(), busy: true, actions, status, rejected, waits_for, behind, unattended });
    };
    workspace::release_run(store);
    store.project(TICK)?;
    let before = store.load()?;
    let known_of: BTreeSet<String> = before.rejected.iter().map(|rejected| rejected.file.clone()).collect();
    let (state, stuck) = ingest::ingest(store, before)?;
    let state = children::end_orphan(store, state)?;
    approvers::require_proven(store, &state)?;
    verify::require_explained(store, &state)?;
    standing::keep_all(store, &state)?;
    let ran_before = running(&state);
    let Rounds { state, stuck, done, queued, behind } =
        std::thread::scope(|scope| rounds(scope, store, docker, Rounds::of(state, stuck)))?;
    if state.status.is_terminal() && state.live_attempts().next().is_none() {
        let agents: BTreeSet<_> = state.created.nodes.iter().filter_map(NodeDefinition::agent).collect();
        for agent in agents {
            // Whoever waits behind it finds it over all the same; a journal that cannot be written others tell of.
            let _ = agents::leave(registry, agent, run);
        }
    }
    deployments::forget_refused(store, &state)?;
    children::tick_all(store, &state, docker);
    copy_running_logs(store, docker, &state, &ran_before);
    deployments::copy_running_logs(store, docker, &state);
    if let Some(error) = stuck {
        return Err(error);
    }
    let openclaw = registry.config()?.openclaw.cli.is_some();
    let mut waits_for = executors::waits_for(&state, openclaw);
    waits_for.extend(queued);
    let unattended = executors::unattended(&state, openclaw);
    let rejected = state.rejected.iter().filter(|rejected| !known_of.contains(&rejected.file)).cloned().collect();
    Ok(Ticked {
        run: run.clone(),
        busy: false,
        actions: done,
        status: state.status,
        rejected,
        waits_for,
        behind,
        unattended,
    })
}

/// What the rounds of a tick have come to.
struct Rounds {
    state: State,
    /// Why the gate's messages could not be taken in.
    stuck: Option<Error>,
    done: Vec<String>,
    /// What waits for its agent, and for which runs.
    queued: Vec<String>,
    behind: Vec<RunId>,
}

impl Rounds {
    const fn of(state: State, stuck: Option<Error>) -> Self {
        Self { state, stuck, done: Vec::new(), queued: Vec::new(), behind: Vec::new() }
    }

    /// Takes in what came meanwhile.
    fn take_in(&mut self, store: &Store<'_>) -> Result<(), Error> {
        let more;
        (self.state, more) = ingest::ingest(store, store.load()?)?;
        self.stuck = self.stuck.take().or(more);
        approvers::require_proven(store, &self.state)?;
        standing::keep_all(store, &self.state)
    }
}

/// Looks, plans and performs until nothing is left to do, and waits for what is resolved beside it.
fn rounds<'scope>(
    scope: &'scope Scope<'scope, '_>,
    store: &Store<'scope>,
    docker: &Docker,
    mut so_far: Rounds,
) -> Result<Rounds, Error> {
    let (mut known, mut beside) = (None, None::<Beside<'scope>>);
    let mut left = ROUNDS;
    // A builder that ends at once is not started again by the same tick.
    let mut begun: BTreeSet<Digest> = BTreeSet::new();
    while left > 0 {
        let seen = observe::observe(store, docker, &so_far.state, known.take())?;
        let mut actions = plan(&so_far.state, &seen);
        if so_far.stuck.is_some() {
            // Nothing new is begun while nobody knows what agents have said; what is to end ends.
            actions.retain(ends_something);
        }
        actions.retain(|action| match action {
            Action::Build { recipe } => begun.insert(recipe.clone()),
            _ => true,
        });
        so_far.behind = seen.queued.values().map(|queued| queued.behind.clone()).collect();
        so_far.queued =
            seen.queued.iter().map(|(node, queued)| format!("its agent, for node {node}: {}", queued.why)).collect();
        if beside.is_some() {
            // One after the other: each is a container of its own.
            actions.retain(|action| !is_resolved_beside(&so_far.state, action));
        }
        if actions.is_empty() {
            let Some(open) = beside.take() else { break };
            beside = open.wait(store)?;
            so_far.take_in(store)?;
            continue;
        }
        left -= 1;
        let dispatched: Option<Vec<NodeId>> = actions.iter().filter(|action| !deploys(action)).map(starts).collect();
        // The Engine is not asked again for what none of this has touched a millisecond later.
        known = actions.iter().all(leaves_containers_alone).then_some(seen);
        // What was approved comes before what is still to be shown.
        let (shown, actions): (Vec<Action>, Vec<Action>) =
            actions.into_iter().partition(|action| is_shown_at_once(&so_far.state, action));
        let (slow, actions): (Vec<Action>, Vec<Action>) =
            actions.into_iter().partition(|action| is_resolved_beside(&so_far.state, action));
        for action in actions {
            so_far.done.push(describe(&action));
            // What came in or changed meanwhile is for the next round to look at; an action that no longer applies
            // is refused by the core.
            so_far.state = store.load()?;
            perform(store, docker, &so_far.state, action)?;
        }
        if !shown.is_empty() {
            given::present_all(store, &shown.iter().filter_map(resolves).cloned().collect::<Vec<_>>())?;
            so_far.done.extend(shown.iter().map(describe));
        }
        if let Some(action) = slow.first() {
            so_far.done.push(describe(action));
            so_far.state = store.load()?;
            beside = resolves(action).map(|id| Beside::begin(scope, store, &so_far.state, id));
        }
        so_far.take_in(store)?;
        // What has just been started takes its time: there is nothing to be found out about it now.
        let all_run = dispatched.is_some_and(|nodes| nodes.iter().all(|node| runs(&so_far.state, node)));
        if all_run && beside.is_none() {
            break;
        }
    }
    if let Some(open) = beside {
        open.finish(store)?;
        so_far.take_in(store)?;
    }
    Ok(so_far)
}

/// Whether an action begins nothing: it ends something, takes something away, or journals what follows by itself.
const fn ends_something(action: &Action) -> bool {
    matches!(
        action,
        Action::FinishKill
            | Action::Settle
            | Action::Expire { .. }
            | Action::Dismiss { .. }
            | Action::Collect { how: How::Offboarded | How::Revoked | How::Cancelled, .. }
            | Action::Stop { .. }
            | Action::Remove { .. }
            | Action::PublishPolicy
            | Action::StopGate
            | Action::EndDeployment { .. }
            | Action::TakeDown { .. }
    )
}

/// The containers of attempts that run, as far as is journaled.
fn running(state: &State) -> BTreeSet<String> {
    let started = state.live_attempts().filter(|(_, attempt)| attempt.container_id.is_some());
    started.map(|(_, attempt)| attempt.plan.container.clone()).collect()
}

fn runs(state: &State, node: &NodeId) -> bool {
    state.live_attempts().any(|(definition, attempt)| definition.id == *node && attempt.container_id.is_some())
}

/// The node that an action starts a container of, if that is all it does.
fn starts(action: &Action) -> Option<NodeId> {
    match action {
        Action::Dispatch { node } | Action::Start { node, .. } | Action::Adopt { node, .. } => Some(node.clone()),
        _ => None,
    }
}

/// Whether all there is to do for a request is to show it: it needs no image.
fn is_shown_at_once(state: &State, action: &Action) -> bool {
    let given = |id| state.request(id).is_some_and(|request| request.capability.kind().is_given());
    matches!(action, Action::Resolve { id } if given(id))
}

/// Whether resolving a request takes as long as a package index does.
fn is_resolved_beside(state: &State, action: &Action) -> bool {
    matches!(action, Action::Resolve { .. }) && !is_shown_at_once(state, action)
}

/// The request that an action resolves.
const fn resolves(action: &Action) -> Option<&RequestId> {
    match action {
        Action::Resolve { id } => Some(id),
        _ => None,
    }
}

/// Whether all that an action does is to start a deployment.
fn deploys(action: &Action) -> bool {
    matches!(action, Action::Deploy { .. } | Action::GoOnDeploying { .. })
}

/// Whether an action changes nothing that the Engine would tell of, and takes no time in which it could change by
/// itself.
fn leaves_containers_alone(action: &Action) -> bool {
    use Action::{CompleteWait, Expire, FailImage, Give, PublishPolicy, Settle, TakeImage, Wake};
    matches!(
        action,
        Settle
            | Expire { .. }
            | Wake { .. }
            | CompleteWait { .. }
            | TakeImage { .. }
            | FailImage { .. }
            | Give { .. }
            | PublishPolicy
    )
}

fn perform(store: &Store<'_>, docker: &Docker, state: &State, action: Action) -> Result<(), Error> {
    let result = match action {
        Action::Settle => store.commit(TICK, Command::Settle).map(drop),
        Action::Wake { nodes } => outgoing::wake(store, state, nodes),
        Action::Deliver { id } => outgoing::deliver(store, state, &id),
        Action::FinishKill => finish_kill(store),
        // Shown at once or resolved beside the rounds.
        Action::Resolve { .. } => Ok(()),
        Action::Expire { id, limit } => store.commit(TICK, Command::Expire { id, limit }).map(drop),
        Action::Relock { id } => package_set::relock(store, state, &id),
        Action::Give { id } => given::give(store, state, id),
        Action::Build { recipe } => images::build(store, state, &recipe),
        Action::TakeImage { recipe, image } => images::take(store, state, &recipe, image),
        Action::FailImage { recipe, reason } => store.commit(TICK, Command::ImageFailed { recipe, reason }).map(drop),
        Action::Dismiss { node } => store.commit(TICK, Command::Dismiss { node }).map(drop),
        Action::Queue { node, why } => queue(store, state, &node, why),
        Action::Dispatch { node } => dispatch::dispatch(store, docker, state, &node),
        Action::Start { node, attempt } => dispatch::start(store, docker, state, &node, attempt),
        Action::Adopt { node, attempt, container_id } => {
            store.commit(TICK, Command::Started { node, attempt, container_id }).map(drop)
        }
        Action::Collect { node, attempt, how } => collect::collect(store, docker, state, &node, attempt, how),
        Action::Stop { container, .. } => docker.wait(|engine| engine.stop(&container, 2)).map(drop),
        Action::Remove { container } => docker.wait(|engine| engine.remove(&container)).map(drop),
        Action::PublishPolicy => gate::publish(store, state).map(drop),
        Action::StartGate => gate::restore(store, docker, state),
        Action::StopGate => gate::stop(store, docker, state),
        Action::CompleteWait { node } => store.commit(TICK, Command::ConditionMet { node }).map(drop),
        Action::Deploy { id } => deployments::deploy(store, docker, state, &id),
        Action::GoOnDeploying { id } => deployments::go_on(store, docker, state, &id),
        Action::EndDeployment { id, how } => deployments::end(store, docker, state, &id, how),
        Action::TakeDown { id } => deployments::take_down(store, docker, state, &id),
        Action::Notify { ids } => notify::notify(store, ids),
    };
    match result {
        // The run moved on between the plan and now. The next round plans anew.
        Err(Error::Refused { .. }) => Ok(()),
        other => other,
    }
}

/// The agent's queue says it, and so does the run.
fn queue(store: &Store<'_>, state: &State, node: &NodeId, why: String) -> Result<(), Error> {
    let Some(agent) = state.node(node).and_then(|(definition, _)| definition.agent()) else { return Ok(()) };
    agents::queue(store.registry(), agent, store.run(), node)?;
    let message = format!("queued: {why}");
    store.commit(TICK, Command::Progress { inbox: None, node: Some(node.clone()), message }).map(drop)
}

fn finish_kill(store: &Store<'_>) -> Result<(), Error> {
    let killed = super::kill::finish_kill(store.registry())?;
    match killed.unfinished.into_iter().next() {
        Some(problem) => Err(Error::KillUnfinished(problem)),
        None => Ok(()),
    }
}

fn describe(action: &Action) -> String {
    match action {
        Action::Settle => "go on with what follows".to_owned(),
        Action::Wake { nodes } => {
            let nodes: Vec<&str> = nodes.iter().map(NodeId::as_str).collect();
            format!("wake the session for {}", nodes.join(", "))
        }
        Action::Deliver { id } => format!("ask OpenClaw: {id}"),
        Action::FinishKill => "finish the kill".to_owned(),
        Action::Resolve { id } => format!("resolve request {id}"),
        Action::Expire { id, .. } => format!("request {id} has expired"),
        Action::Relock { id } => format!("find what is left of the packages of request {id}"),
        Action::Give { id } => format!("give what request {id} asks for"),
        Action::Build { recipe } => format!("build image {}", recipe.short()),
        Action::TakeImage { recipe, .. } => format!("take image {} into use", recipe.short()),
        Action::FailImage { recipe, reason } => format!("image {} failed: {reason}", recipe.short()),
        Action::Dismiss { node } => format!("{node} fails: its agent was offboarded"),
        Action::Queue { node, why } => format!("queue {node}: {why}"),
        Action::Dispatch { node } => format!("dispatch {node}"),
        Action::Start { node, attempt } => format!("start {node} attempt {attempt}"),
        Action::Adopt { node, attempt, .. } => format!("adopt {node} attempt {attempt}"),
        Action::Collect { node, attempt, how } => {
            let how = match how {
                How::Exited { code, .. } => format!("exit {code}"),
                How::Gone => "gone".to_owned(),
                How::OverDisk { .. } => "workspace too large".to_owned(),
                How::NotStarted { .. } => "not started".to_owned(),
                How::Offboarded => "its agent was offboarded".to_owned(),
                How::Revoked => "a folder was taken back".to_owned(),
                How::Cancelled => "cancelled".to_owned(),
            };
            format!("collect {node} attempt {attempt} ({how})")
        }
        Action::Stop { node, attempt, .. } => format!("stop {node} attempt {attempt}"),
        Action::Remove { container } => format!("remove container {container}"),
        Action::PublishPolicy => "publish the gate's policy".to_owned(),
        Action::StartGate => "bring the gate back".to_owned(),
        Action::StopGate => "stop the gate".to_owned(),
        Action::CompleteWait { node } => format!("complete wait {node}"),
        Action::Deploy { id } => format!("deploy {id}"),
        Action::GoOnDeploying { id } => format!("go on deploying {id}"),
        Action::EndDeployment { id, .. } => format!("take note of the end of deployment {id}"),
        Action::TakeDown { id } => format!("take deployment {id} down"),
        Action::Notify { ids } => format!("notify of {} waiting", ids.len()),
    }
}

/// Logs of what runs are a convenience while it runs: a failure here is no reason to fail a tick, since the logs are
/// copied again, and have to be, when the attempt is collected.
fn copy_running_logs(store: &Store<'_>, docker: &Docker, state: &State, ran_before: &BTreeSet<String>) {
    let begun = Instant::now();
    for (definition, attempt) in state.live_attempts().filter(|(_, live)| ran_before.contains(&live.plan.container)) {
        let copied = collect::copy_logs(store, docker, &definition.id, attempt.number, &attempt.plan.container);
        if copied.is_err() || begun.elapsed() > Duration::from_secs(5) {
            break;
        }
    }
}
