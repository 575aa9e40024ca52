//! What the records of a gate say to people and programs: `taskforge llm …`, on a registry that holds them.

use std::path::Path;

use serde_json::{Value, json};
use taskforge::gate::records::Kind;
use taskforge::gate::{Fallback, ModelRule, ProviderSpec};

use super::upstream::Upstream;
use super::world::{World, completion, endpoint};
use crate::scene::Scene;

const SETTINGS: &str = r#"
[[llm.prices]]
match = "claude-*"
input = 3.0
cached = 0.5
output = 15.0
[llm.providers.claude]
kind = "anthropic"
baseUrl = "http://127.0.0.1:1/v1"
[[llm.models]]
match = "mine"
provider = "claude"
model = "claude-big"
timeout = "90s"
retries = 1
fallback = [{ provider = "ollama", model = "llama3.2" }]
"#;

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => copy(&path, &target),
            kind if kind.is_file() => drop(std::fs::copy(&path, &target).unwrap()),
            _ => {}
        }
    }
}

/// A registry whose run `demo-1` has the records of a gate that three requests went through: one answered by Claude, after
/// a try that failed, one that has no price, one that was refused.
fn told() -> (Scene, World) {
    let claude = Upstream::start(|_, wire| {
        let usage = json!({"input_tokens": 1000, "cache_read_input_tokens": 1000, "output_tokens": 200});
        wire.json(json!({"id": "msg_1", "model": "claude-big", "content": [{"type": "text", "text": "The secret is 4711."}], "stop_reason": "end_turn", "usage": usage}).to_string());
    });
    let other = Upstream::start(|got, wire| match String::from_utf8_lossy(&got.body).contains("\"mine\"") {
        true => wire.answer("500 Oops", "text/plain", "\u{1b}[31moops"),
        false => wire.json(completion("plain").to_string()),
    });
    let mut world = World::new(&other.base());
    world.policy.providers.insert("claude".into(), ProviderSpec::Anthropic(endpoint(&claude.base())));
    let fallback = vec![Fallback { provider: "claude".into(), model: Some("claude-big".into()) }];
    world.policy.models.insert(0, ModelRule { fallback, ..ModelRule::new("mine", "up") });
    world.policy.attempts[0].models.push("mine".into());
    let mut world = world.start();
    let mine = |text: &str| json!({"model": "mine", "messages": [{"role": "user", "content": text}]});
    assert_eq!(world.chat(&mine("What is the secret?")).status, 200);
    assert_eq!(world.say("something else").status, 200);
    let mut alone = mine("alone");
    alone["n"] = 2.into();
    assert_eq!(world.chat(&alone).status, 500);
    world.stop();

    let scene = Scene::new();
    scene.start_example("demo-1");
    let settings = scene.read("taskforge.toml");
    scene.write("taskforge.toml", settings + SETTINGS);
    let gate = scene.path("runs/demo-1/gate");
    let _ = std::fs::remove_dir_all(&gate);
    copy(&world.dir(), &gate);
    (scene, world)
}

#[test]
fn requests_are_listed_counted_and_priced() {
    let (scene, _world) = told();
    let log = |more: &[&str]| -> Vec<Value> {
        let arguments = [&["llm", "log", "--json"], more].concat();
        scene.tf(&arguments).ok().json().as_array().unwrap().clone()
    };
    assert_eq!(log(&[]).len(), 4);
    assert_eq!((log(&["demo-1"]).len(), log(&["--run", "demo-1"]).len()), (4, 4));
    assert_eq!((log(&["--model", "mi*"]).len(), log(&["--model", "m"]).len()), (3, 1));
    assert_eq!((log(&["--node", "gather"]).len(), log(&["--node", "other"]).len()), (4, 0));
    let day = log(&[])[0]["request"]["time"].as_str().unwrap()[..10].to_owned();
    assert_eq!(
        (log(&["--day", &day]).len(), log(&["--day", &day[..7]]).len(), log(&["--day", "2001-01-01"]).len()),
        (4, 4, 0)
    );
    let second = &log(&[])[1];
    assert_eq!(
        (&second["request"]["fields"]["try"], &second["request"]["fields"]["upstreamModel"]),
        (&json!(2), &json!("claude-big"))
    );
    scene.tf(&["llm", "log", "demo-1"]).ok().says("llm.error 500").says("claude");
    scene.tf(&["llm", "log", "--day", "yesterday"]).exits(2);
    scene.tf(&["llm", "log", "ghost"]).exits(3);

    let usage = scene.tf(&["llm", "usage", "demo-1", "--by", "model,provider", "--json"]).ok().json();
    let row = |model: &str, provider: &str| {
        let rows = usage["rows"].as_array().unwrap().iter();
        rows.clone().find(|row| row["model"] == model && row["provider"] == provider).unwrap()["usage"].clone()
    };
    let claude = row("mine", "claude");
    assert_eq!(
        (&claude["promptTokens"], &claude["cachedTokens"], &claude["completionTokens"]),
        (&json!(2000), &json!(1000), &json!(200))
    );
    // 1000 fresh at 3, 1000 cached at 0.5, 200 out at 15, each by the million.
    assert!((claude["cost"].as_f64().unwrap() - 0.0065).abs() < 1e-9, "{claude}");
    assert_eq!((&row("m", "up")["unpriced"], &row("mine", "up")["failed"]), (&json!(1), &json!(2)));
    assert_eq!(
        (&usage["total"]["requests"], &usage["total"]["unpriced"], &usage["currency"]),
        (&json!(4), &json!(1), &json!("USD"))
    );
    scene.tf(&["llm", "usage"]).ok().says("0.006500 USD + 1 unpriced");

    let models = scene.tf(&["llm", "models", "--json"]).ok().json();
    let mine = models["models"].as_array().unwrap().iter().find(|model| model["match"] == "mine").unwrap().clone();
    assert_eq!(
        (&mine["kind"], &mine["model"], &mine["timeoutSeconds"]),
        (&json!("anthropic"), &json!("claude-big"), &json!(90))
    );
    assert_eq!((&mine["fallback"][0]["model"], &mine["price"]["output"]), (&json!("llama3.2"), &json!(15.0)));
    scene.tf(&["llm", "models"]).ok().says("ollama:llama3.2").says("3 / 15 USD");
}

#[test]
fn one_request_is_shown_and_taken_away_and_the_chain_holds() {
    let (scene, world) = told();
    let answered = world.traffic().of(&Kind::LlmResponse).next().unwrap().clone();
    let seq = answered.request().unwrap().to_string();
    let shown = scene.tf(&["llm", "show", "demo-1", &seq]).ok();
    shown.says("What is the secret?").says("The secret is 4711.").says("upstreamModel: claude-big");
    let json = scene.tf(&["llm", "show", "demo-1", &seq, "--json"]).ok().json();
    assert!(json["outcomeBody"].as_str().unwrap().contains("4711"));
    // What an upstream said moves no cursor.
    let first = world.traffic().of(&Kind::LlmRequest).next().unwrap().seq.to_string();
    let oops = scene.tf(&["llm", "show", "demo-1", &first]).ok().stdout;
    assert!(oops.contains("oops") && !oops.contains('\u{1b}'), "{oops}");
    scene.tf(&["llm", "show", "demo-1", "2"]).exits(3);

    let traffic = scene.read("runs/demo-1/gate/traffic.jsonl");
    let everywhere = || {
        let mut found = Vec::new();
        for (path, bytes) in files(&scene.path("runs/demo-1/gate")) {
            if String::from_utf8_lossy(&bytes).contains("4711") {
                found.push(path);
            }
        }
        found
    };
    assert_eq!(everywhere().len(), 1);
    scene.tf(&["llm", "redact", "demo-1", &seq, "--reason", " "]).exits(2);
    scene.tf(&["llm", "redact", "demo-1", "999", "--reason", "x"]).exits(3);
    assert_eq!(scene.read("runs/demo-1/gate/traffic.jsonl"), traffic);
    let redacted = scene.tf(&["llm", "redact", "demo-1", &seq, "--reason", "it holds a secret"]).ok();
    redacted.says("can stand elsewhere in the run's folder").says("runs/demo-1/events.jsonl");
    assert_eq!(everywhere(), Vec::<std::path::PathBuf>::new());
    let after = scene.read("runs/demo-1/gate/traffic.jsonl");
    assert!(after.starts_with(&traffic), "not a byte of the chain changed");
    let last: Value = serde_json::from_str(after.lines().last().unwrap()).unwrap();
    assert_eq!((&last["kind"], &last["reason"]), (&json!("llm.redacted"), &json!("it holds a secret")));
    scene.tf(&["audit", "verify", "demo-1"]).ok();
    scene.tf(&["llm", "show", "demo-1", &seq]).ok().says("(redacted)");
    // Again there is nothing left to take, and nothing to put on record.
    scene.tf(&["llm", "redact", "demo-1", &seq, "--reason", "again"]).ok().says("Nothing was left of them");
    assert_eq!(scene.read("runs/demo-1/gate/traffic.jsonl"), after);
    scene.tf(&["llm", "transcript", "demo-1"]).exits(3).complains("it holds a secret");
    // What was not taken away is there.
    let plain = world.traffic().of(&Kind::LlmRequest).nth(2).unwrap().seq.to_string();
    scene.tf(&["llm", "show", "demo-1", &plain]).ok().says("something else");
    // Whoever changes what is there is found out.
    let pack = scene.path("runs/demo-1/gate/bodies/pack");
    let whole = std::fs::read(&pack).unwrap();
    std::fs::write(&pack, vec![0; whole.len()]).unwrap();
    scene.tf(&["audit", "verify", "demo-1"]).exits(8).says("which is not there, and no redaction says why");
    let (bodies, aside) = (scene.path("runs/demo-1/gate/bodies"), scene.path("aside"));
    std::fs::rename(&bodies, &aside).unwrap();
    scene.tf(&["audit", "verify", "demo-1"]).exits(8).says("which is not there, and no redaction says why");
    std::fs::rename(&aside, &bodies).unwrap();
    let mut bytes = whole;
    let at = bytes.iter().rposition(|byte| *byte == b's').unwrap();
    bytes[at] = b'S';
    std::fs::write(&pack, bytes).unwrap();
    scene.tf(&["audit", "verify", "demo-1"]).exits(8);
}

#[test]
fn a_day_that_is_none_is_a_mistake() {
    let (scene, _world) = told();
    for day in ["2026-13-45", "2026-02-30", "2026-13", "2026-1-3", "20260103", "today"] {
        scene.tf(&["llm", "log", "--day", day]).exits(2).complains("is no day");
    }
    scene.tf(&["llm", "log", "--day", "2024-02-29"]).ok();
    scene.tf(&["llm", "log", "--day", "2026-11"]).ok();
}

#[test]
fn nothing_is_taken_away_while_the_gate_is_up() {
    let (scene, world) = told();
    let gate = scene.path("runs/demo-1/gate");
    let lock = std::fs::File::options().read(true).write(true).open(gate.join("traffic.jsonl")).unwrap();
    lock.lock().unwrap();
    let seq = world.traffic().of(&Kind::LlmRequest).next().unwrap().seq.to_string();
    scene.tf(&["llm", "redact", "demo-1", &seq, "--reason", "x"]).exits(5);
}

fn files(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => found.extend(files(&entry.path())),
            kind if kind.is_file() => found.push((entry.path(), std::fs::read(entry.path()).unwrap())),
            _ => {}
        }
    }
    found
}
