//! A run made up for the pages: everything that can happen to one, in a story of two minutes and a night.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, json};

use super::{Content, Proof, Report, Source};
use crate::gate::records::{Kind, Record as GateRecord, Traffic};
use crate::registry::Head;
use crate::run::adoption::{AdoptedNode, AdoptedStatus, Adoption};
use crate::run::capability::Capability;
use crate::run::definition::{
    Artifact, ContainerDefinition, Created, Limits, NodeDefinition, OutputsMode, Resources, Runtime, Sessions, WaitFor,
    WaitKind,
};
use crate::run::event::{
    AttemptEnd, AttemptPlan, DecisionRecord, Event, FailureCode, Outcome, ReadyReason, Report as Said, Resolution,
    SkipReason, WaitingOn,
};
use crate::run::id::{Digest, NodeId, RequestId, RunId, WorkflowId};
use crate::run::record::Record;
use crate::run::review;
use crate::run::state::State;
use crate::run::status::{NodeKind, NodeStatus};
use crate::run::time::isoformat;

/// Every text of the story goes through one of these, so that a test can put others in their places.
pub(super) type Say<'a> = &'a dyn Fn(&str) -> String;

/// A run, its journal, and what lies beside it.
pub(super) struct Story {
    pub(super) state: State,
    pub(super) records: Vec<Record>,
    pub(super) proof: Proof,
    pub(super) traffic: Traffic,
    pub(super) contents: BTreeMap<String, Content>,
    pub(super) waits_for: Vec<String>,
    now: DateTime<Utc>,
}

fn id(text: &str) -> NodeId {
    NodeId::parse(text).unwrap()
}

pub(super) fn node(name: &str, title: String, kind: NodeKind, needs: &[&str], in_container: bool) -> NodeDefinition {
    let container = in_container.then(|| ContainerDefinition {
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
    NodeDefinition {
        id: id(name),
        title,
        kind,
        needs: needs.iter().map(|need| id(need)).collect(),
        prompt: String::new(),
        outputs_mode: OutputsMode::Report,
        artifact_paths: Vec::new(),
        wait_for: (kind == NodeKind::Wait).then_some(WaitFor { kind: WaitKind::Manual, path: None }),
        session_key: None,
        retry: None,
        continue_on_failure: false,
        container,
        metadata: Map::new(),
    }
}

impl Story {
    pub(super) fn begin(title: String, nodes: Vec<NodeDefinition>) -> Self {
        let now = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        let created = Created {
            parent: None,
            format: crate::run::definition::FORMAT,
            registry: "01M8D56NGPH4ZS5VVA02ZFG4SN".to_owned(),
            signed: false,
            workflow_id: WorkflowId::parse("sales-report").unwrap(),
            title,
            workflow_path: "workflows/sales-report.task.md".to_owned(),
            workflow_digest: Digest::of(b"workflow"),
            binary: Some(Digest::of(b"binary")),
            users: None,
            nodes,
            inputs: Vec::new(),
            params: BTreeMap::new(),
            limits: Limits { attempts: 3, suspensions: 3 },
            concurrency: 4,
            sessions: Sessions::default(),
        };
        let run = RunId::parse("demo-1").unwrap();
        let head = Head { at: 28_365, digest: Digest::of(b"head"), seq: 40 };
        let mut story = Self {
            state: State::begin(run, created.clone(), now),
            records: Vec::new(),
            proof: Proof { head, lines: 41, foreign: 1, findings: Vec::new() },
            traffic: Traffic { records: Vec::new(), bytes: 0, head: Digest::of(b"gate"), torn: None },
            contents: BTreeMap::new(),
            waits_for: Vec::new(),
            now,
        };
        story.record("operator:ada", &Event::RunCreated(Box::new(created)));
        story
    }

    fn record(&mut self, actor: &str, event: &Event) {
        let draft = event.to_draft();
        self.records.push(Record {
            event: draft.event,
            timestamp: isoformat(self.now),
            run_id: "demo-1".to_owned(),
            payload: draft.payload,
            node_id: draft.node_id,
            message: draft.message,
            seq: self.records.len() as u64 + 1,
            batch: (1, 1),
            actor: actor.to_owned(),
            data: draft.data,
            at: 0,
            prev: String::new(),
        });
    }

    pub(super) fn tell(&mut self, millis: i64, actor: &str, event: Event) {
        self.now += TimeDelta::milliseconds(millis);
        self.state.apply(&event, self.now).unwrap_or_else(|error| panic!("{event:?}: {error}"));
        self.record(actor, &event);
    }

    fn attempt(&mut self, name: &str, attempt: u32, millis: i64, outcome: Outcome, detail: String) {
        let plan = AttemptPlan {
            container: format!("tf-demo-1-{name}-{attempt}"),
            spec: Digest::of(b"spec"),
            image: format!("sha256:{}", Digest::of(b"image")),
            socket: "s".to_owned(),
            deadline: self.now + TimeDelta::minutes(30),
            mounts: Vec::new(),
        };
        let node = id(name);
        self.tell(200, "tick", Event::NodeDispatching { node: node.clone(), attempt, plan });
        self.tell(300, "tick", Event::NodeStarted { node: node.clone(), attempt, container_id: "c".to_owned() });
        let exit_code = Some(i64::from(outcome != Outcome::Succeeded));
        let end = AttemptEnd { outcome, exit_code, detail, traffic: None };
        self.tell(millis, "tick", Event::AttemptEnded { node, attempt, end });
    }

    fn ready(&mut self, name: &str, why: ReadyReason) {
        self.tell(10, "tick", Event::NodeReady { node: id(name), why, not_before: None });
    }

    fn done(&mut self, name: &str, files: &[(&str, String)], decision: Option<DecisionRecord>) {
        let artifacts = files
            .iter()
            .map(|(file, text)| {
                let path = format!("nodes/{name}/{file}");
                let sha256 = Digest::of(text.as_bytes());
                self.contents.insert(path.clone(), Content::of(&path, text.clone().into_bytes(), &sha256));
                Artifact { path, sha256, bytes: text.len() as u64 }
            })
            .collect();
        self.tell(10, "tick", Event::NodeCompleted { node: id(name), artifacts, decision });
    }

    fn decision(&self, digest: Digest, say: Say<'_>) -> DecisionRecord {
        DecisionRecord {
            by: say("operator:ada"),
            at: isoformat(self.now + TimeDelta::seconds(5)),
            digest,
            comment: say("pygal is what we use everywhere."),
            file: Digest::of(b"file"),
            proven: false,
            key: None,
            until: None,
            scope: crate::run::terms::Scope::Run,
            instead: Vec::new(),
            signature: None,
        }
    }

    fn exchange(&mut self, node: &str, model: String, tokens: (u64, u64)) {
        let mut add = |kind: Kind, fields: serde_json::Value| {
            let serde_json::Value::Object(fields) = fields else { panic!("no object") };
            let seq = self.traffic.records.len() as u64 + 1;
            self.traffic.bytes += 500;
            let (node, attempt) = (Some(node.to_owned()), Some(1));
            let (time, prev) = (isoformat(self.now), Digest::of(b"p"));
            self.traffic.records.push(GateRecord { seq, at: 0, time, kind, node, attempt, fields, prev });
            seq
        };
        let request = add(Kind::LlmRequest, json!({"model": model}));
        let usage = json!({"prompt_tokens": tokens.0, "completion_tokens": tokens.1});
        add(Kind::LlmResponse, json!({"request": request, "usage": usage}));
    }

    /// The whole story, in `say`'s words.
    pub(super) fn whole(say: Say<'_>) -> Self {
        let mut story = Self::begin(
            say("Sales report for the spring"),
            vec![
                node("gather", say("Profile the sales data"), NodeKind::SessionTurn, &[], true),
                node("analyse", say("Analyse the sales and draw the chart"), NodeKind::SessionTurn, &["gather"], true),
                node("wording", say("Check the wording"), NodeKind::Subagent, &["gather"], false),
                node("extra", say("Compare with last year"), NodeKind::SessionTurn, &[], true),
                node("chart", say("Redraw the chart"), NodeKind::Summary, &["extra"], true),
                node("approve", say("May the report go out?"), NodeKind::Approval, &["analyse", "wording"], false),
                node("hold", say("Wait for the embargo"), NodeKind::Wait, &["approve"], false),
                node("publish", say("Publish"), NodeKind::Summary, &["hold"], false),
            ],
        );
        story.ready("gather", ReadyReason::NeedsMet);
        story.ready("extra", ReadyReason::NeedsMet);
        story.attempt("gather", 1, 2_000, Outcome::Failed, say("exit code 1: no such file"));
        story.ready("gather", ReadyReason::Retry);
        story.attempt("gather", 2, 4_000, Outcome::Succeeded, String::new());
        story.exchange("gather", say("gemini-2.5-flash"), (1200, 340));
        story.tell(
            1,
            "agent:gather",
            Event::RunProgress { node: Some(id("gather")), message: say("2969 orders, 12 columns."), inbox: None },
        );
        story.done("gather", &[("profile.json", say("{\"rows\": 2969}\n"))], None);
        story.ready("analyse", ReadyReason::NeedsMet);
        story.ready("wording", ReadyReason::NeedsMet);
        story.tell(
            900,
            "openclaw:agent:main",
            Event::NodeStarted { node: id("wording"), attempt: 0, container_id: String::new() },
        );
        story.attempt("extra", 1, 800, Outcome::Oom, say("it took more than 512 MiB"));
        story.tell(
            5,
            "tick",
            Event::NodeFailed {
                node: id("extra"),
                code: FailureCode::Oom,
                detail: say("ran out of memory"),
                decision: None,
            },
        );
        story.tell(5, "tick", Event::NodeSkipped { node: id("chart"), why: SkipReason::NeedFailed(id("extra")) });
        story.request(say);
        let report = say(
            "# Sales\n\nNet revenue is **780,754.01** from 2969 orders.\n\n| month | net |\n|---|--:|\n| April | 310 |\n\n<script>alert(1)</script>\n\n[more](javascript:alert(1)) ![x](https://t.example/x.png)\n",
        );
        story.done(
            "analyse",
            &[("report.md", report), ("chart.svg", "<svg xmlns=\"http://www.w3.org/2000/svg\"/>".to_owned())],
            None,
        );
        let said = Said {
            status: NodeStatus::Completed,
            summary: Some(say("The wording is fine but for one comma.")),
            artifacts: Vec::new(),
            session_key: None,
            child_session_key: None,
            working_memory: None,
        };
        let (node, result) = (id("wording"), json!({"summary": say("fine")}));
        story.tell(
            700,
            "openclaw:agent:main",
            Event::NodeResult { node, inbox: None, result, report: Some(Box::new(said)) },
        );
        story.done("wording", &[], None);
        story.approve(say);
        story.ready("hold", ReadyReason::NeedsMet);
        story.tell(20, "tick", Event::NodeWaiting { node: id("hold"), on: WaitingOn::Condition });
        story.waits_for = vec![say("a person, for node hold: `taskforge control approve demo-1 hold`")];
        story.proof.findings = vec![say("Line 12 of the journal was written by another program without the lock")];
        story
    }

    /// The agent asks for a package, is suspended for a night, and goes on in another image.
    fn request(&mut self, say: Say<'_>) {
        let request = RequestId::parse("01M8D56NGPH4ZS5VVA02ZFG4SN").unwrap();
        self.attempt("analyse", 1, 3_000, Outcome::Suspended, String::new());
        self.exchange("analyse", say("gemini-2.5-flash"), (4100, 900));
        self.tell(
            1,
            "agent:analyse",
            Event::CapabilityRequested {
                by_gate: false,
                id: request.clone(),
                node: id("analyse"),
                attempt: 1,
                capability: Capability::parse("pip:pygal==3.1.3").unwrap(),
                reason: say("The chart has to be drawn with pygal."),
                deploy: None,
                schedule: None,
            },
        );
        self.tell(
            1,
            "tick",
            Event::NodeWaiting { node: id("analyse"), on: WaitingOn::Requests(vec![request.clone()]) },
        );
        let resolution = Resolution {
            base: "base".to_owned(),
            base_layers: Vec::new(),
            lock: json!({}),
            lock_digest: Digest::of(b"lock"),
            members: Vec::new(),
            recipe: Digest::of(b"recipe"),
            upon: None,
            own: None,
            without: Vec::new(),
            before: None,
            policy: None,
            review: Digest::of(b"review"),
        };
        self.tell(700, "tick", Event::CapabilityResolved { id: request.clone(), resolution });
        self.now += TimeDelta::hours(9);
        let decision = self.decision(Digest::of(b"review"), say);
        self.tell(0, "operator:ada", Event::CapabilityApproved { id: request.clone(), decision });
        self.tell(
            2_000,
            "tick",
            Event::CapabilityApplied { id: request, image: "taskforge/agent:6987a7e6a575".to_owned() },
        );
        self.ready("analyse", ReadyReason::Answered);
        self.attempt("analyse", 2, 5_000, Outcome::Succeeded, String::new());
    }

    fn approve(&mut self, say: Say<'_>) {
        self.ready("approve", ReadyReason::NeedsMet);
        let (definition, waiting) = self.state.node(&id("approve")).unwrap();
        let approval = review::approval_id(&self.state, definition, waiting);
        self.tell(5, "tick", Event::NodeWaiting { node: id("approve"), on: WaitingOn::Approval(approval.clone()) });
        self.now += TimeDelta::seconds(40);
        let shown = review::approval_digest(&self.state, &approval).unwrap();
        let decision = self.decision(shown, say);
        self.done("approve", &[], Some(decision));
    }

    pub(super) fn report(&self) -> Report<'_> {
        Report::new(Source {
            state: &self.state,
            records: &self.records,
            proof: &self.proof,
            traffic: Ok(&self.traffic),
            contents: &self.contents,
            waits_for: &self.waits_for,
            version: "0.1.0",
        })
    }
}

#[test]
fn an_approval_waits_and_is_denied() {
    let mut story = Story::begin("T".to_owned(), vec![node("a", "Go on?".to_owned(), NodeKind::Approval, &[], false)]);
    story.ready("a", ReadyReason::NeedsMet);
    let (definition, waiting) = story.state.node(&id("a")).unwrap();
    let approval = review::approval_id(&story.state, definition, waiting);
    story.tell(5, "tick", Event::NodeWaiting { node: id("a"), on: WaitingOn::Approval(approval.clone()) });
    let shown = review::approval_digest(&story.state, &approval).unwrap();
    let page = super::html(&story.report());
    assert!(page.contains(&format!("taskforge approve {approval}</code>")) && page.contains(shown.as_str()), "{page}");
    assert!(page.contains("waits for a decision") && !page.contains("by a person"));
    let detail = "denied by operator:ada: too early".to_owned();
    story.tell(
        5,
        "operator:ada",
        Event::NodeFailed { node: id("a"), code: FailureCode::Denied, detail, decision: None },
    );
    let page = super::html(&story.report());
    assert!(page.contains("badge r-denied") && page.contains("too early") && page.contains("1 by a person"), "{page}");
    assert!(super::markdown(&story.report()).contains("| denied |"));
}

/// What OpenTask's helper writes, in a run that it does alone, and what we make of it when we take it over.
#[test]
fn lines_of_other_programs_are_a_part_of_the_story() {
    let mut story = Story::begin("T".to_owned(), vec![node("a", "A".to_owned(), NodeKind::SessionTurn, &[], false)]);
    let start = story.now;
    for (event, seconds) in [("node.ready", 1), ("node.started", 2), ("node.completed", 12), ("run.progress", 13)] {
        let at = isoformat(start + TimeDelta::seconds(seconds));
        let line =
            json!({"event": event, "timestamp": at, "nodeId": "a", "message": format!("said {event}"), "seq": {}});
        story.records.push(super::foreign_line(line.as_object().unwrap()));
    }
    story.now += TimeDelta::seconds(20);
    let (started_at, completed_at) = (Some(start + TimeDelta::seconds(2)), Some(start + TimeDelta::seconds(12)));
    let status = Some(AdoptedStatus { to: NodeStatus::Completed, started_at, completed_at });
    let adopted = AdoptedNode { node: id("a"), status, bound: None, notes: None };
    story.tell(0, "tick", Event::RegistryAdopted(Box::new(Adoption { nodes: vec![adopted], ..Adoption::default() })));
    let page = super::html(&story.report());
    assert!(page.contains("aria-label=\"ready to run, 1 s; a session did it: completed, 10 s\""), "{page}");
    assert!(page.contains("another program") && page.contains("said run.progress"));
}

/// The same run before the other program wrote lines that we know.
#[test]
fn what_was_taken_over_has_its_times() {
    let mut story = Story::begin("T".to_owned(), vec![node("a", "A".to_owned(), NodeKind::SessionTurn, &[], false)]);
    let start = story.now;
    story.now += TimeDelta::seconds(20);
    let (started_at, completed_at) = (Some(start + TimeDelta::seconds(2)), Some(start + TimeDelta::seconds(12)));
    let status = Some(AdoptedStatus { to: NodeStatus::Completed, started_at, completed_at });
    let adopted = AdoptedNode { node: id("a"), status, bound: None, notes: None };
    story.tell(0, "tick", Event::RegistryAdopted(Box::new(Adoption { nodes: vec![adopted], ..Adoption::default() })));
    assert!(super::html(&story.report()).contains("aria-label=\"a session did it: completed, 10 s\""));
}

#[test]
fn the_page_of_a_run() {
    let story = Story::whole(&str::to_owned);
    let page = super::html(&story.report());
    // Styles change for reasons of their own.
    let (head, rest) = page.split_once("<style>").unwrap();
    let body = rest.split_once("</style>").unwrap().1;
    insta::assert_snapshot!("page", format!("{head}{body}"));
}

#[test]
fn the_markdown_of_a_run() {
    let story = Story::whole(&str::to_owned);
    insta::assert_snapshot!("markdown", super::markdown(&story.report()));
}

#[test]
fn the_same_run_gives_the_same_bytes() {
    let (a, b) = (Story::whole(&str::to_owned), Story::whole(&str::to_owned));
    assert_eq!(super::html(&a.report()), super::html(&b.report()));
    assert_eq!(super::markdown(&a.report()), super::markdown(&b.report()));
}

#[test]
fn runs_that_ended_otherwise() {
    let fresh = || Story::begin("T".to_owned(), vec![node("a", "A".to_owned(), NodeKind::SessionTurn, &[], false)]);
    let mut paused = fresh();
    paused.tell(5, "operator:ada", Event::RunPaused { reason: "lunch".to_owned() });
    let page = super::html(&paused.report());
    assert!(page.contains("paused") && page.contains("lunch"));
    let mut cancelled = fresh();
    cancelled.tell(5, "operator:ada", Event::RunCancelled { reason: "enough".to_owned() });
    let page = super::html(&cancelled.report());
    assert!(page.contains("cancelled") && page.contains("enough") && !page.contains("It waits for"));
    let mut failed = fresh();
    failed.ready("a", ReadyReason::NeedsMet);
    failed.tell(
        5,
        "openclaw:s",
        Event::NodeFailed { node: id("a"), code: FailureCode::Session, detail: "no luck".to_owned(), decision: None },
    );
    failed.tell(5, "tick", Event::RunFailed { failed: vec![id("a")] });
    let page = super::html(&failed.report());
    assert!(page.contains("no luck") && page.contains("taskforge run retry demo-1 a"));
    // A node that came later.
    let mut grown = fresh();
    let added = node("later", "Later".to_owned(), NodeKind::Summary, &["a"], false);
    grown.tell(5, "openclaw:s", Event::NodeAdded { node: id("later"), before: None, definition: Box::new(added) });
    let page = super::html(&grown.report());
    assert!(page.contains("Later") && page.matches("class=\"edge").count() == 1);
    let empty = Story::begin("None".to_owned(), Vec::new());
    assert!(super::html(&empty.report()).contains("None") && super::markdown(&empty.report()).contains("None"));
}

#[test]
fn what_is_too_much_is_cut_and_says_so() {
    let nodes = (0..1000)
        .map(|n| {
            let needs: Vec<String> =
                (1..4).filter_map(|back| Some(format!("n{}", n - back * back)).filter(|_| n >= back * back)).collect();
            let needs: Vec<&str> = needs.iter().map(String::as_str).collect();
            node(&format!("n{n}"), format!("Node {n} {}", "x".repeat(5000)), NodeKind::SessionTurn, &needs, false)
        })
        .collect();
    let mut story = Story::begin("Large".to_owned(), nodes);
    for _ in 0..20 {
        story.tell(
            5,
            "agent:a",
            Event::RunProgress { node: Some(id("n1")), message: "m".repeat(1 << 20), inbox: None },
        );
    }
    for n in 0..2_000 {
        story.tell(
            5,
            "agent:a",
            Event::RunProgress { node: Some(id("n1")), message: format!("message {n}"), inbox: None },
        );
    }
    let page = super::html(&story.report());
    assert!(page.len() < 8 << 20, "{}", page.len());
    assert!(page.contains("characters cut") && page.contains("1,620 lines between are left out"));
    assert!(page.contains("700 more nodes are left out of the timeline"));
    let markdown = super::markdown(&story.report());
    assert!(markdown.chars().count() < 65_000, "{}", markdown.chars().count());
    assert!(markdown.contains("900 more nodes are left out") && markdown.contains("too many to be drawn"));
    // Cut lines leave no half of a fence or of a table.
    assert_eq!(markdown.matches("<details>").count(), markdown.matches("</details>").count());
}
