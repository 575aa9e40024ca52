//! Bad input of every kind: a clear error, or a failed attempt with its reason; the run valid, the next tick unharmed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};

use crate::model_server::repository;
use crate::scene::{Scene, ends, node, text};

fn no_runs(scene: &Scene) {
    assert_eq!(fs::read_dir(scene.path("runs")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(scene.path(".taskforge/tmp")).map_or(0, Iterator::count), 0);
}

// ---- what a person wrote

#[test]
fn twelve_mistakes_get_twelve_located_messages() {
    let scene = Scene::new();
    let file = fs::read_to_string(repository("src/workflow/tests/twelve-mistakes.task.md")).unwrap();
    scene.write("workflows/sales.task.md", file);
    for command in [["workflow", "validate", "sales"], ["run", "start", "sales"]] {
        let said = scene.tf(&command).exits(2);
        let located =
            said.stderr.lines().chain(said.stdout.lines()).filter(|line| line.contains("sales.task.md:")).count();
        assert_eq!(located, 12, "{}{}", said.stdout, said.stderr);
    }
    no_runs(&scene);
}

#[test]
fn ids_that_exist_escape_or_are_empty() {
    let scene = Scene::new();
    scene.commands("quick", &[("work", "command: [\"true\"]", &[])]);
    let escaping = ["", ".", "..", "../x", "a/b", "/tmp/x", "-x", "a\nb", "a b", &"x".repeat(129)];
    for id in escaping {
        scene.tf(&["run", "start", "quick", &format!("--run-id={id}")]).exits(2);
        scene.tf(&["run", "show", "--", id]).exits(2);
    }
    no_runs(&scene);
    scene.start("quick", "quick-1");
    let again = scene.tf(&["run", "start", "quick", "--run-id", "quick-1", "--json"]).exits(7);
    assert_eq!(again.error()["code"], "conflict");
    scene.drive("quick-1", 0);
    scene.tf(&["run", "show", "quick-2"]).exits(3).complains("taskforge run list");

    for id in ["..", ".", "../x", "a/b"] {
        let workflow = scene.read("workflows/quick.task.md").replace("id: work", &format!("id: \"{id}\""));
        scene.write("workflows/bad.task.md", workflow);
        scene.tf(&["run", "start", "bad"]).exits(2).complains("bad.task.md:5:9: error: ");
        scene.tf(&["run", "logs", "quick-1", "--", id]).exits(2);
    }
    assert!(!scene.path("runs/bad-1").exists());
}

#[test]
fn files_that_are_bombs() {
    let scene = Scene::new();
    let mut bomb = "---\nworkflowId: bomb\ntitle: bomb\nl0: &l0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let all = vec![format!("*l{}", level - 1); 9].join(", ");
        bomb += &format!("l{level}: &l{level} [{all}]\n");
    }
    scene.write("workflows/bomb.task.md", bomb + "nodes: []\n---\n");
    scene.tf(&["run", "start", "bomb"]).exits(2).complains("bomb.task.md:");
    let deep = format!("---\nworkflowId: deep\nnodes: {}{}\n---\n", "[".repeat(100_000), "]".repeat(100_000));
    scene.write("workflows/deep.task.md", deep);
    scene.tf(&["run", "start", "deep"]).exits(2).complains("deep.task.md");

    let huge = fs::File::create(scene.path("workflows/huge.task.md")).unwrap();
    huge.set_len(100 << 20).unwrap();
    scene.tf(&["run", "start", "huge"]).exits(2).complains("huge.task.md");
    symlink("/dev/zero", scene.path("workflows/link.task.md")).unwrap();
    scene.tf(&["run", "start", "link"]).exits(2).complains("link.task.md");
    scene.tf(&["run", "start", "absent"]).exits(3);
    scene.write("workflows/binary.task.md", [0xff, 0xfe, 0x00]);
    scene.tf(&["run", "start", "binary"]).exits(2).complains("binary.task.md");
    no_runs(&scene);
    // One bad file hides none of the others.
    scene.tf(&["workflow", "list", "--json"]).exits(0).says("sales-report");
}

#[test]
fn settings_that_nobody_can_follow() {
    let scene = Scene::new();
    let good = scene.read("taskforge.toml");
    for (from, to, word) in [
        ("format = 1", "format = 99", "format"),
        ("approvals = \"operator\"", "approvals = \"anybody\"", "anybody"),
        ("model = \"recorded\"", "modle = \"recorded\"", "modle"),
        ("memory = \"512MiB\"", "memory = \"lots\"", "lots"),
        ("transcript = \"workflows/", "transcript = \"../workflows/", "transcript"),
        ("[gate]", "[gate", "taskforge.toml"),
    ] {
        scene.set(from, to);
        scene.tf(&["run", "start", "sales-report"]).exits(2).complains("taskforge.toml").complains(word);
        scene.write("taskforge.toml", &good);
    }
    no_runs(&scene);
}

// ---- files that others changed

#[test]
fn a_torn_journal_loses_nothing_acknowledged() {
    let scene = Scene::new();
    scene.commands("quick", &[("work", "command: [\"true\"]", &[])]);
    scene.start("quick", "torn");
    scene.drive("torn", 0);
    let journal = "runs/torn/events.jsonl";
    let whole = scene.read(journal);
    let torn = &whole.lines().last().unwrap()[..40];
    scene.write(journal, format!("{whole}{torn}"));
    assert_eq!(scene.show("torn")["status"], "completed");
    scene.tf(&["run", "retry", "torn", "work"]).exits(7).complains("completed");
    let after = scene.read(journal);
    assert!(after.starts_with(&whole), "acknowledged bytes changed");
    assert!(after.contains("journal.voided"), "{after}");
    assert!(fs::read_to_string(scene.path("runs/torn/events.torn")).unwrap().contains(torn));
    scene.is_sound("torn");
}

#[test]
fn projections_replaced_by_garbage_are_made_anew() {
    let scene = Scene::new();
    scene.commands("quick", &[("work", "command: [\"false\"]", &[])]);
    scene.start("quick", "spoilt");
    scene.drive("spoilt", 1);
    let before = scene.show("spoilt");
    let files = ["state.json", "taskforge.json", "refs.json"].map(|name| format!("runs/spoilt/{name}"));
    let garbage: [&[u8]; 5] = [b"", b"{", b"null", b"{\"journal\":{\"at\":1e400}}", &[0xff; 4096]];
    for bytes in garbage {
        files.iter().for_each(|file| {
            scene.write(file, bytes);
        });
        assert_eq!(scene.show("spoilt"), before);
        assert_eq!(scene.tf(&["run", "list", "--json"]).ok().json()[0]["status"], "failed");
        assert_eq!(scene.tf(&["tick"]).ok().stdout, "");
    }
    scene.tf(&["run", "retry", "spoilt", "work"]).ok();
    scene.drive("spoilt", 1);
    for file in &files {
        assert!(scene.json(file).is_object(), "{file}");
    }
    assert_eq!(scene.json("runs/spoilt/state.json")["status"], "failed");
    scene.is_sound("spoilt");
}

#[test]
fn a_run_that_cannot_be_read_holds_up_no_other() {
    let scene = Scene::new();
    scene.commands("quick", &[("work", "command: [\"true\"]", &[])]);
    let ask = "  - id: ask\n    title: Go on?\n    kind: approval\n    prompt: Look.\n";
    scene.write("workflows/ask.task.md", format!("---\nworkflowId: ask\ntitle: Ask\nnodes:\n{ask}---\n"));
    scene.start("ask", "broken");
    scene.start("quick", "fine");
    let journal = scene.read("runs/broken/events.jsonl");
    scene.write("runs/broken/events.jsonl", journal.replacen("run.created", "run.crooked", 1));
    scene.tf(&["run", "show", "broken"]).exits(8);
    scene.tf(&["run", "list"]).ok().says("fine");
    scene.tf(&["inbox"]).ok().complains("run broken cannot be read");
    scene.tf(&["audit", "verify", "broken"]).exits(8).says("NOT SOUND");
    // The exit code says that something is wrong; the other run goes on nevertheless.
    scene.tf(&["tick"]).exits(8).complains("run broken");
    scene.drive("fine", 0);
    scene.is_sound("fine");
    scene.write("runs/broken/events.jsonl", journal);
    scene.approve("broken");
    scene.drive("broken", 0);
    scene.is_sound("broken");
}

// ---- the Engine

#[test]
fn without_an_engine_the_run_waits_for_one() {
    let scene = Scene::new();
    scene.commands("quick", &[("work", "command: [\"true\"]", &[])]);
    let absent = "unix:///nonexistent/docker.sock";
    let started = ["run", "start", "quick", "--run-id", "later", "--detach"];
    scene.tf(&started).env("DOCKER_HOST", absent).ok().complains("warning: the first step failed");
    for command in [&["tick", "later"][..], &["run", "watch", "later", "--drive"], &["tick"]] {
        let mut arguments = command.to_vec();
        scene.tf(command).env("DOCKER_HOST", absent).exits(9).complains("/nonexistent/docker.sock").complains("hint:");
        arguments.push("--json");
        let error = scene.tf(&arguments).env("DOCKER_HOST", absent).exits(9).error();
        assert_eq!(error["code"], "unavailable");
        assert!(error["hints"].to_string().contains("docker"), "{error}");
    }
    assert_eq!(scene.show("later")["status"], "running");
    scene.tf(&["audit", "verify"]).env("DOCKER_HOST", absent).ok().says("sound");
    scene.tf(&["doctor"]).env("DOCKER_HOST", absent).exits(1).says("bad   engine");
    scene.write(".taskforge/spent/2026-01-02", "x".repeat(128));
    scene
        .tf(&["doctor"])
        .env("DOCKER_HOST", absent)
        .exits(1)
        .says("bad   day's budget")
        .says("the row at 0 is damaged");
    std::fs::remove_file(scene.path(".taskforge/spent/2026-01-02")).unwrap();
    scene.drive("later", 0);
    let shown = scene.show("later");
    assert_eq!(ends(&shown, "work"), [("succeeded".to_owned(), String::new())]);
    scene.is_sound("later");
}

#[test]
fn an_image_that_is_not_there_is_said_with_its_remedy() {
    let scene = Scene::new();
    scene.set("default = \"taskforge/base:default\"", "absent = \"localhost:1/absent:1\"");
    scene.commands("quick", &[("work", "image: absent\ncommand: [\"true\"]", &[])]);
    scene.start("quick", "bare");
    scene.drive("bare", 1);
    let reason = text(&node(&scene.show("bare"), "work")["failure"][1]);
    assert!(reason.contains("localhost:1/absent:1"), "{reason}");
    scene.is_sound("bare");
}

// ---- what an agent does

/// Runs one container node and gives its end: outcome, detail, and the run's `run show --json`.
fn attempt(scene: &Scene, name: &str, container: &str, files: &[&str], code: i32) -> (String, String, Value) {
    scene.commands(name, &[("work", container, files)]);
    scene.start(name, name);
    scene.drive(name, code);
    let shown = scene.show(name);
    let (outcome, detail) = ends(&shown, "work").pop().unwrap();
    if code == 1 {
        assert_eq!(shown["status"], "failed");
        assert_eq!(node(&shown, "work")["failure"][1], detail.as_str());
        // The text for people says the same.
        scene.tf(&["run", "show", name]).ok().says(&detail);
    }
    scene.is_sound(name);
    (outcome, detail, shown)
}

fn python(script: &str) -> String {
    format!("command: [\"python3\", \"-c\", {}]", json!(script))
}

#[test]
fn an_agent_that_never_exits() {
    let scene = Scene::new();
    let stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)";
    for (name, command) in [("sleeps", "command: [\"sleep\", \"600\"]".to_owned()), ("stubborn", python(stubborn))] {
        let container = format!("{command}\nresources: {{ wall: 3s }}");
        let (outcome, detail, _) = attempt(&scene, name, &container, &[], 1);
        assert_eq!((outcome.as_str(), detail.as_str()), ("timeout", "its wall clock limit was reached"));
    }
}

#[test]
fn an_agent_that_ends_without_what_it_owes() {
    let scene = Scene::new();
    let (outcome, detail, _) = attempt(&scene, "empty", "command: [\"true\"]", &["report.md", "sub/chart.svg"], 1);
    assert_eq!(outcome, "outputs_missing");
    assert_eq!(detail, "report.md: is missing; sub/chart.svg: is missing");
    let (outcome, detail, _) = attempt(&scene, "waits", "command: [\"sh\", \"-c\", \"exit 75\"]", &[], 1);
    assert_eq!(outcome, "failed");
    assert!(detail.contains("exit 75 says that it waits, but this attempt asked for nothing"), "{detail}");
    let (outcome, detail, _) = attempt(&scene, "absent", "command: [\"/no/such/program\"]", &[], 1);
    assert_eq!(outcome, "failed");
    assert!(detail.starts_with("exit code 127: ") && detail.contains("/no/such/program"), "{detail}");
    let script = "import sys; print('\\x1b[2J\\u202ebad news', file=sys.stderr); sys.exit(3)";
    let (outcome, detail, _) = attempt(&scene, "speaks", &python(script), &[], 1);
    assert_eq!((outcome.as_str(), detail.as_str()), ("failed", "exit code 3: \\u{1b}[2J\\u{202e}bad news"));
}

#[test]
fn an_agent_that_leaves_traps_as_its_outputs() {
    let scene = Scene::new();
    let script = "import os, socket
os.symlink('/etc/passwd', 'link')
os.symlink('../../../../../taskforge.toml', 'up')
os.mkfifo('pipe')
os.mkdir('folder')
os.symlink('/etc', 'etc')
socket.socket(socket.AF_UNIX).bind('socket')
open('real', 'w').write('x')
os.link('real', 'twice')
with open('huge', 'w') as huge: huge.truncate(900 << 20)";
    let files = ["link", "up", "pipe", "folder", "etc/passwd", "socket", "huge", "real"];
    let (outcome, detail, _) = attempt(&scene, "traps", &python(script), &files, 1);
    assert_eq!(outcome, "outputs_missing");
    for file in &files[..7] {
        assert!(detail.contains(&format!("{file}: ")), "{file} is not refused: {detail}");
    }
    assert!(!detail.contains("real: "), "{detail}");
    for file in &files[..7] {
        let path = scene.path(&format!("runs/traps/nodes/work/{file}"));
        assert!(fs::symlink_metadata(&path).is_err(), "{file} got out");
    }
}

#[test]
fn an_agent_that_is_out_of_memory() {
    let scene = Scene::new();
    let script = "hog = [bytearray(16 << 20) for _ in range(64)]; print(len(hog))";
    let container = format!("{}\nresources: {{ memory: 64MiB }}", python(script));
    let (outcome, detail, _) = attempt(&scene, "hog", &container, &[], 1);
    assert_eq!((outcome.as_str(), detail.as_str()), ("oom", "its memory limit was reached"));
}

/// Sends the gate what it must not take, and leaves what it answered.
const HOSTILE: &str = r#"
import http.client, json
def send(method, path, body, headers={}, patience=60):
    connection = http.client.HTTPConnection("127.0.0.1", 4180, timeout=patience)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"} | headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"{}").get("error", {}).get("code")
    except OSError:
        return 0, "cut"
    except ValueError:
        return answer.status, None
paths = ["/v1/chat/completions", "/taskforge/v1/capabilities", "/taskforge/v1/progress", "/taskforge/v1/result",
         "/taskforge/v1/turns"]
seen = {}
for path in paths:
    seen[path] = [
        send("POST", path, b"{\"model\": "),
        send("POST", path, b"\xff\xfe"),
        send("POST", path, b"[]"),
        send("POST", path, b"[" * 100000),
        send("POST", path, (b"x" * (1 << 20) for _ in range(50))),
        send("POST", path, b"x" * 100, {"Content-Length": "52428800000"}, 1),
    ]
seen["grammar"] = [send("POST", paths[1], json.dumps({"capability": bad, "reason": "r"}))[0]
    for bad in ["pip:../x", "pip:x; rm -rf /", "pip:git+https://x/y", "shell:rm", "pip:", "pip:" + "x" * 5000]]
seen["elsewhere"] = [send("GET", path, None)[0] for path in ["/", "/metrics", "/taskforge/v1/nothing", "/../../etc/passwd"]]
seen["sane"] = send("POST", paths[2], json.dumps({"message": "still here"}))[0]
json.dump(seen, open("seen.json", "w"))
"#;

#[test]
fn an_agent_that_sends_the_gate_rubbish() {
    let scene = Scene::new();
    let (outcome, ..) = attempt(&scene, "rubbish", &python(HOSTILE), &["seen.json"], 0);
    assert_eq!(outcome, "succeeded");
    let seen = scene.json("runs/rubbish/nodes/work/seen.json");
    for (path, answers) in seen.as_object().unwrap().iter().filter(|(path, _)| path.starts_with('/')) {
        for answer in answers.as_array().unwrap() {
            let status = answer[0].as_u64().unwrap();
            assert!(status == 0 || (400..500).contains(&status), "{path}: {answers}");
        }
        assert!(answers[4][0] == 413 || answers[4][1] == "cut", "{path} took 50 MB: {answers}");
    }
    assert_eq!(seen["grammar"], json!([422, 422, 422, 422, 422, 400]));
    assert!(seen["elsewhere"].as_array().unwrap().iter().all(|status| status == 404), "{seen}");
    assert_eq!(seen["sane"], 202, "{seen}");
    scene.tf(&["audit", "log", "rubbish"]).ok().says("still here");
    assert_eq!(scene.waiting("rubbish"), Vec::<Value>::new());
    assert!(size(&scene.path("runs/rubbish/gate")) < 20 << 20, "the gate kept what it refused");
}

fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|e| if e.path().is_dir() { size(&e.path()) } else { e.metadata().map_or(0, |m| m.len()) }).sum()
}
