//! Hired agents in containers: what they are given, and that they are told who they are.

use serde_json::{Value, json};

use super::{agent, agent_journal, hire};
use crate::openclaw::model::{Model, Move};
use crate::scene::{Scene, ends, node};

/// A model of the test's own.
fn talks_to(scene: &Scene, model: &Model) {
    let served = format!("model = {{ name = \"scripted\", baseUrl = \"{}\" }}", model.base_url());
    scene.set("model = \"recorded\"", &served);
}

#[test]
fn the_container_gets_what_the_role_says_and_no_more() {
    let scene = Scene::new();
    for skill in ["tidy", "other"] {
        scene.write(
            &format!("skills/{skill}/SKILL.md"),
            format!("---\nname: {skill}\ndescription: To {skill}\n---\nDo {skill}.\n"),
        );
    }
    let limits = "resources: {cpus: 0.25, memory: 96MiB, pids: 33, disk: 64MiB}\ntasks: {timeout: 77s}";
    hire(&scene, "ada", &format!("skills: [tidy]\n{limits}"));
    let script = "find /taskforge/role -type f | sort > /workspace/files; cat /taskforge/role/SOUL.md > /workspace/soul; \
                  echo $TASKFORGE_AGENT $TASKFORGE_ROLE > /workspace/who; \
                  (echo x > /taskforge/role/SOUL.md) 2>/dev/null && echo writable >> /workspace/who; exit 0";
    let container =
        format!("command: {}\nagent: ada\nresources: {{memory: 1GiB, pids: 20}}", json!(["sh", "-c", script]));
    scene.commands("given", &[("work", &container, &["files", "soul", "who"])]);
    scene.start("given", "g");
    scene.drive("g", 0);
    let read = |name: &str| scene.read(&format!("runs/g/nodes/work/{name}"));
    assert_eq!(
        read("files"),
        "/taskforge/role/SOUL.md\n/taskforge/role/role.md\n/taskforge/role/skills/tidy/SKILL.md\n"
    );
    assert_eq!(read("soul"), "# Role role-ada\n\nYou are role-ada.\n");
    assert_eq!(read("who"), "ada role-ada\n");
    let resources = &scene.json("runs/g/taskforge.json")["state"]["created"]["nodes"][0]["container"]["resources"];
    // Of the node's wish and the role's limit the smaller.
    assert_eq!(
        *resources,
        json!({"cpuMillis": 250, "memory": 96 << 20, "pids": 20, "disk": 64 << 20, "wallMs": 77_000})
    );
    let found = agent(&scene, "ada");
    assert_eq!((&found["tasks"], &found["active"]), (&json!(1), &json!([])));
    let events: Vec<Value> = agent_journal(&scene, "ada").iter().map(|line| line["event"].clone()).collect();
    assert_eq!(events, ["agent.hired", "task.begun", "task.ended"]);
    scene.is_sound("g");
}

#[test]
fn a_node_may_name_a_role_alone() {
    let scene = Scene::new();
    super::role(&scene, "plain", "tasks: {timeout: 50s}");
    scene.commands(
        "roled",
        &[("work", "command: [sh, -c, 'echo $TASKFORGE_ROLE/$TASKFORGE_AGENT > who']\nrole: plain", &["who"])],
    );
    scene.start("roled", "r");
    // What stands in the registry now is not what the run was started with.
    super::role(&scene, "plain", "model: recorded");
    scene.drive("r", 0);
    assert_eq!(scene.read("runs/r/nodes/work/who"), "plain/\n");
    scene.is_sound("r");
    // A byte of the frozen role changed is no other role.
    scene.start("roled", "s");
    scene.tf(&["run", "cancel", "s", "--reason", "x"]).ok();
    scene.commands("both", &[("work", "command: [sh]\nrole: plain\nagent: ada", &[])]);
    scene.tf(&["run", "start", "both", "--detach"]).exits(2).complains("has both `role` and `agent`");
    scene.commands("nobody", &[("work", "command: [sh]\nagent: nobody", &[])]);
    scene.tf(&["run", "start", "nobody", "--detach"]).exits(3).complains("there is no agent `nobody`");
}

#[test]
fn a_task_is_a_run_with_who_the_agent_is_in_its_prompt() {
    let model = Model::start(|talk| match talk.answers.len() {
        0 => Move::Call("memory", json!({"op": "get", "key": "style"})),
        1 => Move::Call("memory", json!({"op": "set", "key": "seen.x", "value": "a task about x"})),
        2 => Move::Call("write_file", json!({"path": "report.md", "content": "# Done\n"})),
        _ => Move::Call("finish", json!({"summary": "done"})),
    });
    let scene = Scene::new();
    talks_to(&scene, &model);
    scene.write("skills/tidy/SKILL.md", "---\nname: tidy\ndescription: How to tidy\n---\nTidy.\n");
    let actions =
        "allowedActions: [memory.get, memory.set, memory.list]\nskills: [tidy]\nconfig: {memory: {prompt: 100B}}";
    hire(&scene, "ada", actions);
    scene.tf(&["memory", "set", "ada", "style", "be brief"]).ok();
    scene.tf(&["memory", "set", "ada", "long", &"y".repeat(300)]).ok();
    scene.tf(&["agent", "run", "ada", "Look at x", "--follow"]).ok().complains("Run ada-1 started.");
    let talks = model.talks();
    let system = &talks[0].system;
    for part in [
        "Who you are:\n\n# Role role-ada\n\nYou are role-ada.",
        "- /taskforge/role/skills/tidy/SKILL.md: How to tidy",
        "- style: \"be brief\"",
        "Not shown for their size, to be had from the memory by their keys: long",
    ] {
        assert!(system.contains(part), "{part}\n{system}");
    }
    assert!(!system.contains("yyy"));
    assert!(talks[1].answers[0].contains("be brief"), "{:?}", talks[1].answers);
    assert_eq!(scene.read("agents/ada/memory/seen.x.md"), "a task about x");
    let history = scene.tf(&["memory", "history", "ada", "seen.x", "--json"]).ok().json();
    assert_eq!((&history[0]["by"]["run"], &history[0]["actor"]), (&json!("ada-1"), &json!("agent:task")));
    assert_eq!(node(&scene.show("ada-1"), "task")["status"], "completed");
    scene.is_sound("ada-1");
    let counted = crate::schemas::count_by_schema(&scene.root());
    for name in ["role.md", "agent.json", "agent-events.jsonl", "memory.json"] {
        assert!(counted.contains_key(name), "no {name}");
    }
    // The next task knows.
    scene.tf(&["agent", "run", "ada", "And now y", "--follow"]).ok();
    let talks = model.talks();
    assert!(talks.last().unwrap().system.contains("- seen.x: \"a task about x\""), "{}", talks.last().unwrap().system);
}

#[test]
fn talking_is_a_run_an_exchange() {
    let model = Model::start(|talk| {
        let heard = talk.heard.join("\n");
        let answer = if heard.contains("What was said so far:\nPerson: hello\nYou: hello yourself") {
            "again"
        } else {
            "hello yourself"
        };
        Move::Call("finish", json!({"summary": answer}))
    });
    let scene = Scene::new();
    talks_to(&scene, &model);
    hire(&scene, "ada", "");
    let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_taskforge"));
    command
        .args(["agent", "chat", "ada", "--json"])
        .current_dir(scene.root())
        .env_clear()
        .env("HOME", scene.outside("home"));
    command.env("TASKFORGE_OPERATOR", "ada").write_stdin("hello\n\nhow are you\n");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        lines,
        [
            json!({"run": "ada-1", "said": "hello", "answer": "hello yourself"}),
            json!({"run": "ada-2", "said": "how are you", "answer": "again"}),
        ]
    );
    scene.is_sound("ada-2");
}

#[test]
fn a_task_that_fails_gives_its_place_back() {
    let scene = Scene::new();
    hire(&scene, "ada", "");
    scene.commands("bad", &[("work", "command: [sh, -c, 'exit 3']\nagent: ada", &[])]);
    scene.start("bad", "b");
    scene.drive("b", 1);
    assert_eq!(ends(&scene.show("b"), "work")[0].0, "failed");
    assert_eq!(agent(&scene, "ada")["active"], json!([]));
}

/// Workflow `t`, whose only node is the built-in agent's, as `agent`.
fn task(scene: &Scene, agent: &str) {
    let text = format!(
        "---\nworkflowId: t\ntitle: t\nnodes:\n  - id: work\n    title: w\n    kind: session_turn\n    prompt: x\n    outputs: \
         {{mode: notify, requiredFiles: []}}\n    container:\n      runtime: builtin\n      agent: {agent}\n---\n"
    );
    scene.write("workflows/t.task.md", text);
}

#[test]
fn what_waits_for_a_decision_is_over_with_its_agent() {
    let model = Model::start(|_| Move::Call("finish", json!({"summary": "done"})));
    let scene = Scene::new();
    talks_to(&scene, &model);
    hire(&scene, "ada", "config: {budget: {requests: 1}}");
    task(&scene, "ada");
    scene.start("t", "one");
    scene.drive("one", 0);
    scene.start("t", "two");
    scene.drive("two", 11);
    let id = scene.the_one("two").0;
    let done = scene.tf(&["agent", "offboard", "ada", "--reason", "moved on", "--json"]).ok().json();
    assert_eq!((&done["ended"], &done["dropped"]), (&json!([]), &json!(["two/work"])));
    let shown = scene.show("two");
    assert_eq!((&shown["status"], &shown["nodes"][0]["status"]), (&json!("failed"), &json!("failed")));
    assert!(shown.to_string().contains("agent `ada` was offboarded"), "{shown:#}");
    // Nobody is asked any more for what nobody would use.
    assert_eq!(scene.waiting("two"), Vec::<Value>::new());
    scene.tf(&["approve", &id, "--show"]).exits(7);
    scene.is_sound("two");
}

#[test]
fn a_role_has_so_much_a_day_in_whatever_run() {
    let model = Model::start(|_| Move::Call("finish", json!({"summary": "done"})));
    let scene = Scene::new();
    talks_to(&scene, &model);
    hire(&scene, "ada", "config: {budget: {requests: 2}}");
    scene.tf(&["agent", "hire", "role-ada", "--name", "eve"]).ok();
    let drive = |run: &str, agent: &str, code: i32| {
        task(&scene, agent);
        scene.start("t", run);
        scene.drive(run, code);
    };
    drive("one", "ada", 0);
    drive("two", "eve", 0);
    drive("three", "ada", 11);
    assert_eq!(model.talks().len(), 2, "the third was never asked");
    let waiting = &scene.waiting("three")[0];
    assert_eq!((&waiting["what"], &waiting["by"]), (&json!("budget:role,requests=4"), &json!("gate, for agent:work")));
    let asked = &scene.events("three", "capability.requested")[0]["data"];
    assert_eq!(asked["reason"], "the agents of role `role-ada` have taken today 2 of 2 requests");
    let (id, digest) = scene.the_one("three");
    let shown = scene.tf(&["approve", &id, "--show"]).ok();
    shown.says("agents of the role of node work together may make 4 requests to models within a day (UTC)");
    scene.tf(&["approve", &id, "--digest", &digest]).ok();
    scene.drive("three", 0);
    // It was for that run, and what it took counts.
    drive("five", "eve", 11);
    assert_eq!(scene.waiting("five")[0]["what"], "budget:role,requests=4");
    assert_eq!(model.talks().len(), 3);
    scene.approve("five");
    scene.drive("five", 0);
    // Of what all have taken together, twice as much may be too little.
    drive("six", "ada", 11);
    assert_eq!(scene.waiting("six")[0]["what"], "budget:role,requests=8");
    // Who asked is told by who was hired, and not by the node, which is called alike in every run.
    let usage = scene.tf(&["llm", "usage", "--by", "agent", "--json"]).ok().json();
    let rows: Vec<_> =
        usage["rows"].as_array().unwrap().iter().map(|row| (&row["agent"], &row["usage"]["requests"])).collect();
    assert_eq!(rows, [(&json!("ada"), &json!(2)), (&json!("eve"), &json!(2))]);
    let log = scene.tf(&["llm", "log", "--agent", "eve", "--json"]).ok().json();
    let runs: Vec<_> = log.as_array().unwrap().iter().map(|one| &one["run"]).collect();
    assert_eq!(runs, ["five", "two"]);
    scene.tf(&["llm", "usage", "--agent", "nobody"]).exits(3).complains("there is no agent `nobody`");
    // Another role has its own.
    hire(&scene, "bob", "config: {budget: {requests: 1}}");
    task(&scene, "bob");
    scene.start("t", "four");
    scene.drive("four", 0);
    scene.is_sound("four");
}

#[test]
fn the_gate_does_what_the_role_allows_for_what_it_names() {
    let scene = Scene::new();
    let rules = "allowedActions: [github.pr.list, github.review.submit]\n\
                 config: {github: {repositories: ['acme/*'], verdicts: [COMMENT]}, limits: {github.pr.list: 5/hour}}";
    hire(&scene, "ada", rules);
    let script = "t=/taskforge/bin/taskforge; $t agent action > may; \
                  $t agent action github.pr.list --arg repo=evil/x > other; \
                  $t agent action github.pr.comment --arg repo=acme/x --arg number=1 --arg body=x > unlisted; \
                  $t agent action github.review.submit --arg repo=acme/x --arg number=1 --arg verdict=APPROVE --arg body=x > verdict; exit 0";
    let container = format!("command: {}\nagent: ada", json!(["sh", "-c", script]));
    scene.commands("acting", &[("work", &container, &["may", "other", "unlisted", "verdict"])]);
    scene.start("acting", "a");
    scene.drive("a", 0);
    let read = |name: &str| scene.read(&format!("runs/a/nodes/work/{name}"));
    let may = read("may");
    assert!(may.contains("github.pr.list") && may.contains("acme/*") && may.contains("5/hour"), "{may}");
    assert!(!may.contains("github.pr.comment"), "{may}");
    assert!(read("other").contains("arguments_not_allowed"), "{}", read("other"));
    assert!(read("unlisted").contains("action_not_allowed"), "{}", read("unlisted"));
    assert!(read("verdict").contains("arguments_not_allowed"), "{}", read("verdict"));
    scene.is_sound("a");
}

#[test]
fn channels_recipients_and_urls_that_a_role_does_not_name_are_refused() {
    let scene = Scene::new();
    let rules = "allowedActions: [slack.message.send, email.draft, webhook.send]\n\
                 config: {slack: {channels: [C0123ABCD]}, email: {recipients: ['*@example.com']}, \
                 webhook: {urls: ['https://hooks.example.com/x']}}";
    hire(&scene, "ada", rules);
    let script = "t=/taskforge/bin/taskforge; $t agent action > may; \
                  $t agent action slack.message.send --arg channel=C0999ZZZZ --arg text=x > channel; \
                  $t agent action email.draft --arg to=a@example.org --arg subject=s --arg body=b > recipient; \
                  $t agent action webhook.send --arg url=https://hooks.example.com/y --arg body=x > url; exit 0";
    let container = format!("command: {}\nagent: ada", json!(["sh", "-c", script]));
    scene.commands("acting", &[("work", &container, &["may", "channel", "recipient", "url"])]);
    scene.start("acting", "a");
    scene.drive("a", 0);
    let read = |name: &str| scene.read(&format!("runs/a/nodes/work/{name}"));
    for named in ["C0123ABCD", "*@example.com", "https://hooks.example.com/x"] {
        assert!(read("may").contains(named), "{}", read("may"));
    }
    for name in ["channel", "recipient", "url"] {
        assert!(read(name).contains("arguments_not_allowed"), "{name}: {}", read(name));
    }
    scene.is_sound("a");
}
