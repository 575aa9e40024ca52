//! The command line as people and scripts meet it: words, exit codes, JSON.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::scene::{Scene, ends, node, text};

/// Every command with subcommands, as paths from the root.
const COMMANDS: &[&str] = &[
    "",
    "init",
    "workflow",
    "workflow validate",
    "workflow list",
    "workflow show",
    "workflow graph",
    "run",
    "run start",
    "run create",
    "run bind",
    "run list",
    "run show",
    "run tree",
    "run logs",
    "run watch",
    "run cancel",
    "run retry",
    "run artifacts",
    "run report",
    "tick",
    "schedule",
    "schedule install",
    "schedule remove",
    "schedule status",
    "watch",
    "watch list",
    "watch show",
    "watch run",
    "watch reset",
    "watch revoke",
    "openclaw",
    "openclaw setup",
    "openclaw check",
    "control",
    "control pause",
    "control resume",
    "control cancel",
    "control retry",
    "control skip",
    "control approve",
    "control send_message",
    "control patch_cron",
    "event",
    "event append",
    "node",
    "node result",
    "inbox",
    "review",
    "approve",
    "deny",
    "suggest",
    "capability",
    "capability list",
    "capability history",
    "capability revoke",
    "capability show",
    "deployment",
    "deployment list",
    "deployment show",
    "deployment logs",
    "deployment stop",
    "deployment start",
    "policy",
    "policy check",
    "policy explain",
    "policy test",
    "policy backtest",
    "policy sign",
    "role",
    "role list",
    "role show",
    "role validate",
    "role new",
    "agent",
    "agent hire",
    "agent actions",
    "agent list",
    "agent show",
    "agent run",
    "agent chat",
    "agent logs",
    "agent offboard",
    "agent init",
    "agent loop",
    "agent openclaw",
    "agent request",
    "agent action",
    "agent progress",
    "agent result",
    "agent delegate",
    "agent action",
    "agent memory",
    "agent memory list",
    "agent memory get",
    "agent memory set",
    "agent memory rm",
    "agent action",
    "memory",
    "memory list",
    "memory get",
    "memory set",
    "memory rm",
    "memory history",
    "keys",
    "keys setup",
    "keys list",
    "secret",
    "secret init",
    "secret set",
    "secret import",
    "secret list",
    "secret show-metadata",
    "secret rotate",
    "secret rm",
    "secret unlock",
    "secret lock",
    "kill",
    "unlock",
    "audit",
    "audit log",
    "audit verify",
    "audit seal",
    "audit checkpoint",
    "audit export",
    "image",
    "image base",
    "image openclaw",
    "image list",
    "image show",
    "image diff",
    "image find",
    "image sbom",
    "image gc",
    "image refresh",
    "container",
    "container inspect",
    "llm",
    "llm log",
    "llm show",
    "llm usage",
    "llm models",
    "llm redact",
    "llm transcript",
    "action",
    "action log",
    "action show",
    "action settle",
    "doctor",
    "repair",
    "helper",
    "completions",
];

#[test]
fn every_command_explains_itself() {
    let scene = Scene::empty();
    let mut all = String::new();
    for command in COMMANDS {
        let mut words: Vec<&str> = command.split_whitespace().collect();
        words.push("--help");
        let said = scene.tf(&words).ok();
        assert_eq!(said.stderr, "");
        all += &said.whole();
        all += "\n";
    }
    insta::assert_snapshot!("help", all);
    // Nothing in there is missing above.
    for line in all.lines().filter(|line| line.starts_with("$ taskforge ")) {
        let command = line.trim_start_matches("$ taskforge ").trim_end_matches("--help").trim();
        let help = scene.tf(&[command.split_whitespace().collect(), vec!["--help"]].concat()).ok().stdout;
        let Some(list) = help.split("\nCommands:\n").nth(1) else { continue };
        for entry in list.lines().take_while(|line| line.starts_with("  ")).filter(|line| !line.starts_with("   ")) {
            let name = entry.split_whitespace().next().unwrap();
            let path = format!("{command} {name}").trim().to_owned();
            assert!(name == "help" || COMMANDS.contains(&path.as_str()), "`{path}` is not in the list of this test");
        }
    }
}

#[test]
fn errors_have_an_exit_code_a_name_and_a_next_step() {
    let scene = Scene::new();
    let mut all = String::new();
    for (arguments, code, name) in [
        (&["run", "show", "nobody"][..], 3, "not_found"),
        (&["tick", "nobody"], 3, "not_found"),
        (&["run", "start", "nothing"], 3, "not_found"),
        (&["run", "start", "sales-report", "--param", "x"], 2, "usage"),
        (&["run", "start", "sales-report", "--param", "x=1"], 2, "usage"),
        (&["approve", "01M7WP3GRYSABWCP96DGFAX0AJ", "--show"], 3, "not_found"),
        (&["deny", "nothing", "-m", "no"], 3, "not_found"),
        (&["unlock", "--reason", "r"], 7, "conflict"),
        (&["init", "."], 7, "conflict"),
        (&["--registry", "/nonexistent", "run", "list"], 3, "not_found"),
        (&["workflow", "show", "nothing"], 3, "not_found"),
    ] {
        let said = scene.tf(arguments).exits(code);
        assert_eq!(said.stdout, "", "an error on standard output");
        all += &format!("{}[exit {code}]\n\n", said.whole());
        let error = scene.tf(&[&["--json"], arguments].concat()).exits(code).error();
        assert_eq!((&error["code"], &error["exit"]), (&json!(name), &json!(code)), "{arguments:?}");
        assert!(error["message"].is_string() && error["hints"].is_array());
    }
    insta::assert_snapshot!("errors", all);
    for wrong in [&["nonsense"][..], &["run"], &["run", "start"], &["approve"], &["tick", "a", "--all"], &["kill"]] {
        scene.tf(wrong).exits(2);
    }
}

#[test]
fn wrong_arguments_are_json_too_where_json_was_asked_for() {
    let scene = Scene::new();
    for wrong in [&["--json", "nonsense"][..], &["run", "show", "--json"], &["run", "show", "../x", "--json"]] {
        let error = scene.tf(wrong).exits(2).error();
        assert_eq!((&error["code"], &error["exit"]), (&json!("usage"), &json!(2)), "{wrong:?}");
    }
}

#[test]
fn a_registry_is_made_once() {
    let scene = Scene::empty();
    let made = scene.tf(&["init", "."]).ok();
    insta::assert_snapshot!(made.whole(), @r"
    $ taskforge init .
    -- stdout
    Made a registry in [REGISTRY].

    Next:
      cd [REGISTRY] && git init -q && git add -A   # review everything in git
      taskforge doctor                              # what this machine still lacks
      taskforge workflow list
    ");
    let before = scene.read("taskforge.toml");
    scene.tf(&["init", "."]).exits(7).complains("is a registry already");
    assert_eq!(scene.read("taskforge.toml"), before);
    assert_eq!(fs::metadata(scene.path(".taskforge")).unwrap().permissions().mode() & 0o777, 0o700);
    // Found from anywhere below it, and by its variable from anywhere else.
    scene.tf(&["workflow", "list"]).cwd(&scene.path("workflows")).ok().says("sales-report");
    scene.tf(&["workflow", "list"]).cwd(&scene.outside("home")).exits(3);
    let root = scene.root().display().to_string();
    scene
        .tf(&["workflow", "list"])
        .cwd(&scene.outside("home"))
        .env("TASKFORGE_REGISTRY", &root)
        .ok()
        .says("sales-report");
}

#[test]
fn workflows_are_listed_shown_and_drawn() {
    let scene = Scene::new();
    scene.tf(&["workflow", "validate", "sales-report"]).ok();
    scene.tf(&["workflow", "show", "sales-report"]).ok().says("approve-report");
    scene.tf(&["workflow", "graph", "sales-report"]).ok().says("flowchart TD").says("-->");
    let dry = scene.tf(&["run", "start", "sales-report", "--dry-run", "--json"]).ok().json();
    assert_eq!(dry, json!({"ok": true, "workflowId": "sales-report", "nodes": 4}));
    assert_eq!(fs::read_dir(scene.path("runs")).unwrap().count(), 0);
}

#[test]
fn completions_are_scripts_that_their_shells_can_read() {
    let scene = Scene::empty();
    let mut read = 0;
    for (shell, check) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
        let script = scene.tf(&["completions", shell]).ok().stdout;
        assert!(script.contains("taskforge") && script.contains("approve"), "{shell}");
        let file = scene.outside(shell);
        fs::write(&file, script).unwrap();
        // Not every machine has every shell; bash is a part of those that we support.
        let Ok(done) = Command::new(shell).arg(check).arg(&file).output() else { continue };
        assert!(done.status.success(), "{shell}: {}", String::from_utf8_lossy(&done.stderr));
        read += 1;
    }
    assert!(read >= 1);
    scene.tf(&["completions", "nonsense"]).exits(2);
}

#[test]
fn what_reads_changes_nothing() {
    let scene = Scene::new();
    scene.commands(
        "quick",
        &[("work", "command: [\"sh\", \"-c\", \"echo out; echo err >&2; echo x > report.md\"]", &["report.md"])],
    );
    scene.start("quick", "quick-1");
    scene.drive("quick-1", 0);
    scene.tf(&["run", "list"]).ok().says("quick-1  completed  1/1");
    assert_eq!(scene.tf(&["run", "list", "--status", "failed", "--json"]).ok().json(), json!([]));
    scene.tf(&["run", "show", "quick-1"]).ok().says("quick-1 · quick · completed").says("attempt 1  succeeded");
    let logs = scene.tf(&["run", "logs", "quick-1"]).ok();
    insta::assert_snapshot!(logs.stdout, @r"
    ── work attempt 1 stdout
    out
    ── work attempt 1 stderr
    err
    ");
    scene.tf(&["run", "logs", "quick-1", "nobody"]).exits(3);
    scene.tf(&["run", "artifacts", "quick-1"]).ok().says("nodes/work/report.md");
    let watched = scene.tf(&["run", "watch", "quick-1"]).ok();
    watched.says("Node work is completed.");
    let lines = scene.tf(&["run", "watch", "quick-1", "--json"]).ok().stdout;
    assert!(lines.lines().all(|line| serde_json::from_str::<Value>(line).unwrap()["event"].is_string()), "{lines}");
    let log = scene.tf(&["audit", "log", "quick-1", "--event", "node.", "--json"]).ok().json();
    assert!(log.as_array().unwrap().iter().all(|line| text(&line["event"]).starts_with("node.")));
    scene.is_sound("quick-1");
    // A read-only registry can be read.
    let before = fs::metadata(scene.path("runs/quick-1")).unwrap().modified().unwrap();
    scene.tf(&["inbox"]).ok().says("Nothing waits for you.");
    assert_eq!(fs::metadata(scene.path("runs/quick-1")).unwrap().modified().unwrap(), before);
}

#[test]
fn intents_are_applied_exactly_once() {
    let scene = Scene::new();
    let wait = "command: [\"sh\", \"-c\", \"exit 1\"]";
    scene.commands("two", &[("first", wait, &[]), ("second", "command: [\"true\"]", &[])]);
    scene.start("two", "r");
    scene.drive("r", 1);
    scene.tf(&["control", "pause", "r"]).exits(7).complains("was rejected");
    scene.tf(&["run", "retry", "r", "second"]).exits(7).complains("second");
    scene.tf(&["control", "retry", "r", "nobody"]).exits(3).complains("nobody");
    scene.tf(&["run", "retry", "r", "first"]).ok().says("retry applied");
    assert_eq!(ends(&scene.tick_until("r", |s| ends_of(s, "first") == 2), "first").len(), 2);

    // Written by hand, twice, between bad ones: OpenTask's shape.
    scene.drive("r", 1);
    let line = |id: &str, action: &str, node: &str| {
        let at = "2026-01-01T00:00:00.000000+00:00";
        json!({"id": id, "runId": "r", "action": action, "nodeId": node, "timestamp": at}).to_string()
    };
    let control = scene.path("runs/r/control.jsonl");
    let mut file = fs::OpenOptions::new().append(true).open(control).unwrap();
    for text in [
        "not json".to_owned(),
        line("c-1", "explode", "first"),
        line("c-2", "retry", ".."),
        line("c-3", "retry", "first"),
        line("c-3", "retry", "first"),
        line("c-4", "approve", "first"),
    ] {
        writeln!(file, "{text}").unwrap();
    }
    drop(file);
    scene.tf(&["control", "resume", "r"]).exits(7);
    scene.drive("r", 1);
    let applied: Vec<Value> = scene.events("r", "control.applied").iter().map(|e| e["data"]["id"].clone()).collect();
    assert_eq!(applied.iter().filter(|id| **id == "c-3").count(), 1, "{applied:?}");
    let rejected = scene.events("r", "control.rejected");
    for (id, reason) in [("c-1", "explode"), ("c-2", ".."), ("c-4", "taskforge approve")] {
        let said =
            rejected.iter().find(|line| line["data"]["id"] == id).unwrap_or_else(|| panic!("{id}: {rejected:#?}"));
        assert!(text(&said["data"]["reason"]).contains(reason), "{said}");
    }
    assert_eq!(ends_of(&scene.show("r"), "first"), 3);
    scene.is_sound("r");
}

fn ends_of(shown: &Value, id: &str) -> usize {
    node(shown, id)["attempts"].as_array().unwrap().iter().filter(|attempt| attempt["endedAt"].is_string()).count()
}

#[test]
fn a_run_is_paused_skipped_and_cancelled() {
    let scene = Scene::new();
    scene.commands("long", &[("work", "command: [\"sleep\", \"600\"]", &[])]);
    let workflow = scene.read("workflows/long.task.md").replacen(
        "nodes:\n",
        "nodes:\n  - id: hold\n    title: hold\n    kind: wait\n    waitFor: {type: manual}\n",
        1,
    );
    scene.write(
        "workflows/held.task.md",
        workflow.replace("kind: session_turn", "kind: session_turn\n    needs: [hold]"),
    );
    scene.start("held", "h");
    scene.tf(&["control", "pause", "h", "--message", "lunch"]).ok();
    assert_eq!((&scene.show("h")["status"], &scene.show("h")["statusReason"]), (&json!("paused"), &json!("lunch")));
    scene.tf(&["control", "skip", "h", "hold"]).ok();
    assert_eq!(scene.tf(&["tick", "h"]).ok().stdout, "", "something was started while paused");
    scene.tf(&["run", "watch", "h", "--drive"]).exits(11).complains("taskforge control resume h");
    scene.tf(&["control", "resume", "h"]).ok();
    assert_eq!(node(&scene.show("h"), "work")["status"], "running");
    scene.tf(&["run", "cancel", "h", "--reason", "enough"]).ok();
    scene.drive("h", 1);
    assert_eq!(scene.show("h")["status"], "cancelled");
    scene.tf(&["run", "cancel", "h"]).exits(7);
    scene.is_sound("h");
}

#[test]
fn a_person_is_told_once() {
    let scene = Scene::new();
    let told = scene.outside("told");
    let command = format!("\n[notify]\ncommand = [\"sh\", \"-c\", \"cat >> {}\"]\n", told.display());
    let settings = scene.read("taskforge.toml");
    scene.write("taskforge.toml", settings + &command);
    let node = "  - id: ask\n    title: Go on?\n    kind: approval\n    prompt: Look.\n";
    scene.write("workflows/ask.task.md", format!("---\nworkflowId: ask\ntitle: Ask\nnodes:\n{node}---\n"));
    scene.start("ask", "ask-1");
    for _ in 0..3 {
        scene.tf(&["tick"]).ok();
    }
    let said: Value = serde_json::from_str(&fs::read_to_string(&told).unwrap()).unwrap();
    assert_eq!(
        (&said[0]["what"], &said[0]["run"], said.as_array().unwrap().len()),
        (&json!("Go on?"), &json!("ask-1"), 1)
    );
    assert_eq!(scene.events("ask-1", "run.notified").len(), 1);

    // A command that fails is tried again, and holds nothing up.
    let failing = scene.read("taskforge.toml").replace("cat >> ", "false && cat >> ");
    scene.write("taskforge.toml", failing);
    scene.start("ask", "ask-2").complains("the notify command failed");
    scene.tf(&["tick"]).ok().complains("the notify command failed");
    let (id, digest) = scene.the_one("ask-2");
    scene.tf(&["approve", &id, "--digest", &digest]).ok();
    scene.drive("ask-2", 0);
}

#[test]
fn the_doctor_finds_a_healthy_registry_healthy() {
    let scene = Scene::new();
    let checks = scene.tf(&["doctor", "--json"]).ok().json();
    let grades: Vec<(String, String)> =
        checks.as_array().unwrap().iter().map(|c| (text(&c["name"]), text(&c["grade"]))).collect();
    assert!(grades.iter().all(|(_, grade)| grade != "bad"), "{checks:#}");
    for name in ["binary", "engine", "base image", "registry", "taskforge.toml", "modes", "disk", "kill switch"] {
        assert!(grades.iter().any(|(found, _)| found == name), "{name} was not looked at: {grades:?}");
    }
    fs::set_permissions(scene.path(".taskforge"), fs::Permissions::from_mode(0o755)).unwrap();
    scene.tf(&["doctor"]).exits(1).says("bad   modes").says("chmod 700");
    scene.tf(&["doctor"]).cwd(&scene.outside("home")).ok().says("none here");
}

#[test]
fn colours_are_for_terminals() {
    let scene = Scene::new();
    let mut command = Command::new("script");
    // `script` gives its command a terminal.
    command.args([
        "-qec",
        &format!("{} workflow validate nothing; true", env!("CARGO_BIN_EXE_taskforge")),
        "/dev/null",
    ]);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("TERM", "xterm").current_dir(scene.root());
    let on_terminal = |command: &mut Command| {
        let done = command.stdin(Stdio::null()).output().expect("`script` is missing: `apt-get install bsdutils`");
        String::from_utf8_lossy(&done.stdout).into_owned()
    };
    let coloured = on_terminal(&mut command);
    assert!(coloured.contains("\u{1b}[") && coloured.contains("nothing"), "{coloured:?}");
    let plain = on_terminal(command.env("NO_COLOR", "1"));
    assert!(!plain.contains("\u{1b}[") && plain.contains("nothing"), "{plain:?}");
    let piped = scene.tf(&["workflow", "validate", "nothing"]).exits(3);
    assert!(!piped.stderr.contains('\u{1b}') && !piped.stdout.contains('\u{1b}'));
}
