//! What is said to be decided by a rule has to be what that rule says: by the ruling that was recorded with it, and by the
//! files themselves as long as they are the same.
#![allow(clippy::unwrap_used)]

use std::fs;

use chrono::Utc;

use super::error::Error;
use super::store::Store;
use super::{recorded, rulings, verify};
use crate::registry::Registry;
use crate::run::capability::Capability;
use crate::run::event::Presented;
use crate::run::id::{Digest, RequestId, RunId};
use crate::run::ruling::{Effect, Ruling};
use crate::run::state::{Request, RequestStatus, State};

const RULES: &str = "format: 1\nrules:\n- {effect: allow, kind: net, name: 'a.example:443'}\n";

/// A request for `capability` that was given by what `ruling` said of it.
fn given(state: &State, capability: &str, ruling: Ruling) -> Request {
    let capability = Capability::parse(capability).unwrap();
    let review = Digest::of(b"what was shown");
    let id = RequestId::parse("01JD2Z3V5Q8M4K7N9P1R2S3T4V").unwrap();
    let node = state.created.nodes[0].id.clone();
    let decision = Some(ruling.decision(review.clone(), Utc::now()));
    let policy = Some(ruling);
    let presented =
        Presented { grants: vec![capability.clone()], folder: None, deployment: None, schedule: None, policy, review };
    Request {
        schedule: None,
        id,
        attempt: 1,
        capability,
        reason: String::new(),
        by_gate: false,
        deploy: None,
        askers: vec![(node.clone(), 1)],
        node,
        at: Utc::now(),
        status: RequestStatus::Applied,
        resolution: None,
        relocked: None,
        presented: Some(presented),
        edited: None,
        decision,
        problem: String::new(),
        image: None,
    }
}

/// What a tick says of a run that has just this request.
fn looked_at(registry: &Registry, change: impl Fn(&State) -> Request) -> Result<(), String> {
    let store = Store::open(registry, &RunId::parse("capable").unwrap()).unwrap();
    let mut state = store.load().unwrap();
    state.requests = vec![change(&state)];
    verify::require_explained(&store, &state).map_err(|error| match error {
        Error::Unexplained { what, .. } => what,
        other => panic!("{other}"),
    })
}

fn allows(state: &State, registry: &Registry) -> Ruling {
    let capability = Capability::parse("net:a.example:443").unwrap();
    rulings::on(registry, state, None, &capability, &[])
}

#[test]
fn what_a_rule_allowed_stands_and_what_it_did_not_ends_the_drive() {
    let (folder, registry) = recorded::registry();
    fs::create_dir(folder.path().join("policies")).unwrap();
    let file = folder.path().join("policies/p.yaml");
    fs::write(&file, RULES).unwrap();
    let honest = |state: &State| given(state, "net:a.example:443", allows(state, &registry));
    assert_eq!(looked_at(&registry, honest), Ok(()));

    // Recorded with the very rules that are there, and they say nothing of the kind.
    let other = |state: &State| given(state, "net:evil.example:443", allows(state, &registry));
    let why = looked_at(&registry, other).unwrap_err();
    assert!(why.contains("was approved by policy:p.yaml:3, and the same files say ask"), "{why}");

    // By rules that were others then, what was recorded is what there is.
    let earlier = |state: &State| {
        let rule = Some("p.yaml:3".to_owned());
        let policies = Digest::of(b"as they were");
        given(
            state,
            "net:evil.example:443",
            Ruling { effect: Effect::Allow, rule, because: String::new(), policies, until: None },
        )
    };
    assert_eq!(looked_at(&registry, earlier), Ok(()));

    let unexplained = |change: &dyn Fn(&mut Request)| {
        let why = looked_at(&registry, |state| {
            let mut request = honest(state);
            change(&mut request);
            request
        })
        .unwrap_err();
        assert!(why.contains("was approved by policy:p.yaml:3, which did not allow it"), "{why}");
    };
    let ruling = |request: &mut Request, change: &dyn Fn(&mut Ruling)| {
        change(request.presented.as_mut().unwrap().policy.as_mut().unwrap());
    };
    unexplained(&|request| ruling(request, &|ruling| ruling.effect = Effect::Ask));
    unexplained(&|request| ruling(request, &|ruling| ruling.effect = Effect::Deny));
    unexplained(&|request| ruling(request, &|ruling| ruling.rule = Some("p.yaml:9".to_owned())));
    unexplained(&|request| request.presented.as_mut().unwrap().policy = None);
    unexplained(&|request| request.presented.as_mut().unwrap().review = Digest::of(b"something else"));
    unexplained(&|request| request.presented = None);

    // What has ended is in force nowhere; what a person decided is checked by signature, and not here.
    let over = |state: &State| Request { status: RequestStatus::Revoked, ..other(state) };
    assert_eq!(looked_at(&registry, over), Ok(()));
    let person = |state: &State| {
        let mut request = other(state);
        request.decision.as_mut().unwrap().by = "operator:ada".to_owned();
        request
    };
    assert_eq!(looked_at(&registry, person), Ok(()));

    // A file that cannot be read denies, and takes nothing back that was decided by others.
    fs::write(&file, "format: 1\nrules: [nonsense]\n").unwrap();
    assert_eq!(looked_at(&registry, earlier), Ok(()));
}
