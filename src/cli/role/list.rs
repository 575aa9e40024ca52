//! `taskforge role list`.

use std::process::ExitCode;

use clap::Args;

use super::Context;
use crate::cli::table::Table;
use crate::engine;
use crate::failure::Failure;

/// List the registry's roles
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  taskforge role list")]
pub(crate) struct List {}

impl List {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let roles = engine::list_roles(&context.registry()?)?;
        context.output.result(&roles, || {
            let mut table = Table::new(["ROLE", "ACTIONS", "SKILLS", "WHAT IT IS"]);
            for listed in &roles {
                match &listed.role {
                    Some(role) => table.row([
                        listed.name.clone(),
                        role.allowed_actions.len().to_string(),
                        role.skills.len().to_string(),
                        role.description.clone(),
                    ]),
                    None => {
                        let why = listed.problem.as_deref().unwrap_or_default().lines().next().unwrap_or_default();
                        table.row([
                            listed.name.clone(),
                            String::new(),
                            String::new(),
                            format!("cannot be used: {why}"),
                        ]);
                    }
                }
            }
            table.or("No roles. `taskforge role new NAME --from code-review-engineer` makes one from one that ships.")
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
