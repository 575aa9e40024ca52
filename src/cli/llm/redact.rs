//! `taskforge llm redact`.

use std::path::Path;

use serde_json::json;

use crate::cli::root::Context;
use crate::cli::run_arg::RunArg;
use crate::engine;
use crate::failure::{Failure, Kind};
use crate::gate::redact;
use crate::registry::{Registry, queries};
use crate::run::id::RunId;

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
    let elsewhere = elsewhere(&registry, &run);
    let value = json!({
        "run": run, "records": redacted.records, "bytes": redacted.bytes, "elsewhere": elsewhere,
    });
    context.output.result(&value, || {
        if redacted.records.is_empty() {
            return "Nothing was left of them: they were redacted before.".to_owned();
        }
        let records: Vec<String> = redacted.records.iter().map(ToString::to_string).collect();
        format!(
            "Took {} bytes out of the records {}.\nLater requests of a conversation repeat what was said before: look at \
             `taskforge llm log {run}`.\nThe same words can stand elsewhere in the run's folder, where they stay as they are:\n{}",
            redacted.bytes,
            records.join(", "),
            elsewhere.iter().map(|path| format!("  {path}")).collect::<Vec<_>>().join("\n"),
        )
    })
}

/// Files of the run in which an agent's words stand as well, relative to the registry: its journal, which is never changed,
/// and what is made of it; what its attempts printed and left; what the gate keeps beside its records.
fn elsewhere(registry: &Registry, run: &RunId) -> Vec<String> {
    let layout = registry.layout().run(run);
    let mut found = Vec::new();
    let relative = |path: &Path| path.strip_prefix(registry.root()).unwrap_or(path).display().to_string();
    for name in
        ["events.jsonl", "state.json", "taskforge.json", "result.json", "gate/policy.json", "gate/inbox", "gate/memory"]
    {
        let path = layout.root().join(name);
        if path.exists() {
            found.push(relative(&path));
        }
    }
    let nodes = layout.root().join("nodes");
    let mut names: Vec<_> =
        std::fs::read_dir(&nodes).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    names.sort();
    found.extend(names.iter().map(|path| format!("{}/", relative(path))));
    found
}
