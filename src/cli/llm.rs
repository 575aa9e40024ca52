//! `taskforge llm …`: what agents said to models, from the gate's records.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::engine::Store;
use crate::failure::Failure;
use crate::gate::export;
use crate::gate::records::{self, Bodies};

use super::root::Context;
use super::run_arg::RunArg;
use super::table::Table;

/// What a run's agents said to models
#[derive(Debug, Subcommand)]
pub(crate) enum Llm {
    /// List requests and how each ended
    Log { run: RunArg },
    /// Count requests and tokens by node and model
    Usage { run: RunArg },
    /// Print the run's exchanges as a transcript that the replay provider answers from
    Transcript { run: RunArg },
}

fn record(record: &records::Record) -> Value {
    json!({
        "seq": record.seq, "time": record.time, "kind": record.kind.as_str(), "node": record.node,
        "attempt": record.attempt, "fields": record.fields,
    })
}

impl Llm {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let (Self::Log { run } | Self::Usage { run } | Self::Transcript { run }) = &self;
        let run = &run.find(&registry)?;
        let store = Store::open(&registry, run)?;
        let layout = store.layout();
        let traffic = records::read(&layout.traffic(), run)?;
        match self {
            Self::Transcript { .. } => {
                let text = export(&traffic, &Bodies::of(&layout.gate()))?;
                context.output.result(&json!({"transcript": text}), || text.clone())?;
            }
            Self::Usage { .. } => {
                let usage = traffic.usage();
                let values: Vec<Value> = usage
                    .iter()
                    .map(|((node, model), usage)| json!({"node": node, "model": model, "usage": usage}))
                    .collect();
                context.output.result(&values, || {
                    let mut table =
                        Table::new(["NODE", "MODEL", "REQUESTS", "ANSWERED", "FAILED", "ABORTED", "TOKENS IN", "OUT"]);
                    for ((node, model), u) in &usage {
                        let counts =
                            [u.requests, u.answered, u.failed, u.aborted, u.prompt_tokens, u.completion_tokens];
                        let [a, b, c, d, e, f] = counts.map(|count| count.to_string());
                        table.row([node.clone(), model.clone(), a, b, c, d, e, f]);
                    }
                    table.or("No requests.")
                })?;
            }
            Self::Log { .. } => {
                let exchanges = traffic.exchanges();
                let values: Vec<Value> = exchanges
                    .iter()
                    .map(|(request, end)| json!({"request": record(request), "outcome": end.map(record)}))
                    .collect();
                context.output.result(&values, || {
                    let mut table = Table::new(["SEQ", "TIME", "NODE", "ATTEMPT", "MODEL", "PROVIDER", "OUTCOME"]);
                    for (request, end) in &exchanges {
                        let outcome = end.map_or("unclosed".to_owned(), |end| {
                            let status = end.fields.get("status").map(ToString::to_string);
                            let why = status.or_else(|| end.text("code").map(str::to_owned)).unwrap_or_default();
                            format!("{} {why}", end.kind.as_str())
                        });
                        table.row([
                            request.seq.to_string(),
                            request.time.clone(),
                            request.node.clone().unwrap_or_default(),
                            request.attempt.map(|n| n.to_string()).unwrap_or_default(),
                            request.text("model").unwrap_or_default().to_owned(),
                            request.text("provider").unwrap_or_default().to_owned(),
                            outcome,
                        ]);
                    }
                    table.or("No requests.")
                })?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
