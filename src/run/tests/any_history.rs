//! Any commands in any order.

use super::*;

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
    ImagesGone,
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
        1 => Just(Step::ImagesGone),
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
        Step::ImagesGone => world.images.clear(),
        Step::Later(seconds) => run.now += Duration::seconds(seconds),
        Step::NotStarted(n) => {
            let Some((_, node)) = run.state.node(&id(n)) else { return };
            let Some(live) = node.live().filter(|live| live.container_id.is_none()) else { return };
            let (attempt, how) = (live.number, How::NotStarted { reason: "no image".to_owned() });
            let seen = Seen::of(how, run.now);
            run.command(Command::End { node: id(n), attempt, seen }).unwrap();
        }
        Step::Nonsense(n, attempt) => {
            let how = How::Exited { code: 0, oom: false, timed_out: false };
            let seen = Seen::of(how, run.now);
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
