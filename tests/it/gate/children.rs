//! Work that is given to others, as the gate takes it.

use serde_json::json;
use taskforge::gate::DelegationUse;
use taskforge::run::id::RoleName;

use super::world::World;

#[test]
fn work_that_says_nothing_is_refused_and_never_reaches_the_host() {
    let mut world = World::new("http://127.0.0.1:1/v1");
    let roles = vec![RoleName::parse("worker").unwrap()];
    world.policy.attempts[0].delegation = Some(DelegationUse { roles, children: 5 });
    let world = world.start();
    let ask = |task: &str| world.post("/taskforge/v1/children", &json!({"role": "worker", "task": task}));
    for blank in ["", " ", "\t\n", "\u{2028}", "\u{a0}\u{200b}\u{feff}"] {
        let refused = ask(blank);
        assert_eq!((refused.status, refused.code().as_str()), (400, "bad_request"), "{blank:?}");
    }
    let inbox = world.dir().join("inbox");
    assert_eq!(std::fs::read_dir(&inbox).unwrap().count(), 0);
    assert_eq!(ask("Look").status, 202);
    assert_eq!(std::fs::read_dir(&inbox).unwrap().count(), 1);
}
