//! `taskforge llm log`.

use serde_json::{Value, json};

use super::select::Select;
use super::{outcome, record};
use crate::cli::root::Context;
use crate::cli::table::Table;
use crate::failure::Failure;

pub(super) fn run(context: &Context<'_>, select: &Select) -> Result<(), Failure> {
    let found = select.find(context, false)?;
    let exchanges = found.exchanges();
    let values: Vec<Value> = exchanges
        .iter()
        .map(|e| json!({"run": e.run, "request": record(e.request), "outcome": e.end.map(record)}))
        .collect();
    context.output.result(&values, || {
        let mut table = Table::new(["RUN", "SEQ", "TIME", "NODE", "ATTEMPT", "MODEL", "PROVIDER", "TRY", "OUTCOME"]);
        for exchange in &exchanges {
            let request = exchange.request;
            table.row([
                exchange.run.to_string(),
                request.seq.to_string(),
                request.time.clone(),
                request.node.clone().unwrap_or_default(),
                request.attempt.map(|n| n.to_string()).unwrap_or_default(),
                request.text("model").unwrap_or_default().to_owned(),
                request.text("provider").unwrap_or_default().to_owned(),
                request.fields.get("try").map_or_else(|| "1".to_owned(), ToString::to_string),
                outcome(exchange.end),
            ]);
        }
        table.or("No requests.")
    })
}
