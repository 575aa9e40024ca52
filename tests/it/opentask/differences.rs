//! Where `taskforge helper` differs from OpenTask's on purpose: one test for each tag of docs/opentask-compatibility.md,
//! by its name.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::json;

use super::{DEMO, SCAFFOLD, all_files, bare, helper, names, node_of, one_node, refuses, run_of, state, to};
use crate::scene::Scene;

const NOTIFY: &str = "    outputs: {mode: notify}\n";

/// A workflow that is refused with this sentence, and leaves nothing.
#[track_caller]
fn refused(workflow: &str, sentence: &str) {
    let scene = bare();
    scene.write("workflows/demo.task.md", workflow);
    let before = all_files(&scene);
    refuses(&scene, &SCAFFOLD, sentence);
    assert_eq!(all_files(&scene), before);
}

/// The same of the one node of a JSON workflow.
#[track_caller]
fn json_refused(node: &str, sentence: &str) {
    let scene = bare();
    scene.write("spec.json", format!("{{\"workflowId\": \"w\", \"title\": \"W\", \"nodes\": [{node}]}}"));
    let before = all_files(&scene);
    refuses(&scene, &[&SCAFFOLD[..], &["--spec-file", "spec.json"]].concat(), sentence);
    assert_eq!(all_files(&scene), before);
}

fn with_session(scene: &Scene, more: &[&str]) -> crate::scene::Call {
    helper(scene, &[&SCAFFOLD[..], more].concat())
}

#[test]
fn cycle_accepted() {
    let circle = DEMO.replace("needs: []", "needs: [ask]");
    refused(&circle, "workflow contains dependency cycles: gather -> ask -> sub -> gather");
    refused(&DEMO.replace("needs: []", "needs: [gather]"), "workflow contains dependency cycles: gather -> gather");
}

#[test]
fn node_id_traversal() {
    let grammar = "may hold only letters, digits, `.`, `_` and `-`, and starts with a letter, a digit or `_`";
    for id in ["../../../x", "a/b", "..", "-x", "a b"] {
        refused(&one_node(NOTIFY).replace("id: a", &format!("id: '{id}'")), &format!("node id {id:?} {grammar}"));
    }
    let node = r#"{"id": "../x", "title": "X", "kind": "summary", "outputs": {"mode": "notify"}}"#;
    json_refused(node, &format!("node id \"../x\" {grammar}"));
}

#[test]
fn run_id_traversal() {
    let scene = run_of(DEMO);
    let before = all_files(&scene);
    let mut call = SCAFFOLD;
    for run in ["../../x", "..", "/tmp/x", "a/b", ""] {
        call[4] = run;
        helper(&scene, &call).exits(1).complains("run id");
        for verb in
            [&["validate", run][..], &["progress", run, "m"], &["transition-node", run, "a", "ready"], &["next", run]]
        {
            refuses(&scene, verb, format!("run not found: {run}").trim_end());
        }
    }
    assert_eq!(all_files(&scene), before);
}

#[test]
fn requiredfiles_traversal_unchecked() {
    for (path, sentence) in [
        ("../../x.md", "path must not escape the run directory: ../../x.md"),
        ("/etc/passwd", "path must be relative: /etc/passwd"),
        ("a\\..\\b", "path must not escape the run directory: a\\..\\b"),
    ] {
        let path = serde_json::to_string(path).unwrap();
        refused(
            &one_node(&format!("    outputs:\n      mode: report\n      requiredFiles:\n        - {path}\n")),
            sentence,
        );
        refused(&one_node(&format!("    outputs: {{requiredFiles: [{path}], mode: report}}\n")), sentence);
        refused(&one_node(&format!("    outputs: {{mode: report, path: {path}}}\n")), sentence);
    }
    refused(
        &one_node("    outputs: {mode: report, requiredFiles: [\"a\\u0007b\"]}\n"),
        "path \"a\\u{7}b\" of node a holds a backslash or a control character",
    );
}

#[test]
fn workflow_symlink_escape() {
    let scene = bare();
    let outside = scene.outside("secret.md");
    std::fs::write(&outside, DEMO).unwrap();
    symlink(&outside, scene.path("workflows/link.md")).unwrap();
    symlink(scene.outside(""), scene.path("workflows/folder")).unwrap();
    symlink("demo.task.md", scene.path("workflows/inside.md")).unwrap();
    for path in ["workflows/link.md", "workflows/folder/secret.md"] {
        let mut call = SCAFFOLD;
        call[2] = path;
        refuses(&scene, &call, &format!("workflow must lie in the registry [REGISTRY]: {path}"));
    }
    let mut call = SCAFFOLD;
    call[2] = "workflows/inside.md";
    helper(&scene, &call).ok();
}

#[test]
fn workflow_outside_root_traceback() {
    let scene = bare();
    for path in ["/etc/passwd", "/nonexistent/x.md"] {
        let mut call = SCAFFOLD;
        call[2] = path;
        refuses(&scene, &call, &format!("workflow must lie in the registry [REGISTRY]: {path}"));
    }
}

#[test]
fn partial_scaffold() {
    let scene = bare();
    let before = all_files(&scene);
    with_session(&scene, &["--delivery-context-json", "{"]).exits(1).complains("--delivery-context-json is not JSON");
    assert_eq!(all_files(&scene), before);
    with_session(&scene, &[]).ok();
}

#[test]
fn bad_json_traceback() {
    let scene = run_of(DEMO);
    let before = scene.read("runs/r1/events.jsonl");
    for call in [
        &["progress", "r1", "m", "--payload-json", "{"][..],
        &["transition-node", "r1", "gather", "running", "--payload-json", "{"],
        &["bind", "r1", "cron", "--value", "x", "--payload-json", "{"],
        &["result", "r1", "gather", "--payload-json", "{"],
    ] {
        refuses(&scene, call, "--payload-json is not JSON: EOF while parsing an object at line 1 column 1");
    }
    assert_eq!(scene.read("runs/r1/events.jsonl"), before);
}

#[test]
fn spec_traceback() {
    json_refused("5", "spec node 1 must be an object");
    json_refused(
        r#"{"id": "a", "title": "A", "kind": [], "outputs": {"mode": "notify"}}"#,
        "node a has unsupported kind: []",
    );
    json_refused(
        r#"{"id": "a", "title": "A", "kind": "summary", "needs": [1], "outputs": {"mode": "notify"}}"#,
        "node a needs must be a list of node ids",
    );
    json_refused(
        r#"{"id": "a", "title": "A", "kind": "summary", "outputs": "x"}"#,
        "node a requires outputs.mode notify|report",
    );
    json_refused(
        r#"{"id": "a", "title": "A", "kind": "summary", "outputs": {"mode": "report", "requiredFiles": [1]}}"#,
        "node a artifact paths must be a list of paths",
    );
    let scene = bare();
    scene.write("spec.json", "[]").write("torn.json", "{").write("binary.json", [0xff, 0xfe]);
    let spec = |file: &str| with_session(&scene, &["--spec-file", file]).exits(1);
    spec("spec.json").complains("spec must be a JSON object");
    spec("torn.json").complains("spec is not JSON: EOF");
    spec("binary.json").complains("the file is not UTF-8");
    spec("none.json").complains("there is no file");
    spec(".").complains("is not a regular file");
}

#[test]
fn damaged_run_traceback() {
    // Ours is written again from the journal.
    let scene = run_of(DEMO);
    scene.write("runs/r1/state.json", "{torn").write("runs/r1/refs.json", "");
    to(&scene, "gather", "running");
    assert_eq!(node_of(&scene, "gather")["status"], "running");
    helper(&scene, &["validate", "r1"]).ok();
    // Of OpenTask's nothing is left to go by.
    let scene = bare();
    scene.write("runs/r1/state.json", "{torn").write("runs/r1/events.jsonl", "");
    for call in [&["progress", "r1", "m"][..], &["transition-node", "r1", "a", "ready"], &["next", "r1"]] {
        helper(&scene, call)
            .exits(1)
            .complains("run `r1` was made by another program and cannot be taken over: state.json is not JSON");
    }
}

#[test]
fn delivery_non_object() {
    let scene = bare();
    for wrong in ["[]", "1", "\"discord\"", "false"] {
        refuses(
            &scene,
            &[&SCAFFOLD[..], &["--delivery-context-json", wrong]].concat(),
            "--delivery-context-json must be a JSON object",
        );
    }
    with_session(&scene, &["--delivery-context-json", "null"]).ok();
    assert_eq!(state(&scene)["deliveryContext"], json!(null));
}

#[test]
fn payload_non_object() {
    let scene = run_of(DEMO);
    for wrong in ["[1]", "5", "\"x\"", "true"] {
        let call = ["transition-node", "r1", "gather", "running", "--payload-json", wrong];
        refuses(&scene, &call, "--payload-json must be a JSON object");
    }
    assert_eq!(names(&scene, "r1").len(), 2);
}

#[test]
fn payload_nan() {
    let scene = run_of(DEMO);
    for wrong in ["{\"a\": NaN}", "{\"a\": -Infinity}", "{\"a\": 1e999}"] {
        helper(&scene, &["progress", "r1", "m", "--payload-json", wrong])
            .exits(1)
            .complains("--payload-json is not JSON");
    }
    assert!(!scene.read("runs/r1/events.jsonl").contains("NaN"));
}

#[test]
fn payload_big_integer() {
    let scene = run_of(DEMO);
    let wrong = "{\"a\": 123456789012345678901}";
    helper(&scene, &["progress", "r1", "m", "--payload-json", wrong]).exits(1).complains("does not fit 64 bits");
    let most = "{\"a\": 18446744073709551615}";
    helper(&scene, &["progress", "r1", "m", "--payload-json", most]).ok().says("18446744073709551615");
}

#[test]
fn surrogate() {
    let scene = run_of(DEMO);
    helper(&scene, &["progress", "r1", "m", "--payload-json", r#"{"a": "\ud800"}"#]).exits(1).complains("is not JSON");
    let mut command = Command::new(env!("CARGO_BIN_EXE_taskforge"));
    command.env_clear().current_dir(scene.root()).args(["helper", "progress", "r1"]).arg(OsStr::from_bytes(b"a\xffb"));
    let said = command.output().unwrap();
    let stderr = String::from_utf8(said.stderr).unwrap();
    assert_eq!(said.status.code(), Some(2));
    assert!(stderr.ends_with("taskforge helper: error: argument 'a\u{fffd}b' is not UTF-8\n"), "{stderr}");
    assert_eq!(names(&scene, "r1").len(), 2);
}

#[test]
fn waitfor_mangled() {
    let wait = |wait: &str| {
        format!(
            "---\nworkflowId: w\ntitle: W\nnodes:\n  - id: a\n    title: A\n    kind: wait\n    waitFor: {wait}\n{NOTIFY}---\n"
        )
    };
    for (given, written) in [
        ("{type: file_exists, path: ./nodes/go}", json!({"type": "file_exists", "path": "nodes/go"})),
        ("\n      type: next_tick", json!({"type": "next_tick"})),
        ("manual", json!({"type": "manual"})),
        ("{}", json!({"type": "manual"})),
        ("", json!(null)),
    ] {
        assert_eq!(node_of(&run_of(&wait(given)), "a")["waitFor"], written, "{given}");
    }
    let none =
        "node a has a waitFor that is none: it is an object with type next_tick, manual or file_exists, and path";
    for given in ["tomorrow", "[manual]", "{type: manual, until: x}"] {
        refused(&wait(given), none);
    }
    refused(&wait("file_exists"), "waitFor.path is required when waitFor.type=file_exists: node a");
    refused(&wait("{type: file_exists, path: ../x}"), "path must not escape the run directory: ../x");
}

#[test]
fn empty_prompt_accepted() {
    for prompt in ["", "    prompt: ''\n", "    prompt: |\n\n"] {
        refused(
            &one_node(NOTIFY).replace("    prompt: Do it.\n", prompt),
            "node a requires prompt for kind=session_turn",
        );
    }
    let kind = |kind: &str| one_node(NOTIFY).replace("    prompt: Do it.\n", "").replace("session_turn", kind);
    refused(&kind("subagent"), "node a requires prompt for kind=subagent");
    run_of(&kind("summary"));
    // In JSON the prompt may stand in the file beside it, which is what is frozen.
    let node = |id: &str| {
        format!(r#"{{"id": "{id}", "title": "X", "kind": "session_turn", "outputs": {{"mode": "notify"}}}}"#)
    };
    json_refused(&node("stranger"), "node stranger requires prompt for kind=session_turn");
    let scene = bare();
    scene.write("spec.json", format!(r#"{{"workflowId": "w", "title": "W", "nodes": [{}]}}"#, node("gather")));
    with_session(&scene, &["--spec-file", "spec.json"]).ok();
    assert_eq!(helper(&scene, &["next", "r1"]).ok().json()["dispatch"][0]["prompt"], "Do gather.");
}

#[test]
fn yaml_requiredfiles_dropped() {
    let scene = run_of(&one_node(
        "    outputs:\n      mode: report\n      requiredFiles:\n        - nodes/a/x.md\n        - nodes/a/y.md\n",
    ));
    assert_eq!(node_of(&scene, "a")["artifactPaths"], json!(["nodes/a/x.md", "nodes/a/y.md"]));
}

#[test]
fn yaml_requiredfiles_first() {
    for files in [" [nodes/a/x.md]", "\n        - nodes/a/x.md"] {
        let scene = run_of(&one_node(&format!("    outputs:\n      requiredFiles:{files}\n      mode: report\n")));
        assert_eq!(node_of(&scene, "a")["artifactPaths"], json!(["nodes/a/x.md"]));
    }
}

#[test]
fn yaml_outputs_path_ignored() {
    let paths = |outputs: &str| {
        node_of(&run_of(&one_node(&format!("    outputs: {{mode: report, {outputs}}}\n"))), "a")["artifactPaths"]
            .clone()
    };
    assert_eq!(paths("path: nodes/a/x.md"), json!(["nodes/a/x.md"]));
    assert_eq!(paths("path: nodes/a/x.md, requiredFiles: [b.md, nodes/a/x.md]"), json!(["b.md", "nodes/a/x.md"]));
    assert_eq!(paths("path: nodes/a/x.md, requiredFiles: [b.md]"), json!(["b.md", "nodes/a/x.md"]));
}

#[test]
fn yaml_flow_map_refused() {
    let text =
        "---\n{workflowId: w, title: W, nodes: [{id: a, title: A, kind: summary, outputs: {mode: notify}}]}\n---\n";
    assert_eq!(node_of(&run_of(text), "a")["status"], "ready");
}

#[test]
fn yaml_needs_lost() {
    let scene = run_of(&DEMO.replace("    needs: [gather]\n", "    needs:\n    - gather\n"));
    assert_eq!(node_of(&scene, "sub")["needs"], json!(["gather"]));
    assert_eq!(node_of(&scene, "sub")["status"], "pending");
}

#[test]
fn yaml_zero_indent_refused() {
    // As OpenTask's own service writes the workflow of each of its runs.
    let scene = run_of(
        "---\nworkflowId: w\ntitle: W\nnodes:\n- id: a\n  title: A\n  kind: summary\n  needs: []\n  outputs:\n    mode: notify\n---\n",
    );
    assert_eq!(node_of(&scene, "a")["status"], "ready");
}

#[test]
fn yaml_inline_comment() {
    let scene =
        run_of(&one_node("    outputs:\n      mode: notify # no files\n").replace("title: A", "title: A # not B"));
    assert_eq!(node_of(&scene, "a")["title"], "A");
}

#[test]
fn yaml_escapes() {
    let scene = run_of(&one_node(NOTIFY).replace("title: A", r#"title: "say \"\u00fc\"""#));
    assert_eq!(node_of(&scene, "a")["title"], "say \"ü\"");
    let scene = run_of(&one_node(NOTIFY).replace("title: A", "title: 'it''s'"));
    assert_eq!(node_of(&scene, "a")["title"], "it's");
}

#[test]
fn yaml_folded_title() {
    let scene = run_of(&one_node(NOTIFY).replace("title: A", "title: >\n      one\n      two"));
    assert_eq!(node_of(&scene, "a")["title"], "one two");
    assert!(scene.read("runs/r1/state.json").contains("\"title\": \"one two\""));
}

#[test]
fn yaml_nonstring() {
    // What is nothing is missing; what is a list is no text.
    refused(&one_node(NOTIFY).replace("title: A", "title: ~"), "node a requires title");
    refused(&one_node(NOTIFY).replace("title: A", "title: [A]"), "node a requires title");
    refused(&one_node(NOTIFY).replace("id: a", "id: {x: 1}"), "every spec node requires an id");
    // Numbers are the letters that stand there, as with the helper.
    assert_eq!(node_of(&run_of(&one_node(NOTIFY).replace("title: A", "title: 1.50")), "a")["title"], "1.50");
}

#[test]
fn no_newline_at_eof_refused() {
    run_of(one_node(NOTIFY).trim_end());
    run_of(&format!("\u{feff}{}", one_node(NOTIFY).replace('\n', "\r\n")));
}

#[test]
fn unicode_line_separators() {
    let scene = run_of(&one_node(NOTIFY).replace("title: A", "title: \"A\u{2028}    kind: wait\""));
    assert_eq!(
        (&node_of(&scene, "a")["title"], &node_of(&scene, "a")["kind"]),
        (&json!("A\u{2028}    kind: wait"), &json!("session_turn"))
    );
    assert!(scene.read("runs/r1/state.json").contains("\\u2028"));
}

#[test]
fn misspelt_key() {
    refused(
        &one_node("    need: [b]\n    outputs: {mode: notify}\n"),
        "node a has an unknown key \"need\": did you mean `needs`?",
    );
    refused(
        &one_node("    outputs: {mode: report, required_files: [x]}\n"),
        "outputs of node a has an unknown key \"required_files\": did you mean `requiredFiles`?",
    );
    // Any other is passed over.
    run_of(&one_node("    owner: ada\n    outputs: {mode: notify}\n"));
}

#[test]
fn container_node() {
    refused(
        &one_node("    container: {}\n    outputs: {mode: notify}\n"),
        "node a has a container: `taskforge run start` makes such a run",
    );
    refused(
        &one_node("    container:\n    outputs: {mode: notify}\n"),
        "node a has a container: `taskforge run start` makes such a run",
    );
    refused(
        &one_node("    when: \"true\"\n    outputs: {mode: notify}\n"),
        "node a has \"when\", which sessions' runs do not have",
    );
}

#[test]
fn validate_rejects_legal() {
    for steps in [&["waiting"][..], &["waiting", "completed"], &["skipped"], &["failed"], &["waiting", "failed"]] {
        let scene = run_of(&one_node(NOTIFY));
        steps.iter().for_each(|status| drop(to(&scene, "a", status)));
        assert_eq!(helper(&scene, &["validate", "r1"]).ok().json()["issues"], json!([]), "{steps:?}");
    }
    let scene = run_of(DEMO);
    to(&scene, "sub", "skipped");
    helper(&scene, &["validate", "r1"]).ok();
}

#[test]
fn failed_dep_deadlock() {
    let scene = run_of(DEMO);
    to(&scene, "gather", "failed")
        .says("Node sub is skipped: gather did not complete.")
        .says("\"runStatus\": \"failed\"");
    let skipped = ["node.failed gather", "node.skipped sub", "node.skipped ask", "node.skipped summary", "run.failed"];
    assert_eq!(names(&scene, "r1")[2..], skipped);
    helper(&scene, &["validate", "r1"]).ok();
    // Tried again, everything behind it is to be done once more.
    to(&scene, "gather", "ready");
    to(&scene, "gather", "running");
    to(&scene, "gather", "completed").says("Node sub is ready for dispatch.");
    assert_eq!(node_of(&scene, "summary")["status"], "pending");
    // A node that may fail holds nobody up.
    let scene = run_of(&DEMO.replace("    needs: []\n", "    needs: []\n    continueOn: [failed]\n"));
    to(&scene, "gather", "failed").says("Node sub is ready for dispatch.");
}

#[test]
fn bind_driver_none() {
    let scene = run_of(DEMO);
    refuses(&scene, &["bind", "r1", "driver-run"], "--value is required for bind kind driver-run");
    assert_eq!(names(&scene, "r1").len(), 2);
}

#[test]
fn bind_ghost_node_id() {
    let scene = run_of(DEMO);
    refuses(&scene, &["bind", "r1", "cron", "--value", "x", "--node-id", "ghost"], "node not found: ghost");
    assert_eq!(names(&scene, "r1").len(), 2);
}

#[test]
fn terminal_reopen_silent() {
    let scene = run_of(&one_node(NOTIFY));
    to(&scene, "a", "failed");
    assert_eq!(state(&scene)["status"], "failed");
    to(&scene, "a", "ready").says("run.reopened");
    assert_eq!(names(&scene, "r1")[2..], ["node.failed a", "run.failed", "run.reopened", "node.ready a"]);
    assert_eq!(state(&scene)["status"], "running");
}

#[test]
fn waiting_to_completed() {
    let scene = run_of(&one_node(NOTIFY));
    to(&scene, "a", "waiting");
    to(&scene, "a", "completed");
    assert_eq!(names(&scene, "r1")[2..], ["node.waiting a", "node.completed a", "run.completed"]);
}

#[test]
fn every_difference_is_documented_and_tested() {
    let page = std::fs::read_to_string(crate::model_server::repository("docs/opentask-compatibility.md")).unwrap();
    let rows =
        page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |").map(|(tag, _)| tag.to_owned()));
    let mut rows: Vec<String> = rows.collect();
    let source = include_str!("differences.rs");
    let names = source.split("#[test]\nfn ").skip(1).filter_map(|rest| rest.split_once("()").map(|(name, _)| name));
    let mut tests: Vec<String> = names
        .filter(|name| *name != "every_difference_is_documented_and_tested")
        .map(|name| name.replace('_', "-"))
        .collect();
    rows.sort();
    tests.sort();
    assert_eq!(rows, tests);
}
