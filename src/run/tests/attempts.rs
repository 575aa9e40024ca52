//! How attempts begin, end, and are tried again.

use super::*;

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
