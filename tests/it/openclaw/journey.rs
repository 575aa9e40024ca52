//! A whole run, done by an agent of the real OpenClaw that has read the skill: made, dispatched to a subagent, decided on by
//! a person, woken by a tick, completed. Under an allowlist that holds `taskforge helper` and nothing else.

use serde_json::{Value, json};

use super::gateway::Gateway;
use super::model::{Model, Move, Talk};

const WORKFLOW: &str = "---
workflowId: brief
title: A brief
nodes:
  - id: gather
    title: Gather
    kind: subagent
    prompt: Write one line about tides.
    outputs: {mode: report, requiredFiles: [nodes/gather/report.md]}
  - id: agree
    title: The person agrees
    kind: approval
    needs: [gather]
    outputs: {mode: notify}
  - id: write
    title: Write the brief
    kind: summary
    needs: [agree]
    prompt: Put the report of gather into one sentence.
    outputs: {mode: report, requiredFiles: [nodes/write/report.md]}
---
";

/// What the scripted agent tries in between, each of which must be denied.
fn forbidden(binary: &str, registry: &str) -> Vec<String> {
    [
        "taskforge approve agree --yes",
        "{binary} approve agree --yes",
        "taskforge --registry '{registry}' approve agree --yes",
        "taskforge 'approve' 'helper'",
        "taskforge unlock --reason helper",
        "taskforge control skip demo-1 agree",
        "taskforge schedule remove",
        "taskforge helper next demo-1; taskforge approve agree --yes",
        "taskforge helper next demo-1 && taskforge approve agree --yes",
        "taskforge helper next demo-1 | sh",
        "env taskforge approve agree --yes",
        "sh -c 'taskforge approve agree --yes'",
        "taskforge helper next $(taskforge approve agree --yes)",
        "openclaw cron add --name x --every 1m --command 'taskforge approve agree --yes'",
    ]
    .map(|line| line.replace("{binary}", binary).replace("{registry}", registry))
    .into()
}

/// Calls before the forbidden ones, and after them.
const BEFORE: usize = 10;
const AFTER: usize = 6;

enum Step {
    Call(Box<dyn Fn(&Talk) -> Move + Send + Sync>),
    /// Ends the turn until a message says this.
    Until(&'static str, &'static str),
}

/// The next step of a script: as many of its calls are done as there are answers.
fn follow(steps: &[Step], talk: &Talk) -> Move {
    let mut done = talk.answers.len();
    for step in steps {
        match step {
            Step::Call(make) if done == 0 => return make(talk),
            Step::Call(_) => done -= 1,
            Step::Until(_, sign) if done > 0 || talk.heard.iter().any(|text| text.contains(sign)) => {}
            Step::Until(say, _) => return Move::Say((*say).to_owned()),
        }
    }
    Move::Say("The run is done.".to_owned())
}

fn exec(line: impl Fn(&Talk) -> String + Send + Sync + 'static) -> Step {
    Step::Call(Box::new(move |talk| Move::Call("exec", json!({"command": line(talk)}))))
}

/// A command as `next` names it, with the words in capitals filled in.
fn command(next: &Value, node: usize, name: &str, words: &[(&str, &str)]) -> String {
    let line = next["dispatch"][node]["commands"][name].as_str().unwrap_or_default().to_owned();
    words.iter().fold(line, |line, (capital, value)| line.replace(capital, &format!("'{value}'")))
}

/// The newest answer of `helper next`.
fn agenda(talk: &Talk) -> Value {
    let all = talk.answers.iter().rev().filter_map(|answer| serde_json::from_str::<Value>(answer.trim()).ok());
    all.into_iter().find(|value| value["dispatch"].is_array()).unwrap_or_default()
}

fn child(talk: &Talk) -> String {
    let all = talk.answers.join("\n");
    let key = all.split("\"childSessionKey\":").nth(1).and_then(|rest| rest.split('"').nth(1));
    key.unwrap_or_default().to_owned()
}

fn script(registry: &str, binary: &str) -> Vec<Step> {
    let root = registry.to_owned();
    let next = move || {
        let root = root.clone();
        exec(move |_| format!("taskforge helper next 'demo-1' --registry-root '{root}'"))
    };
    let of_agenda = |name: &'static str| {
        exec(move |talk| {
            let words = [("CHILD_SESSION_KEY", child(talk)), ("SUMMARY", "one line".to_owned())];
            let words: Vec<(&str, &str)> = words.iter().map(|(capital, value)| (*capital, value.as_str())).collect();
            command(&agenda(talk), 0, name, &words)
        })
    };
    let file = |talk: &Talk| agenda(talk)["dispatch"][0]["write"][0]["file"].as_str().unwrap_or_default().to_owned();
    let root = registry.to_owned();
    let mut steps = vec![
        Step::Call(Box::new(|talk| {
            let skill = talk.system.split("<name>taskforge</name>").nth(1).unwrap_or_default();
            let place = skill.split("<location>").nth(1).and_then(|rest| rest.split("</location>").next());
            Move::Call("read", json!({"path": place.unwrap_or_default()}))
        })),
        exec(move |talk| {
            let key = talk.session();
            format!(
                "taskforge helper scaffold --workflow-path 'workflows/brief.task.md' --run-id 'demo-1' \
                 --source-session-key '{key}' --registry-root '{root}'"
            )
        }),
        next(),
        Step::Call(Box::new(move |talk| {
            let prompt = agenda(talk)["dispatch"][0]["prompt"].as_str().unwrap_or_default().to_owned();
            let task = format!("{prompt} Write exactly this file: <{}>. Do not call taskforge.", file(talk));
            Move::Call("tool_call", json!({"id": "sessions_spawn", "args": {"task": task, "label": "demo-1 gather"}}))
        })),
        of_agenda("bind"),
        of_agenda("started"),
        // In a turn of its own or, if the subagent was faster, in this one.
        Step::Until("The subagent works.", "ready for parent review"),
        Step::Call(Box::new(move |talk| Move::Call("read", json!({"path": file(talk)})))),
        of_agenda("result"),
        of_agenda("completed"),
        next(),
    ];
    steps.extend(forbidden(binary, registry).into_iter().map(|line| exec(move |_| line.clone())));
    steps.extend([
        Step::Until("Please decide on the node agree.", "has work for you: write"),
        next(),
        of_agenda("started"),
        Step::Call(Box::new(move |talk| {
            Move::Call("write", json!({"path": file(talk), "content": "Tides follow the moon.\n"}))
        })),
        of_agenda("result"),
        of_agenda("completed"),
    ]);
    let root = registry.to_owned();
    steps.push(exec(move |_| format!("taskforge helper validate 'demo-1' --registry-root '{root}'")));
    steps
}

fn subagent(talk: &Talk) -> Move {
    match talk.answers.len() {
        0 => {
            let path = talk.said.iter().find_map(|text| text.split("this file: <").nth(1)?.split('>').next());
            Move::Call("write", json!({"path": path.unwrap_or_default(), "content": "Tides come twice a day.\n"}))
        }
        _ => Move::Say("The file is written.".to_owned()),
    }
}

#[test]
fn an_agent_takes_a_run_to_its_end_and_decides_nothing() {
    let place = std::sync::Arc::new(std::sync::OnceLock::<Vec<Step>>::new());
    let steps = place.clone();
    let gateway = Gateway::start(Model::start(move |talk| {
        if talk.session().contains(":subagent:") {
            return subagent(talk);
        }
        steps.get().map_or_else(|| Move::Say("Not yet.".to_owned()), |steps| follow(steps, talk))
    }));
    let scene = &gateway.scene;
    let registry = scene.root().canonicalize().unwrap().display().to_string();
    assert!(place.set(script(&registry, &gateway.binary())).is_ok());
    scene.write("workflows/brief.task.md", WORKFLOW);
    scene.run(&gateway.binary(), &["openclaw", "setup", "--apply"]).ok();
    let info = gateway.openclaw_json(&["skills", "info", "taskforge", "--agent", "main", "--json"]);
    assert_eq!((&info["eligible"], &info["modelVisible"]), (&json!(true), &json!(true)), "{info:#}");

    // The person asks; the agent makes the run, spawns the subagent, and is woken by its end.
    gateway.openclaw(&["agent", "--agent", "main", "--message", "Do the brief with taskforge.", "--json"]);
    let attempts = forbidden(&gateway.binary(), &registry);
    gateway.until("the end of the first part", |gateway| main(gateway).answers.len() == BEFORE + attempts.len());
    assert_eq!(["gather", "write"].map(|node| status(&gateway, node)), ["completed", "pending"]);
    // Ready, or waiting if a tick has come by.
    assert_ne!(status(&gateway, "agree"), "completed");

    let talk = main(&gateway);
    assert!(talk.system.contains("<name>taskforge</name>"), "the skill is in the prompt");
    assert!(talk.answers[0].contains("# taskforge") && talk.answers[0].contains("Never decide"), "{}", talk.answers[0]);
    for (line, answer) in attempts.iter().zip(&talk.answers[BEFORE..]) {
        assert!(answer.contains("denied"), "`{line}` was not denied: {answer}");
    }
    assert!(scene.events("demo-1", "decision.made").is_empty());

    // The person decides; the tick that OpenClaw's own scheduler runs wakes the agent, without a model in between.
    let jobs = gateway.openclaw_json(&["cron", "list", "--all", "--json"]);
    let ours = format!("taskforge:tick:{}", scene.id());
    let job = jobs["jobs"].as_array().unwrap().iter().find(|job| job["declarationKey"] == *ours).unwrap();
    let tick =
        || gateway.openclaw_json(&["cron", "run", job["id"].as_str().unwrap(), "--wait", "--wait-timeout", "2m"]);
    tick();
    scene.approve("demo-1");
    let done = tick();
    assert_eq!(done["completionStatus"], "succeeded", "{done:#}");
    gateway.until("the end of the run", |gateway| main(gateway).answers.len() == BEFORE + attempts.len() + AFTER);

    let talk = main(&gateway);
    let validated: Value = serde_json::from_str(talk.answers.last().unwrap().trim()).unwrap();
    assert_eq!((&validated["ok"], &validated["runStatus"]), (&json!(true), &json!("completed")), "{validated:#}");
    assert_eq!(scene.read("runs/demo-1/nodes/gather/report.md"), "Tides come twice a day.\n");
    assert_eq!(scene.read("runs/demo-1/nodes/write/report.md"), "Tides follow the moon.\n");
    assert_eq!(scene.json("runs/demo-1/nodes/gather/result.json")["summary"], "one line");
    let state = scene.json("runs/demo-1/state.json");
    assert_eq!(state["status"], "completed");
    assert!(state["nodes"][0]["childSessionKey"].as_str().unwrap().starts_with("agent:main:subagent:"), "{state:#}");
    scene.tf(&["audit", "verify", "demo-1"]).ok().says("sound");
    let said = scene.events("demo-1", "node.completed");
    let actors: Vec<&str> = said.iter().map(|event| event["actor"].as_str().unwrap()).collect();
    assert_eq!(actors[0], "openclaw:agent:main:main", "{actors:?}");
}

/// The newest state of the driving session's conversation.
fn main(gateway: &Gateway) -> Talk {
    let talks = gateway.model.talks();
    let own = talks.into_iter().filter(|talk| !talk.session().contains(":subagent:"));
    own.max_by_key(|talk| talk.answers.len()).unwrap()
}

fn status(gateway: &Gateway, node: &str) -> String {
    let state = gateway.scene.json("runs/demo-1/state.json");
    let found = state["nodes"].as_array().unwrap().iter().find(|found| found["id"] == node);
    found.unwrap()["status"].as_str().unwrap().to_owned()
}
