//! `taskforge role new`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::Context;
use crate::engine;
use crate::failure::Failure;
use crate::run::id::RoleName;

/// Make a role from one that ships (code-review-engineer, customer-support, secretary) or is there, with its skills
///
/// What it may name (repositories, channels, recipients) is empty in those that ship: fill it in, then
/// `taskforge role validate`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  taskforge role new reviewer --from code-review-engineer")]
pub(crate) struct New {
    /// The name of the new role
    name: RoleName,
    /// The role to start from
    #[arg(long, value_name = "ROLE")]
    from: RoleName,
}

impl New {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let bundle = engine::new_role(&registry, &self.name, &self.from)?;
        let name = &bundle.role.name;
        let skills: Vec<String> = bundle.skills.iter().map(|skill| format!("skills/{}", skill.name)).collect();
        let value = json!({"role": name, "file": format!("roles/{name}.role.md"), "skills": skills});
        context.output.result(&value, || {
            format!(
                "Made roles/{name}.role.md from {}, with {}.\n\
                 Fill in what it may name under `config`, then `taskforge agent hire {name} --name NAME`.",
                self.from,
                if skills.is_empty() { "no skills".to_owned() } else { skills.join(", ") }
            )
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
