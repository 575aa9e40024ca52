//! `taskforge helper rewire`.

use serde_json::{Value, json};

use crate::engine::session;
use crate::registry::Registry;

use super::answer::{Answer, event};
use super::argv::Call;
use super::sentence::Sentence;
use super::{ids, node_id, run_id};

pub(super) fn run(call: &Call, registry: &Registry) -> Result<Answer, Sentence> {
    let run = run_id(call)?;
    let id = node_id(call.positional("node_id"))?;
    let told = session::rewire(registry, &run, &id, ids(call.all("--needs"))?)?;
    let node = told.state.node(&id);
    let events: Vec<Value> = told.events.iter().map(event).collect();
    Ok(json!({
        "ok": true,
        "events": events,
        "nodeId": id,
        "needs": node.map(|(definition, _)| &definition.needs),
        "status": node.map(|(_, node)| node.status),
    })
    .into())
}
