//! A live model instead of the recorded one: one line of the settings. And its key, which only the gate is given.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::docker_api;
use crate::model_server::ModelServer;
use crate::scene::{Scene, ends, node, text};

const KEY: &str = "sk-Zq3-never-to-be-seen-9f2c";

/// Asks the model from inside a container, as any OpenAI client would: streamed, and not.
const CLIENT: &str = r##"command:
  - python3
  - -c
  - |
    import json, os, urllib.request
    ask = {"model": "scripted", "messages": [{"role": "user", "content": "# Profile the sales data\n"}],
           "tools": [{"type": "function", "function": {"name": "shell"}}]}
    def post(more):
        request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions",
            json.dumps(ask | more).encode(), {"Content-Type": "application/json", "Authorization": "Bearer mine"})
        with urllib.request.urlopen(request) as answer:
            return answer.headers["Content-Type"], answer.read().decode()
    kind, whole = post({})
    name = json.loads(whole)["choices"][0]["message"]["tool_calls"][0]["function"]["name"]
    kind, streamed = post({"stream": True})
    events = [line[6:] for line in streamed.split("\n") if line.startswith("data: ")]
    first = json.loads(events[0])["object"]
    with urllib.request.urlopen(os.environ["OPENAI_BASE_URL"] + "/models") as answer:
        models = [model["id"] for model in json.load(answer)["data"]]
    json.dump([name, kind, len(events) > 3, first, events[-1], models], open("seen.json", "w"))
    print(sorted(os.environ.items()))
model: scripted"##;

#[test]
fn one_line_makes_the_model_a_live_one() {
    let server = ModelServer::start(&[]);
    let scene = Scene::new();
    scene.talks_to(&server, "");
    scene.start_example("live");
    scene.drive("live", 11);
    assert_eq!(scene.waiting("live")[0]["what"], "pip:pygal==3.1.3");
    scene.approve("live");
    scene.drive("live", 11);
    scene.approve("live");
    scene.drive("live", 0);
    let log = scene.tf(&["llm", "log", "live", "--json"]).ok().json();
    let exchanges = log.as_array().unwrap();
    assert!(exchanges.len() > 8);
    for exchange in exchanges {
        let asked = &exchange["request"]["fields"];
        assert_eq!((&asked["model"], &asked["provider"]), (&json!("scripted"), &json!("model")), "{exchange}");
        assert_eq!(exchange["outcome"]["fields"]["status"], 200, "{exchange}");
    }
    scene.tf(&["llm", "usage", "live"]).ok().says("analyse").says("scripted");
    scene.is_sound("live");

    // What such a run recorded is a recording: the same conversation, without the server.
    let transcript = scene.tf(&["llm", "transcript", "live"]).ok().stdout;
    drop(server);
    scene.write("workflows/sales-report.replay.jsonl", transcript);
    let settings = scene.read("taskforge.toml");
    let line = settings.lines().find(|line| line.starts_with("model = {")).unwrap().to_owned();
    scene.set(&line, "model = \"recorded\"");
    scene.start_example("replayed");
    for code in [11, 11, 0] {
        scene.drive("replayed", code);
        if code == 11 {
            scene.approve("replayed");
        }
    }
    let left = |run: &str| node(&scene.show(run), "analyse")["artifacts"].clone();
    assert_eq!(left("live"), left("replayed"));
}

#[test]
fn any_client_in_the_box_reaches_the_model_streamed_and_not() {
    let server = ModelServer::start(&[]);
    let scene = Scene::new();
    scene.talks_to(&server, "").commands("client", &[("ask", CLIENT, &["seen.json"])]);
    scene.start("client", "client-1");
    scene.drive("client-1", 0);
    let seen = scene.json("runs/client-1/nodes/ask/seen.json");
    let stream = "chat.completion.chunk";
    assert_eq!(seen, json!(["shell", "text/event-stream", true, stream, "[DONE]", ["scripted"]]));
    let log = scene.tf(&["llm", "log", "client-1", "--json"]).ok().json();
    let streamed: Vec<&Value> = log.as_array().unwrap().iter().map(|e| &e["request"]["fields"]["stream"]).collect();
    assert_eq!(streamed, [&json!(false), &json!(true)]);
    scene.is_sound("client-1");
}

#[test]
fn a_key_reaches_the_gate_and_nothing_else() {
    // Of this process alone: whatever is found of it was left here.
    let key = format!("{KEY}-{}", std::process::id());
    let server = ModelServer::start(&["--require-key", &key]);
    // Both containers stand while they are looked at, however long the tick takes that starts them.
    let client = CLIENT.replace(
        "    import json, os, urllib.request\n",
        "    import json, os, time, urllib.request\n    while not os.path.exists(\"look\"): time.sleep(0.05)\n",
    );
    assert_ne!(client, CLIENT);
    for source in ["file", "variable"] {
        let mut scene = Scene::new();
        let file = scene.outside("key");
        fs::write(&file, format!("{key}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let setting = match source {
            "file" => format!(", keyFile = \"{}\"", file.display()),
            _ => ", keyEnv = \"MODEL_KEY\"".to_owned(),
        };
        if source == "variable" {
            scene.env("MODEL_KEY", &key);
        }
        scene.talks_to(&server, &setting).commands("client", &[("ask", &client, &["seen.json"])]);
        let started = scene.start("client", "keyed");
        let containers = docker_api::containers(&scene.id());
        assert_eq!(containers.len(), 2, "{containers:?}");
        for container in &containers {
            let inspected = docker_api::inspect(&text(&container["Id"])).unwrap().to_string();
            assert!(!inspected.contains(&key), "{inspected}");
        }
        scene.write("runs/keyed/nodes/ask/workspace/look", "");
        let mut said = started.stdout + &started.stderr;
        for command in [
            ["run", "watch", "keyed", "--drive"].as_slice(),
            &["run", "show", "keyed", "--json"],
            &["run", "logs", "keyed"],
            &["llm", "log", "keyed", "--json"],
            &["llm", "transcript", "keyed"],
            &["audit", "log", "keyed", "--json"],
            &["doctor", "--json"],
        ] {
            let ended = scene.tf(command).ok();
            said += &ended.stdout;
            said += &ended.stderr;
        }
        assert!(!said.contains(&key));
        assert_eq!(files_with(&scene.root(), key.as_bytes()), Vec::<String>::new());
        assert_eq!(files_with(Path::new("/dev/shm"), key.as_bytes()), Vec::<String>::new(), "left after the gate");
        scene.is_sound("keyed");
    }
}

/// Files below `folder` that hold `needle`.
fn files_with(folder: &Path, needle: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(files_with(&path, needle));
        } else if kind.is_file()
            && fs::read(&path).is_ok_and(|bytes| bytes.windows(needle.len()).any(|part| part == needle))
        {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let server = ModelServer::start(&["--require-key", KEY]);
    let scene = Scene::new();
    let file = scene.outside("key");
    fs::write(&file, KEY).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    scene.talks_to(&server, &format!(", keyFile = \"{}\"", file.display()));
    scene.commands("client", &[("ask", CLIENT, &["seen.json"])]);
    scene.start("client", "open");
    scene.drive("open", 1);
    let shown = scene.show("open");
    let reason = text(&node(&shown, "ask")["failure"][1]);
    assert!(reason.contains(&format!("{} can be read by others: `chmod 600` it", file.display())), "{reason}");
    assert!(ends(&shown, "ask").iter().all(|(outcome, _)| outcome == "not_started"), "{shown:#}");
    scene.is_sound("open");

    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    scene.tf(&["run", "retry", "open", "ask"]).ok();
    scene.drive("open", 0);
    scene.is_sound("open");
}

#[test]
fn a_wrong_key_is_the_providers_no() {
    let server = ModelServer::start(&["--require-key", KEY]);
    let mut scene = Scene::new();
    scene.env("MODEL_KEY", "sk-wrong");
    scene.talks_to(&server, ", keyEnv = \"MODEL_KEY\"");
    scene.start_example("wrong");
    scene.drive("wrong", 1);
    let reason = text(&node(&scene.show("wrong"), "gather")["failure"][1]);
    assert!(reason.contains("401") && reason.contains("the key is missing or wrong"), "{reason}");
    scene.is_sound("wrong");
}

#[test]
fn a_gate_on_a_bridge_serves_its_agents() {
    let scene = Scene::new();
    scene.set("network = \"host\"", "network = \"bridge\"");
    scene.start_example("bridged");
    let containers = docker_api::containers(&scene.id());
    let gate = containers.iter().find(|container| container["Labels"]["io.taskforge.role"] == "gate").unwrap();
    assert_eq!(gate["HostConfig"]["NetworkMode"], "bridge");
    scene.drive("bridged", 11);
    assert_eq!(scene.waiting("bridged")[0]["what"], "pip:pygal==3.1.3");
}
