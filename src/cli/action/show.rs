//! `taskforge action show`.

use serde_json::{Value, json};

use super::acts;
use crate::cli::output::{BOLD, DIM};
use crate::cli::root::Context;
use crate::cli::run_arg::RunArg;
use crate::cli::terminal::plain;
use crate::engine::Store;
use crate::failure::{Failure, Kind};
use crate::gate::Error;
use crate::gate::records::{self, Bodies, Record};

pub(super) fn run(context: &Context<'_>, run: &RunArg, seq: u64) -> Result<(), Failure> {
    let registry = context.registry()?;
    let run = run.find(&registry)?;
    let settled = Store::open(&registry, &run)?.load()?.settled;
    let layout = registry.layout().run(&run);
    let missing = || {
        Failure::new(Kind::NotFound, format!("run `{run}` has no action {seq}"))
            .hint(format!("`taskforge action log {run}` lists them"))
    };
    let path = layout.traffic();
    let traffic = if path.exists() { records::read(&path, &run)? } else { return Err(missing()) };
    let all = acts(&traffic, &settled);
    let act = all.iter().find(|act| act.record.seq == seq).ok_or_else(missing)?;
    let bodies = Bodies::of(&layout.gate());
    let (arguments, result) = (body(Some(act.record), &bodies)?, body(act.end, &bodies)?);
    let mut value = act.json();
    (value["arguments"], value["result"]) = (arguments.clone(), result.clone());
    context.output.result(&json!({"run": run, "action": value}), || {
        let field = |key: &str| act.record.text(key).map(plain).unwrap_or_default();
        let mut text =
            format!("{BOLD}{} {}{BOLD:#} {DIM}{}{DIM:#}\n", field("action"), act.standing(), act.record.time);
        for key in ["target", "by", "key", "code", "message"] {
            if act.record.text(key).is_some() {
                text += &format!("{key}: {}\n", field(key));
            }
        }
        if let Some(said) = &act.settled {
            let was = if said.done { "done" } else { "not done" };
            text += &format!("settled: {was}, says {}: {}\n", plain(&said.by), plain(&said.comment));
        }
        text += &format!("\n{}\n", plain(&format!("{arguments:#}")));
        if let Some(end) = act.end {
            text += &format!("\n{BOLD}{}{BOLD:#} {DIM}{}{DIM:#}\n", end.kind.as_str(), end.time);
            text += &end.text("message").map(|message| format!("{}\n", plain(message))).unwrap_or_default();
            text += &format!("{}\n", plain(&format!("{result:#}")));
        }
        text
    })
}

/// What a record holds as JSON; null if there is nothing, or it was redacted.
fn body(record: Option<&Record>, bodies: &Bodies) -> Result<Value, Failure> {
    let Some(body) = record.and_then(Record::body) else { return Ok(Value::Null) };
    match bodies.load(&body) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or(Value::Null)),
        Err(Error::BodyMissing { .. }) => Ok(Value::Null),
        Err(error) => Err(error.into()),
    }
}
