//! `taskforge workflow validate`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::failure::{Failure, Kind};

use super::Context;

/// Check workflow files and say everything that is wrong with them
#[derive(Debug, Args)]
pub(crate) struct Validate {
    /// Paths, or names below `workflows/`
    #[arg(required = true, value_name = "WORKFLOW")]
    workflows: Vec<String>,
    /// Print the definition of one valid workflow as JSON, as OpenTask's command line does
    #[arg(long)]
    definition: bool,
}

impl Validate {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        if self.definition {
            let [name] = self.workflows.as_slice() else {
                return Err(Failure::new(Kind::Usage, "`--definition` prints one workflow: name one"));
            };
            let definition = super::read_valid(context, name)?.to_opentask();
            context.output.result(&definition, || format!("{definition:#}"))?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut results = Vec::new();
        let mut text = String::new();
        let mut wrong = false;
        for name in &self.workflows {
            match super::read(context, name)? {
                Ok(workflow) => {
                    text.push_str(&format!("{name}: valid, {} nodes\n", workflow.nodes.len()));
                    results.push(json!({"workflow": name, "ok": true, "workflowId": workflow.id, "problems": []}));
                }
                Err(problems) => {
                    wrong = true;
                    text.push_str(&format!("{problems}\n"));
                    results.push(json!({"workflow": name, "ok": false, "problems": problems}));
                }
            }
        }
        context.output.result(&results, || text)?;
        Ok(if wrong { ExitCode::from(Kind::Usage.exit_code()) } else { ExitCode::SUCCESS })
    }
}
