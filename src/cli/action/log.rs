//! `taskforge action log`.

use serde_json::{Value, json};

use super::{Wanted, acts};
use crate::cli::root::Context;
use crate::cli::run_arg::RunArg;
use crate::cli::table::Table;
use crate::cli::terminal::plain;
use crate::engine::Store;
use crate::failure::Failure;
use crate::gate::records;

pub(super) fn run(context: &Context<'_>, run: &RunArg, node: Option<&str>, wanted: &Wanted) -> Result<(), Failure> {
    let registry = context.registry()?;
    let run = run.find(&registry)?;
    let settled = Store::open(&registry, &run)?.load()?.settled;
    let path = registry.layout().run(&run).traffic();
    // A run whose gate was never up has no records.
    let traffic = if path.exists() { Some(records::read(&path, &run)?) } else { None };
    let mut found = traffic.as_ref().map(|traffic| acts(traffic, &settled)).unwrap_or_default();
    found.retain(|act| node.is_none_or(|node| act.record.node.as_deref() == Some(node)));
    found.retain(|act| wanted.fits(act));
    let found = wanted.tail(&found);
    let values: Vec<Value> = found.iter().map(super::Act::json).collect();
    context.output.result(&json!({"run": run, "actions": values}), || {
        let mut table = Table::new(["SEQ", "TIME", "NODE", "ATTEMPT", "ACTION", "TARGET", "BY", "STANDING", ""]);
        for act in found {
            let record = act.record;
            let text = |key: &str| record.text(key).unwrap_or("-").to_owned();
            let cells = [
                record.seq.to_string(),
                record.time.get(..19).unwrap_or_default().to_owned(),
                record.node.clone().unwrap_or_default(),
                record.attempt.map(|number| number.to_string()).unwrap_or_default(),
                text("action"),
                text("target"),
                text("by"),
                act.standing().to_owned(),
                act.why(),
            ];
            table.row(cells.map(|cell| plain(&cell)));
        }
        table.or("No actions.\n")
    })
}
