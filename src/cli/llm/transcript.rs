//! `taskforge llm transcript`.

use serde_json::json;

use crate::cli::root::Context;
use crate::cli::run_arg::RunArg;
use crate::engine::Store;
use crate::failure::Failure;
use crate::gate::export;
use crate::gate::records::{self, Bodies};

pub(super) fn run(context: &Context<'_>, run: &RunArg) -> Result<(), Failure> {
    let registry = context.registry()?;
    let run = &run.find(&registry)?;
    let store = Store::open(&registry, run)?;
    let layout = store.layout();
    let traffic = records::read(&layout.traffic(), run)?;
    let text = export(&traffic, &Bodies::of(&layout.gate()))?;
    context.output.result(&json!({"transcript": text}), || text.clone())
}
