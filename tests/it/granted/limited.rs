//! Grants with an end, and requests that nobody decides: kept by the gate's own clock, and by the next attempt.

use chrono::{DateTime, SubsecRound as _, Utc};
use serde_json::json;

use super::index::stage as with_index;
use super::server::Server;
use super::stage::{RUN, complete, hear, records, said, stage, start, tick_until, wait_for_request};
use crate::image::index::{Index, Wheel};
use crate::scene::{Scene, text};
use crate::signed::{DECISION, allow, make_key, public, ssh_keygen_verifies};

fn in_seconds(seconds: i64) -> DateTime<Utc> {
    Utc::now().trunc_subsecs(0) + chrono::Duration::seconds(seconds)
}

#[test]
fn the_gate_cuts_what_is_over_by_its_own_clock() {
    let server = Server::start();
    let host = server.host();
    let scene = stage(&format!(
        r#"
say(*ask("net:{host}"))
held = urllib.request.urlopen("http://{host}/hold", timeout=100)
held.read(1)
say("holding")
try:
    held.read()
    say("the answer came whole")
except Exception:
    say("cut")
say(get("http://{host}/late"))
say(*ask("net:{host}"))
"#
    ));
    let key = make_key(&scene.outside("home/.ssh/id_ed25519"), "ed25519", &[]);
    allow(&scene, &format!("ada {}", public(&key)));
    start(&scene);
    let (id, digest) = scene.the_one(RUN);
    scene.tf(&["approve", &id, "--digest", &digest, "--until", "2020-01-01T00:00:00Z"]).exits(7).complains("over");
    scene.tf(&["approve", &id, "--digest", &digest, "--until", "tomorrow"]).exits(2);
    scene.tf(&["approve", &id, "--digest", &digest, "--for-time", "2h", "--until", "2999-01-01T00:00:00Z"]).exits(2);
    let until = in_seconds(25);
    let approved = scene.tf(&["approve", &id, "--digest", &digest, "--until", &until.to_rfc3339()]).ok();
    approved.says(", for this run, until ");
    ssh_keygen_verifies(&scene, "ada", DECISION, &scene.path(&format!("decisions/{id}.json")));
    let policy = scene.json(&format!("runs/{RUN}/gate/policy.json"));
    assert_eq!(policy["attempts"][0]["grants"][0]["request"], id);
    // Nobody ticks: what the gate does it does by itself.
    let begun = std::time::Instant::now();
    while !said(&scene).iter().any(|line| line == "cut" || line.contains("whole")) {
        assert!(begun.elapsed().as_secs() < 120, "{:?}", said(&scene));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(Utc::now() >= until, "it was cut before its time");
    assert!(said(&scene).contains(&"cut".to_owned()), "{:?}", said(&scene));
    // The agent has heard of it a moment before it is on record.
    while records(&scene, "egress.ended").is_empty() {
        assert!(begun.elapsed().as_secs() < 120, "it is not on record");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(records(&scene, "egress.ended").last().unwrap()["verdict"], "revoked");
    // What is over is asked for again, and decided again.
    tick_until(&scene, "the end of it", || (!scene.events(RUN, "capability.expired").is_empty()).then_some(()));
    wait_for_request(&scene);
    let listed = scene.tf(&["capability", "list", "--state", "expired", "--json"]).ok().json();
    assert_eq!(listed["requests"].as_array().unwrap().len(), 1);
    assert_eq!((&listed["requests"][0]["id"], &listed["requests"][0]["status"]), (&json!(id), &json!("expired")));
    let (again, digest) = scene.the_one(RUN);
    assert_ne!(again, id);
    scene.tf(&["deny", &again, "--digest", &digest, "-m", "that was enough"]).ok();
    complete(&scene);
    assert_eq!(scene.events(RUN, "capability.expired").len(), 1, "once, however many have ticked since");
    assert_eq!(said(&scene)[3], "capability_required");
    assert!(said(&scene)[4].contains("that was enough"));
    assert_eq!(server.seen(), ["GET /hold HTTP/1.1"]);
    scene.tf(&["audit", "verify", RUN]).ok().says("2 signed decisions");
    scene.is_sound(RUN);
    // The time is part of what was signed, and of what the journal has.
    let file = format!("decisions/{id}.json");
    let stated = text(&scene.json(&file)["until"]);
    let longer = scene.read(&file).replace(&stated, "2999-01-01T00:00:00Z");
    scene.write(&file, longer);
    scene.tf(&["audit", "verify", RUN]).exits(8).says("is not the decision that the journal names");
}

#[test]
fn a_package_that_is_over_is_not_in_the_next_attempt() {
    let index = Index::start();
    index.offer("thing", &[&Wheel::new("thing", "1.0", &[])]);
    let scene = with_index(
        &index,
        r#"
import importlib.util, os, time
say(importlib.util.find_spec("thing") is not None)
if os.path.exists("/workspace/second"):
    code, answer = ask("pip:thing==1.0", 0)
    say(code)
    sys.exit(0)
if importlib.util.find_spec("thing"):
    open("/workspace/second", "w").close()
    while not os.path.exists("/workspace/over"):
        time.sleep(0.05)
    ask("net:127.0.0.9:9", 0)
    sys.exit(75)
ask('pip:thing==1.0', 0)
sys.exit(75)
"#,
    );
    scene.start("granted", RUN);
    wait_for_request(&scene);
    let (id, digest) = scene.the_one(RUN);
    let until = in_seconds(60);
    scene.tf(&["approve", &id, "--digest", &digest, "--until", &until.to_rfc3339()]).ok();
    hear(&scene, "True");
    assert_eq!(scene.events(RUN, "capability.applied").len(), 1, "the build took its time");
    // Waiting for a time that a person named is not waiting for a condition in vain.
    while Utc::now() < until {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    std::fs::write(scene.path(&format!("runs/{RUN}/nodes/work/workspace/over")), "").unwrap();
    tick_until(&scene, "the second question", || {
        scene.waiting(RUN).iter().any(|item| item["what"] == "net:127.0.0.9:9").then_some(())
    });
    let (other, digest) = scene.the_one(RUN);
    scene.tf(&["deny", &other, "--digest", &digest, "-m", "no"]).ok();
    tick_until(&scene, "the third attempt's question", || (said(&scene).len() == 4).then_some(()));
    assert_eq!(said(&scene), ["False", "True", "False", "75"]);
    let images: Vec<String> =
        scene.events(RUN, "node.dispatching").iter().map(|event| text(&event["data"]["plan"]["image"])).collect();
    assert_eq!(images[0], images[2], "the base again");
    assert_ne!(images[0], images[1]);
    scene.tf(&["audit", "verify", RUN]).ok();
}

#[test]
fn a_request_that_nobody_decides_in_time_is_over_and_the_agent_is_told() {
    let scene = stage("say(*ask(\"net:127.0.0.2:9\"))\nsay(*ask(\"net:127.0.0.2:9\", 0))");
    let settings = scene.read("taskforge.toml");
    scene.write("taskforge.toml", format!("{settings}\n[capabilities]\nrequestExpiry = \"0s\"\n"));
    scene.tf(&["run", "start", "granted"]).exits(2).complains("must be more than nothing");
    scene.write("taskforge.toml", format!("{settings}\n[capabilities]\nrequestExpiry = \"1s\"\n"));
    scene.start("granted", RUN);
    complete(&scene);
    let said = said(&scene);
    for line in &said {
        assert!(line.starts_with("4 ") && line.contains("'status': 'expired'"), "{said:?}");
        assert!(line.contains("nobody decided within 1s"), "{said:?}");
    }
    assert_eq!(scene.events(RUN, "capability.requested").len(), 1, "asked again, it has its answer");
    let shown = scene.tf(&["capability", "list"]).ok();
    shown.says("expired").says("for the test");
    scene.is_sound(RUN);
}

#[test]
fn what_has_no_end_takes_none() {
    let scene = Scene::new();
    let budget = "command: [\"true\"]\ncapabilities: [\"budget:requests=9\"]";
    scene.commands("many", &[("work", budget, &[])]);
    scene.start("many", RUN);
    let (id, digest) = scene.the_one(RUN);
    let refused = scene.tf(&["approve", &id, "--digest", &digest, "--for-time", "1h"]).exits(7);
    refused.complains("takes no time limit");
    scene.tf(&["approve", &id, "--digest", &digest, "--for", "workflow"]).exits(7).complains("of its run");
    scene.tf(&["approve", &id, "--digest", &digest, "--for", "role"]).exits(7).complains("has no role");
}
