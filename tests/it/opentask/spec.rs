//! The workflow that `scaffold` reads: sentences and order of OpenTask's helper, for both of its forms.

use serde_json::{Value, json};

use super::{DEMO, SCAFFOLD, bare, helper, node_of, one_node, refuses};

/// The one node of a JSON workflow, with `change` in it; null takes a key away.
fn spec(change: &Value) -> Value {
    let mut node = json!({"id": "gather", "title": "G", "kind": "session_turn", "outputs": {"mode": "report"}});
    for (key, value) in change.as_object().unwrap() {
        match value {
            Value::Null => node.as_object_mut().unwrap().remove(key),
            value => node.as_object_mut().unwrap().insert(key.clone(), value.clone()),
        };
    }
    json!({"workflowId": "demo", "title": "T", "nodes": [node]})
}

#[test]
fn json_is_refused_in_opentask_s_words() {
    let scene = bare();
    let whole = |change: Value| {
        let mut spec = spec(&json!({}));
        spec.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        spec
    };
    let node = spec(&json!({}))["nodes"][0].clone();
    for (spec, sentence) in [
        (whole(json!({"workflowId": ""})), "spec.workflowId is required"),
        (whole(json!({"workflowId": 3})), "spec.workflowId is required"),
        (whole(json!({"title": null})), "spec.title is required"),
        (whole(json!({"nodes": []})), "spec.nodes must be a non-empty list"),
        (whole(json!({"nodes": {}})), "spec.nodes must be a non-empty list"),
        (whole(json!({"nodes": [node, node]})), "duplicate node id in spec: gather"),
        (spec(&json!({"id": ""})), "every spec node requires an id"),
        (spec(&json!({"id": 5})), "every spec node requires an id"),
        (spec(&json!({"title": ""})), "node gather requires title"),
        (spec(&json!({"kind": "zzz"})), "node gather has unsupported kind: zzz"),
        (spec(&json!({"kind": null})), "node gather has unsupported kind: None"),
        (spec(&json!({"kind": true})), "node gather has unsupported kind: True"),
        (spec(&json!({"needs": "a"})), "node gather needs must be a list"),
        (spec(&json!({"needs": {"a": 1}})), "node gather needs must be a list"),
        (spec(&json!({"needs": ["a", "gather", "b"]})), "node gather depends on missing nodes: a, b"),
        (spec(&json!({"outputs": null})), "node gather requires outputs.mode notify|report"),
        (spec(&json!({"outputs": {"mode": "x"}})), "node gather requires outputs.mode notify|report"),
        (spec(&json!({"artifactPaths": "x"})), "node gather artifact paths must be a list"),
        (spec(&json!({"artifactPaths": {"x": 1}})), "node gather artifact paths must be a list"),
        (spec(&json!({"artifactPaths": ["/x"]})), "path must be relative: /x"),
        (spec(&json!({"artifactPaths": ["\\x"]})), "path must be relative: \\x"),
        (spec(&json!({"artifactPaths": ["a/../../x"]})), "path must not escape the run directory: a/../../x"),
        (spec(&json!({"artifactPaths": ["  "]})), "path must not be empty"),
    ] {
        scene.write("spec.json", spec.to_string());
        refuses(&scene, &[&SCAFFOLD[..], &["--spec-file", "spec.json"]].concat(), sentence);
    }
    assert!(!scene.path("runs").exists() || std::fs::read_dir(scene.path("runs")).unwrap().count() == 0);
}

#[test]
fn json_says_the_nodes_and_the_file_is_what_is_frozen() {
    let scene = bare();
    let spec = spec(&json!({"outputs": {"mode": "report", "requiredFiles": ["./a.md", "b\\c.md"]}, "unknown": 1}));
    scene.write("spec.json", spec.to_string());
    helper(&scene, &[&SCAFFOLD[..], &["--spec-file", "spec.json"]].concat()).ok();
    assert_eq!(node_of(&scene, "gather")["artifactPaths"], json!(["a.md", "b/c.md"]));
    assert_eq!(scene.json("runs/r1/state.json")["nodes"].as_array().unwrap().len(), 1);
    assert_eq!(scene.read("runs/r1/workflow.lock.md"), DEMO);
}

#[test]
fn a_file_is_refused_in_opentask_s_words() {
    let scene = bare();
    let file = "[REGISTRY]/workflows/demo.task.md";
    for (text, sentence) in [
        ("hello\n".to_owned(), format!("workflow is missing YAML frontmatter: {file}")),
        (String::new(), format!("workflow is missing YAML frontmatter: {file}")),
        ("---\nworkflowId: x\n".to_owned(), format!("workflow frontmatter is not properly closed: {file}")),
        ("---\ntitle: x\n---\n".to_owned(), "spec.workflowId is required".to_owned()),
        ("---\nworkflowId: x\n---\n".to_owned(), "spec.title is required".to_owned()),
        ("---\nworkflowId: x\ntitle: y\n---\n".to_owned(), "spec.nodes must be a non-empty list".to_owned()),
        ("---\n---\n".to_owned(), "spec.workflowId is required".to_owned()),
        (one_node(""), "node a requires outputs.mode notify|report".to_owned()),
        (one_node("    needs: a\n"), "unsupported list syntax: a".to_owned()),
        (
            one_node("    needs: [b, a, c]\n    outputs: {mode: notify}\n"),
            "node a depends on missing nodes: b, c".to_owned(),
        ),
    ] {
        scene.write("workflows/demo.task.md", &text);
        refuses(&scene, &SCAFFOLD, &sentence);
    }
}

#[test]
fn texts_are_texts_whatever_yaml_makes_of_them() {
    let scene = bare();
    let text =
        DEMO.replace("title: Gather", "title: 2026").replace("id: gather", "id: 007").replace("[gather]", "[007]");
    scene.write("workflows/demo.task.md", text.replace("workflowId: demo", "workflowId: 1.50").replace("Sub", "true"));
    helper(&scene, &SCAFFOLD).ok();
    assert_eq!(scene.json("runs/r1/state.json")["workflowId"], "1.50");
    assert_eq!((&node_of(&scene, "007")["title"], &node_of(&scene, "sub")["needs"]), (&json!("2026"), &json!(["007"])));
    assert_eq!(node_of(&scene, "sub")["title"], "true");
}
