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
            images: run
                .state
                .wanted_recipes()
                .into_iter()
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
            Action::Queue { .. } => unreachable!("the model has no agents"),
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
                let seen = Seen {
                    how,
                    artifacts: Vec::new(),
                    missing: Vec::new(),
                    said: String::new(),
                    traffic: None,
                    spent: None,
                    at: run.now,
                };
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

#[test]
fn the_main_job() {
    let (mut run, mut world) = (Journaled::demo(), World::default());
    world.tick(&mut run);
    assert_eq!(status(&run, "gather"), NodeStatus::Running);
    world.exit(&run, "gather", 0);
    world.tick(&mut run);
    assert_eq!(status(&run, "analyse"), NodeStatus::Running);

    let id = ask(&mut run, 1, "analyse", "pip:pygal");
    world.exit(&run, "analyse", 75);
    world.tick(&mut run);
    assert_eq!(status(&run, "analyse"), NodeStatus::Waiting);
    assert!(!run.state.may_have_containers(), "waiting costs nothing");
    assert_eq!(run.state.waiting_for_a_person(), std::slice::from_ref(&id));

    run.decide(&id, Verdict::Approve).unwrap();
    world.tick(&mut run);
    assert_eq!(run.state.request(&id).unwrap().status, RequestStatus::Applied);
    assert_eq!(world.builds, 1);
    assert_eq!(status(&run, "analyse"), NodeStatus::Running);
    world.exit(&run, "analyse", 0);
    world.tick(&mut run);
    let [approval] = run.state.waiting_for_a_person().try_into().unwrap();
    run.decide(&approval, Verdict::Approve).unwrap();
    world.tick(&mut run);
    world.exit(&run, "wrap", 0);
    world.tick(&mut run);
    assert_eq!(run.state.status, RunStatus::Completed);
    assert!(world.containers.is_empty());
    assert!(world.starts.values().all(|&starts| starts == 1));
}

#[test]
fn a_decision_is_taken_once_and_on_what_was_shown() {
    let (mut run, mut world) = (Journaled::demo(), World::default());
    world.tick(&mut run);
    let id = ask(&mut run, 1, "gather", "pip:pygal");
    assert!(matches!(run.decide(&id, Verdict::Approve), Err(Refusal::NotApprovable { .. })));
    world.tick(&mut run);
    let stale =
        Command::Decide { id: id.clone(), verdict: Verdict::Approve, decision: run.decision(Digest::of(b"yesterday")) };
    assert!(matches!(run.command(stale), Err(Refusal::Stale { .. })));
    run.decide(&id, Verdict::Deny).unwrap();
    assert!(matches!(run.decide(&id, Verdict::Approve), Err(Refusal::Decided { .. })));
}

#[test]
fn a_second_request_is_resolved_anew_when_the_first_is_granted() {
    let (mut run, mut world) = (Journaled::demo(), World::default());
    world.tick(&mut run);
    let first = ask(&mut run, 1, "gather", "pip:pygal");
    let second = ask(&mut run, 2, "gather", "pip:six");
    world.tick(&mut run);
    let shown = run.state.request(&second).unwrap().resolution.clone().unwrap().review;
    run.decide(&first, Verdict::Approve).unwrap();
    let old = run.decision(shown);
    let early = Command::Decide { id: second.clone(), verdict: Verdict::Approve, decision: old.clone() };
    assert!(matches!(run.command(early.clone()), Err(Refusal::NotApprovable { .. })));
    world.tick(&mut run);
    assert!(matches!(run.command(early), Err(Refusal::Stale { .. })));
    run.decide(&second, Verdict::Approve).unwrap();
    world.tick(&mut run);
    assert_eq!(run.state.request(&second).unwrap().status, RequestStatus::Applied);
    assert_eq!(
        run.state.recipe_for("base"),
        Some(&run.state.request(&second).unwrap().resolution.as_ref().unwrap().recipe)
    );
}

#[test]
fn a_failed_build_goes_back_to_what_was_granted_before() {
    let (mut run, mut world) = (Journaled::demo(), World::default());
    world.tick(&mut run);
    let first = ask(&mut run, 1, "gather", "pip:pygal");
    world.tick(&mut run);
    run.decide(&first, Verdict::Approve).unwrap();
    world.tick(&mut run);
    let second = ask(&mut run, 2, "gather", "pip:six");
    world.tick(&mut run);
    run.decide(&second, Verdict::Approve).unwrap();
    let [recipe] = run.state.wanted_recipes().try_into().unwrap();
    world.images.insert(recipe, Image::Failed("no space".to_owned()));
    world.exit(&run, "gather", 75);
    world.tick(&mut run);
    assert_eq!(run.state.request(&second).unwrap().status, RequestStatus::Failed);
    assert_eq!(run.state.granted("base").unwrap().id, first);
    let (_, gather) = run.state.node(&NodeId::parse("gather").unwrap()).unwrap();
    assert_eq!(gather.failure.as_ref().unwrap().0, FailureCode::Build, "it does not go on without what was approved");
}

/// Ends the live attempt of `gather` as one that was refused since `spent` was not had.
fn end_dry(run: &mut Journaled, how: How, missing: &[&str], spent: &str) -> Outcome {
    let node = NodeId::parse("gather").unwrap();
    let attempt = run.state.node(&node).unwrap().1.attempts.len() as u32;
    let missing = missing.iter().map(|&path| path.to_owned()).collect();
    let spent = Some(Capability::parse(spent).unwrap());
    let seen = Seen { how, artifacts: Vec::new(), missing, said: String::new(), traffic: None, spent, at: run.now };
    run.command(Command::End { node: node.clone(), attempt, seen }).unwrap();
    run.state.node(&node).unwrap().1.attempts.last().unwrap().end.as_ref().unwrap().outcome
}

#[test]
fn whoever_ends_for_want_of_a_budget_waits_for_it_whatever_the_exit_code() {
    let exited = |code, timed_out| How::Exited { code, oom: false, timed_out };
    let budget = "budget:requests=4";
    for (how, missing) in [(exited(1, false), &[][..]), (exited(124, true), &[]), (exited(0, false), &["report.md"])] {
        let (mut run, mut world) = (Journaled::demo(), World::default());
        world.tick(&mut run);
        let other = ask(&mut run, 1, "gather", "net:api.example.com:443");
        let id = ask(&mut run, 2, "gather", budget);
        assert_eq!(end_dry(&mut run, how, missing, budget), Outcome::Suspended);
        assert_eq!(status(&run, "gather"), NodeStatus::Waiting);
        world.tick(&mut run);
        run.decide(&id, Verdict::Approve).unwrap();
        world.tick(&mut run);
        assert_eq!(status(&run, "gather"), NodeStatus::Running, "it does not wait for {other}");
    }
}

#[test]
fn a_budget_that_was_not_asked_for_or_is_refused_excuses_nothing() {
    let failed = || How::Exited { code: 1, oom: false, timed_out: false };
    let (mut run, mut world) = (Journaled::demo(), World::default());
    world.tick(&mut run);
    assert_eq!(end_dry(&mut run, failed(), &[], "budget:requests=4"), Outcome::Failed, "nobody asked");

    let (mut run, mut world) = (Journaled::demo(), World::default());
    world.tick(&mut run);
    let id = ask(&mut run, 1, "gather", "budget:requests=4");
    world.tick(&mut run);
    run.decide(&id, Verdict::Deny).unwrap();
    assert_eq!(end_dry(&mut run, failed(), &[], "budget:requests=4"), Outcome::Failed, "the answer is no");

    let (mut run, mut world) = (Journaled::demo(), World::default());
    world.tick(&mut run);
    ask(&mut run, 1, "gather", "budget:requests=4");
    let done = How::Exited { code: 0, oom: false, timed_out: false };
    assert_eq!(end_dry(&mut run, done, &[], "budget:requests=4"), Outcome::Succeeded, "it did without");

    let (mut run, mut world) = (Journaled::demo(), World::default());
    world.tick(&mut run);
    ask(&mut run, 1, "gather", "budget:requests=4");
    let oom = How::Exited { code: 137, oom: true, timed_out: false };
    assert_eq!(end_dry(&mut run, oom, &[], "budget:requests=4"), Outcome::Oom);
}

#[test]
fn what_the_gate_gives_needs_no_image_and_no_new_attempt() {
    let (mut run, mut world) = (Journaled::demo(), World::default());
    world.tick(&mut run);
    let id = ask(&mut run, 1, "gather", "net:api.example.com:443");
    assert!(matches!(run.decide(&id, Verdict::Approve), Err(Refusal::NotApprovable { .. })));
    world.tick(&mut run);
    assert_eq!(run.state.waiting_for_a_person(), std::slice::from_ref(&id));
    run.decide(&id, Verdict::Approve).unwrap();
    assert!(run.state.wanted_recipes().is_empty());
    world.tick(&mut run);
    assert_eq!((run.state.request(&id).unwrap().status, world.builds), (RequestStatus::Applied, 0));
    assert_eq!((status(&run, "gather"), world.starts.len()), (NodeStatus::Running, 1));
    assert_eq!(run.state.given(), [Capability::parse("net:api.example.com:443").unwrap()]);
}

#[test]
fn a_gift_waits_for_a_gate_that_died_and_needs_none_while_nobody_runs() {
    let (mut run, mut world) = (Journaled::demo(), World::default());
    world.tick(&mut run);
    let id = ask(&mut run, 1, "gather", "tcp:db.internal:5432");
    world.tick(&mut run);
    run.decide(&id, Verdict::Approve).unwrap();
    world.gate_died = true;
    let actions = plan(&run.state, &world.seen(&run));
    assert!(!actions.iter().any(|action| matches!(action, Action::Give { .. })), "{actions:?}");
    world.exit(&run, "gather", 75);
    world.tick(&mut run);
    assert_eq!(run.state.request(&id).unwrap().status, RequestStatus::Applied);
    assert_eq!(status(&run, "gather"), NodeStatus::Running, "the answer wakes it");
}

#[test]
fn a_second_gift_is_shown_anew_when_the_first_is_granted_or_revoked() {
    let (mut run, mut world) = (Journaled::demo(), World::default());
    world.tick(&mut run);
    let first = ask(&mut run, 1, "gather", "net:a.example:443");
    let second = ask(&mut run, 2, "gather", "net:b.example:443");
    world.tick(&mut run);
    let shown = run.state.request(&second).unwrap().review().unwrap().clone();
    run.decide(&first, Verdict::Approve).unwrap();
    let decision = run.decision(shown);
    let early = Command::Decide { id: second.clone(), verdict: Verdict::Approve, decision };
    assert!(matches!(run.command(early.clone()), Err(Refusal::NotApprovable { .. })));
    world.tick(&mut run);
    assert!(matches!(run.command(early), Err(Refusal::Stale { .. })));
    let revoke = Command::Revoke { id: first, by: "operator:ada".to_owned(), reason: "enough".to_owned() };
    run.command(revoke).unwrap();
    assert!(matches!(run.decide(&second, Verdict::Approve), Err(Refusal::NotApprovable { .. })));
    world.tick(&mut run);
    run.decide(&second, Verdict::Approve).unwrap();
}

#[test]
fn what_was_revoked_is_gone_until_a_person_decides_again() {
    let (mut run, mut world) = (Journaled::demo(), World::default());
    world.tick(&mut run);
    let revoke = |id: &RequestId| Command::Revoke {
        id: id.clone(),
        by: "operator:ada".to_owned(),
        reason: "it is done".to_owned(),
    };
    let id = ask(&mut run, 1, "gather", "net:api.example.com:443");
    assert!(matches!(run.command(revoke(&id)), Err(Refusal::NotRevocable { .. })));
    world.tick(&mut run);
    run.decide(&id, Verdict::Approve).unwrap();
    world.tick(&mut run);
    run.command(revoke(&id)).unwrap();
    assert!(run.state.given().is_empty());
    assert_eq!(run.state.request(&id).unwrap().problem, "it is done");
    assert!(matches!(run.command(revoke(&id)), Err(Refusal::NotRevocable { .. })));
    assert!(matches!(run.decide(&id, Verdict::Approve), Err(Refusal::Decided { .. })));
    let again = ask(&mut run, 2, "gather", "net:api.example.com:443");
    assert_ne!(run.state.requests.last().unwrap().id, id);
    assert_eq!(run.state.request(&again).unwrap().status, RequestStatus::Requested);
    let package = ask(&mut run, 3, "gather", "pip:pygal");
    assert!(matches!(run.command(revoke(&package)), Err(Refusal::NotRevocable { .. })));
}

#[test]
fn a_package_ends_whatever_was_resolved_upon_it_and_the_next_attempt_has_what_is_left() {
    // Which of three ends first, and whether it is taken back or its time is over.
    for (first, expires) in [(0, false), (1, false), (2, false), (0, true), (1, true)] {
        let (mut run, mut world) = (Journaled::demo(), World::default());
        world.tick(&mut run);
        let mut granted = Vec::new();
        for (number, package) in [(1, "pip:pygal"), (2, "apt:graphviz"), (3, "pip:lxml")] {
            let id = ask(&mut run, number, "gather", package);
            world.tick(&mut run);
            let for_a_time = expires && granted.len() == first;
            if for_a_time { run.approve_for(&id, 10) } else { run.decide(&id, Verdict::Approve) }.unwrap();
            world.tick(&mut run);
            granted.push(id);
        }
        let pending = ask(&mut run, 4, "gather", "pip:later");
        world.tick(&mut run);
        let shown = run.state.request(&pending).unwrap().review().cloned();
        let revoke =
            |id: &RequestId| Command::Revoke { id: id.clone(), by: "operator:ada".to_owned(), reason: "x".to_owned() };
        let held = |run: &Journaled| {
            let set = run.state.granted("base").and_then(|newest| newest.lock().cloned());
            set.map(|lock| lock["pip"].as_array().unwrap().len())
        };
        assert_eq!(held(&run), Some(3));
        if expires {
            run.now += Duration::seconds(11);
            run.command(Command::Expire { id: granted[first].clone(), limit: None }).unwrap();
        } else {
            run.command(revoke(&granted[first])).unwrap();
        }
        if first < 2 {
            assert_eq!(run.state.to_relock().len(), 1, "no container starts with what has ended");
        }
        world.tick(&mut run);
        assert_eq!(held(&run), Some(2), "{first} {expires}");
        let gone = run.state.request(&granted[first]).unwrap().capability.to_string();
        assert!(!packages(&run).contains(&gone));
        let left: Vec<&RequestId> = granted.iter().filter(|id| **id != granted[first]).collect();
        for id in &left {
            assert_eq!(run.state.request(id).unwrap().status, RequestStatus::Applied);
        }
        // What waits is shown anew, since a grant would lead to another set.
        let again = run.state.request(&pending).unwrap();
        assert_eq!(again.status, RequestStatus::Pending);
        assert_ne!(again.review(), shown.as_ref());
        run.decide(&pending, Verdict::Approve).unwrap();
        world.tick(&mut run);
        assert_eq!(held(&run), Some(3));
        assert!(!run.state.granted("base").unwrap().lock().unwrap().to_string().contains(&gone));
        for id in left.into_iter().chain([&pending]) {
            run.command(revoke(id)).unwrap();
            world.tick(&mut run);
        }
        assert_eq!(run.state.recipe_for("base"), None);
    }
}

#[test]
fn what_a_rule_allows_or_denies_waits_for_nobody() {
    for effect in Effect::ALL {
        let (mut run, mut world) = (Journaled::demo(), World { rules: Some(effect), ..World::default() });
        world.tick(&mut run);
        let host = ask(&mut run, 1, "gather", "net:a.example:443");
        let package = ask(&mut run, 2, "gather", "pip:pygal");
        let later = ask(&mut run, 3, "gather", "pip:python-docx");
        world.tick(&mut run);
        let expected = match effect {
            Effect::Allow => RequestStatus::Applied,
            Effect::Ask => RequestStatus::Pending,
            Effect::Deny => RequestStatus::Denied,
        };
        for id in [&host, &package, &later] {
            let request = run.state.request(id).unwrap();
            assert_eq!(request.status, expected, "{effect} {id}");
            let by = request.decision.as_ref().map(|decision| decision.by.as_str());
            assert_eq!(by, (effect != Effect::Ask).then_some("policy:p.yaml:3"));
        }
        assert_eq!(run.state.waiting_for_a_person().is_empty(), effect != Effect::Ask);
        if effect != Effect::Ask {
            assert!(matches!(run.decide(&host, Verdict::Approve), Err(Refusal::Decided { .. })));
        }
    }
}

#[test]
fn what_is_granted_for_a_time_is_granted_no_longer() {
    let (mut run, mut world) = (Journaled::demo(), World::default());
    world.tick(&mut run);
    let id = ask(&mut run, 1, "gather", "net:a.example:443");
    world.tick(&mut run);
    assert!(matches!(run.approve_for(&id, 0), Err(Refusal::OverAlready { .. })));
    run.approve_for(&id, 60).unwrap();
    world.tick(&mut run);
    assert_eq!(run.state.request(&id).unwrap().status, RequestStatus::Applied);
    run.now += Duration::seconds(59);
    world.tick(&mut run);
    assert_eq!(run.state.given().len(), 1);
    let early = Command::Expire { id: id.clone(), limit: Some(Duration::seconds(1)) };
    assert_eq!(run.command(early).unwrap(), vec![], "nothing ends what was decided but its own time");
    run.now += Duration::seconds(1);
    world.tick(&mut run);
    assert_eq!(run.state.request(&id).unwrap().status, RequestStatus::Expired);
    assert!(run.state.given().is_empty());
    assert!(matches!(run.decide(&id, Verdict::Approve), Err(Refusal::Decided { .. })));
    let again = ask(&mut run, 2, "gather", "net:a.example:443");
    assert_eq!(run.state.request(&again).unwrap().status, RequestStatus::Requested, "it is asked anew");
    let budget = ask(&mut run, 3, "gather", "budget:tokens=5");
    world.tick(&mut run);
    assert!(matches!(run.approve_for(&budget, 60), Err(Refusal::NoTimeLimit { .. })));
}

#[test]
fn a_package_that_is_over_is_in_no_container_that_starts() {
    let (mut run, mut world) = (Journaled::demo(), World::default());
    world.tick(&mut run);
    let id = ask(&mut run, 1, "gather", "pip:pygal");
    world.exit(&run, "gather", 75);
    world.tick(&mut run);
    run.approve_for(&id, 60).unwrap();
    run.now += Duration::seconds(61);
    // A tick that has looked before the time was over may still want to start it.
    let plan = AttemptPlan {
        container: "tf-gather-2".to_owned(),
        spec: Digest::of(b"s"),
        image: "with pygal".to_owned(),
        socket: "s".to_owned(),
        deadline: run.now + Duration::seconds(60),
        mounts: Vec::new(),
    };
    let gather = NodeId::parse("gather").unwrap();
    assert!(run.command(Command::Dispatch { node: gather, attempt: 2, plan }).is_err());
    let recipe = run.state.request(&id).unwrap().resolution.as_ref().unwrap().recipe.clone();
    assert_eq!(run.command(Command::ImageReady { recipe, image: "with pygal".to_owned() }).unwrap(), vec![]);
    world.tick(&mut run);
    assert_eq!(run.state.request(&id).unwrap().status, RequestStatus::Expired);
    assert!(run.state.recipe_for("base").is_none());
    assert_eq!(status(&run, "gather"), NodeStatus::Running, "it goes on, without");
}

#[test]
fn a_request_that_nobody_decides_is_over_like_a_denied_one() {
    let (mut run, mut world) = (Journaled::demo(), World { expiry: Some(Duration::hours(1)), ..World::default() });
    world.tick(&mut run);
    let id = ask(&mut run, 1, "gather", "net:a.example:443");
    world.tick(&mut run);
    world.exit(&run, "gather", 75);
    world.tick(&mut run);
    assert_eq!(status(&run, "gather"), NodeStatus::Waiting);
    run.now += Duration::minutes(59);
    world.tick(&mut run);
    assert_eq!(run.state.request(&id).unwrap().status, RequestStatus::Pending);
    run.now += Duration::minutes(1);
    world.tick(&mut run);
    let request = run.state.request(&id).unwrap();
    assert_eq!((request.status, request.problem.as_str()), (RequestStatus::Expired, "nobody decided within 1h"));
    assert_eq!(status(&run, "gather"), NodeStatus::Running, "the agent goes on with its answer");
    assert!(matches!(run.decide(&id, Verdict::Approve), Err(Refusal::Decided { .. })));
    ask(&mut run, 2, "gather", "net:a.example:443");
    assert_eq!(run.state.requests.len(), 1, "asked again, it has its answer");
}

#[test]
fn an_edited_list_is_shown_anew_before_anybody_decides_on_it() {
    let (mut run, mut world) = (Journaled::demo(), World::default());
    world.tick(&mut run);
    let id = ask(&mut run, 1, "gather", "net:a.example:443");
    world.tick(&mut run);
    let shown = run.state.request(&id).unwrap().review().cloned().unwrap();
    let all = |texts: &[&str]| texts.iter().map(|text| Capability::parse(text).unwrap()).collect::<Vec<_>>();
    let asked = all(&["net:a.example:443"]);
    let edit = |list: &[&str]| {
        let (id, by, asked, list) = (id.clone(), "operator:ada".to_owned(), asked.clone(), all(list));
        Command::Edit { id, by, asked, list }
    };
    for wrong in [&[][..], &["tcp:a.example:443"], &["net:b.example:1", "net:c.example:1"], &["pip:six"]] {
        assert!(matches!(run.command(edit(wrong)), Err(Refusal::NotThatList { .. })), "{wrong:?}");
    }
    assert_eq!(run.command(edit(&["net:a.example:443"])).unwrap(), vec![], "that is its list");
    run.command(edit(&["net:b.example:443"])).unwrap();
    assert_eq!(run.state.request(&id).unwrap().status, RequestStatus::Requested);
    let stale = run.decision(shown);
    let stale = Command::Decide { id: id.clone(), verdict: Verdict::Approve, decision: stale };
    assert!(matches!(run.command(stale.clone()), Err(Refusal::NotApprovable { .. })));
    world.tick(&mut run);
    assert!(matches!(run.command(stale), Err(Refusal::Stale { .. })), "what was shown before is not what it is now");
    run.decide(&id, Verdict::Approve).unwrap();
    assert_eq!(run.state.given(), all(&["net:b.example:443"]));
    let edited = run.state.request(&id).unwrap().edited.clone().unwrap();
    assert_eq!(edited.withheld().cloned().collect::<Vec<_>>(), asked, "both lists are kept");
    assert!(matches!(run.command(edit(&["net:c.example:443"])), Err(Refusal::Decided { .. })));
}

#[test]
fn several_are_decided_together_or_not_at_all() {
    let (mut run, mut world) = (Journaled::demo(), World::default());
    world.tick(&mut run);
    let hosts = [ask(&mut run, 1, "gather", "net:a.example:443"), ask(&mut run, 2, "gather", "net:b.example:443")];
    let packages = [ask(&mut run, 3, "gather", "pip:a1"), ask(&mut run, 4, "gather", "pip:b2")];
    world.tick(&mut run);
    let word = |run: &Journaled, id: &RequestId| {
        let shown = run.state.request(id).unwrap().review().cloned().unwrap();
        (id.clone(), Verdict::Approve, run.decision(shown))
    };
    let mut stale = word(&run, &hosts[1]);
    stale.2.digest = Digest::of(b"yesterday");
    let words = vec![word(&run, &hosts[0]), stale];
    assert!(matches!(run.command(Command::DecideAll(words)), Err(Refusal::Stale { .. })));
    assert!(run.state.given().is_empty(), "none of them");
    let words = packages.iter().map(|id| word(&run, id)).collect();
    assert!(matches!(run.command(Command::DecideAll(words)), Err(Refusal::NotApprovable { .. })));
    let twice = vec![word(&run, &hosts[0]), word(&run, &hosts[0])];
    assert!(matches!(run.command(Command::DecideAll(twice)), Err(Refusal::Decided { .. })));
    let words = vec![word(&run, &hosts[0]), word(&run, &hosts[1]), word(&run, &packages[0])];
    run.command(Command::DecideAll(words)).unwrap();
    assert_eq!(run.state.given().len(), 2);
    assert!(run.state.granted("base").is_some());
}

#[test]
fn of_several_that_saw_the_same_each_counts_or_is_refused_by_itself() {
    let (mut run, mut world) = (Journaled::demo(), World::default());
    world.tick(&mut run);
    let hosts = [1, 2, 3].map(|n| ask(&mut run, n, "gather", &format!("net:h{n}.example:443")));
    let packages = [ask(&mut run, 4, "gather", "pip:a1"), ask(&mut run, 5, "gather", "pip:b2")];
    world.tick(&mut run);
    let word = |run: &Journaled, id: &RequestId| {
        let shown = run.state.request(id).unwrap().review().cloned().unwrap();
        (id.clone(), Verdict::Approve, run.decision(shown))
    };
    let mut words: Vec<_> = hosts.iter().chain(&packages).map(|id| word(&run, id)).collect();
    words[1].2.digest = Digest::of(b"yesterday");
    let (events, refusals) = decide_each(&run.state, &words, run.now);
    let approved: Vec<_> = events.iter().filter_map(Event::request).cloned().collect();
    assert_eq!(approved, [hosts[0].clone(), hosts[2].clone(), packages[0].clone()]);
    assert!(matches!(
        refusals[..],
        [None, Some(Refusal::Stale { .. }), None, None, Some(Refusal::NotApprovable { .. })]
    ));
    assert_eq!(decide_each(&run.state, &[], run.now), (Vec::new(), Vec::new()));
}

#[test]
fn whoever_says_no_or_names_another_saw_what_stands_there_now() {
    let (mut run, mut world) = (Journaled::demo(), World::default());
    world.tick(&mut run);
    let id = ask(&mut run, 1, "gather", "net:a.example:443");
    let other = Capability::parse("net:b.example:443").unwrap();
    for (verdict, instead) in [(Verdict::Deny, vec![]), (Verdict::Suggest, vec![other])] {
        let word = |run: &Journaled, digest| Command::Decide {
            id: id.clone(),
            verdict,
            decision: DecisionRecord { instead: instead.clone(), ..run.decision(digest) },
        };
        // Nothing is shown yet: a word on something else waits until there is.
        if run.state.request(&id).unwrap().review().is_none() {
            let early = run.command(word(&run, Digest::of(b"yesterday")));
            assert!(matches!(early, Err(Refusal::NotApprovable { .. })));
            world.tick(&mut run);
        }
        assert!(matches!(run.command(word(&run, Digest::of(b"yesterday"))), Err(Refusal::Stale { .. })));
        assert!(matches!(run.command(word(&run, Digest::of(b""))), Err(Refusal::Stale { .. })));
    }
    let shown = run.state.request(&id).unwrap().review().cloned().unwrap();
    let same = vec![Capability::parse("net:a.example:443").unwrap()];
    let decision = DecisionRecord { instead: same, ..run.decision(shown) };
    let same = Command::Decide { id: id.clone(), verdict: Verdict::Suggest, decision };
    assert!(matches!(run.command(same), Err(Refusal::NoOther { .. })));
    run.decide(&id, Verdict::Deny).unwrap();
    // Of what nobody could show anything, no is no.
    let unseen = ask(&mut run, 2, "gather", "net:c.example:443");
    run.decide(&unseen, Verdict::Deny).unwrap();
}

#[test]
fn nobody_has_decided_tomorrow() {
    let (mut run, mut world) = (Journaled::demo(), World::default());
    world.tick(&mut run);
    let id = ask(&mut run, 1, "gather", "net:a.example:443");
    world.tick(&mut run);
    let shown = run.state.request(&id).unwrap().review().cloned().unwrap();
    let at = |run: &Journaled, seconds| {
        let at = super::time::isoformat(run.now + Duration::seconds(seconds));
        let decision = DecisionRecord { at, ..run.decision(shown.clone()) };
        Command::Decide { id: id.clone(), verdict: Verdict::Approve, decision }
    };
    let tomorrow = run.command(at(&run, 24 * 3600)).unwrap_err();
    assert!(matches!(&tomorrow, Refusal::NotYet { .. }), "{tomorrow}");
    // Clocks differ.
    run.command(at(&run, 60)).unwrap();
}

#[test]
fn a_decision_that_could_not_count_is_remembered_while_its_request_waits() {
    let (mut run, mut world) = (Journaled::demo(), World::default());
    world.tick(&mut run);
    let id = ask(&mut run, 1, "gather", "net:a.example:443");
    world.tick(&mut run);
    for n in 0..State::REJECTED + 3 {
        let (id, file) = (id.clone(), format!("{n}.json"));
        run.command(Command::RejectDecision { id, file, reason: "it is a folder".to_owned() }).unwrap();
    }
    assert_eq!(run.state.rejected.len(), State::REJECTED);
    assert_eq!(run.state.rejected_and_open().last().unwrap().file, format!("{}.json", State::REJECTED + 2));
    run.decide(&id, Verdict::Deny).unwrap();
    assert_eq!(run.state.rejected_and_open().count(), 0);
    assert_eq!(run.state.rejected_of(&id).count(), State::REJECTED);
}

#[test]
fn exit_75_without_a_request_is_a_failure() {
    let (mut run, mut world) = (Journaled::demo(), World::default());
    world.tick(&mut run);
    world.exit(&run, "gather", 75);
    world.tick(&mut run);
    assert_eq!(status(&run, "gather"), NodeStatus::Failed);
    assert_eq!(status(&run, "wrap"), NodeStatus::Skipped);
    assert_eq!(run.state.status, RunStatus::Failed);
}

#[test]
fn a_lost_container_is_tried_again_and_bounded() {
    let (mut run, mut world) = (Journaled::demo(), World::default());
    for _ in 0..3 {
        world.tick(&mut run);
        assert_eq!(status(&run, "gather"), NodeStatus::Running);
        world.containers.clear();
    }
    world.tick(&mut run);
    let (_, gather) = run.state.node(&NodeId::parse("gather").unwrap()).unwrap();
    assert_eq!(gather.failure.as_ref().unwrap().0, FailureCode::Lost);
}

#[test]
fn retry_reopens_a_failed_run_and_what_it_skipped() {
    let (mut run, mut world) = (Journaled::demo(), World::default());
    world.tick(&mut run);
    world.exit(&run, "gather", 1);
    world.tick(&mut run);
    assert_eq!(run.state.status, RunStatus::Failed);
    let node = NodeId::parse("gather").unwrap();
    run.command(Command::Control { id: None, control: Control::Retry { node } }).unwrap();
    assert_eq!(run.state.status, RunStatus::Running);
    assert_eq!(status(&run, "wrap"), NodeStatus::Pending);
    world.tick(&mut run);
    assert_eq!(status(&run, "gather"), NodeStatus::Running);
}

#[test]
fn nothing_but_a_decision_completes_an_approval() {
    let mut run = Journaled::new(vec![node("ok", NodeKind::Approval, &[])]);
    let id = NodeId::parse("ok").unwrap();
    for control in [Control::Skip { node: id.clone() }, Control::Retry { node: id.clone() }] {
        assert!(run.command(Command::Control { id: None, control }).is_err());
    }
    assert!(run.command(Command::ConditionMet { node: id }).is_err());
}

#[test]
fn a_gate_that_died_under_its_agents_comes_back() {
    let (mut run, mut world) = (Journaled::demo(), World::default());
    world.tick(&mut run);
    world.gate_died = true;
    world.tick(&mut run);
    assert!(!world.gate_died);
    world.exit(&run, "gather", 1);
    world.gate_died = true;
    world.tick(&mut run);
    assert!(world.gate_died, "nobody needs it any more");
}

#[test]
fn a_node_does_not_begin_without_what_its_workflow_declares() {
    for verdict in [Verdict::Approve, Verdict::Deny] {
        let (mut run, mut world) = (Journaled::demo(), World::default());
        let (id, node) = (request_id(1), NodeId::parse("gather").unwrap());
        let capability = Capability::parse("apt:jq").unwrap();
        run.command(Command::Request {
            id: id.clone(),
            node,
            attempt: 0,
            capability,
            reason: String::new(),
            by_gate: false,
            deploy: None,
            schedule: None,
        })
        .unwrap();
        world.tick(&mut run);
        assert_eq!(status(&run, "gather"), NodeStatus::Waiting);
        assert!(world.starts.is_empty());
        run.decide(&id, verdict).unwrap();
        world.tick(&mut run);
        let expected = if verdict == Verdict::Approve { NodeStatus::Running } else { NodeStatus::Failed };
        assert_eq!(status(&run, "gather"), expected);
    }
}

#[test]
fn what_is_declared_together_is_one_image_unless_somebody_else_could_go_on() {
    for together in [true, false] {
        let nodes = vec![node("gather", NodeKind::SessionTurn, &[]), node("other", NodeKind::SessionTurn, &[])];
        let (mut run, mut world) = (Journaled::new(nodes), World::default());
        let declare = |run: &mut Journaled, n: u64, node: &str, capability: &str| {
            let (id, node) = (request_id(n), NodeId::parse(node).unwrap());
            let capability = Capability::parse(capability).unwrap();
            let (reason, by_gate, deploy, schedule) = (String::new(), false, None, None);
            run.command(Command::Request {
                id: id.clone(),
                node,
                attempt: 0,
                capability,
                reason,
                by_gate,
                deploy,
                schedule,
            })
            .unwrap();
            id
        };
        let first = declare(&mut run, 1, "gather", "pip:pygal");
        let second = declare(&mut run, 2, if together { "gather" } else { "other" }, "pip:six");
        world.perform(&mut run, Action::Resolve { id: first.clone() });
        run.decide(&first, Verdict::Approve).unwrap();
        let builds = |run: &Journaled, world: &World| {
            plan(&run.state, &world.seen(run)).iter().filter(|action| matches!(action, Action::Build { .. })).count()
        };
        assert_eq!(builds(&run, &world), usize::from(!together));
        world.perform(&mut run, Action::Resolve { id: second.clone() });
        // A person may take long.
        assert_eq!(builds(&run, &world), 1);
        run.decide(&second, Verdict::Approve).unwrap();
        world.tick(&mut run);
        assert_eq!((world.builds, world.starts.len()), (1, 2));
    }
}

#[test]
fn an_end_that_nobody_saw_is_a_new_attempt() {
    for code in [137, 143, 255] {
        let (mut run, mut world) = (Journaled::demo(), World::default());
        world.tick(&mut run);
        world.exit(&run, "gather", code);
        world.tick(&mut run);
        let (_, gather) = run.state.node(&NodeId::parse("gather").unwrap()).unwrap();
        assert_eq!((gather.status, gather.attempts.len()), (NodeStatus::Running, 2), "{code}");
    }
}

#[test]
fn a_full_workspace_ends_the_attempt() {
    let (mut run, mut world) = (Journaled::demo(), World::default());
    world.tick(&mut run);
    world.over_disk.insert(NodeId::parse("gather").unwrap());
    world.tick(&mut run);
    let (_, gather) = run.state.node(&NodeId::parse("gather").unwrap()).unwrap();
    assert_eq!(gather.failure.as_ref().unwrap().0, FailureCode::OverDisk);
}

#[test]
fn a_control_is_applied_once() {
    let mut run = Journaled::demo();
    let pause =
        |id: &str| Command::Control { id: Some(id.to_owned()), control: Control::Pause { reason: String::new() } };
    assert!(!run.command(pause("a")).unwrap().is_empty());
    run.command(Command::Control { id: Some("b".to_owned()), control: Control::Resume }).unwrap();
    assert!(run.command(pause("a")).unwrap().is_empty());
    assert_eq!(run.state.status, RunStatus::Running);
}

#[test]
fn the_deadline_stops_a_container_that_never_exits() {
    let (mut run, mut world) = (Journaled::demo(), World::default());
    world.tick(&mut run);
    run.now += Duration::seconds(70);
    world.tick(&mut run);
    let (_, gather) = run.state.node(&NodeId::parse("gather").unwrap()).unwrap();
    assert_eq!(gather.failure.as_ref().unwrap().0, FailureCode::Timeout);
}

#[derive(Debug, Clone)]
enum Step {
    Tick,
    Exit(usize, i64),
    Vanish(usize),
    Ask(usize, u64),
    Decide(usize, bool),
    ApproveFor(usize, i64),
    Edit(usize),
    StaleDecide(usize),
    Revoke(usize),
    Control(usize, usize),
    Kill,
    LoseStart(usize),
    BuildFails,
    Later(i64),
    NotStarted(usize),
    Nonsense(usize, u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => Just(Step::Tick),
        4 => (0..5_usize, prop_oneof![Just(0_i64), Just(75), Just(1), Just(137), Just(124)]).prop_map(|(n, c)| Step::Exit(n, c)),
        1 => (0..5_usize).prop_map(Step::Vanish),
        3 => (0..5_usize, 0..8_u64).prop_map(|(n, c)| Step::Ask(n, c)),
        4 => (0..4_usize, any::<bool>()).prop_map(|(n, yes)| Step::Decide(n, yes)),
        1 => (0..4_usize, 0..50_i64).prop_map(|(n, seconds)| Step::ApproveFor(n, seconds)),
        1 => (0..8_usize).prop_map(Step::Edit),
        1 => (0..4_usize).prop_map(Step::StaleDecide),
        1 => (0..8_usize).prop_map(Step::Revoke),
        2 => (0..5_usize, 0..5_usize).prop_map(|(n, c)| Step::Control(n, c)),
        1 => Just(Step::Kill),
        1 => (0..5_usize).prop_map(Step::LoseStart),
        1 => Just(Step::BuildFails),
        1 => (1..100_i64).prop_map(Step::Later),
        1 => (0..5_usize).prop_map(Step::NotStarted),
        1 => (0..5_usize, 0..4_u32).prop_map(|(n, a)| Step::Nonsense(n, a)),
    ]
}

const NAMES: [&str; 5] = ["gather", "analyse", "pause", "approve", "wrap"];

fn perform(run: &mut Journaled, world: &mut World, step: Step, serial: u64) {
    let id = |n: usize| NodeId::parse(NAMES[n]).unwrap();
    match step {
        Step::Tick => world.tick(run),
        Step::Exit(n, code) => world.exit(run, NAMES[n], code),
        Step::Vanish(n) => {
            if let Some(live) = run.state.node(&id(n)).and_then(|(_, node)| node.live()) {
                world.containers.remove(&live.plan.container);
            }
        }
        Step::Ask(n, c) => {
            let attempt = run.state.node(&id(n)).unwrap().1.attempts.len() as u32;
            let all = ["pip:a1", "pip:b2", "apt:jq", "pip:c3", "apt:wget", "pip:d4", "net:a.example:443", "tcp:b:5432"];
            let capability = Capability::parse(all[c as usize]);
            let command = Command::Request {
                by_gate: false,
                id: request_id(serial),
                node: id(n),
                attempt,
                capability: capability.unwrap(),
                reason: String::new(),
                deploy: None,
                schedule: None,
            };
            let _ = run.command(command);
        }
        Step::Decide(n, yes) => {
            if let Some(id) = run.state.waiting_for_a_person().get(n).cloned() {
                let _ = run.decide(&id, if yes { Verdict::Approve } else { Verdict::Deny });
            }
        }
        Step::ApproveFor(n, seconds) => {
            if let Some(id) = run.state.waiting_for_a_person().get(n).cloned() {
                let _ = run.approve_for(&id, seconds);
            }
        }
        Step::Edit(n) => {
            let Some(request) = run.state.requests.get(n).cloned() else { return };
            let other = if request.capability.kind().needs_image() { "pip:e5" } else { "net:e.example:443" };
            let (asked, list) = (vec![request.capability], vec![Capability::parse(other).unwrap()]);
            let _ = run.command(Command::Edit { id: request.id, by: "operator:ada".to_owned(), asked, list });
        }
        Step::StaleDecide(n) => {
            if let Some(id) = run.state.waiting_for_a_person().get(n).cloned() {
                let decision = run.decision(Digest::of(b"stale"));
                let result = run.command(Command::Decide { id, verdict: Verdict::Approve, decision });
                assert!(result.is_err());
            }
        }
        Step::Revoke(n) => {
            let Some(request) = run.state.requests.get(n).cloned() else { return };
            let (by, reason) = ("operator:ada".to_owned(), String::new());
            let granted = request.status.is_granted();
            // Before the word: without what its workflow declares, a run may end by it.
            let revocable = granted && !run.state.status.is_terminal();
            let revoked = run.command(Command::Revoke { id: request.id.clone(), by, reason });
            assert_eq!(revoked.is_ok(), revocable);
            assert!(!revocable || !run.state.given().contains(request.meant()));
        }
        Step::Control(n, c) => {
            let control = match c {
                0 => Control::Pause { reason: String::new() },
                1 => Control::Resume,
                2 => Control::Retry { node: id(n) },
                3 => Control::Skip { node: id(n) },
                _ if serial.is_multiple_of(7) => Control::Cancel { reason: String::new() },
                _ => Control::Resume,
            };
            let _ = run.command(Command::Control { id: Some(serial.to_string()), control });
        }
        Step::Kill => {
            world.containers.clear();
            run.command(Command::Killed { reason: "test".to_owned(), traffic: None }).unwrap();
            assert!(!run.state.may_have_containers());
        }
        Step::LoseStart(n) => {
            // A crash between the intent and the start, for whatever is dispatched next.
            let attempt = run.state.node(&id(n)).unwrap().1.attempts.len() as u32 + 1;
            let plan = AttemptPlan {
                container: format!("tf-{}-{attempt}", NAMES[n]),
                spec: Digest::of(b"s"),
                image: "image".to_owned(),
                socket: "s".to_owned(),
                deadline: run.now + Duration::seconds(60),
                mounts: Vec::new(),
            };
            let _ = run.command(Command::Dispatch { node: id(n), attempt, plan });
        }
        Step::BuildFails => {
            for recipe in run.state.wanted_recipes() {
                world.images.insert(recipe, Image::Failed("boom".to_owned()));
            }
        }
        Step::Later(seconds) => run.now += Duration::seconds(seconds),
        Step::NotStarted(n) => {
            let Some((_, node)) = run.state.node(&id(n)) else { return };
            let Some(live) = node.live().filter(|live| live.container_id.is_none()) else { return };
            let (attempt, how) = (live.number, How::NotStarted { reason: "no image".to_owned() });
            let seen = Seen {
                how,
                artifacts: Vec::new(),
                missing: Vec::new(),
                said: String::new(),
                traffic: None,
                spent: None,
                at: run.now,
            };
            run.command(Command::End { node: id(n), attempt, seen }).unwrap();
        }
        Step::Nonsense(n, attempt) => {
            let how = How::Exited { code: 0, oom: false, timed_out: false };
            let seen = Seen {
                how,
                artifacts: Vec::new(),
                missing: Vec::new(),
                said: String::new(),
                traffic: None,
                spent: None,
                at: run.now,
            };
            let started = Command::Started { node: id(n), attempt: attempt + 50, container_id: "x".to_owned() };
            assert!(run.command(started).is_err());
            assert!(run.command(Command::End { node: id(n), attempt: attempt + 50, seen }).is_err());
            assert!(run.command(Command::ImageReady { recipe: Digest::of(b"none"), image: String::new() }).is_err());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    /// Any commands in any order: each either refuses or gives events that apply; the state is the fold of the
    /// journal; after a tick there is nothing left to do; no container is started twice.
    #[test]
    fn any_history_is_consistent(
        steps in proptest::collection::vec(step(), 0..60),
        rules in proptest::option::of(proptest::sample::select(Effect::ALL.to_vec())),
        expiry in proptest::option::of((1..100_i64).prop_map(Duration::seconds)),
    ) {
        let retry = Retry { limit: 2, backoff_ms: 1, max_backoff_ms: 1, on: Vec::new() };
        let (mut run, mut world) = (Journaled::demo_with(Some(retry)), World { rules, expiry, ..World::default() });
        for (serial, step) in steps.into_iter().enumerate() {
            perform(&mut run, &mut world, step, serial as u64);
            if serial.is_multiple_of(8) {
                prop_assert_eq!(&fold(&run.records).unwrap(), &run.state);
            }
        }
        prop_assert_eq!(&fold(&run.records).unwrap(), &run.state);
        world.tick(&mut run);
        prop_assert!(plan(&run.state, &world.seen(&run)).is_empty());
        prop_assert_eq!(decide(&run.state, Command::Settle, run.now).unwrap(), vec![]);
        prop_assert!(world.starts.values().all(|&starts| starts == 1));
        if run.state.status.is_terminal() {
            prop_assert!(world.containers.is_empty() && !run.state.may_have_containers());
        }
    }

    /// No event applied to any reachable state panics, and what it refuses leaves no illegal transition behind.
    #[test]
    fn a_journal_of_nonsense_is_an_error(names in proptest::collection::vec("[a-z.]{1,20}", 0..10)) {
        let mut run = Journaled::demo();
        for name in names {
            let mut record = run.records[0].clone();
            record.event = name;
            run.records.push(record);
            prop_assert!(fold(&run.records).is_err());
            run.records.pop();
        }
    }
}
