//! Deployments without files, containers or a clock: what follows from what was journaled.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use chrono::{Duration, Utc};

use super::*;
use crate::run::capability::Capability;
use crate::run::command::{Command, Control, DeploymentCommand, How, Seen, Verdict};
use crate::run::event::{AttemptPlan, Event, Presented};
use crate::run::plan::{Action, Container, ContainerState, DeploymentEnd, DeploymentSeen, Observed, plan};
use crate::run::refusal::Refusal;
use crate::run::state::RequestStatus;
use crate::run::status::{NodeKind, NodeStatus};
use crate::run::tests::{Journaled, node};

fn id() -> RequestId {
    RequestId::parse("01JD2Z3V5Q8M4K7N9P1R2S3T4V").unwrap()
}

fn proposal(word: &str) -> Proposal {
    Proposal { command: vec![word.to_owned()], folder: ".".to_owned() }
}

fn proposed(proposal: &Proposal) -> Proposed {
    let file = DeployedFile { path: "a".into(), executable: false, bytes: 1, sha256: Digest::of(b"a") };
    let files = vec![file];
    let set = digest_of(&files);
    Proposed { image: "sha256:x".into(), command: proposal.command.clone(), folder: ".".into(), port: 8000, files, set }
}

fn propose(run: &mut Journaled, id: &RequestId, proposal: Option<Proposal>) -> Vec<Event> {
    let (node, reason) = (NodeId::parse("web").unwrap(), String::new());
    let capability = Capability::parse("port:8000").unwrap();
    let id = id.clone();
    let request =
        Command::Request { id, node, attempt: 1, capability, reason, by_gate: false, deploy: proposal, schedule: None };
    run.command(request).unwrap()
}

/// A run whose proposal was approved.
fn approved() -> Journaled {
    let mut run = Journaled::new(vec![node("web", NodeKind::SessionTurn, &[])]);
    propose(&mut run, &id(), Some(proposal("serve")));
    let grants = run.state.given_with(run.state.request(&id()).unwrap());
    let (deployment, review) = (Some(proposed(&proposal("serve"))), Digest::of(b"shown"));
    let presented =
        Presented { grants, folder: None, deployment, schedule: None, policy: None, review: review.clone() };
    run.command(Command::Present { id: id(), presented }).unwrap();
    let decision = run.decision(review);
    run.command(Command::Decide { id: id(), verdict: Verdict::Approve, decision }).unwrap();
    run
}

fn tell(run: &mut Journaled, command: DeploymentCommand) -> Result<Vec<Event>, Refusal> {
    run.command(Command::Deployment(command))
}

fn placed() -> Journaled {
    let mut run = approved();
    tell(&mut run, DeploymentCommand::Place { id: id(), port: 9100 }).unwrap();
    run
}

fn begin(run: &mut Journaled) {
    let number = run.state.deployment(&id()).unwrap().starts + 1;
    let launch = Launch { number, container: format!("c{number}"), spec: Digest::of(b"spec") };
    tell(run, DeploymentCommand::Begin { id: id(), launch }).unwrap();
    tell(run, DeploymentCommand::Started { id: id(), number, container_id: "x".into() }).unwrap();
}

fn over(run: &mut Journaled, outcome: Outcome) {
    let number = run.state.deployment(&id()).unwrap().starts;
    let end = End { outcome, exit_code: None, detail: String::new(), traffic: None };
    tell(run, DeploymentCommand::End { id: id(), number, end }).unwrap();
}

/// What is to be done about the deployment, with its container as it is.
fn planned(run: &Journaled, container: Option<ContainerState>, gate_runs: bool) -> Vec<Action> {
    let container = container.map(|state| Container { id: "x".into(), state });
    let deployments = BTreeMap::from([(id(), DeploymentSeen { container, gate_runs })]);
    let seen = Observed { now: run.now, deployments, policy_is_current: true, ..Observed::default() };
    let ours = |action: &Action| {
        use Action::{Deploy, EndDeployment, GoOnDeploying, TakeDown};
        matches!(action, Deploy { .. } | EndDeployment { .. } | GoOnDeploying { .. } | TakeDown { .. })
    };
    plan(&run.state, &seen).into_iter().filter(ours).collect()
}

const RUNNING: Option<ContainerState> = Some(ContainerState::Running);

fn exited(code: i64) -> Option<ContainerState> {
    Some(ContainerState::Exited { code, oom: false, finished_at: None })
}

#[test]
fn equal_proposals_are_one_and_others_are_not() {
    let mut run = Journaled::new(vec![node("web", NodeKind::SessionTurn, &[])]);
    propose(&mut run, &id(), Some(proposal("serve")));
    let again = RequestId::parse("01JD2Z3V5Q8M4K7N9P1R2S3T4W").unwrap();
    assert!(matches!(propose(&mut run, &again, Some(proposal("serve")))[0], Event::CapabilityJoined { .. }));
    let other = RequestId::parse("01JD2Z3V5Q8M4K7N9P1R2S3T4X").unwrap();
    assert!(matches!(propose(&mut run, &other, Some(proposal("other")))[0], Event::CapabilityRequested { .. }));
    assert_eq!(run.state.requests.len(), 2);
}

#[test]
fn nothing_is_deployed_before_it_has_a_port() {
    let mut run = approved();
    assert_eq!(planned(&run, None, false), []);
    let launch = Launch { number: 1, container: "c".into(), spec: Digest::of(b"") };
    assert!(tell(&mut run, DeploymentCommand::Begin { id: id(), launch }).is_err());
    tell(&mut run, DeploymentCommand::NoPort { id: id(), reason: "all taken".into() }).unwrap();
    let request = run.state.request(&id()).unwrap();
    assert_eq!((request.status, request.problem.as_str()), (RequestStatus::Failed, "all taken"));
    assert_eq!(tell(&mut run, DeploymentCommand::Place { id: id(), port: 9100 }).unwrap(), []);
    assert!(run.state.deployments.is_empty());
}

#[test]
fn it_is_started_adopted_and_left_alone() {
    let mut run = placed();
    assert_eq!(run.state.request(&id()).unwrap().status, RequestStatus::Applied);
    assert_eq!(planned(&run, None, false), [Action::Deploy { id: id() }]);
    let launch = Launch { number: 1, container: "c1".into(), spec: Digest::of(b"") };
    tell(&mut run, DeploymentCommand::Begin { id: id(), launch: launch.clone() }).unwrap();
    assert!(tell(&mut run, DeploymentCommand::Begin { id: id(), launch }).is_err(), "two ticks at once start it once");
    // A crash between the start and our note of it.
    for container in [None, Some(ContainerState::Created), RUNNING] {
        assert_eq!(planned(&run, container, true), [Action::GoOnDeploying { id: id() }]);
    }
    tell(&mut run, DeploymentCommand::Started { id: id(), number: 1, container_id: "x".into() }).unwrap();
    assert_eq!(
        tell(&mut run, DeploymentCommand::Started { id: id(), number: 1, container_id: "x".into() }).unwrap(),
        []
    );
    assert_eq!(planned(&run, RUNNING, true), []);
    assert_eq!(planned(&run, RUNNING, false), [Action::GoOnDeploying { id: id() }], "its gate died");
    assert_eq!(run.state.standing(run.state.deployment(&id()).unwrap()), Standing::Running);
}

#[test]
fn after_a_reboot_it_is_begun_at_once_and_after_a_failure_not() {
    let mut run = placed();
    begin(&mut run);
    let lost = Action::EndDeployment { id: id(), how: DeploymentEnd::Lost };
    for gone in [None, exited(137), exited(143), exited(255)] {
        assert_eq!(planned(&run, gone, false), std::slice::from_ref(&lost));
    }
    let how = DeploymentEnd::Exited { code: 3, oom: false };
    assert_eq!(planned(&run, exited(3), true), [Action::EndDeployment { id: id(), how }]);
    over(&mut run, Outcome::Lost);
    assert_eq!(planned(&run, None, false), [Action::Deploy { id: id() }]);
    begin(&mut run);
    over(&mut run, Outcome::Exited);
    assert_eq!(planned(&run, None, false), []);
    assert_eq!(run.state.standing(run.state.deployment(&id()).unwrap()), Standing::Failing);
    tell(&mut run, DeploymentCommand::Resume { id: id(), by: "operator:ada".into() }).unwrap();
    assert_eq!(planned(&run, None, false), [Action::Deploy { id: id() }], "a person need not wait");
}

#[test]
fn the_pause_grows_to_its_bound_and_begins_anew_after_steady_work() {
    let mut run = placed();
    let mut pauses = Vec::new();
    for _ in 0..40 {
        begin(&mut run);
        over(&mut run, Outcome::Exited);
        let until = run.state.deployment(&id()).unwrap().not_before.unwrap();
        pauses.push((until - run.now).num_seconds());
        run.now = until;
    }
    assert_eq!(pauses[..8], [5, 10, 20, 40, 80, 160, 300, 300]);
    assert!(pauses[8..].iter().all(|pause| *pause == 300));
    begin(&mut run);
    run.now += Duration::minutes(11);
    over(&mut run, Outcome::Exited);
    assert_eq!(run.state.deployment(&id()).unwrap().failures, 1);
}

#[test]
fn what_is_stopped_revoked_or_cancelled_is_taken_down_and_stays_down() {
    let stop = |run: &mut Journaled| {
        let (by, reason) = ("operator:ada".to_owned(), "lunch".to_owned());
        tell(run, DeploymentCommand::Stop { id: id(), by, reason }).unwrap();
    };
    let revoke = |run: &mut Journaled| {
        let (by, reason) = ("operator:ada".to_owned(), "enough".to_owned());
        run.command(Command::Revoke { id: id(), by, reason }).unwrap();
    };
    let cancel = |run: &mut Journaled| {
        run.command(Command::Control { id: None, control: Control::Cancel { reason: String::new() } }).unwrap();
    };
    for (end, standing) in [
        (&stop as &dyn Fn(&mut Journaled), Standing::Stopped),
        (&revoke, Standing::Revoked),
        (&cancel, Standing::Stopped),
    ] {
        let mut run = placed();
        begin(&mut run);
        end(&mut run);
        assert_eq!(planned(&run, RUNNING, true), [Action::TakeDown { id: id() }]);
        assert!(run.state.may_have_containers());
        over(&mut run, Outcome::Stopped);
        run.now += Duration::days(30);
        assert_eq!(planned(&run, None, false), []);
        assert_eq!(run.state.standing(run.state.deployment(&id()).unwrap()), standing);
        assert!(!run.state.looks_after_deployments());
    }
    let mut run = placed();
    stop(&mut run);
    assert!(run.state.keeps_its_port(run.state.deployment(&id()).unwrap()));
    revoke(&mut run);
    assert!(!run.state.keeps_its_port(run.state.deployment(&id()).unwrap()));
    let resumed = tell(&mut run, DeploymentCommand::Resume { id: id(), by: "operator:ada".into() });
    assert_eq!(resumed, Err(Refusal::DeploymentRevoked(id())));
}

#[test]
fn a_declared_one_is_proposed_when_its_node_is_done_and_keeps_the_run_open() {
    let mut web = node("web", NodeKind::SessionTurn, &[]);
    let declared = Declared { port: 8000, command: vec!["serve".into()], folder: ".".into() };
    web.container.as_mut().unwrap().deploy = Some(declared);
    let mut run = Journaled::new(vec![web]);
    let (node, at) = (NodeId::parse("web").unwrap(), run.now);
    let plan = AttemptPlan {
        container: "c".into(),
        spec: Digest::of(b""),
        image: String::new(),
        socket: "s".into(),
        deadline: at,
        mounts: Vec::new(),
    };
    run.command(Command::Dispatch { node: node.clone(), attempt: 1, plan }).unwrap();
    run.command(Command::Started { node: node.clone(), attempt: 1, container_id: "x".into() }).unwrap();
    let how = How::Exited { code: 0, oom: false, timed_out: false };
    let (said, artifacts) = (String::new(), Vec::new());
    let seen = Seen { how, artifacts, missing: Vec::new(), said, traffic: None, spent: None, at };
    run.command(Command::End { node, attempt: 1, seen }).unwrap();
    assert_eq!((run.state.nodes[0].status, run.state.status), (NodeStatus::Completed, RunStatus::Running));
    let request = run.state.requests[0].clone();
    assert_eq!((request.attempt, &request.deploy), (0, &Some(proposal("serve"))));
    let seen = Observed { now: run.now, policy_is_current: true, ..Observed::default() };
    let planned = crate::run::plan::plan(&run.state, &seen);
    assert!(planned.contains(&Action::Resolve { id: request.id.clone() }), "{planned:?}");
    run.command(Command::CannotResolve { id: request.id, reason: "a symlink".into() }).unwrap();
    assert_eq!(run.state.status, RunStatus::Completed, "the node did its work; what was not deployed is on record");
}

#[test]
fn a_kill_ends_it_and_no_tick_begins_it_again() {
    let mut run = placed();
    begin(&mut run);
    run.command(Command::Killed { reason: "now".into(), traffic: None }).unwrap();
    let deployment = run.state.deployment(&id()).unwrap();
    assert_eq!(deployment.last.as_ref().unwrap().end.outcome, Outcome::Killed);
    assert_eq!(deployment.down.as_ref().unwrap().reason, "killed: now");
    run.now += Duration::days(1);
    assert_eq!(planned(&run, None, false), []);
    assert!(!run.state.looks_after_deployments());
    // One that waits for its pause is kept from coming back as well.
    let mut run = placed();
    run.command(Command::Killed { reason: "now".into(), traffic: None }).unwrap();
    assert_eq!(planned(&run, None, false), []);
}

#[test]
fn the_digest_of_a_set_is_of_every_path_mode_size_and_content() {
    let one = proposed(&proposal("x")).files;
    let changes: [fn(&mut DeployedFile); 4] = [
        |file| file.path.push('b'),
        |file| file.executable = true,
        |file| file.bytes += 1,
        |file| file.sha256 = Digest::of(b"b"),
    ];
    for change in changes {
        let mut other = one.clone();
        change(&mut other[0]);
        assert_ne!(digest_of(&one), digest_of(&other));
    }
    let twice = [one.clone(), one.clone()].concat();
    assert_ne!(digest_of(&one), digest_of(&twice));
    assert!(deadline() > Utc::now() + Duration::days(365_000));
}
