#![allow(clippy::unwrap_used)]
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::run::definition::{OutputsMode, WaitKind};
use crate::workflow::NODE_LIMIT;

fn file(nodes: &str) -> String {
    format!("---\nworkflowId: w\ntitle: W\nnodes:\n{nodes}---\nBody.\n")
}

fn read(nodes: &str) -> Result<Spec, SpecError> {
    from_frontmatter("f", &file(nodes))
}

fn said(nodes: &str) -> String {
    read(nodes).unwrap_err().to_string()
}

#[test]
fn what_the_helper_looks_at_comes_first() {
    // An id that is none of ours, a cycle and no prompt: the missing mode is what the helper would have said.
    assert_eq!(
        said("  - {id: ../a, title: A, kind: subagent, needs: [../a]}\n"),
        "node ../a requires outputs.mode notify|report"
    );
    assert_eq!(
        said("  - {id: ../a, title: A, kind: subagent, needs: [b], outputs: {mode: notify}}\n"),
        "node ../a depends on missing nodes: b"
    );
}

#[test]
fn yaml_that_cannot_be_read_is_placed() {
    assert!(said("  - {id: a\n").starts_with("f:"), "{}", said("  - {id: a\n"));
    assert_eq!(said("  - {id: a, id: b}\n"), "f:5:17: \"id\" stands here twice");
}

#[test]
fn paths_are_made_plain() {
    let spec = read(
        "  - {id: a, title: A, kind: summary, outputs: {mode: report, requiredFiles: [./a//b, c/./d/, 'e\\f']}}\n",
    );
    assert_eq!(spec.unwrap().nodes[0].artifact_paths, ["a/b", "c/d", "e/f"]);
    assert_eq!(
        said("  - {id: a, title: A, kind: summary, outputs: {mode: report, requiredFiles: [.]}}\n"),
        "path \".\" of node a is empty"
    );
}

#[test]
fn defaults_are_the_helper_s() {
    let spec = read(
        "  - {id: a, title: A, kind: wait, outputs: {mode: notify}}\n  - {id: b, title: B, kind: summary, needs: ~, outputs: {mode: report}}\n",
    );
    let nodes = spec.unwrap().nodes;
    assert_eq!((nodes[0].artifact_paths.len(), &nodes[0].wait_for), (0, &None));
    assert_eq!(
        (nodes[1].outputs_mode, nodes[1].artifact_paths[0].as_str()),
        (OutputsMode::Report, "nodes/b/report.md")
    );
}

#[test]
fn json_may_leave_prompts_to_the_file_beside_it() {
    let node = |prompt: &str| {
        format!(
            r#"{{"workflowId": "w", "title": "W", "nodes": [{{"id": "a", "title": "A", "kind": "subagent", "outputs": {{"mode": "notify"}}{prompt}}}]}}"#
        )
    };
    let beside = file("  - {id: a, title: A, prompt: from the file}\n");
    assert_eq!(from_json(&node(""), &beside).unwrap().nodes[0].prompt, "");
    assert_eq!(from_json(&node(r#", "prompt": "own""#), &beside).unwrap().nodes[0].prompt, "own");
    let none = "node a requires prompt for kind=subagent";
    assert_eq!(from_json(&node(r#", "prompt": " ""#), &beside).unwrap_err().to_string(), none);
    assert_eq!(from_json(&node(""), &file("  - {id: b}\n")).unwrap_err().to_string(), none);
    // A text without frontmatter is the brief itself.
    from_json(&node(""), "Do what is needed.\n").unwrap();
}

#[test]
fn briefs_are_what_a_file_says() {
    let briefs = briefs(&file("  - {id: a, prompt: P, sessionKey: k}\n  - {prompt: nobody's}\n")).unwrap();
    assert_eq!(briefs.len(), 1);
    assert_eq!(briefs["a"], Brief { prompt: "P".into(), session_key: Some("k".into()) });
    assert_eq!(super::briefs("no frontmatter"), None);
}

#[test]
fn only_what_is_missing_can_have_been_meant() {
    let spec = file("  - {id: a, title: A, kind: summary, kinds: x, outputs: {mode: notify, model: x}}\n");
    from_frontmatter("f", &spec.replace("title: W", "title: W\nnotes: x\nmodel: y")).unwrap();
    let said = from_frontmatter("f", &spec.replace("title: W", "title: W\ndefault: {}")).unwrap_err().to_string();
    assert_eq!(said, "the workflow has an unknown key \"default\": did you mean `defaults`?");
}

#[test]
fn waits_are_objects_or_words() {
    let kind = |wait: &str| {
        let spec = read(&format!("  - {{id: a, title: A, kind: wait, waitFor: {wait}, outputs: {{mode: notify}}}}\n"));
        spec.unwrap().nodes[0].wait_for.clone().map(|wait| (wait.kind, wait.path))
    };
    assert_eq!(kind("next_tick"), Some((WaitKind::NextTick, None)));
    assert_eq!(kind("{type: file_exists, path: a//b}"), Some((WaitKind::FileExists, Some("a/b".into()))));
    assert_eq!(kind("{path: x}"), Some((WaitKind::Manual, Some("x".into()))));
}

#[test]
fn large_and_deep_is_refused_and_not_followed() {
    let nodes = |count: usize| {
        (0..count)
            .map(|n| format!("  - {{id: n{n}, title: T, kind: summary, outputs: {{mode: notify}}}}\n"))
            .collect::<String>()
    };
    assert_eq!(read(&nodes(NODE_LIMIT)).unwrap().nodes.len(), NODE_LIMIT);
    assert_eq!(said(&nodes(NODE_LIMIT + 1)), "spec.nodes has 1001 nodes, and a workflow has at most 1000");
    // A chain through all of them is walked without recursion.
    let chain: String = (0..NODE_LIMIT)
        .map(|n| {
            format!(
                "  - {{id: n{n}, title: T, kind: summary, needs: [n{}], outputs: {{mode: notify}}}}\n",
                (n + 1) % NODE_LIMIT
            )
        })
        .collect();
    assert!(said(&chain).starts_with("workflow contains dependency cycles: n0 -> n1 -> n2"));
    assert!(from_json(&"[".repeat(100_000), "").unwrap_err().to_string().starts_with("spec is not JSON"));
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let word =
        prop::sample::select(vec!["a", "b", "wait", "subagent", "report", "file_exists", "../x", "", "x/y", " "]);
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|value| json!(value)),
        any::<i32>().prop_map(|value| json!(value)),
        word.prop_map(|word| json!(word)),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let key = prop::sample::select(vec![
            "workflowId",
            "title",
            "nodes",
            "id",
            "kind",
            "needs",
            "outputs",
            "mode",
            "requiredFiles",
            "artifactPaths",
            "path",
            "waitFor",
            "type",
            "prompt",
            "container",
            "continueOn",
            "need",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| json!(items)),
            prop::collection::vec((key, inner), 0..8).prop_map(|members| {
                members
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect::<serde_json::Map<_, _>>()
                    .into()
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_is_a_workflow_or_refused(nodes in prop::collection::vec(any_json(), 0..4), id in any_json()) {
        let spec = json!({"workflowId": "w", "title": "W", "nodes": nodes, "other": id});
        if let Ok(spec) = from_json(&spec.to_string(), "") {
            prop_assert!(spec.nodes.iter().all(|node| node.artifact_paths.iter().all(|path| !path.contains(".."))));
        }
        let _ = from_json(&id.to_string(), "");
    }

    #[test]
    fn any_text_is_a_workflow_or_refused(text in "[-:{}\\[\\]#|>&*!%@`\"', \n\ta-e0-9~]{0,80}") {
        let _ = from_frontmatter("f", &text);
        let _ = from_frontmatter("f", &file(&text));
        let _ = briefs(&file(&text));
    }
}
