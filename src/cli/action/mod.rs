//! `taskforge action …`: what gates did for agents, from their records.

mod log;
pub(super) mod of_agent;
mod settle;
mod show;
mod wanted;

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::failure::{Failure, Kind};
use crate::gate::records::{Kind as Recorded, Record, Traffic};
use crate::run::event::Settled;
use crate::run::id::AgentName;

pub(super) use wanted::Wanted;

use super::root::Context;
use super::run_arg::RunArg;

/// What gates did for a run's agents: allowed, denied and done
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// List what was asked for, by whose leave, and how it ended
    #[command(
        after_help = "Examples:\n  taskforge action log demo-1 --denied\n  taskforge action log --agent ada --since 2d --last 20"
    )]
    Log {
        #[arg(required_unless_present = "agent", conflicts_with = "agent")]
        run: Option<RunArg>,
        /// Of this agent, over all its runs
        #[arg(long)]
        agent: Option<AgentName>,
        /// Only this node's
        #[arg(long, conflicts_with = "agent")]
        node: Option<String>,
        #[command(flatten)]
        wanted: Wanted,
    },
    /// Show one action: its arguments, and what came of it
    #[command(after_help = "Example:\n  taskforge action show demo-1 12")]
    Show {
        run: RunArg,
        /// Its number in `action log`
        seq: u64,
    },
    Settle(settle::Settle),
}

impl Action {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        match self {
            Self::Log { run: Some(run), node, wanted, .. } => log::run(context, &run, node.as_deref(), &wanted),
            Self::Log { agent: Some(agent), wanted, .. } => of_agent::run(context, &agent, &wanted),
            // The arguments are read so that there is one of the two.
            Self::Log { .. } => Err(Failure::new(Kind::Usage, "name a run, or an agent with --agent")),
            Self::Show { run, seq } => show::run(context, &run, seq),
            Self::Settle(command) => command.run(context),
        }?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Something that was asked for.
struct Act<'t> {
    /// Its intent, or its denial.
    record: &'t Record,
    end: Option<&'t Record>,
    /// What a person said of it, which its gate has not taken up.
    settled: Option<Settled>,
}

impl Act<'_> {
    /// `denied`, `done`, `failed`, `unclear`, or `open`: begun, and nothing says how it ended; `settled`: one of these
    /// two, and a person has said how.
    fn standing(&self) -> &'static str {
        if self.settled.is_some() {
            return "settled";
        }
        match (&self.record.kind, self.end.map(|end| &end.kind)) {
            (Recorded::ActionDenied, _) => "denied",
            (_, Some(Recorded::ActionDone)) => "done",
            (_, Some(_)) if self.is_unclear() => "unclear",
            (_, Some(_)) => "failed",
            (_, None) => "open",
        }
    }

    /// Whether it changes something: only such has a key.
    fn changes(&self) -> bool {
        self.record.text("key").is_some()
    }

    /// What a person or the service said of it.
    fn why(&self) -> String {
        match &self.settled {
            Some(said) => format!("{} by {}: {}", if said.done { "done" } else { "not done" }, said.by, said.comment),
            None => self.end.unwrap_or(self.record).text("message").unwrap_or_default().to_owned(),
        }
    }

    fn is_unclear(&self) -> bool {
        self.end.and_then(|end| end.fields.get("unclear")).and_then(Value::as_bool) == Some(true)
    }

    fn json(&self) -> Value {
        let mut value =
            json!({"standing": self.standing(), "record": record(self.record), "outcome": self.end.map(record)});
        if let Some(settled) = &self.settled {
            value["settled"] = json!(settled);
        }
        value
    }
}

/// All of a run, in order. An action that was looked for again has the newest of its ends.
fn acts<'t>(traffic: &'t Traffic, settled: &[Settled]) -> Vec<Act<'t>> {
    let ends: std::collections::HashMap<u64, &Record> = traffic
        .records
        .iter()
        .filter(|record| matches!(record.kind, Recorded::ActionDone | Recorded::ActionFailed))
        .filter_map(|record| Some((record.fields.get("intent")?.as_u64()?, record)))
        .collect();
    let asked = traffic
        .records
        .iter()
        .filter(|record| matches!(record.kind, Recorded::ActionRequested | Recorded::ActionDenied));
    asked
        .map(|record| {
            let act = Act { record, end: ends.get(&record.seq).copied(), settled: None };
            let open = matches!(act.standing(), "open" | "unclear");
            let settled = settled.iter().find(|settled| open && settled.record == record.seq).cloned();
            Act { settled, ..act }
        })
        .collect()
}

fn record(record: &Record) -> Value {
    json!({
        "seq": record.seq, "time": record.time, "kind": record.kind.as_str(), "node": record.node,
        "attempt": record.attempt, "fields": record.fields,
    })
}
