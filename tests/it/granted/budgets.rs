//! Budgets of a day and of a node, in the registry's settings, at real gates: counted over runs, asked for, and raised for
//! who asked.

use serde_json::{Value, json};

use super::stage::{RUN, complete, hear, records, said, stage, tick_until};
use crate::scene::{Scene, ends};

/// Asks a recording what it does not know: an answer of the provider's, and so a request that counts.
const SCRIPT: &str = r#"
import time
def chat():
    body = json.dumps({"model": "recorded", "messages": [{"role": "user", "content": "hi"}]}).encode()
    return get(urllib.request.Request("http://127.0.0.1:4180/v1/chat/completions", body, {"content-type": "application/json"}))
said = [chat() for _ in range(3)]
say(*said)
if said[2] == "budget_exhausted":
    while chat() == "budget_exhausted": time.sleep(0.05)
say("more")
"#;

fn scene(settings: &str) -> Scene {
    let scene = stage(SCRIPT);
    scene.set("[llm.providers.recorded]", &format!("{settings}\n[llm.providers.recorded]"));
    scene
}

/// The one thing that waits in `run`, once it does.
fn asked(scene: &Scene, run: &str) -> Value {
    tick_until(scene, "a request", || {
        scene.tf(&["tick", run]).ok();
        scene.waiting(run).first().cloned()
    })
}

#[test]
fn a_days_budget_is_for_all_runs_and_is_raised_for_the_one_that_asked() {
    let scene = scene("[llm.budget.day]\nrequests = 2");
    scene.start("granted", RUN);
    assert_eq!(asked(&scene, RUN)["what"], "budget:day,requests=4");
    assert_eq!(said(&scene), ["replay_mismatch replay_mismatch budget_exhausted"]);
    // Another run, with a gate of its own, finds the day spent.
    scene.start("granted", "r2");
    assert_eq!(asked(&scene, "r2")["what"], "budget:day,requests=4");
    let other = || std::fs::read_to_string(scene.path("runs/r2/nodes/work/workspace/said.txt")).unwrap();
    assert_eq!(other(), "budget_exhausted budget_exhausted budget_exhausted\n");

    let (id, _) = scene.the_one(RUN);
    let shown = scene.tf(&["approve", &id, "--show"]).ok();
    shown.says("All runs of the registry together may make 4 requests to models within a day (UTC)");
    shown.says("the others keep their own ceiling");
    scene.approve(RUN);
    hear(&scene, "more");
    complete(&scene);
    scene.tf(&["tick", "r2"]).ok();
    assert_eq!(scene.waiting("r2")[0]["what"], "budget:day,requests=4", "it is not had by the others");
    assert!(!other().contains("more"));
    scene.approve("r2");
    scene.tick_until("r2", |shown| shown["status"] == "completed");
    assert!(other().contains("more"));
    let day = std::fs::read_dir(scene.path(".taskforge/spent")).unwrap().next().unwrap().unwrap();
    assert_eq!(day.metadata().unwrap().len(), 2 * 128, "a row a run");
    scene.is_sound(RUN);
    scene.is_sound("r2");
}

/// Knows nothing of budgets: it asks, and ends with an error when it is refused.
const SIMPLE: &str = r#"
import time
def chat():
    body = json.dumps({"model": "recorded", "messages": [{"role": "user", "content": "hi"}]}).encode()
    return get(urllib.request.Request("http://127.0.0.1:4180/v1/chat/completions", body, {"content-type": "application/json"}))
first, second = chat(), chat()
say(first, second)
if "budget_exhausted" in (first, second): sys.exit(CODE)
"#;

fn of_agent(code: &str) -> Scene {
    let scene = stage(&SIMPLE.replace("CODE", code));
    scene.set("[llm.providers.recorded]", "[llm.budget.agent]\nrequests = 1\n[llm.providers.recorded]");
    scene
}

#[test]
fn a_command_that_fails_on_a_spent_budget_is_called_again_when_there_is_more() {
    let scene = of_agent("3");
    scene.start("granted", RUN);
    scene.drive(RUN, 11);
    let shown = scene.show(RUN);
    let (how, why) = &ends(&shown, "work")[0];
    assert_eq!((how.as_str(), why.as_str()), ("suspended", "a budget is spent; budget:agent,requests=2 is asked for"));
    // The gate asks, and not the agent, which said nothing of the kind.
    let waiting = &scene.waiting(RUN)[0];
    assert_eq!((&waiting["what"], &waiting["by"]), (&json!("budget:agent,requests=2"), &json!("gate, for agent:work")));
    assert_eq!(scene.events(RUN, "capability.requested")[0]["actor"], "gate");
    let refused = records(&scene, "request.refused");
    assert_eq!(refused.len(), 1, "{refused:#?}");
    assert_eq!(refused[0]["code"], "budget_exhausted");
    scene.approve(RUN);
    scene.drive(RUN, 11);
    scene.approve(RUN);
    complete(&scene);
    assert_eq!(said(&scene).last().unwrap(), "replay_mismatch replay_mismatch");
    scene.is_sound(RUN);
}

#[test]
fn a_command_that_fails_after_the_answer_was_no_fails() {
    let scene = of_agent("3");
    scene.start("granted", RUN);
    scene.drive(RUN, 11);
    let (id, digest) = scene.the_one(RUN);
    scene.tf(&["deny", &id, "--digest", &digest, "--comment", "enough"]).ok();
    scene.drive(RUN, 1);
    let shown = scene.show(RUN);
    let how: Vec<String> = ends(&shown, "work").into_iter().map(|(how, _)| how).collect();
    assert_eq!(how, ["suspended", "failed"], "{shown:#}");
    scene.is_sound(RUN);
}

#[test]
fn a_nodes_budget_and_its_pace_come_from_the_settings() {
    let scene = scene("[llm.budget.agent]\nrequests = 2\n[llm.rate]\nperMinute = 1000");
    scene.start("granted", RUN);
    assert_eq!(asked(&scene, RUN)["what"], "budget:agent,requests=4");
    let (id, _) = scene.the_one(RUN);
    scene.tf(&["approve", &id, "--show"]).ok().says("Node work of run r1 may make 4 requests to models");
    scene.approve(RUN);
    complete(&scene);
    assert_eq!(said(&scene), ["replay_mismatch replay_mismatch budget_exhausted", "more"]);
    scene.is_sound(RUN);

    let paced = self::scene("[llm.rate]\nperMinute = 2");
    paced.start("granted", RUN);
    complete(&paced);
    assert_eq!(said(&paced)[0], "replay_mismatch replay_mismatch rate_limit_exceeded");
}

#[test]
fn what_a_budget_was_raised_by_is_gone_once_that_was_taken_back() {
    let scene = stage(
        r#"
import os, time
def chat():
    body = json.dumps({"model": "recorded", "messages": [{"role": "user", "content": "hi"}]}).encode()
    return get(urllib.request.Request("http://127.0.0.1:4180/v1/chat/completions", body, {"content-type": "application/json"}))
def wait_for(name):
    while not os.path.exists("/workspace/" + name): time.sleep(0.05)
say(chat(), chat())
wait_for("raised")
say(chat())
wait_for("lowered")
say(chat())
"#,
    );
    scene.set("[llm.providers.recorded]", "[llm.budget]\nrequests = 1\n[llm.providers.recorded]");
    let touch = |name: &str| {
        std::fs::write(scene.path(&format!("runs/{RUN}/nodes/work/workspace/{name}")), "").unwrap();
    };
    scene.start("granted", RUN);
    assert_eq!(asked(&scene, RUN)["what"], "budget:requests=2");
    assert_eq!(said(&scene), ["replay_mismatch budget_exhausted"], "before the decision");
    let (id, _) = scene.the_one(RUN);
    scene.approve(RUN);
    touch("raised");
    hear(&scene, "replay_mismatch");
    let revoked = scene.tf(&["capability", "revoke", &id, "--reason", "that was enough"]).ok();
    revoked.says("Revoked budget:requests=2");
    touch("lowered");
    tick_until(&scene, "the last answer", || (said(&scene).len() == 3).then_some(()));
    assert_eq!(said(&scene), ["replay_mismatch budget_exhausted", "replay_mismatch", "budget_exhausted"]);
    let revoked = scene.events(RUN, "capability.revoked");
    assert_eq!((revoked.len(), &revoked[0]["data"]["reason"]), (1, &json!("that was enough")));
    let listed = scene.tf(&["capability", "list", "--state", "revoked", "--json"]).ok().json();
    assert_eq!(listed["requests"][0]["id"], json!(id));
    scene.tf(&["audit", "verify", RUN]).ok();
}
