//! `taskforge llm …`: what agents said to models, from the gate's records.

mod cost;
mod log;
mod models;
mod redact;
mod select;
mod show;
mod transcript;
mod usage;

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::gate::records::Record;

use super::root::Context;
use super::run_arg::RunArg;
use crate::cli::words::words;
use select::Select;

/// What a run's agents said to models
#[derive(Debug, Subcommand)]
pub(crate) enum Llm {
    /// List requests and how each ended
    Log {
        #[command(flatten)]
        select: Select,
    },
    /// Show one request and what came back, word for word
    Show {
        run: RunArg,
        /// The request's number in `llm log`
        seq: u64,
    },
    /// Count requests and tokens, and what they cost by `[[llm.prices]]`
    Usage {
        #[command(flatten)]
        select: Select,
        /// What makes a row; can be repeated [default: node, model]
        #[arg(long, value_name = "COLUMN", value_enum, value_delimiter = ',')]
        by: Vec<usage::Column>,
    },
    /// List which provider serves which model, from `taskforge.toml`
    Models,
    /// Take what was said out of a run's records; that it was there stays, and the chain holds
    Redact {
        run: RunArg,
        /// Numbers of requests in `llm log`: the words of each and of its answer are gone for good
        #[arg(required = true)]
        seq: Vec<u64>,
        /// Why, for the record
        #[arg(long, value_parser = words)]
        reason: String,
    },
    /// Print the run's exchanges as a transcript that the replay provider answers from
    Transcript { run: RunArg },
}

impl Llm {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        match self {
            Self::Log { select } => log::run(context, &select),
            Self::Show { run, seq } => show::run(context, &run, seq),
            Self::Usage { select, by } => usage::run(context, &select, &by),
            Self::Models => models::run(context),
            Self::Redact { run, seq, reason } => redact::run(context, &run, &seq, &reason),
            Self::Transcript { run } => transcript::run(context, &run),
        }?;
        Ok(ExitCode::SUCCESS)
    }
}

fn record(record: &Record) -> Value {
    json!({
        "seq": record.seq, "time": record.time, "kind": record.kind.as_str(), "node": record.node,
        "attempt": record.attempt, "fields": record.fields,
    })
}

/// How a request ended, in a few words.
fn outcome(end: Option<&Record>) -> String {
    let Some(end) = end else { return "unclosed".to_owned() };
    let status = end.fields.get("status").map(ToString::to_string);
    let why = end.text("reason").or_else(|| end.text("code")).map(str::to_owned);
    let mut text = end.kind.as_str().to_owned();
    for word in [status, why].into_iter().flatten() {
        text.push(' ');
        text.push_str(&word);
    }
    if end.fields.get("reached").and_then(Value::as_bool) == Some(false) {
        text.push_str(" (never sent)");
    }
    text
}
