//! Recording an operator's intent and applying it: what `control …`, `run cancel` and `run retry` share.

use std::process::ExitCode;

use serde_json::json;

use crate::engine;
use crate::failure::{Failure, Kind};
use crate::run::id::{NodeId, RunId};

use super::root::Context;

pub(crate) struct Wanted {
    pub(crate) action: &'static str,
    pub(crate) node: Option<NodeId>,
    pub(crate) message: Option<String>,
}

pub(crate) fn apply(context: &Context<'_>, run: &RunId, wanted: &Wanted) -> Result<ExitCode, Failure> {
    let registry = context.registry()?;
    let applied = engine::control(&registry, run, wanted.action, wanted.node.as_ref(), wanted.message.as_deref())?;
    if let Some(reason) = &applied.rejected {
        return Err(Failure::new(Kind::Conflict, format!("`{}` was rejected: {reason}", wanted.action)));
    }
    if let Some(error) = &applied.held_up {
        context.output.warn(&format!("warning: applied, but the run does not go on yet: {error}"));
    }
    let value = json!({"ok": true, "id": applied.id, "action": wanted.action, "run": run});
    context.output.result(&value, || format!("{}: {} applied.", run, wanted.action))?;
    Ok(ExitCode::SUCCESS)
}
