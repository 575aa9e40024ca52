//! `taskforge llm usage`.

use std::collections::BTreeMap;

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use super::cost::Sum;
use super::select::{Exchange, Select};
use crate::cli::root::Context;
use crate::cli::table::Table;
use crate::failure::Failure;

/// What tells rows apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Column {
    Run,
    Node,
    /// The hired agent, or the node where nobody was hired
    Agent,
    Model,
    Provider,
    Day,
}

impl Column {
    const fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Node => "node",
            Self::Agent => "agent",
            Self::Model => "model",
            Self::Provider => "provider",
            Self::Day => "day",
        }
    }

    fn of(self, exchange: &Exchange<'_>) -> String {
        let request = exchange.request;
        match self {
            Self::Run => exchange.run.to_string(),
            Self::Node => request.node.clone().unwrap_or_default(),
            Self::Agent => exchange.agent.unwrap_or_default().to_owned(),
            Self::Model => request.text("model").unwrap_or_default().to_owned(),
            Self::Provider => request.text("provider").unwrap_or_default().to_owned(),
            Self::Day => request.time.chars().take(10).collect(),
        }
    }
}

pub(super) fn run(context: &Context<'_>, select: &Select, by: &[Column]) -> Result<(), Failure> {
    let found = select.find(context, by.contains(&Column::Agent))?;
    let registry = context.registry()?;
    let llm = &registry.config()?.llm;
    let columns: Vec<Column> = match (by, select.is_of_one_run()) {
        ([], true) => vec![Column::Node, Column::Model],
        ([], false) => vec![Column::Run, Column::Model],
        (by, _) => by.to_vec(),
    };
    let mut rows: BTreeMap<Vec<String>, Sum> = BTreeMap::new();
    let mut total = Sum::default();
    for exchange in found.exchanges() {
        let key = columns.iter().map(|column| column.of(&exchange)).collect();
        rows.entry(key).or_default().add(&exchange, llm);
        total.add(&exchange, llm);
    }
    let row = |(key, sum): (&Vec<String>, &Sum)| {
        let names = columns.iter().map(|column| column.name().to_owned());
        let mut row: Map<String, Value> = names.zip(key.iter().map(|text| text.as_str().into())).collect();
        row.insert("usage".into(), json!(sum));
        Value::Object(row)
    };
    let value = json!({
        "currency": llm.currency, "rows": rows.iter().map(row).collect::<Vec<_>>(), "total": total,
    });
    context.output.result(&value, || {
        let mut table = Table::new([
            "OF",
            "REQUESTS",
            "ANSWERED",
            "FAILED",
            "ABORTED",
            "UNCLOSED",
            "TOKENS IN",
            "CACHED",
            "OUT",
            "COST",
        ]);
        let mut row = |name: String, sum: &Sum| {
            let counts = [
                sum.requests,
                sum.answered,
                sum.failed,
                sum.aborted,
                sum.unclosed,
                sum.prompt_tokens,
                sum.cached_tokens,
                sum.completion_tokens,
            ];
            let [a, b, c, d, e, f, g, h] = counts.map(|count| count.to_string());
            table.row([name, a, b, c, d, e, f, g, h, sum.money(&llm.currency)]);
        };
        rows.iter().for_each(|(key, sum)| row(key.join("  "), sum));
        if !rows.is_empty() {
            row("total".to_owned(), &total);
        }
        table.or("No requests.")
    })
}
