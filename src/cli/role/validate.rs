//! `taskforge role validate`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::Context;
use crate::cli::terminal::plain;
use crate::engine;
use crate::failure::{Failure, Kind};
use crate::run::ruling::Effect;

/// Check roles, their skills and what the policies say of them; say everything that is wrong
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  taskforge role validate reviewer")]
pub(crate) struct Validate {
    /// Names; all of the registry's if none is given
    #[arg(value_name = "ROLE")]
    roles: Vec<String>,
}

impl Validate {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let mut listed = engine::list_roles(&registry)?;
        for name in &self.roles {
            if !listed.iter().any(|role| role.name == *name) {
                return Err(Failure::new(Kind::NotFound, format!("there is no role `{name}`"))
                    .hint("`taskforge role list` shows what there is"));
            }
        }
        listed.retain(|role| self.roles.is_empty() || self.roles.contains(&role.name));
        let mut text = String::new();
        let mut values = Vec::new();
        let mut wrong = false;
        for found in &listed {
            let name = &found.name;
            let mut problems: Vec<String> = found.problem.iter().cloned().collect();
            for declared in found.role.iter().flat_map(|role| engine::declared(&registry, role)) {
                if declared.ruling.effect == Effect::Deny {
                    problems.push(format!(
                        "{name}: {} is denied by the policies: {}",
                        declared.capability, declared.ruling
                    ));
                }
            }
            let warnings = found.role.as_ref().map(|role| engine::role_warnings(&registry, role)).unwrap_or_default();
            wrong |= !problems.is_empty();
            match problems.is_empty() {
                true => text.push_str(&format!("{name}: valid\n")),
                false => text.push_str(&format!("{}\n", problems.join("\n"))),
            }
            for warning in &warnings {
                text.push_str(&format!("{name}: warning: {}\n", plain(warning)));
            }
            values.push(json!({"role": name, "ok": problems.is_empty(), "problems": problems, "warnings": warnings}));
        }
        context.output.result(&values, || if text.is_empty() { "No roles.".to_owned() } else { text })?;
        Ok(if wrong { ExitCode::from(Kind::Usage.exit_code()) } else { ExitCode::SUCCESS })
    }
}
