//! Another list than what was asked for: resolved anew, shown anew, and told to whoever asked.

use serde_json::json;

use super::index::stage as with_index;
use super::server::Server;
use super::stage::{RUN, complete, said, stage, start};
use crate::image::index::{Index, Wheel};
use crate::scene::{Ended, Scene};
use crate::signed::{allow, make_key, public};

const LOOK: &str = r#"
import importlib.util
def there():
    return [name for name in ("one", "two", "three") if importlib.util.find_spec(name)]
say(there())
code, answer = ask("tool:many", 0)
say(code, answer)
sys.exit(code)
"#;

fn with_tool() -> (Index, Scene) {
    let index = Index::start();
    for name in ["one", "two", "three"] {
        index.offer(name, &[&Wheel::new(name, "1.0", &[])]);
    }
    let scene = with_index(&index, LOOK);
    let settings = scene.read("taskforge.toml");
    scene.write("taskforge.toml", format!("{settings}\n[tools.many]\npip = [\"one\", \"two\"]\n"));
    let key = make_key(&scene.outside("home/.ssh/id_ed25519"), "ed25519", &[]);
    allow(&scene, &format!("ada {}", public(&key)));
    (index, scene)
}

/// The digest of what was shown.
fn digest_of(shown: &Ended) -> String {
    shown.stdout.lines().find_map(|line| line.strip_prefix("Review    ")).unwrap().to_owned()
}

#[test]
fn a_shorter_list_is_resolved_shown_and_granted_and_the_agent_learns_both() {
    let (_index, scene) = with_tool();
    start(&scene);
    let (id, first) = scene.the_one(RUN);
    // What cannot be had is said to the person, and what was asked for stands as before.
    scene.tf(&["approve", &id, "--only", "pip:no-such"]).exits(4).complains("no-such");
    scene.tf(&["approve", &id, "--only", "net:a.example:443"]).exits(7).complains("is no package");
    scene.tf(&["approve", &id, "--only", "pip:a b"]).exits(2);
    let shown = scene.tf(&["approve", &id, "--only", "pip:one,pip:three"]).ok();
    shown
        .says("Asked     tool:many")
        .says("Edited    pip:one, pip:three")
        .says("by operator:ada, from pip:one, pip:two");
    shown.says("+ pip one ").says("+ pip three ");
    assert!(!shown.stdout.contains("+ pip two"), "{}", shown.stdout);
    assert_eq!(scene.events(RUN, "capability.approved").len(), 0, "nothing is decided by making a list");
    assert_eq!(scene.the_one(RUN), (id.clone(), first.clone()), "nor is the list made by a look at it");
    scene.tf(&["approve", &id, "--only", "pip:one,pip:three", "--digest", &first]).exits(6);
    let digest = digest_of(&shown);
    scene.tf(&["approve", &id, "--only", "pip:one,pip:three", "--digest", &digest, "-m", "two is not ours"]).ok();
    complete(&scene);
    let said = said(&scene);
    assert_eq!((said[0].as_str(), said[2].as_str()), ("[]", "['one', 'three']"));
    for part in ["'granted': ['pip:one==1.0', 'pip:three==1.0']", "'withheld': ['pip:two']", "two is not ours"] {
        assert!(said[3].contains(part), "{said:?}");
    }
    let request = scene.json(&format!("runs/{RUN}/capabilities/{id}.json"));
    assert_eq!(request["edited"]["asked"], json!(["pip:one", "pip:two"]), "both lists are kept");
    assert_eq!(request["edited"]["list"], json!(["pip:one", "pip:three"]));
    scene.tf(&["capability", "show", &id]).ok().says("Edited    pip:one, pip:three").says("two is not ours");
    scene.tf(&["audit", "verify", RUN]).ok().says("1 signed decision");
    scene.is_sound(RUN);
}

#[test]
fn no_rule_grants_a_list_that_a_person_made() {
    let index = Index::start();
    index.offer("one", &[&Wheel::new("one", "1.0", &[])]);
    index.offer("two", &[&Wheel::new("two", "1.0", &[])]);
    let scene = with_index(&index, "say(*ask('pip:one', 0))\nsys.exit(75)");
    start(&scene);
    let (id, _) = scene.the_one(RUN);
    scene.write("policies/p.yaml", "format: 1\nrules:\n- {effect: allow, kind: pip, name: two}\n");
    let shown = scene.tf(&["approve", &id, "--only", "pip:two"]).ok();
    shown.says("it allows this, and the list was edited");
    assert_eq!(scene.events(RUN, "capability.approved").len(), 0);
    scene.tf(&["approve", &id, "--only", "pip:two", "--digest", &digest_of(&shown)]).ok();
    assert_eq!(scene.events(RUN, "capability.approved")[0]["data"]["decision"]["by"], "operator:ada");
}

#[test]
fn a_way_to_another_place_is_the_one_that_opens() {
    let (asked, meant) = (Server::start(), Server::start());
    let scene = stage(&format!(
        "say(*ask(\"net:{a}\"))\nsay(get(\"http://{a}/\"))\nsay(get(\"http://{m}/\"))",
        a = asked.host(),
        m = meant.host()
    ));
    start(&scene);
    let (id, _) = scene.the_one(RUN);
    let meant_host = format!("net:{}", meant.host());
    scene.tf(&["approve", &id, "--only", &format!("{meant_host},net:x.example:1")]).exits(7).complains("is for one");
    let shown = scene.tf(&["approve", &id, "--only", &meant_host]).ok();
    shown.says(&format!("port {}, by HTTP", meant.port));
    scene.tf(&["approve", &id, "--only", &meant_host, "--digest", &digest_of(&shown)]).ok();
    complete(&scene);
    let said = said(&scene);
    assert!(said[0].contains(&format!("'granted': ['{meant_host}']")), "{said:?}");
    assert!(said[0].contains(&format!("'withheld': ['net:{}']", asked.host())), "{said:?}");
    assert_eq!(said[1..], ["capability_required", "hello"]);
    scene.is_sound(RUN);
}
