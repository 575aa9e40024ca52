use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::run::capability::{Capability, CapabilityKind};
use crate::run::event;
use crate::workflow::Workflow;

/// Writes the schemas when set, instead of comparing them.
const WRITE: &str = "TASKFORGE_WRITE_SCHEMAS";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schemas")
}

#[test]
fn the_committed_schemas_are_what_the_types_say() {
    let made: BTreeMap<String, String> = super::all()
        .into_iter()
        .map(|(name, schema)| (format!("{name}.schema.json"), serde_json::to_string_pretty(&schema).unwrap() + "\n"))
        .collect();
    if std::env::var_os(WRITE).is_some() {
        std::fs::create_dir_all(folder()).unwrap();
        for (name, text) in &made {
            std::fs::write(folder().join(name), text).unwrap();
        }
    }
    let committed: BTreeSet<String> = std::fs::read_dir(folder())
        .map(|entries| entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect())
        .unwrap_or_default();
    let names: BTreeSet<String> = made.keys().cloned().collect();
    let refresh = format!("refresh them with `{WRITE}=1 cargo test --lib schema::` and review the difference");
    assert_eq!(committed, names, "docs/schemas holds other files than are made: {refresh}");
    for (name, text) in &made {
        let stands = std::fs::read_to_string(folder().join(name)).unwrap();
        assert!(stands == *text, "docs/schemas/{name} is not what the types say: {refresh}");
    }
}

#[test]
fn every_schema_is_one_and_refers_to_nothing_outside() {
    for (name, schema) in super::all() {
        jsonschema::meta::validate(&schema).unwrap_or_else(|error| panic!("{name}: {error}"));
        jsonschema::draft202012::new(&schema).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn every_kind_of_capability_fits_its_schema() {
    let schema = schemars::schema_for!(Capability).to_value();
    let valid = jsonschema::draft202012::new(&schema).unwrap();
    for kind in CapabilityKind::ALL {
        assert!(valid.is_valid(&json!(kind.example())), "{kind}");
    }
    assert!(!valid.is_valid(&json!("magic:x")));
}

#[test]
fn each_known_event_has_a_schema_and_no_other() {
    let line = super::journal::line();
    let record = &line["$defs"]["record"];
    let names: Vec<&str> =
        record["properties"]["event"]["enum"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert!(names.len() > 40, "{names:?}");
    assert!(names.iter().all(|name| event::is_known(name)), "{names:?}");
    assert_eq!(record["allOf"].as_array().unwrap().len(), names.len());
}

/// The keys that the parser knows at a place: it names them when it meets one that is like none of them.
fn parser_keys(text: &str) -> BTreeSet<String> {
    let problems = Workflow::parse("w", text).unwrap_err().to_string();
    let hint = problems.split("known keys: ").nth(1).unwrap_or_else(|| panic!("no hint in {problems}"));
    hint.lines().next().unwrap().split(", ").map(|key| key.trim_end_matches([')', '.']).to_owned()).collect()
}

#[test]
fn the_frontmatter_has_the_parser_s_keys() {
    let schema = super::frontmatter::schema();
    let keys = |pointer: &str| -> BTreeSet<String> {
        let properties = schema.pointer(pointer).unwrap_or_else(|| panic!("no {pointer}"));
        properties["properties"].as_object().unwrap().keys().cloned().collect()
    };
    let bogus = "qqqqqqqqqqqq: 1";
    let head = "workflowId: w\ntitle: w";
    let node = "nodes:\n  - id: a\n    title: a\n    kind: session_turn\n    prompt: x";
    let wait = "nodes:\n  - id: a\n    title: a\n    kind: wait";
    for (def, text) in [
        ("", format!("{head}\n{bogus}\n{node}")),
        ("/$defs/Defaults", format!("{head}\ndefaults: {{{bogus}}}\n{node}")),
        ("/$defs/Driver", format!("{head}\ndriver: {{{bogus}}}\n{node}")),
        ("/$defs/Param", format!("{head}\nparams: {{p: {{type: string, {bogus}}}}}\n{node}")),
        ("/$defs/Schedule", format!("{head}\nschedule: {{cron: '* * * * *', {bogus}}}\n{node}")),
        ("/$defs/Node", format!("{head}\n{node}\n    {bogus}")),
        ("/$defs/Outputs", format!("{head}\n{node}\n    outputs: {{{bogus}}}")),
        ("/$defs/WaitFor", format!("{head}\n{wait}\n    waitFor: {{type: manual, {bogus}}}")),
        ("/$defs/Retry", format!("{head}\n{node}\n    retry: {{limit: 1, {bogus}}}")),
        ("/$defs/Container", format!("{head}\n{node}\n    container: {{{bogus}}}")),
        ("/$defs/Resources", format!("{head}\n{node}\n    container: {{resources: {{{bogus}}}}}")),
    ] {
        assert_eq!(keys(def), parser_keys(&format!("---\n{text}\n---\n")), "{def}");
    }
}

#[test]
fn an_agent_s_journal_has_a_schema_for_each_event() {
    let line = super::journal::agent_line();
    let names = line["$defs"]["record"]["properties"]["event"]["enum"].as_array().unwrap();
    assert_eq!(names.len(), 9);
    assert!(names.iter().all(|name| crate::role::agent::is_known(name.as_str().unwrap())), "{names:?}");
}

#[test]
fn a_role_has_the_parser_s_keys() {
    let schema = super::role::schema();
    let name = crate::run::id::RoleName::parse("r").unwrap();
    let keys_at = |text: &str| -> BTreeSet<String> {
        let text = format!("---\nrole: r\ndisplayName: R\ndescription: r\n{text}\n---\nx\n");
        let problems = crate::role::Role::parse(&name, "r", &text).unwrap_err().to_string();
        let hint = problems.split("known keys: ").nth(1).unwrap_or_else(|| panic!("no hint in {problems}"));
        hint.lines().next().unwrap().split(", ").map(str::to_owned).collect()
    };
    for (def, text) in [
        ("", "qqqqqqqqqqqq: 1"),
        ("/$defs/Resources", "resources: {qqqqqqqqqqqq: 1}"),
        ("/$defs/Tasks", "tasks: {qqqqqqqqqqqq: 1}"),
        ("/$defs/Config", "config: {qqqqqqqqqqqq: 1}"),
        ("/$defs/Github", "allowedActions: [github.pr.list]\nconfig: {github: {qqqqqqqqqqqq: 1}}"),
        ("/$defs/Slack", "allowedActions: [slack.message.list]\nconfig: {slack: {qqqqqqqqqqqq: 1}}"),
        ("/$defs/Email", "allowedActions: [email.send]\nconfig: {email: {qqqqqqqqqqqq: 1}}"),
        ("/$defs/Webhook", "allowedActions: [webhook.send]\nconfig: {webhook: {qqqqqqqqqqqq: 1}}"),
        ("/$defs/Memory", "allowedActions: [memory.get]\nconfig: {memory: {qqqqqqqqqqqq: 1}}"),
        ("/$defs/Budget", "config: {budget: {qqqqqqqqqqqq: 1}}"),
        ("/$defs/Delegation", "config: {delegation: {roles: [], qqqqqqqqqqqq: 1}}"),
    ] {
        let properties = schema.pointer(def).unwrap_or_else(|| panic!("no {def}"));
        let keys: BTreeSet<String> = properties["properties"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, keys_at(text), "{def}");
    }
}

#[test]
fn no_object_is_open_by_oversight() {
    fn walk(place: &str, schema: &Value) {
        match schema {
            Value::Object(object) => {
                let is_object = object.get("type").is_some_and(|kind| *kind == json!("object"));
                let open = ["foreign", "traffic.jsonl"].iter().any(|name| place.ends_with(name));
                assert!(!is_object || open || object.contains_key("additionalProperties"), "{place}");
                object.iter().filter(|(key, _)| !matches!(key.as_str(), "if" | "default")).for_each(|(key, value)| {
                    walk(&format!("{place}/{key}"), value);
                });
            }
            Value::Array(items) => items.iter().for_each(|item| walk(place, item)),
            _ => {}
        }
    }
    super::all().iter().for_each(|(name, schema)| walk(name, schema));
}
