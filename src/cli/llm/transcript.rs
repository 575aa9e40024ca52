//! `taskforge llm transcript`.

use serde_json::json;

use crate::cli::root::Context;
use crate::cli::run_arg::RunArg;
use crate::engine::Store;
use crate::failure::{Failure, Kind};
use crate::gate::records::{self, Bodies};
use crate::gate::{Error, export};

pub(super) fn run(context: &Context<'_>, run: &RunArg) -> Result<(), Failure> {
    let registry = context.registry()?;
    let run = &run.find(&registry)?;
    let store = Store::open(&registry, run)?;
    let layout = store.layout();
    let traffic = records::read(&layout.traffic(), run)?;
    let text = export(&traffic, &Bodies::of(&layout.gate())).map_err(|error| {
        let redacted = traffic.records.iter().rfind(|record| record.kind == records::Kind::Redacted);
        match (&error, redacted) {
            (Error::BodyMissing { .. }, Some(record)) => {
                let (by, why) = (record.text("by").unwrap_or_default(), record.text("reason").unwrap_or_default());
                let message = format!("what run `{run}` said to a model was redacted by {by}: {why}");
                Failure::new(Kind::NotFound, message)
                    .hint(format!("`taskforge llm log {run}` lists the requests, and `llm show` what is left of each"))
            }
            _ => error.into(),
        }
    })?;
    context.output.result(&json!({"transcript": text}), || text.clone())
}
