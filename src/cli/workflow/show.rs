//! `taskforge workflow show`.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;

use crate::failure::Failure;

use super::Context;

/// Show what a workflow does
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// A path, or a name below `workflows/`
    workflow: String,
}

impl Show {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let workflow = super::read_valid(context, &self.workflow)?;
        context.output.result(&workflow, || {
            let mut text = format!("{} ({})\n", workflow.title, workflow.id);
            if let Some(description) = &workflow.description {
                let _ = writeln!(text, "\n{description}");
            }
            for (name, param) in workflow.params.iter().flatten() {
                let about = param.description.as_deref().unwrap_or("");
                let _ = writeln!(text, "\nparam {name} ({}) {about}", param.kind.noun());
            }
            for node in &workflow.nodes {
                let place = if node.container.is_some() { " in a container" } else { "" };
                let _ = writeln!(text, "\n{} · {}{place}\n  {}", node.id, node.kind, node.title);
                if !node.needs.is_empty() {
                    let needs: Vec<_> = node.needs.iter().map(ToString::to_string).collect();
                    let _ = writeln!(text, "  needs    {}", needs.join(", "));
                }
                for path in &node.outputs.artifact_paths {
                    let _ = writeln!(text, "  leaves   {}", path.as_str());
                }
                for capability in node.container.iter().flat_map(|container| &container.capabilities) {
                    let _ = writeln!(text, "  asks for {capability}");
                }
            }
            text
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
