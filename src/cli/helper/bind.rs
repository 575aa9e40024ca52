//! `taskforge helper bind`.

use serde_json::json;

use crate::engine::Store;
use crate::engine::session::{self, BindKind, Wording};
use crate::registry::Registry;
use crate::run::projection::refs_json;

use super::answer::{Answer, event};
use super::argv::Call;
use super::sentence::Sentence;
use super::{node_id, run_id, value};

pub(super) fn run(call: &Call, registry: &Registry) -> Result<Answer, Sentence> {
    let run = run_id(call)?;
    Store::open(registry, &run)?;
    let payload = value::object("--payload-json", call.get("--payload-json"))?;
    let name = call.positional("kind");
    let kind = match name {
        "cron" => BindKind::Cron,
        "node-session" => BindKind::NodeSession,
        "child-session" => BindKind::ChildSession,
        "node-run" => BindKind::NodeRun,
        _ => BindKind::DriverRun,
    };
    let of_node = matches!(kind, BindKind::NodeSession | BindKind::ChildSession | BindKind::NodeRun);
    let node = call.some("--node-id");
    if of_node && node.is_none() {
        return Err(Sentence::new(format!("--node-id is required for bind kind {name}")));
    }
    // The helper binds a driver run to nothing, and journals `None`.
    let Some(bound) = call.some("--value") else {
        return Err(Sentence::new(format!("--value is required for bind kind {name}")));
    };
    let node = match node {
        Some(node) if kind != BindKind::DriverRun => Some(node_id(node)?),
        _ => None,
    };
    let wording = Wording { message: call.some("--message").map(str::to_owned), payload };
    let told = session::bind(registry, &run, kind, node, bound.to_owned(), wording)?;
    let event = told.events.first().map(event);
    Ok(json!({"ok": true, "event": event, "refs": refs_json(&told.state)}).into())
}
