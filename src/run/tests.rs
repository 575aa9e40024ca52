//! The core against a small model of the world: any commands in any order, and ticks of a world that does what
//! `plan` asks. No file, no clock, no container.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use proptest::prelude::*;

use super::apply::fold;
use super::capability::Capability;
use super::command::{Command, Control, How, Seen, Verdict};
use super::decide::decide;
use super::definition::{
    ContainerDefinition, Created, Limits, NodeDefinition, OutputsMode, Resources, Retry, Runtime, Sessions, Users,
    WaitFor, WaitKind,
};
use super::each::decide_each;
use super::event::{AttemptPlan, DecisionRecord, Event, FailureCode, Outcome, Presented, Relocked, Resolution};
use super::id::{Digest, NodeId, RequestId, RunId, WorkflowId};
use super::plan::{Action, Container, ContainerState, Image, Observed, plan};
use super::record::Record;
use super::refusal::Refusal;
use super::review;
use super::ruling::{Effect, Ruling};
use super::state::{Request, RequestStatus, State};
use super::status::{NodeKind, NodeStatus, RunStatus};

mod any_history;
mod attempts;
mod grants;

pub(super) fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

pub(super) fn node(id: &str, kind: NodeKind, needs: &[&str]) -> NodeDefinition {
    let container = matches!(kind, NodeKind::SessionTurn | NodeKind::Summary).then(|| ContainerDefinition {
        image: "base".to_owned(),
        runtime: Runtime::Builtin,
        command: Vec::new(),
        model: "recorded".to_owned(),
        capabilities: Vec::new(),
        deploy: None,
        resources: Resources { cpu_millis: 1000, memory: 1 << 29, pids: 64, disk: 1 << 30, wall_ms: 60_000 },
        role: None,
        iterations: 20,
    });
    let wait_for = (kind == NodeKind::Wait).then_some(WaitFor { kind: WaitKind::NextTick, path: None });
    NodeDefinition {
        id: NodeId::parse(id).unwrap(),
        title: id.to_owned(),
        kind,
        needs: needs.iter().map(|need| NodeId::parse(need).unwrap()).collect(),
        prompt: String::new(),
        outputs_mode: OutputsMode::Report,
        artifact_paths: Vec::new(),
        wait_for,
        session_key: None,
        retry: None,
        continue_on_failure: false,
        container,
        metadata: serde_json::Map::new(),
    }
}

fn created(nodes: Vec<NodeDefinition>) -> Created {
    Created {
        parent: None,
        format: super::definition::FORMAT,
        registry: "r".to_owned(),
        signed: false,
        workflow_id: WorkflowId::parse("w").unwrap(),
        title: "W".to_owned(),
        workflow_path: "workflows/w.task.md".to_owned(),
        workflow_digest: Digest::of(b"w"),
        binary: Some(Digest::of(b"b")),
        users: Some(Users { agent_uid: 1, agent_gid: 1, gate_uid: 2, gate_gid: 2, root: None }),
        nodes,
        inputs: Vec::new(),
        params: BTreeMap::new(),
        limits: Limits { attempts: 3, suspensions: 3 },
        concurrency: 4,
        sessions: Sessions::default(),
    }
}

/// A run with its journal, which knows how it got here.
pub(super) struct Journaled {
    pub(super) state: State,
    records: Vec<Record>,
    pub(super) now: DateTime<Utc>,
}

impl Journaled {
    pub(super) fn new(nodes: Vec<NodeDefinition>) -> Self {
        let created = created(nodes);
        let state = State::begin(RunId::parse("run").unwrap(), created.clone(), start());
        let mut run = Self { state, records: Vec::new(), now: start() };
        run.log(&Event::RunCreated(Box::new(created)));
        run.command(Command::Settle).unwrap();
        run
    }

    fn demo() -> Self {
        Self::demo_with(None)
    }

    fn demo_with(retry: Option<Retry>) -> Self {
        let analyse = NodeDefinition { retry, ..node("analyse", NodeKind::SessionTurn, &["gather"]) };
        Self::new(vec![
            node("gather", NodeKind::SessionTurn, &[]),
            analyse,
            node("pause", NodeKind::Wait, &["gather"]),
            node("approve", NodeKind::Approval, &["analyse", "pause"]),
            node("wrap", NodeKind::Summary, &["approve"]),
        ])
    }

    fn log(&mut self, event: &Event) {
        let draft = event.to_draft();
        self.records.push(Record {
            event: draft.event,
            timestamp: super::time::isoformat(self.now),
            run_id: "run".to_owned(),
            payload: draft.payload,
            node_id: draft.node_id,
            message: draft.message,
            seq: self.records.len() as u64 + 1,
            batch: (1, 1),
            actor: "test".to_owned(),
            data: draft.data,
            at: 0,
            prev: String::new(),
        });
    }

    pub(super) fn command(&mut self, command: Command) -> Result<Vec<Event>, Refusal> {
        self.now += Duration::milliseconds(1);
        let before = self.state.clone();
        let events = decide(&self.state, command.clone(), self.now)?;
        for event in &events {
            self.state.apply(event, self.now).unwrap_or_else(|error| panic!("{command:?}: {event:?}: {error}"));
            self.state.last_event = event.to_draft().event;
            self.log(event);
        }
        self.check_final(&before, &events);
        Ok(events)
    }

    /// Finished things stay finished unless reopened.
    fn check_final(&self, before: &State, events: &[Event]) {
        let reopened = events.iter().any(|event| matches!(event, Event::RunReopened {}));
        if before.status.is_terminal() && !reopened {
            assert_eq!(before.status, self.state.status);
        }
        for ((definition, old), (_, new)) in before.pairs().zip(self.state.pairs()) {
            if old.status == NodeStatus::Completed {
                assert_eq!(old, new, "{}", definition.id);
            }
            if definition.kind == NodeKind::Approval && new.status == NodeStatus::Completed {
                assert!(new.decision.is_some(), "an approval completed without a decision");
            }
            assert!(new.attempts.iter().rev().skip(1).all(|attempt| attempt.end.is_some()));
        }
        for (old, new) in before.requests.iter().zip(&self.state.requests) {
            if old.decision.is_some() {
                assert_eq!(old.decision, new.decision, "a decision was replaced");
            }
        }
    }

    pub(super) fn decision(&self, digest: Digest) -> DecisionRecord {
        DecisionRecord {
            by: "operator:ada".to_owned(),
            at: String::new(),
            digest,
            comment: "fine".to_owned(),
            file: Digest::of(b"f"),
            proven: false,
            key: None,
            until: None,
            scope: crate::run::terms::Scope::Run,
            instead: Vec::new(),
            signature: None,
        }
    }

    /// Decides `id` on what stands there now.
    fn decide(&mut self, id: &RequestId, verdict: Verdict) -> Result<Vec<Event>, Refusal> {
        let shown = match self.state.request(id).and_then(|request| request.review()) {
            Some(review) => review.clone(),
            None => review::approval_digest(&self.state, id).unwrap_or_else(|| Digest::of(b"")),
        };
        let decision = self.decision(shown);
        self.command(Command::Decide { id: id.clone(), verdict, decision })
    }

    /// Approves `id` for so many seconds.
    fn approve_for(&mut self, id: &RequestId, seconds: i64) -> Result<Vec<Event>, Refusal> {
        let shown = self.state.request(id).and_then(|request| request.review()).cloned();
        let until = Some(self.now + Duration::seconds(seconds));
        let decision = DecisionRecord { until, ..self.decision(shown.unwrap_or_else(|| Digest::of(b""))) };
        self.command(Command::Decide { id: id.clone(), verdict: Verdict::Approve, decision })
    }
}

/// The packages that are granted.
fn packages(run: &Journaled) -> Vec<String> {
    let granted = run.state.requests.iter().filter(|r| r.status.is_granted() && r.capability.kind().needs_image());
    granted.map(|request| request.capability.to_string()).collect()
}

fn request_id(n: u64) -> RequestId {
    RequestId::parse(&ulid::Ulid::from_parts(n, 7).to_string()).unwrap()
}

/// An Engine, an image store and a resolver that do what they are asked.
#[derive(Default)]
struct World {
    containers: BTreeMap<String, Container>,
    images: BTreeMap<Digest, Image>,
    builds: u32,
    starts: BTreeMap<String, u32>,
    policy_is_current: bool,
    gate_died: bool,
    /// What the policies say of packages whose names begin with `p`, and of all hosts.
    rules: Option<Effect>,
    over_disk: std::collections::BTreeSet<NodeId>,
    /// How long a request may wait.
    expiry: Option<chrono::Duration>,
}

impl World {
    fn seen(&self, run: &Journaled) -> Observed {
        Observed {
            deployments: BTreeMap::new(),
            now: run.now,
            killed: false,
            gate_runs: !self.gate_died,
            containers: Some(self.containers.clone()),
            images: (run.state.wanted_recipes().into_iter())
                .chain(run.state.needed_to_start(run.now).cloned())
                .map(|recipe| (recipe.clone(), self.images.get(&recipe).cloned().unwrap_or(Image::Missing)))
                .collect(),
            files_there: std::collections::BTreeSet::new(),
            over_disk: self.over_disk.clone(),
            offboarded: std::collections::BTreeSet::new(),
            queued: std::collections::BTreeMap::new(),
            policy_is_current: self.policy_is_current,
            request_expiry: self.expiry,
            notify: true,
            openclaw: false,
        }
    }

    fn resolution(run: &Journaled, id: &RequestId) -> Resolution {
        let request = run.state.request(id).unwrap();
        let below = run.state.granted("base");
        let mut all = packages(run);
        all.push(request.capability.to_string());
        let lock = serde_json::json!({"pip": all});
        let digest = Digest::of(lock.to_string().as_bytes());
        Resolution {
            base: "base".to_owned(),
            base_layers: Vec::new(),
            lock,
            lock_digest: digest.clone(),
            members: Vec::new(),
            recipe: digest.clone(),
            upon: below.map(|below| below.id.clone()),
            own: None,
            without: below.map(Request::without).unwrap_or_default(),
            before: None,
            policy: None,
            review: Digest::of(format!("{digest}{id}").as_bytes()),
        }
    }

    fn ruling(&self, request: &Request) -> Option<Ruling> {
        let effect = self.rules.filter(|_| !request.capability.to_string().starts_with("pip:s"))?;
        Some(Ruling {
            effect,
            rule: Some("p.yaml:3".to_owned()),
            because: String::new(),
            policies: Digest::of(b"p"),
            until: None,
        })
    }

    /// Performs one action and journals what it did.
    fn perform(&mut self, run: &mut Journaled, action: Action) {
        match action {
            Action::FinishKill => unreachable!("the model's switch is off"),
            Action::Queue { .. } | Action::Dismiss { .. } => unreachable!("the model has no agents"),
            Action::Deploy { .. }
            | Action::GoOnDeploying { .. }
            | Action::EndDeployment { .. }
            | Action::TakeDown { .. } => unreachable!("the model deploys nothing"),
            Action::Settle => {
                run.command(Command::Settle).unwrap();
            }
            Action::Wake { .. } | Action::Deliver { .. } => unreachable!("the model has no OpenClaw"),
            Action::Expire { id, limit } => {
                run.command(Command::Expire { id, limit }).unwrap();
            }
            Action::Relock { id } => {
                let lock = serde_json::json!({"pip": packages(run)});
                let digest = Digest::of(lock.to_string().as_bytes());
                let request = run.state.request(&id).unwrap();
                let without = [request.without(), run.state.ended_beneath(request)].concat();
                let relocked = Relocked { without, lock, lock_digest: digest.clone(), recipe: digest };
                run.command(Command::Relock { id, relocked: Box::new(relocked) }).unwrap();
            }
            Action::Resolve { id }
                if self.ruling(run.state.request(&id).unwrap()).is_some_and(|ruling| ruling.effect == Effect::Deny) =>
            {
                let ruling = self.ruling(run.state.request(&id).unwrap()).unwrap();
                run.command(Command::Forbid { id, ruling, digest: Digest::of(b"d") }).unwrap();
            }
            Action::Resolve { id } if run.state.request(&id).unwrap().capability.kind().is_given() => {
                let policy = self.ruling(run.state.request(&id).unwrap());
                let grants = run.state.given_with(run.state.request(&id).unwrap());
                let review = Digest::of(format!("{id}{grants:?}").as_bytes());
                let presented = Presented { grants, folder: None, deployment: None, schedule: None, policy, review };
                run.command(Command::Present { id, presented }).unwrap();
                self.policy_is_current = false;
            }
            Action::Give { id } => {
                run.command(Command::Given { id }).unwrap();
                self.policy_is_current = false;
            }
            Action::Resolve { id } => {
                let policy = self.ruling(run.state.request(&id).unwrap());
                let resolution = Resolution { policy, ..Self::resolution(run, &id) };
                run.command(Command::Resolve { id, resolution }).unwrap();
                self.policy_is_current = false;
            }
            Action::Build { recipe } => {
                self.builds += 1;
                run.command(Command::Building { recipe: recipe.clone() }).unwrap();
                self.images.insert(recipe, Image::Ready("image".to_owned()));
            }
            Action::TakeImage { recipe, image } => {
                run.command(Command::ImageReady { recipe, image }).unwrap();
            }
            Action::FailImage { recipe, reason } => {
                run.command(Command::ImageFailed { recipe, reason }).unwrap();
            }
            Action::Dispatch { node } => {
                let attempt = run.state.node(&node).unwrap().1.attempts.len() as u32 + 1;
                let plan = AttemptPlan {
                    container: format!("tf-{node}-{attempt}"),
                    spec: Digest::of(b"s"),
                    image: "image".to_owned(),
                    socket: "s".to_owned(),
                    deadline: run.now + Duration::seconds(60),
                    mounts: Vec::new(),
                };
                run.command(Command::Dispatch { node: node.clone(), attempt, plan }).unwrap();
                self.perform(run, Action::Start { node, attempt });
            }
            Action::Start { node, attempt } => {
                let plan = run.state.node(&node).unwrap().1.live().unwrap().plan.clone();
                *self.starts.entry(plan.container.clone()).or_default() += 1;
                let container = Container { id: "c".to_owned(), state: ContainerState::Running };
                self.containers.insert(plan.container, container);
                run.command(Command::Started { node, attempt, container_id: "c".to_owned() }).unwrap();
            }
            Action::Adopt { node, attempt, container_id } => {
                run.command(Command::Started { node, attempt, container_id }).unwrap();
            }
            Action::Collect { node, attempt, how } => {
                let seen = Seen::of(how, run.now);
                run.command(Command::End { node, attempt, seen }).unwrap();
            }
            Action::Stop { container, .. } => {
                if let Some(found) = self.containers.get_mut(&container) {
                    found.state = ContainerState::Exited { code: 137, oom: false, finished_at: Some(run.now) };
                }
            }
            Action::Remove { container } => {
                self.containers.remove(&container);
            }
            Action::PublishPolicy => self.policy_is_current = true,
            Action::StartGate => self.gate_died = false,
            Action::StopGate => {
                run.command(Command::GateStopped { traffic: None }).unwrap();
            }
            Action::CompleteWait { node } => {
                run.command(Command::ConditionMet { node }).unwrap();
            }
            Action::Notify { ids } => {
                run.command(Command::Notified { ids }).unwrap();
            }
        }
    }

    /// Ticks until nothing is left to do.
    fn tick(&mut self, run: &mut Journaled) {
        for _ in 0..100 {
            let actions = plan(&run.state, &self.seen(run));
            if actions.is_empty() {
                return;
            }
            for action in actions {
                // Each is performed on the state as it then is; one that no longer applies is planned again.
                let still = plan(&run.state, &self.seen(run)).contains(&action);
                if still {
                    self.perform(run, action);
                }
            }
            run.now += Duration::milliseconds(1);
        }
        panic!("the plan never becomes empty: {:?}", plan(&run.state, &self.seen(run)));
    }

    fn exit(&mut self, run: &Journaled, node: &str, code: i64) {
        let id = NodeId::parse(node).unwrap();
        let Some(live) = run.state.node(&id).and_then(|(_, node)| node.live()) else { return };
        if let Some(container) = self.containers.get_mut(&live.plan.container) {
            container.state = ContainerState::Exited { code, oom: false, finished_at: Some(run.now) };
        }
    }
}

fn ask(run: &mut Journaled, n: u64, node: &str, capability: &str) -> RequestId {
    let node = NodeId::parse(node).unwrap();
    let attempt = run.state.node(&node).unwrap().1.attempts.len() as u32;
    let id = request_id(n + 1_000_000);
    let capability = Capability::parse(capability).unwrap();
    let reason = "for the chart".to_owned();
    run.command(Command::Request {
        id: id.clone(),
        node,
        attempt,
        capability,
        reason,
        by_gate: false,
        deploy: None,
        schedule: None,
    })
    .unwrap();
    id
}

fn status(run: &Journaled, node: &str) -> NodeStatus {
    run.state.node(&NodeId::parse(node).unwrap()).unwrap().1.status
}
