//! `taskforge policy backtest`.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::Which;
use crate::cli::root::Context;
use crate::cli::run_arg::RunArg;
use crate::cli::table::Table;
use crate::cli::terminal::plain;
use crate::engine::{self, Replayed};
use crate::failure::Failure;
use crate::run::ruling::Effect;

/// Ask proposed rules about every request on record: what they would have allowed, asked and denied, against what was
/// decided
#[derive(Debug, Args)]
pub(crate) struct Backtest {
    #[command(flatten)]
    which: Which,
    /// Only requests of this run
    #[arg(long, value_name = "RUN")]
    run: Option<RunArg>,
    /// List all of them, and not only those that a person decided otherwise
    #[arg(long)]
    all: bool,
}

impl Backtest {
    pub(super) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let proposed = self.which.sound(&registry)?;
        let run = self.run.map(|run| run.find(&registry)).transpose()?;
        let engine::Backtest { requests, unreadable } = engine::backtest(&registry, &proposed, run.as_ref())?;
        for (run, reason) in &unreadable {
            context.output.warn(&format!("warning: run {run} cannot be read: {reason}"));
        }
        let count = |effect| requests.iter().filter(|request| request.proposed.effect == effect).count();
        let [allow, ask, deny] = Effect::ALL.map(count);
        let against: Vec<&Replayed> = requests.iter().filter(|request| request.contradicts_a_person()).collect();
        let value = json!({
            "requests": requests, "allow": allow, "ask": ask, "deny": deny,
            "againstPeople": against.iter().map(|request| &request.id).collect::<Vec<_>>(),
        });
        context.output.result(&value, || {
            let shown: Vec<&Replayed> = if self.all { requests.iter().collect() } else { against.clone() };
            let mut table = Table::new(["ID", "RUN", "WHAT", "DECIDED", "BY", "PROPOSED"]);
            for request in shown {
                table.row([
                    request.id.to_string(),
                    request.run.to_string(),
                    request.capability.to_string(),
                    request.decided.map_or("-", Effect::as_str).to_owned(),
                    plain(request.by.as_deref().unwrap_or("-")),
                    plain(&request.proposed.to_string()),
                ]);
            }
            let mut text = table.or("");
            let all = requests.len();
            let _ = writeln!(text, "{all} requests: {allow} would be allowed, {ask} asked about, {deny} denied.");
            let _ = writeln!(text, "{} of them were decided otherwise by a person.", against.len());
            text
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
