//! A line of `events.jsonl`, of a run or of an agent: one schema for the `data` of each event, picked by its name.

use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use super::generator;
use crate::role::agent::AgentEvent;
use crate::run::event::Event;
use crate::run::id::{Digest, NodeId};
use crate::run::record::Record;

/// The `data` of `journal.voided`, which the journal itself writes.
#[derive(JsonSchema)]
#[allow(dead_code)] // read by its schema only
struct Voided {
    ranges: Vec<Range>,
}

/// Bytes that were torn, are spaces now and lie in `events.torn`.
#[derive(JsonSchema)]
#[allow(dead_code)]
struct Range {
    from: u64,
    to: u64,
    digest: Digest,
}

/// A line of a run's journal.
pub(super) fn line() -> Value {
    line_of::<Event>(true)
}

/// A line of an agent's journal: no event is about one node of the journal's own.
pub(super) fn agent_line() -> Value {
    line_of::<AgentEvent>(false)
}

fn line_of<E: JsonSchema>(of_run: bool) -> Value {
    let mut generator = generator();
    let mut events = generator.root_schema_for::<E>().to_value();
    if !of_run {
        let own = json!({"properties": {"event": {"const": "journal.voided"}, "data": {}}});
        events["oneOf"].as_array_mut().unwrap().push(own);
    }
    let mut record = generator.root_schema_for::<Record>().to_value();
    let voided = generator.subschema_for::<Voided>().to_value();
    let node = generator.subschema_for::<NodeId>().to_value();
    let mut defs: Map<String, Value> = generator.take_definitions(true);
    let (mut names, mut rules) = (Vec::new(), Vec::new());
    for variant in events["oneOf"].as_array().unwrap() {
        let name = variant["properties"]["event"]["const"].as_str().unwrap().to_owned();
        let mut data = variant["properties"]["data"].clone();
        let about = if of_run { about(&mut data) } else { None };
        if name == "journal.voided" {
            data = voided.clone();
        }
        if let Some(description) = variant.get("description") {
            data.as_object_mut().unwrap().entry("description").or_insert(description.clone());
        }
        let mut then = json!({"properties": {"data": {"$ref": format!("#/$defs/{name}")}, "nodeId": false}});
        if let Some(required) = about {
            then["properties"]["nodeId"] = node.clone();
            if required {
                then["required"] = json!(["nodeId"]);
            }
        }
        defs.insert(name.clone(), data);
        rules.push(json!({"if": {"properties": {"event": {"const": name}}}, "then": then}));
        names.push(name);
    }
    let properties = &mut record["properties"];
    properties["event"] = json!({"enum": names});
    properties["timestamp"]["format"] = json!("date-time");
    properties["prev"] = json!({"$ref": "#/$defs/Digest"});
    record["required"].as_array_mut().unwrap().push(json!("data"));
    record["allOf"] = Value::Array(rules);
    for key in ["$schema", "$defs", "title"] {
        record.as_object_mut().unwrap().shift_remove(key);
    }
    defs.insert("record".to_owned(), record);
    defs.insert("foreign".to_owned(), json!({
        "description": "A line of another program, which has no `seq`. It is kept, covered by the next line of ours, and says nothing.",
        "type": "object", "$open": true, "not": {"required": ["seq"]},
    }));
    json!({
        "if": {"type": "object", "required": ["seq"]},
        "then": {"$ref": "#/$defs/record"},
        "else": {"$ref": "#/$defs/foreign"},
        "$defs": defs,
    })
}

/// Takes `node` out of an event's `data`, since it stands as `nodeId`; whether it has to be there, if the event has one.
fn about(data: &mut Value) -> Option<bool> {
    data.get_mut("properties")?.as_object_mut()?.shift_remove("node")?;
    let Some(Value::Array(required)) = data.get_mut("required") else { return Some(false) };
    let before = required.len();
    required.retain(|name| name != "node");
    Some(required.len() < before)
}
