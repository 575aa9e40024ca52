//! Requests that written rules answer before a person has to.

use serde_json::{Value, json};

use super::server::Server;
use super::stage::{RUN, complete, said, stage, start};
use crate::scene::Scene;

fn rules(scene: &Scene, name: &str, rules: &str) {
    std::fs::write(scene.path(&format!("policies/{name}")), format!("format: 1\nrules:\n{rules}")).unwrap();
}

fn decisions(scene: &Scene) -> Vec<(String, Value)> {
    let names = ["capability.approved", "capability.denied"];
    let lines = scene.journal(RUN).into_iter();
    let lines = lines.filter(|line| names.contains(&line["event"].as_str().unwrap()));
    lines.map(|line| (line["event"].as_str().unwrap().to_owned(), line["data"]["decision"].clone())).collect()
}

#[test]
fn a_rule_opens_a_way_without_anybody_and_another_keeps_one_shut() {
    let server = Server::start();
    let host = server.host();
    let scene = stage(&format!(
        "say(*ask(\"net:{host}\"))\nsay(get(\"http://{host}/\"))\nsay(*ask(\"net:127.0.0.3:{}\"))\nsay(*ask(\"mount:/x:rw\", 0))",
        server.port
    ));
    rules(&scene, "hosts.yaml", &format!("- effect: allow\n  kind: net\n  name: {host}\n  because: it is ours\n"));
    rules(&scene, "never.yaml", "- {effect: deny, kind: [net, tcp], name: '127.0.0.3:*', because: not that one}\n");
    scene.start("granted", RUN);
    complete(&scene);
    let said = said(&scene);
    assert!(said[0].starts_with("0 ") && said[0].contains("'status': 'approved'"), "{said:?}");
    assert_eq!(said[1], "hello");
    assert!(said[2].starts_with("4 ") && said[2].contains("not that one"), "{said:?}");
    let decided = decisions(&scene);
    assert_eq!(decided.len(), 2, "{decided:?}");
    assert_eq!((decided[0].0.as_str(), &decided[0].1["by"]), ("capability.approved", &json!("policy:hosts.yaml:3")));
    assert_eq!((decided[1].0.as_str(), &decided[1].1["by"]), ("capability.denied", &json!("policy:never.yaml:3")));
    assert_eq!(decided[0].1["file"], decided[1].1["file"], "the policies in force are on record");
    let shown = scene.events(RUN, "capability.presented")[0]["data"]["presented"]["policy"].clone();
    assert_eq!(
        (&shown["effect"], &shown["rule"], &shown["because"]),
        (&json!("allow"), &json!("hosts.yaml:3"), &json!("it is ours"))
    );
    let listed = scene.tf(&["capability", "list", "--json"]).ok().json();
    assert_eq!(listed["requests"][0]["by"], "policy:hosts.yaml:3");
    scene.is_sound(RUN);
}

#[test]
fn while_a_file_cannot_be_read_everything_is_denied() {
    let scene = stage("say(*ask(\"net:127.0.0.2:80\"))");
    rules(&scene, "all.yaml", "- {effect: allow, kind: '*', name: '*'}\n");
    rules(&scene, "typo.yaml", "- {effect: allow, kind: '*', nam: '*'}\n");
    scene.start("granted", RUN);
    complete(&scene);
    let said = said(&scene);
    assert!(said[0].starts_with("4 ") && said[0].contains("typo.yaml:3: `nam` is not known here"), "{said:?}");
    assert_eq!(decisions(&scene)[0].1["by"], "policy:unreadable");
}

#[test]
fn what_a_person_saw_is_stale_once_the_rules_say_something_else() {
    let scene = stage("say(*ask(\"net:127.0.0.2:80\"))");
    rules(&scene, "p.yaml", "- {effect: ask, kind: net, name: '*', because: look closely}\n");
    start(&scene);
    let (id, digest) = scene.the_one(RUN);
    scene.tf(&["approve", &id, "--show"]).ok().says("ask by p.yaml:3: look closely");
    // Another line for the same effect is another rule.
    rules(&scene, "p.yaml", "# a comment\n- {effect: ask, kind: net, name: '*', because: look very closely}\n");
    scene.tf(&["approve", &id, "--digest", &digest]).exits(6);
    let (_, anew) = scene.the_one(RUN);
    assert_ne!(anew, digest);
    scene.tf(&["approve", &id, "--show"]).ok().says("ask by p.yaml:4: look very closely");
    // And one that denies it now denies it, whatever a person was about to say.
    rules(&scene, "p.yaml", "- {effect: deny, kind: net, name: '*', because: no more}\n");
    scene.tf(&["approve", &id, "--digest", &anew]).exits(7).complains("is denied");
    complete(&scene);
    assert!(said(&scene)[0].contains("no more"));
    assert_eq!(decisions(&scene).len(), 1);
    scene.is_sound(RUN);
}

#[test]
fn what_was_revoked_is_not_given_again_by_the_rule_that_gave_it() {
    let scene = stage(
        "say(*ask(\"net:127.0.0.2:80\"))\nwhile get(\"http://127.0.0.2:80/\") != \"capability_required\": pass\nsay(*ask(\"net:127.0.0.2:80\"))",
    );
    rules(&scene, "p.yaml", "- {effect: allow, kind: net, name: '*'}\n");
    scene.start("granted", RUN);
    super::stage::tick_until(&scene, "the grant", || (!said(&scene).is_empty()).then_some(()));
    let listed = scene.tf(&["capability", "list", "--json"]).ok().json();
    let id = listed["requests"][0]["id"].as_str().unwrap().to_owned();
    scene.tf(&["capability", "revoke", &id, "--reason", "enough"]).ok();
    super::stage::wait_for_request(&scene);
    let (again, digest) = scene.the_one(RUN);
    scene
        .tf(&["approve", &again, "--show"])
        .ok()
        .says("ask by p.yaml:3: it allows this, which was revoked in this run");
    scene.tf(&["deny", &again, "--digest", &digest, "-m", "enough"]).ok();
    complete(&scene);
}

#[test]
fn the_rules_can_be_checked_explained_tested_and_tried_on_the_past() {
    let scene =
        stage("say(*ask(\"net:127.0.0.2:80\"))\nsay(*ask(\"net:127.0.0.3:80\"))\nsay(*ask(\"net:127.0.0.4:80\"))");
    scene.tf(&["policy", "check"]).ok().says("0 rules can be read.");
    scene.tf(&["policy", "explain", "pip:pandas"]).ok().says("pip:pandas: ask (no rule)");
    scene.tf(&["policy", "test"]).exits(3).complains("no expected answers");
    start(&scene);
    scene.approve(RUN);
    super::stage::wait_for_request(&scene);
    let (id, digest) = scene.the_one(RUN);
    scene.tf(&["deny", &id, "--digest", &digest, "-m", "no"]).ok();
    super::stage::wait_for_request(&scene);
    let (id, digest) = scene.the_one(RUN);
    scene.tf(&["suggest", &id, "net:127.0.0.5:80", "--digest", &digest, "-m", "rather"]).ok();
    complete(&scene);

    rules(
        &scene,
        "p.yaml",
        "- {effect: allow, kind: net, name: '127.0.0.*:80', because: near}\n- {effect: deny, kind: net, name: '127.0.0.2:80'}\n",
    );
    let explained = scene.tf(&["policy", "explain", "net:127.0.0.2:80"]).ok();
    explained.says("net:127.0.0.2:80: deny by p.yaml:4").says("  fits, too: allow by p.yaml:3: near");
    scene.tf(&["policy", "explain", "net:127.0.0.2"]).exits(2).complains("net:127.0.0.2");
    let tried = scene.tf(&["policy", "backtest"]).ok();
    tried
        .says("3 requests: 2 would be allowed, 0 asked about, 1 denied.")
        .says("3 of them were decided otherwise by a person.");
    let tried = scene.tf(&["policy", "backtest", "--json"]).ok().json();
    assert_eq!((&tried["allow"], &tried["deny"]), (&json!(2), &json!(1)));
    assert_eq!(tried["againstPeople"].as_array().unwrap().len(), 3);
    assert_eq!(tried["requests"][0]["then"]["effect"], "ask");
    assert_eq!(tried["requests"][1]["decided"], "deny");
    assert_eq!(tried["requests"][2]["decided"], "deny", "whoever names another one did not allow this one");

    let expected = |effect: &str| {
        let text = format!("format: 1\nexpect:\n- {{capability: \"net:127.0.0.9:80\", effect: {effect}}}\n");
        std::fs::write(scene.path("policies/p.test.yaml"), text).unwrap();
    };
    expected("allow");
    scene.tf(&["policy", "test"]).ok().says("1 of 1 as expected.");
    expected("deny");
    scene
        .tf(&["policy", "test"])
        .exits(1)
        .says("p.test.yaml:3: net:127.0.0.9:80 should be deny, and is allow by p.yaml:3: near");
    scene.tf(&["policy", "check"]).ok().says("2 rules can be read.");
    rules(
        &scene,
        "q.yaml",
        "- {effect: deny, kind: net, name: '127.0.0.*:80'}\n- {effect: allow, kind: gem, name: x}\n",
    );
    scene.tf(&["policy", "check"]).exits(2).says("error: q.yaml:4: `gem` is no kind").says("every request is denied");
    rules(&scene, "q.yaml", "- {effect: deny, kind: net, name: '127.0.0.*:80'}\n");
    scene
        .tf(&["policy", "check"])
        .exits(1)
        .says("warning: q.yaml:3: says deny where p.yaml:3 says allow; deny decides");
    std::fs::remove_file(scene.path("policies/q.yaml")).unwrap();
    // What looks like rules and is not read is named.
    scene.write("policies/team/r.yaml", "nonsense").write("policies/.hidden.yaml", "nonsense");
    let unread = scene.tf(&["policy", "check"]).exits(1);
    unread.says("warning: team/r.yaml: is not read: it lies in a folder below");
    unread.says("warning: .hidden.yaml: is not read: it is hidden").says("2 rules can be read.");
    std::fs::write(scene.path("policies/p.test.yaml"), "format: 1\nexpect: []\n").unwrap();
    let empty = scene.tf(&["policy", "test"]).exits(1);
    empty.complains("nothing is expected in p.test.yaml").complains("nothing was tested");
    scene.tf(&["policy", "explain", "pip:x", "--policies", "/nonexistent"]).exits(3).complains("there is nothing at");
}

#[test]
fn a_package_that_brings_along_what_is_denied_is_denied() {
    let scene = stage("say(*ask(\"pip:python-dateutil==2.9.0.post0\"))\nsay(*ask(\"pip:six==1.17.0\"))");
    rules(
        &scene,
        "p.yaml",
        "- {effect: allow, kind: pip, name: python-dateutil}\n- {effect: deny, kind: pip, name: six, because: old}\n",
    );
    scene.start("granted", RUN);
    complete(&scene);
    let decided = decisions(&scene);
    assert_eq!(decided.iter().map(|(event, _)| event.as_str()).collect::<Vec<_>>(), ["capability.denied"; 2]);
    assert_eq!((&decided[0].1["by"], &decided[0].1["comment"]), (&json!("policy:p.yaml:4"), &json!("old")));
    assert!(scene.events(RUN, "capability.resolved").is_empty());
}
