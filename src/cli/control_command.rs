//! Recording an operator's intent and applying it: what `control …`, `run cancel` and `run retry` share.

use std::process::ExitCode;

use serde_json::{Map, Value};

use crate::engine;
use crate::failure::{Failure, Kind};
use crate::run::id::NodeId;
use crate::run::projection::service_json;

use super::root::Context;
use super::run_arg::RunArg;

#[derive(Default)]
pub(crate) struct Wanted {
    pub(crate) action: &'static str,
    pub(crate) node: Option<NodeId>,
    pub(crate) message: Option<String>,
    pub(crate) patch: Map<String, Value>,
}

/// With `--json` the run afterwards, as OpenTask's command line prints it.
pub(crate) fn apply(context: &Context<'_>, run: &RunArg, wanted: Wanted) -> Result<ExitCode, Failure> {
    let Wanted { action, node, message, patch } = wanted;
    let registry = context.registry()?;
    let run = &run.find(&registry)?;
    let applied = engine::control(&registry, run, action, node.as_ref(), message.as_deref(), patch)?;
    if let Some(reason) = &applied.rejected {
        return Err(Failure::new(Kind::Conflict, format!("`{action}` was rejected: {reason}")));
    }
    if let Some(error) = &applied.held_up {
        context.output.warn(&format!("warning: applied, but the run does not go on yet: {error}"));
    }
    context.output.result(&service_json(&applied.state), || format!("{run}: {action} applied."))?;
    Ok(ExitCode::SUCCESS)
}
