//! A line of `gate/traffic.jsonl`: its six keys, and what each kind of record adds.

use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use super::generator;
use crate::gate::records::BodyRef;
use crate::run::id::{Digest, NodeId, RequestId};

macro_rules! kinds {
    ($($kind:literal => $name:ident { $($field:ident: $type:ty,)* })*) => {
        $(#[derive(JsonSchema)]
        #[schemars(rename_all = "camelCase")]
        #[allow(dead_code)] // read by its schema only
        struct $name { $($field: $type,)* })*

        fn kinds(generator: &mut schemars::SchemaGenerator) -> Vec<(&'static str, Value)> {
            vec![$(($kind, generator.root_schema_for::<$name>().to_value()),)*]
        }
    };
}

kinds! {
    "llm.request" => Request {
        grant: Option<RequestId>,
        model: String,
        provider: String,
        upstream_model: Option<String>,
        wire: Option<String>,
        r#try: Option<u32>,
        retry_of: Option<u64>,
        messages_digest: Digest,
        tools: u64,
        stream: bool,
        sent_digest: Option<Digest>,
        body: BodyRef,
    }
    "llm.response" => Response {
        request: u64,
        status: Option<u16>,
        stream: bool,
        finish_reason: Option<String>,
        usage: Option<Map<String, Value>>,
        first_byte_ms: Option<u64>,
        total_ms: u64,
        body: Option<BodyRef>,
    }
    "llm.error" => Failure {
        request: u64,
        code: String,
        message: Option<String>,
        reason: Option<String>,
        reached: Option<bool>,
        status: Option<u16>,
        stream: Option<bool>,
        finish_reason: Option<String>,
        usage: Option<Map<String, Value>>,
        first_byte_ms: Option<u64>,
        total_ms: Option<u64>,
        body: Option<BodyRef>,
    }
    "llm.aborted" => Aborted {
        request: u64,
        reason: Option<String>,
        reached: Option<bool>,
        status: Option<u16>,
        usage: Option<Map<String, Value>>,
        first_byte_ms: Option<u64>,
        total_ms: Option<u64>,
        body: Option<BodyRef>,
    }
    "egress.denied" => Denied {
        surface: String,
        target: String,
        method: String,
        verdict: String,
        capability: Option<String>,
    }
    "egress.allowed" => Allowed {
        surface: String,
        target: String,
        method: String,
        grant: RequestId,
        path: Option<String>,
        secrets: Option<Vec<String>>,
        addresses: Vec<String>,
        body: Option<BodyRef>,
    }
    "egress.ended" => Ended {
        egress: u64,
        verdict: String,
        address: Option<String>,
        status: Option<u16>,
        bytes_out: u64,
        bytes_in: u64,
        total_ms: u64,
        body: Option<BodyRef>,
    }
    "action.requested" => ActionRequested {
        action: String,
        target: String,
        by: String,
        key: Option<String>,
        digest: Option<Digest>,
        body: Option<BodyRef>,
    }
    "action.done" => ActionDone {
        intent: u64,
        action: String,
        found: Option<bool>,
        settled_by: Option<String>,
        body: Option<BodyRef>,
    }
    "action.failed" => ActionFailed {
        intent: u64,
        action: String,
        code: String,
        message: String,
        status: Option<u16>,
        unclear: Option<bool>,
        settled_by: Option<String>,
    }
    "action.denied" => ActionDenied {
        action: String,
        target: Option<String>,
        code: String,
        message: String,
    }
    "ingress.allowed" => Entered {
        target: String,
        port: u16,
        grant: RequestId,
        client: String,
    }
    "ingress.ended" => Left {
        ingress: u64,
        verdict: String,
        bytes_in: u64,
        bytes_out: u64,
        total_ms: u64,
    }
    "ingress.counting" => Counting {
        target: String,
        port: u16,
        grant: RequestId,
        seconds: u64,
    }
    "ingress.counted" => CountedTogether {
        ingress: u64,
        connections: u64,
        verdicts: std::collections::BTreeMap<String, u64>,
        bytes_in: u64,
        bytes_out: u64,
        longest_ms: u64,
    }
    "agent.tool_result" => ToolResult {
        tool_call_id: String,
        body: BodyRef,
    }
    "agent.held_back" => Held {
        processes: u64,
        memory: u64,
        killed: u64,
        throttled_ms: u64,
    }
    "request.refused" => Refused {
        method: String,
        path: String,
        status: u16,
        code: String,
        message: String,
        model: Option<String>,
        capability: Option<String>,
    }
    "client.dropped" => Dropped {
        reason: String,
    }
    "llm.redacted" => Redacted {
        records: Vec<u64>,
        by: String,
        reason: String,
    }
    "traffic.voided" => Voided {
        from: u64,
        bytes: u64,
        sha256: Option<Digest>,
    }
}

pub(super) fn line() -> Value {
    let mut generator = generator();
    let kinds = kinds(&mut generator);
    let digest = generator.subschema_for::<Digest>().to_value();
    let node = generator.subschema_for::<NodeId>().to_value();
    let count = generator.subschema_for::<u64>().to_value();
    let attempt = json!({"type": "integer", "minimum": 1, "maximum": u32::MAX});
    let mut defs: Map<String, Value> = generator.take_definitions(true);
    let mut rules = Vec::new();
    for (kind, schema) in &kinds {
        let mut schema = schema.clone();
        let object = schema.as_object_mut().unwrap();
        ["$schema", "$defs", "title"].iter().for_each(|key| drop(object.shift_remove(*key)));
        let own = object["properties"].as_object_mut().unwrap();
        for (key, value) in [
            ("seq", count.clone()),
            ("at", count.clone()),
            ("time", json!({"type": "string", "format": "date-time"})),
            ("kind", json!({"const": kind})),
            ("node", node.clone()),
            ("attempt", attempt.clone()),
            ("prev", digest.clone()),
        ] {
            own.insert(key.to_owned(), value);
        }
        let required = object.entry("required").or_insert(json!([])).as_array_mut().unwrap();
        required.extend(["seq", "at", "time", "kind", "prev"].map(Value::from));
        defs.insert((*kind).to_owned(), schema);
        rules.push(
            json!({"if": {"properties": {"kind": {"const": kind}}}, "then": {"$ref": format!("#/$defs/{kind}")}}),
        );
    }
    let names: Vec<&str> = kinds.iter().map(|(kind, _)| *kind).collect();
    json!({
        "type": "object", "$open": true,
        "required": ["kind"],
        "properties": {"kind": {"enum": names}},
        "allOf": rules,
        "$defs": defs,
    })
}
