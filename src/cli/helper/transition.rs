//! `taskforge helper transition-node`.

use serde_json::{Value, json};

use crate::engine::Store;
use crate::engine::session::{self, Wording};
use crate::registry::Registry;
use crate::run::status::NodeStatus;

use super::answer::{Answer, event, status_counts};
use super::argv::Call;
use super::sentence::Sentence;
use super::{node_id, run_id, value};

pub(super) fn run(call: &Call, registry: &Registry) -> Result<Answer, Sentence> {
    let run = run_id(call)?;
    let store = Store::open(registry, &run)?;
    let node = node_id(call.positional("node_id"))?;
    let to = status(call.positional("status"))?;
    let noop = || Answer::from(json!({"ok": true, "noop": true, "nodeId": node, "status": to}));
    let payload = match value::object("--payload-json", call.get("--payload-json")) {
        Ok(payload) => payload,
        // The helper looks at the payload last: of a node that stands there already it wants none.
        Err(sentence) => match store.load()?.node(&node) {
            None => return Err(Sentence::new(format!("node not found: {node}"))),
            Some((_, found)) if found.status == to => return Ok(noop()),
            Some(_) => return Err(sentence),
        },
    };
    let wording = Wording { message: call.some("--message").map(str::to_owned), payload };
    let told = session::transition(registry, &run, &node, to, wording)?;
    if told.events.is_empty() {
        return Ok(noop());
    }
    let events: Vec<Value> = told.events.iter().map(event).collect();
    Ok(json!({
        "ok": true,
        "events": events,
        "statusCounts": status_counts(&told.state),
        "runStatus": told.state.status,
    })
    .into())
}

/// A status by its name.
pub(super) fn status(name: &str) -> Result<NodeStatus, Sentence> {
    serde_json::from_value(json!(name)).map_err(|_| Sentence::new(format!("unsupported transition target: {name}")))
}
