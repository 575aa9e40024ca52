//! `taskforge helper progress`.

use serde_json::json;

use crate::engine::Store;
use crate::engine::session;
use crate::registry::Registry;

use super::answer::{Answer, event};
use super::argv::Call;
use super::sentence::Sentence;
use super::{run_id, value};

pub(super) fn run(call: &Call, registry: &Registry) -> Result<Answer, Sentence> {
    let run = run_id(call)?;
    Store::open(registry, &run)?;
    let payload = value::object("--payload-json", call.get("--payload-json"))?;
    let told = session::progress(registry, &run, call.positional("message").to_owned(), payload)?;
    let event = told.events.first().map(event);
    Ok(json!({"ok": true, "event": event}).into())
}
