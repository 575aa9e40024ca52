//! Work that an agent gives to others: never more than it has, shown as one tree, ended together.

use std::time::{Duration, Instant};

use chrono::{SubsecRound as _, Utc};
use serde_json::{Value, json};

use super::{hire, role};
use crate::docker_api;
use crate::granted::server::Server;
use crate::openclaw::model::{Model, Move};
use crate::scene::Scene;

const PRELUDE: &str = r#"
import json, subprocess, sys, time, os
out = open("/workspace/said.txt", "a")
def say(*words):
    print(*words, file=out, flush=True)
def delegate(*words):
    done = subprocess.run(["/taskforge/bin/taskforge", "agent", "delegate", *words], capture_output=True, text=True)
    return done.returncode, json.loads(done.stdout or "{}")
"#;

fn script(scene: &Scene, run: &str, script: &str, more: &str) {
    let container =
        format!("command: {}\nagent: ada\n{more}", json!(["python3", "-c", format!("{PRELUDE}\n{script}")]));
    scene.commands(run, &[("work", &container, &["said.txt"])]);
    scene.start(run, run);
}

fn said(scene: &Scene, run: &str) -> Vec<String> {
    let text = std::fs::read_to_string(scene.path(&format!("runs/{run}/nodes/work/workspace/said.txt")));
    text.unwrap_or_default().lines().map(str::to_owned).collect()
}

fn talks_to(scene: &Scene, model: &Model) {
    let served = format!("model = {{ name = \"scripted\", baseUrl = \"{}\" }}", model.base_url());
    scene.set("model = \"recorded\"", &served);
}

fn state(scene: &Scene, run: &str) -> Value {
    scene.json(&format!("runs/{run}/taskforge.json"))["state"].clone()
}

const PARENT: &str = "resources: {memory: 128MiB, pids: 50}\ntasks: {timeout: 100s}\nallowedActions: [memory.get, github.pr.list]\n\
                      config: {github: {repositories: ['acme/*']}, delegation: {roles: [worker], depth: 2, children: 2}}";
const WORKER: &str = "resources: {memory: 1GiB}\ntasks: {timeout: 10h}\ncapabilities: ['pip:six']\n\
                      allowedActions: [github.pr.list, github.review.submit]\n\
                      config: {github: {repositories: ['*/*'], verdicts: [APPROVE]}, delegation: {roles: [worker, other], depth: 5}}";

#[test]
fn a_child_is_a_run_within_its_parent_and_its_result_comes_back() {
    let evil = "/taskforge/bin/taskforge agent action github.pr.list --arg repo=evil/x; true";
    let model = Model::start(move |talk| match talk.answers.len() {
        0 => Move::Call("shell", json!({"command": evil})),
        _ => Move::Call("finish", json!({"summary": format!("did: {}", talk.said[0])})),
    });
    let scene = Scene::new();
    talks_to(&scene, &model);
    role(&scene, "worker", WORKER);
    role(&scene, "other", "");
    hire(&scene, "ada", PARENT);
    script(
        &scene,
        "p",
        r#"
say(delegate("other", "x")[1]["error"]["message"])
say(delegate("worker", "x", "--requests", "31")[0])
code, told = delegate("worker", "Look at x", "--requests", "5", "--wait", "200")
say(code, told["status"], told["result"]["summary"], told["requests"])
say(delegate("worker", "y", "--requests", "26")[1]["error"]["message"])
code, told = delegate("worker", "Look at y", "--wait", "200")
say(code, told["requests"])
say(delegate("worker", "z")[1]["error"]["message"])
"#,
        "",
    );
    scene.drive("p", 0);
    let heard = said(&scene, "p");
    assert_eq!(
        heard,
        [
            "this attempt may give work to worker, and not to `other`",
            "4",
            "0 completed did: Look at x 5",
            "the node `work` has 25 requests to models left, and a child needs at least one of them and gets no more",
            "0 12",
            "the node `work` has had all of its 2 children",
        ]
    );
    let denied: Vec<Value> = scene
        .read("runs/p/gate/traffic.jsonl")
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|record| record["kind"] == "action.denied")
        .map(|record| json!([record["action"], record["target"], record["code"]]))
        .collect();
    let [no, spent] = ["not_granted", "budget_exhausted"];
    let expected = [("other", no), ("worker", spent), ("worker", spent), ("worker", spent)];
    assert_eq!(denied, expected.map(|(role, code)| json!(["delegate", role, code])));
    let tree = scene.tf(&["run", "tree", "p", "--json"]).ok().json();
    let children = tree["children"].as_array().unwrap();
    assert_eq!(children.len(), 2, "{tree:#}");
    assert_eq!((&children[0]["status"], &children[0]["share"]["requests"]), (&json!("completed"), &json!(5)));
    scene.tf(&["run", "tree", "p"]).ok().says(" · worker for work/1 · 5 requests");
    let run = children[0]["run"].as_str().unwrap();
    // What was done for her stands beside what she did.
    let listed = scene.tf(&["agent", "actions", "ada", "--json"]).ok().json();
    let actions = listed["actions"].as_array().unwrap();
    let for_her: Vec<&Value> = actions.iter().filter(|action| action["for"]["run"] == "p").collect();
    assert_eq!((actions.len(), for_her.len()), (6, 2), "{listed:#}");
    assert_eq!(
        (&for_her[0]["run"], &for_her[0]["record"]["fields"]["code"]),
        (&json!(run), &json!("arguments_not_allowed"))
    );
    assert_eq!(for_her[0]["for"], json!({"agent": "ada", "run": "p", "node": "work"}));
    scene.tf(&["agent", "actions", "ada"]).ok().says(", for ada");
    let child = state(&scene, run);
    let container = &child["created"]["nodes"][0]["container"];
    let parent = &state(&scene, "p")["created"]["nodes"][0]["container"];
    // Of what both say the smaller, and nothing that the parent was not given.
    assert_eq!((&container["resources"]["memory"], &container["iterations"]), (&json!(128 << 20), &json!(5)));
    assert!(container["resources"]["wallMs"].as_u64() <= parent["resources"]["wallMs"].as_u64());
    assert_eq!(container["capabilities"], json!([]));
    assert_eq!(child["created"]["parent"]["run"], "p");
    assert_eq!(container["role"]["under"][0]["role"], "role-ada");
    for run in ["p", run] {
        scene.is_sound(run);
    }
}

#[test]
fn the_built_in_agent_knows_what_its_role_opens_and_gives_work_away_by_tool() {
    let model = Model::start(|talk| match (talk.said[0].starts_with("Look"), talk.answers.len()) {
        (true, _) => Move::Call("finish", json!({"summary": format!("did: {}", talk.said[0])})),
        (false, 0) => Move::Call("act", json!({})),
        (false, 1) => Move::Call("delegate", json!({"role": "other", "task": "Look at x"})),
        (false, 2) => {
            Move::Call("delegate", json!({"role": "worker", "task": "Look at x", "requests": 5, "waitSeconds": 0}))
        }
        (false, 3) => {
            let asked: Value = serde_json::from_str(&talk.answers[2]).unwrap();
            Move::Call("delegate", json!({"child": asked["id"]}))
        }
        (false, 4) => Move::Call(
            "request_capability",
            json!({"capability": "schedule:weekly", "reason": "more", "when": "0 7 * * 1", "task": "Look at y"}),
        ),
        (false, 5) => Move::Call("write_file", json!({"path": "report.md", "content": "done"})),
        _ => Move::Call("finish", json!({"summary": talk.answers.join("\n")})),
    });
    let scene = Scene::new();
    talks_to(&scene, &model);
    role(&scene, "worker", WORKER);
    role(&scene, "other", "");
    hire(&scene, "ada", PARENT);
    scene.tf(&["agent", "run", "ada", "Give it away", "--detach"]).ok();
    scene.drive("ada-1", 11);
    let shown = scene.waiting("ada-1")[0].clone();
    assert_eq!(shown["what"], "schedule:weekly (0 7 * * 1)");
    scene.approve("ada-1");
    scene.drive("ada-1", 0);
    let ended = state(&scene, "ada-1");
    let summary = ended["nodes"][0]["result"]["summary"].as_str().unwrap().to_owned();
    let answers: Vec<Value> = summary.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers[0]["actions"][0]["name"], "github.pr.list", "{summary}");
    assert_eq!(answers[1]["error"], "this attempt may give work to worker, and not to `other`");
    assert_eq!((&answers[2]["status"], &answers[3]["status"]), (&json!("asked"), &json!("completed")), "{summary}");
    assert_eq!(answers[3]["result"]["summary"], "did: Look at x");
    assert_eq!(answers[4]["status"], "approved", "{summary}");
    assert_eq!(ended["children"].as_array().unwrap().len(), 1, "one message is one child");
    assert_eq!(scene.json("schedules/ada.weekly.json")["task"], "Look at y");
    let talks = model.talks();
    let theirs: Vec<&str> =
        talks.iter().filter(|talk| !talk.said[0].starts_with("Look")).map(|talk| talk.system.as_str()).collect();
    for part in ["What your role lets you do:\n", "With the tool act: github.pr.list.", "be given to worker.\n"] {
        assert_eq!(theirs[0].matches(part).count(), 1, "{part}\n{}", theirs[0]);
    }
    assert!(theirs.iter().all(|system| *system == theirs[0]), "it is the same after the suspension");
    let child = &talks.iter().find(|talk| talk.said[0].starts_with("Look")).unwrap().system;
    // The worker's own role within its parent's.
    assert!(child.contains("With the tool act: github.pr.list.") && !child.contains("review.submit"), "{child}");
    scene.is_sound("ada-1");
}

#[test]
fn what_ends_the_parent_ends_the_child_and_a_grandchild() {
    // The child gives work on, once; the grandchild thinks for ever.
    let model = Model::start(|talk| match (talk.said[0].contains("deep"), talk.answers.len()) {
        (true, 0) => Move::Call("shell", json!({"command": "sleep 500", "timeoutSeconds": 600})),
        (false, 0) => {
            let command = "/taskforge/bin/taskforge agent delegate worker 'go deep' --wait 500";
            Move::Call("shell", json!({"command": command, "timeoutSeconds": 600}))
        }
        _ => Move::Call("finish", json!({"summary": "done"})),
    });
    let scene = Scene::new();
    talks_to(&scene, &model);
    role(&scene, "worker", WORKER);
    hire(&scene, "ada", PARENT);
    script(&scene, "p", r#"say(delegate("worker", "begin", "--wait", "500")[0])"#, "");
    let since = Instant::now();
    let tree = loop {
        scene.tf(&["tick", "p"]).ok();
        let tree = scene.tf(&["run", "tree", "p", "--json"]).ok().json();
        let grandchild = tree["children"][0]["children"][0]["run"].as_str();
        if grandchild.is_some_and(|run| state(&scene, run)["nodes"][0]["attempts"][0]["containerId"].is_string()) {
            break tree;
        }
        assert!(since.elapsed() < Duration::from_secs(200), "no grandchild: {tree:#}\n{}", model.story());
        std::thread::sleep(Duration::from_millis(50));
    };
    let (child, grandchild) = (&tree["children"][0], &tree["children"][0]["children"][0]);
    // Half of a half, of two generations at most.
    assert_eq!((&child["share"]["requests"], &grandchild["share"]["requests"]), (&json!(15), &json!(7)));
    let runs = [&child["run"], &grandchild["run"]].map(|run| run.as_str().unwrap().to_owned());
    let policy = scene.json(&format!("runs/{}/gate/policy.json", runs[1]));
    assert_eq!(policy["attempts"][0]["delegation"], Value::Null, "the line ends");
    scene.tf(&["run", "cancel", "p", "--reason", "enough"]).ok();
    for run in runs.iter().map(String::as_str).chain(["p"]) {
        scene.tick_until(run, |shown| shown["status"] == "cancelled");
    }
    scene.tick_until(&runs[0], |_| docker_api::containers(&scene.id()).is_empty());
    let journal = scene.read(&format!("runs/{}/events.jsonl", runs[0]));
    assert!(journal.contains("which it worked for, is over"), "{journal}");
    for run in &runs {
        scene.is_sound(run);
    }
}

#[test]
fn a_child_asks_in_vain_for_what_its_parent_does_not_have() {
    let model = Model::start(|talk| match talk.answers.len() {
        0 => Move::Call("request_capability", json!({"capability": "net:127.0.0.1:9", "reason": "more"})),
        1 => Move::Call("finish", json!({"summary": talk.answers[0].clone()})),
        _ => Move::Say("?".to_owned()),
    });
    let scene = Scene::new();
    talks_to(&scene, &model);
    // A rule would give it to anybody.
    scene.write(
        "policies/rules.yaml",
        "format: 1\nrules:\n  - {effect: allow, kind: net, name: '*', because: anybody}\n",
    );
    role(&scene, "worker", "");
    hire(&scene, "ada", PARENT);
    script(
        &scene,
        "p",
        r#"
code, told = delegate("worker", "ask", "--wait", "200")
say(code, told["result"]["summary"] if code == 0 else told)
"#,
        "",
    );
    scene.drive("p", 0);
    let heard = said(&scene, "p").join("\n");
    assert!(heard.starts_with("0 ") && heard.contains("a child has no more than its parent"), "{heard}");
}

#[test]
fn a_child_is_given_no_schedule_whatever_a_rule_allows() {
    let verb =
        "/taskforge/bin/taskforge agent request schedule:weekly --reason more --when @daily --task 'go on' --wait 60";
    let model = Model::start(move |talk| match talk.answers.len() {
        0 => Move::Call("shell", json!({"command": format!("{verb}; echo code $?")})),
        _ => Move::Call("finish", json!({"summary": talk.answers[0].clone()})),
    });
    let scene = Scene::new();
    talks_to(&scene, &model);
    let rule = "format: 1\nrules:\n  - {effect: allow, kind: schedule, name: '*', because: anybody}\n";
    scene.write("policies/rules.yaml", rule);
    role(&scene, "worker", "");
    hire(&scene, "ada", PARENT);
    script(&scene, "p", "say(*delegate('worker', 'ask', '--wait', '200'))", "");
    scene.drive("p", 0);
    let heard = said(&scene, "p").join("\n");
    assert!(heard.starts_with("0 ") && heard.contains("code 4"), "{heard}");
    assert!(heard.contains("a child has no more than its parent") || heard.contains("only a hired agent"), "{heard}");
    assert!(!scene.path("schedules").exists());
    scene.tf(&["tick"]).ok();
    assert_eq!(scene.tf(&["watch", "list", "--json"]).ok().json(), json!([]));
    let child = state(&scene, "p")["children"][0]["run"].as_str().unwrap().to_owned();
    let asked = state(&scene, &child)["requests"][0].clone();
    assert!(["denied", "unresolvable"].contains(&asked["status"].as_str().unwrap()), "on record: {asked}");
}

/// What a child does with a way out that it was granted: it says what it got first, and what once it was cut off.
const WAY_OUT: &str = r#"python3 -c "
import json, time, urllib.error, urllib.request
def get():
    try:
        return urllib.request.urlopen('http://HOST/', timeout=60).read().decode()
    except urllib.error.HTTPError as error:
        return json.load(error)['error']['code']
print('first', get())
while get() == 'hello':
    time.sleep(0.05)
print('then', get())
""#;

#[test]
fn what_is_taken_from_the_parent_is_taken_from_the_child() {
    let server = Server::start();
    let host = server.host();
    let (capability, command) = (format!("net:{host}"), WAY_OUT.replace("HOST", &host));
    let model = Model::start(move |talk| match talk.answers.len() {
        0 => Move::Call("request_capability", json!({"capability": capability, "reason": "more"})),
        1 => Move::Call("shell", json!({"command": command, "timeoutSeconds": 300})),
        _ => Move::Call("finish", json!({"summary": talk.answers[1].clone()})),
    });
    let scene = Scene::new();
    talks_to(&scene, &model);
    let rule = "format: 1\nrules:\n  - {effect: allow, kind: net, name: '*', because: anybody}\n";
    scene.write("policies/rules.yaml", rule);
    role(&scene, "worker", "");
    hire(&scene, "ada", PARENT);
    let asks = format!(
        r#"
asked = ["/taskforge/bin/taskforge", "agent", "request", "net:{host}", "--reason", "to look", "--wait", "100"]
say(subprocess.run(asked, capture_output=True).returncode)
code, told = delegate("worker", "look", "--wait", "200")
say(code, told["result"]["summary"] if code == 0 else told)
"#
    );
    script(&scene, "p", &asks, "");
    let since = Instant::now();
    while server.seen().is_empty() {
        scene.tf(&["tick", "p"]).ok();
        assert!(since.elapsed() < Duration::from_secs(200), "the child never looked: {}", model.story());
        std::thread::sleep(Duration::from_millis(50));
    }
    let id = state(&scene, "p")["requests"][0]["id"].as_str().unwrap().to_owned();
    scene.tf(&["capability", "revoke", &id, "--reason", "enough"]).ok();
    scene.drive("p", 0);
    let heard = said(&scene, "p").join(" ");
    assert!(heard.starts_with("0 0 ") && heard.contains("first hello"), "{heard}");
    assert!(heard.contains("then capability_required"), "{heard}");
    let child = state(&scene, "p")["children"][0]["run"].as_str().unwrap().to_owned();
    for run in ["p", &child] {
        assert_eq!(state(&scene, run)["requests"][0]["status"], "revoked", "{run}");
        scene.is_sound(run);
    }
}

#[test]
fn a_childs_use_of_a_grant_ends_with_its_parents_without_a_tick() {
    let server = Server::start();
    let host = server.host();
    let (capability, command) = (format!("net:{host}"), WAY_OUT.replace("HOST", &host));
    let model = Model::start(move |talk| match talk.answers.len() {
        0 => Move::Call("request_capability", json!({"capability": capability, "reason": "more"})),
        1 => Move::Call("shell", json!({"command": command, "timeoutSeconds": 300})),
        _ => Move::Call("finish", json!({"summary": talk.answers[1].clone()})),
    });
    let scene = Scene::new();
    talks_to(&scene, &model);
    role(&scene, "worker", "");
    hire(&scene, "ada", &PARENT.replace("timeout: 100s", "timeout: 600s"));
    let asks = format!(
        r#"
asked = ["/taskforge/bin/taskforge", "agent", "request", "net:{host}", "--reason", "to look", "--wait", "100"]
say(subprocess.run(asked, capture_output=True).returncode)
say(delegate("worker", "look", "--wait", "300")[0])
"#
    );
    script(&scene, "p", &asks, "");
    scene.tick_until("p", |_| !scene.waiting("p").is_empty());
    let (id, digest) = scene.the_one("p");
    let until = Utc::now().trunc_subsecs(0) + chrono::Duration::seconds(90);
    scene.tf(&["approve", &id, "--digest", &digest, "--until", &until.to_rfc3339()]).ok();
    scene.tick_until("p", |_| state(&scene, "p")["children"][0]["run"].is_string());
    let child = state(&scene, "p")["children"][0]["run"].as_str().unwrap().to_owned();
    // The child's own approval says nothing of an end.
    scene.tick_until(&child, |_| !scene.waiting(&child).is_empty());
    scene.approve(&child);
    scene.tick_until(&child, |_| !server.seen().is_empty());
    let grant = scene.json(&format!("runs/{child}/gate/policy.json"))["attempts"][0]["grants"][0].clone();
    assert_eq!(grant["until"], scene.json("runs/p/gate/policy.json")["attempts"][0]["grants"][0]["until"]);
    // Nobody ticks from here on.
    let since = Instant::now();
    let cut =
        || model.talks().iter().any(|talk| talk.answers.iter().any(|said| said.contains("then capability_required")));
    while !cut() {
        assert!(since.elapsed() < Duration::from_secs(200), "it was never cut: {}", model.story());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(Utc::now() >= until, "it was cut before its time");
    scene.drive("p", 0);
    assert_eq!(said(&scene, "p"), ["0", "0"]);
    for run in ["p", &child] {
        scene.is_sound(run);
    }
}

/// A message as a gate would leave it.
fn leave(scene: &Scene, run: &str, id: &str, kind: &str, body: &Value) -> std::path::PathBuf {
    let text = json!({
        "format": 1, "id": id, "kind": kind, "at": "2026-11-20T11:46:18Z", "node": "work", "attempt": 1, "body": body,
    });
    scene.write(&format!("runs/{run}/gate/inbox/{id}.json"), text.to_string());
    scene.path(&format!("runs/{run}/gate/inbox/{id}.json"))
}

#[test]
fn a_message_that_cannot_be_begun_is_refused_and_a_run_that_is_stuck_can_be_ended() {
    let scene = Scene::new();
    role(&scene, "worker", WORKER);
    hire(&scene, "ada", PARENT);
    script(&scene, "p", "say('up')\ntime.sleep(500)", "");
    scene.tick_until("p", |_| said(&scene, "p") == ["up"]);
    let task = |task: &str| json!({"role": "worker", "task": task, "requests": 1});
    let left = [
        leave(&scene, "p", "01JD2Z3V5Q8M4K7N9P1R2S3T4A", "child", &task(" ")),
        leave(&scene, "p", "01JD2Z3V5Q8M4K7N9P1R2S3T4B", "child", &task("\u{2028}")),
        leave(&scene, "p", "01JD2Z3V5Q8M4K7N9P1R2S3T4C", "child", &json!({"role": "nobody", "task": "x"})),
    ];
    scene.tf(&["tick", "p"]).ok();
    assert!(left.iter().all(|path| !path.exists()), "they are taken");
    let journal = scene.read("runs/p/events.jsonl");
    assert_eq!(journal.matches("input.rejected").count(), 3, "{journal}");
    assert!(journal.contains("`task` is blank"), "{journal}");
    // An inbox that is none: nobody knows what the agent says, and it can be ended all the same.
    let inbox = scene.path("runs/p/gate/inbox");
    std::fs::rename(&inbox, scene.path("runs/p/gate/inbox-away")).unwrap();
    std::fs::write(&inbox, "").unwrap();
    assert_ne!(scene.tf(&["tick", "p"]).any(), Some(0));
    assert!(!docker_api::containers(&scene.id()).is_empty());
    scene.tf(&["run", "cancel", "p", "--reason", "enough"]).any();
    let since = Instant::now();
    while !docker_api::containers(&scene.id()).is_empty() {
        scene.tf(&["tick", "p"]).any();
        assert!(since.elapsed() < Duration::from_secs(100), "its containers still run");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(state(&scene, "p")["status"], "cancelled");
    assert_eq!(scene.tf(&["agent", "show", "ada", "--json"]).ok().json()["agent"]["active"], json!([]));
}

#[test]
fn what_a_child_takes_is_taken_from_the_line_above_it() {
    let model = Model::start(|talk| match talk.answers.len() {
        0 => Move::Call("shell", json!({"command": "true"})),
        _ => Move::Call("finish", json!({"summary": "done"})),
    });
    let scene = Scene::new();
    talks_to(&scene, &model);
    role(&scene, "worker", "");
    role(&scene, "other", "allowedActions: [github.pr.list]\nconfig: {github: {repositories: ['acme/*']}}");
    hire(
        &scene,
        "ada",
        "resources: {memory: 128MiB}\ntasks: {timeout: 200s}\nallowedActions: [github.pr.list]\n\
         config: {github: {repositories: ['acme/*']}, limits: {github.pr.list: 3/hour}, budget: {requests: 2}, delegation: {roles: [worker, other], children: 3}}",
    );
    script(
        &scene,
        "p",
        r#"
say(delegate("worker", "first", "--requests", "5", "--wait", "200")[1]["status"])
say(delegate("other", "second", "--requests", "5")[1]["status"])
while not os.path.exists("/workspace/go"): time.sleep(0.05)
"#,
        "",
    );
    let since = Instant::now();
    let run = loop {
        scene.tf(&["tick", "p"]).ok();
        let children = state(&scene, "p")["children"].clone();
        if let Some(run) = children[1]["run"].as_str()
            && scene.path(&format!("runs/{run}/gate/policy.json")).exists()
        {
            break run.to_owned();
        }
        assert!(since.elapsed() < Duration::from_secs(200), "no second child: {children}");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(said(&scene, "p")[0], "completed");
    // It has a role of its own, and what that takes is ada's too: of the day's two requests none is left.
    let policy = scene.json(&format!("runs/{run}/gate/policy.json"));
    assert_eq!(policy["attempts"][0]["under"], json!(["role-ada"]));
    assert_eq!(policy["roles"]["role-ada"], json!({"day": {"requests": 2}, "nodes": ["task"]}));
    let counts = &policy["attempts"][0]["actions"][0]["counts"];
    assert_eq!(*counts, json!([{"by": "agent ada", "limit": "3/hour"}]));
    let refused = |scene: &Scene| {
        let traffic =
            std::fs::read_to_string(scene.path(&format!("runs/{run}/gate/traffic.jsonl"))).unwrap_or_default();
        traffic.contains("the agents of role `role-ada`, for which this one works, have taken today 2 of 2 requests")
    };
    while !refused(&scene) {
        scene.tf(&["tick", "p"]).ok();
        assert!(since.elapsed() < Duration::from_secs(200), "it was not refused");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(model.talks().len(), 2, "{}", model.story());
    scene.tf(&["run", "cancel", "p", "--reason", "seen"]).ok();
    scene.tick_until(&run, |_| docker_api::containers(&scene.id()).is_empty());
}

#[test]
fn two_nodes_that_give_work_away_share_what_their_run_may_take() {
    let model = Model::start(|_| Move::Call("finish", json!({"summary": "done"})));
    let scene = Scene::new();
    talks_to(&scene, &model);
    scene.set("[llm.providers", "[llm.budget]\nrequests = 10\n\n[llm.budget.agent]\nrequests = 7\n\n[llm.providers");
    role(&scene, "worker", "");
    hire(&scene, "ada", PARENT);
    hire(&scene, "bob", PARENT);
    let container = |agent: &str, words: &str| {
        let script = format!("{PRELUDE}\n{words}");
        format!("command: {}\nagent: {agent}\n", json!(["python3", "-c", script]))
    };
    let first = container(
        "ada",
        r#"
say(delegate("worker", "x", "--requests", "8")[1]["error"]["message"])
code, told = delegate("worker", "x", "--requests", "6", "--wait", "200")
say(code, told["requests"])
"#,
    );
    let second = container(
        "bob",
        r#"
say(delegate("worker", "y", "--requests", "5")[1]["error"]["message"])
code, told = delegate("worker", "y", "--requests", "4", "--wait", "200")
say(code, told["requests"])
say(delegate("worker", "z", "--requests", "1")[1]["error"]["message"])
"#,
    );
    scene.commands("p", &[("work", &first, &["said.txt"]), ("more", &second, &["said.txt"])]);
    scene.start("p", "p");
    scene.drive("p", 0);
    let left = |node: &str, left: u64| {
        format!(
            "the node `{node}` has {left} requests to models left, and a child needs at least one of them and gets no more"
        )
    };
    assert_eq!(said(&scene, "p"), [left("work", 7), "0 6".to_owned()]);
    let more = scene.read("runs/p/nodes/more/workspace/said.txt");
    assert_eq!(more.lines().collect::<Vec<_>>(), [left("more", 4), "0 4".to_owned(), left("more", 0)]);
    let children = state(&scene, "p")["children"].clone();
    let given: u64 =
        children.as_array().unwrap().iter().map(|child| child["share"]["requests"].as_u64().unwrap()).sum();
    assert_eq!(given, 10, "{children}");
    scene.is_sound("p");
}

#[test]
fn a_models_own_budget_is_not_handed_on() {
    const ASKED: &str = "llm:large,tokens=1000";
    let model = Model::start(|talk| match talk.answers.len() {
        0 => Move::Call("request_capability", json!({"capability": ASKED, "reason": "more"})),
        _ => Move::Call("finish", json!({"summary": talk.answers[0].clone()})),
    });
    let scene = Scene::new();
    talks_to(&scene, &model);
    let rule = "format: 1\nrules:\n  - {effect: allow, kind: llm, name: '*', because: anybody}\n";
    scene.write("policies/rules.yaml", rule);
    role(&scene, "worker", "");
    hire(&scene, "ada", PARENT);
    let asks = format!(
        r#"
asked = ["/taskforge/bin/taskforge", "agent", "request", "{ASKED}", "--reason", "to look", "--wait", "100"]
say(subprocess.run(asked, capture_output=True).returncode)
code, told = delegate("worker", "look", "--wait", "200")
say(code, told["result"]["summary"] if code == 0 else told)
"#
    );
    script(&scene, "p", &asks, "");
    scene.drive("p", 0);
    let heard = said(&scene, "p").join(" ");
    assert!(heard.starts_with("0 0 "), "{heard}");
    assert!(heard.contains("a budget of its own for a model is not handed on to a child"), "{heard}");
}
