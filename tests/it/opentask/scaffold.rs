//! `helper scaffold`: files, journal and answer.

use std::fs;

use super::{DEMO, SCAFFOLD, all_files, bare, events, helper, normal, refuses};

#[test]
fn the_files_are_opentask_s_byte_for_byte() {
    let scene = bare();
    let said = helper(&scene, &SCAFFOLD).ok();
    assert_eq!(said.stderr, "");
    let root = scene.root().canonicalize().unwrap().display().to_string();
    let answer = "{\n  \"ok\": true,\n  \"runId\": \"r1\",\n  \"registryRoot\": \"[ROOT]\",\n  \"workflowPath\": \
                  \"workflows/demo.task.md\",\n  \"runPath\": \"runs/r1\",\n  \"readyNodes\": [\n    \"gather\"\n  ]\n}\n";
    assert_eq!(said.stdout.replace(&root, "[ROOT]"), answer);
    assert_eq!(scene.read("runs/r1/workflow.lock.md"), DEMO);
    assert_eq!(scene.read("runs/r1/control.jsonl"), "");
    assert_eq!(
        scene.read("runs/r1/nodes/sub/handoff.md"),
        "# Sub handoff\n\nThe parent orchestrator can place the concrete child brief for this node here before dispatch.\n"
    );
    for node in ["gather", "ask", "summary"] {
        let folder = scene.path(&format!("runs/r1/nodes/{node}"));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "{node}");
    }
    insta::assert_snapshot!("opentask_scaffold_state", normal(&scene.read("runs/r1/state.json")));
    insta::assert_snapshot!("opentask_scaffold_refs", scene.read("runs/r1/refs.json"));
    insta::assert_snapshot!(events(&scene, "r1"), @r#"
    {"event": "run.created", "timestamp": "[TIME]", "runId": "r1", "payload": {"workflowPath": "workflows/demo.task.md"}, "message": "Created run scaffold from workflows/demo.task.md."}
    {"event": "node.ready", "timestamp": "[TIME]", "runId": "r1", "payload": {}, "nodeId": "gather", "message": "Node gather is ready for dispatch."}
    "#);
    let state = scene.json("runs/r1/state.json");
    assert_eq!(state["updatedAt"], scene.journal("r1")[1]["timestamp"]);
}

#[test]
fn sessions_and_delivery_are_those_given() {
    let scene = bare();
    let more = [
        "--source-agent-id",
        "x",
        "--delivery-context-json",
        r#"{"channel": "d", "to": "ü"}"#,
        "--root-session-key",
        "root",
        "--planner-session-key",
        "plan",
        "--driver-session-key",
        "drive",
    ];
    helper(&scene, &[&SCAFFOLD[..], &more].concat()).ok();
    for file in ["state.json", "refs.json"] {
        let text = scene.read(&format!("runs/r1/{file}"));
        let keys = "  \"sourceSessionKey\": \"agent:main:discord:channel:123\",\n  \"sourceAgentId\": \"x\",\n  \
                    \"deliveryContext\": {\n    \"channel\": \"d\",\n    \"to\": \"\\u00fc\"\n  },\n  \"rootSessionKey\": \
                    \"root\",\n  \"plannerSessionKey\": \"plan\",\n  \"driverSessionKey\": \"drive\",\n";
        assert!(text.contains(keys), "{file}: {text}");
    }
    for (run, key, agent) in [("r2", "plain", "null"), ("r3", "agent:", "\"\""), ("r4", "agent:a:b", "\"a\"")] {
        let mut call = SCAFFOLD;
        (call[4], call[6]) = (run, key);
        helper(&scene, &call).ok();
        let state = scene.read(&format!("runs/{run}/state.json"));
        assert!(state.contains(&format!("\"sourceAgentId\": {agent},")), "{state}");
        assert!(state.contains(&format!("\"driverSessionKey\": \"{key}\"")), "{state}");
    }
}

#[test]
fn letters_beyond_ascii_are_escaped_in_files_and_not_in_answers() {
    let scene = bare();
    scene.write(
        "workflows/demo.task.md",
        DEMO.replace("Demo workflow", "Ünï 日本 😀").replace("id: sub", "id: größe").replace("[sub]", "[größe]"),
    );
    helper(&scene, &SCAFFOLD).ok();
    let state = scene.read("runs/r1/state.json");
    assert!(state.contains(r#""title": "\u00dcn\u00ef \u65e5\u672c \ud83d\ude00""#), "{state}");
    assert!(state.is_ascii() && scene.read("runs/r1/events.jsonl").is_ascii());
    helper(&scene, &["progress", "r1", "größe \u{2028}\u{7f}"]).ok().says("\"message\": \"größe \u{2028}\u{7f}\"");
    assert!(scene.read("runs/r1/events.jsonl").contains(r#""message": "gr\u00f6\u00dfe \u2028\u007f""#));
}

#[test]
fn the_workflow_may_be_named_in_several_ways() {
    let scene = bare();
    let absolute = scene.path("workflows/demo.task.md").display().to_string();
    for (run, path, named) in [
        ("a", absolute.as_str(), "workflows/demo.task.md"),
        ("b", "./workflows/demo.task.md", "workflows/demo.task.md"),
        ("c", " workflows\\demo.task.md ", "workflows/demo.task.md"),
    ] {
        let mut call = SCAFFOLD;
        (call[2], call[4]) = (path, run);
        assert_eq!(helper(&scene, &call).ok().json()["workflowPath"], named);
        assert_eq!(scene.journal(run)[0]["payload"]["workflowPath"], named);
    }
}

#[test]
fn a_registry_is_made_where_none_is() {
    let scene = bare();
    let root = scene.outside("elsewhere");
    fs::create_dir_all(root.join("flows")).unwrap();
    fs::write(root.join("flows/w.md"), DEMO).unwrap();
    let root = root.display().to_string();
    let mut call = SCAFFOLD;
    call[2] = "flows/w.md";
    helper(&scene, &[&["--registry-root", &root], &call[..]].concat()).ok();
    helper(&scene, &["validate", "r1", "--registry-root", &root]).ok();
    helper(&scene, &["validate", "r1"]).env("OPENTASK_REGISTRY_ROOT", &root).ok();
    // An empty variable or option names nothing.
    helper(&scene, &["--registry-root", "", "validate", "r1"]).env("OPENTASK_REGISTRY_ROOT", "").exits(1);
}

#[test]
fn what_is_wrong_is_said_in_opentask_s_words_and_leaves_nothing() {
    let scene = bare();
    let call = |path: &'static str| {
        let mut call = SCAFFOLD;
        call[2] = path;
        call
    };
    let before = all_files(&scene);
    refuses(&scene, &call("workflows/none.md"), "workflow not found: [REGISTRY]/workflows/none.md");
    refuses(&scene, &call(""), "path must not be empty");
    refuses(&scene, &call("  "), "path must not be empty");
    refuses(&scene, &call("../x"), "path must not escape the run directory: ../x");
    refuses(&scene, &call("a/../b"), "path must not escape the run directory: a/../b");
    assert_eq!(all_files(&scene), before);
    helper(&scene, &SCAFFOLD).ok();
    let before = all_files(&scene);
    refuses(&scene, &SCAFFOLD, "run already exists: r1");
    assert_eq!(all_files(&scene), before);
}

#[test]
fn a_session_is_needed_that_has_a_name() {
    let scene = bare();
    let mut call = SCAFFOLD;
    call[6] = " ";
    refuses(&scene, &call, "--source-session-key must not be empty");
    helper(&scene, &[&call[..], &["--root-session-key", "agent:main:main"]].concat()).ok();
}
