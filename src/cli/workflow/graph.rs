//! `taskforge workflow graph`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::failure::Failure;
use crate::workflow::graph::mermaid;

use super::Context;

/// Draw a workflow as a Mermaid flowchart
#[derive(Debug, Args)]
pub(crate) struct Graph {
    /// A path, or a name below `workflows/`
    workflow: String,
}

impl Graph {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let workflow = super::read_valid(context, &self.workflow)?;
        let drawing = mermaid(&workflow);
        context.output.result(&json!({"mermaid": drawing}), || drawing.clone())?;
        Ok(ExitCode::SUCCESS)
    }
}
