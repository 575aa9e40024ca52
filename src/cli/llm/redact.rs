//! `taskforge llm redact`.

use serde_json::json;

use crate::cli::root::Context;
use crate::cli::run_arg::RunArg;
use crate::engine;
use crate::failure::{Failure, Kind};
use crate::gate::redact;
use crate::registry::queries;

pub(super) fn run(context: &Context<'_>, run: &RunArg, seqs: &[u64], reason: &str) -> Result<(), Failure> {
    if reason.trim().is_empty() {
        return Err(Failure::new(Kind::Usage, "`--reason` is empty").hint("say why, for those who find the gap"));
    }
    let registry = context.registry()?;
    let run = run.find(&registry)?;
    queries::read_run(&registry, &run)?;
    let layout = registry.layout().run(&run);
    if !layout.traffic().is_file() {
        return Err(Failure::new(Kind::NotFound, format!("run `{run}` has no records of a gate")));
    }
    let redacted = redact(&layout.gate(), &run, seqs, &engine::operator(), reason)?;
    let value = json!({"run": run, "records": redacted.records, "bytes": redacted.bytes});
    context.output.result(&value, || {
        if redacted.records.is_empty() {
            return "Nothing was left of them: they were redacted before.".to_owned();
        }
        let records: Vec<String> = redacted.records.iter().map(ToString::to_string).collect();
        format!(
            "Took {} bytes out of the records {}.\nLater requests of a conversation repeat what was said before: look at \
             `taskforge llm log {run}`.",
            redacted.bytes,
            records.join(", ")
        )
    })
}
