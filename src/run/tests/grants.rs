//! What is asked for, decided, given, and over.

use super::*;

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

#[test]
fn an_image_that_somebody_took_away_is_made_again_before_an_attempt_needs_it() {
    let (mut run, mut world) = (Journaled::demo(), World::default());
    world.tick(&mut run);
    let id = ask(&mut run, 1, "gather", "pip:pygal");
    world.tick(&mut run);
    run.decide(&id, Verdict::Approve).unwrap();
    world.tick(&mut run);
    assert_eq!((world.builds, run.state.request(&id).unwrap().status), (1, RequestStatus::Applied));
    world.images.clear();
    world.exit(&run, "gather", 75);
    world.tick(&mut run);
    assert_eq!((world.builds, status(&run, "gather")), (2, NodeStatus::Running));
    // Nothing starts while it is being made; that it cannot be is for the attempt to fail by.
    world.exit(&run, "gather", 137);
    let recipe = run.state.request(&id).unwrap().recipe().unwrap().clone();
    world.images.insert(recipe.clone(), Image::Building);
    world.tick(&mut run);
    assert_eq!((world.builds, status(&run, "gather")), (2, NodeStatus::Ready));
    world.images.insert(recipe, Image::Failed("no space".to_owned()));
    let gather = NodeId::parse("gather").unwrap();
    assert_eq!(plan(&run.state, &world.seen(&run)), [Action::Dispatch { node: gather }]);
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
        let at = crate::run::time::isoformat(run.now + Duration::seconds(seconds));
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
