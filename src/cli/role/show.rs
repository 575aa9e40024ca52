//! `taskforge role show`.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::Context;
use crate::cli::terminal::plain;
use crate::engine;
use crate::failure::Failure;
use crate::role::Role;
use crate::run::id::RoleName;

/// Show what an agent of a role is told, may do and is given
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  taskforge role show reviewer")]
pub(crate) struct Show {
    role: RoleName,
}

impl Show {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let bundle = engine::role(&registry, &self.role)?;
        let declared = engine::declared(&registry, &bundle.role);
        let value = json!({
            "role": bundle.role, "digest": bundle.digest(), "skills": bundle.skills, "capabilities": declared,
        });
        context.output.result(&value, || {
            let mut text = describe(&bundle.role);
            for declared in &declared {
                let _ =
                    writeln!(text, "  asks for    {}: {}", declared.capability, plain(&declared.ruling.to_string()));
            }
            for skill in &bundle.skills {
                let _ = writeln!(text, "  skill       {}: {}", skill.name, plain(&skill.description));
            }
            let _ = write!(text, "\n{}\n", plain(&bundle.role.prompt));
            text
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// A role in lines.
pub(crate) fn describe(role: &Role) -> String {
    let mut text = format!("{} ({})\n{}\n\n", plain(&role.display_name), role.name, plain(&role.description));
    let names: Vec<&str> = role.allowed_actions.iter().map(|action| action.as_str()).collect();
    let _ = writeln!(
        text,
        "  may         {}",
        if names.is_empty() { "do nothing through the gate".to_owned() } else { names.join(", ") }
    );
    let list = |globs: &[crate::role::Glob]| globs.iter().map(crate::role::Glob::as_str).collect::<Vec<_>>().join(", ");
    let config = &role.config;
    for (name, globs) in [
        ("repositories", &config.github.repositories),
        ("channels", &config.slack.channels),
        ("recipients", &config.email.recipients),
        ("urls", &config.webhook.urls),
    ] {
        if !globs.is_empty() {
            let _ = writeln!(text, "  {name:<12}{}", list(globs));
        }
    }
    if !config.github.verdicts.is_empty() {
        let verdicts: Vec<&str> = config.github.verdicts.iter().map(|verdict| verdict.as_str()).collect();
        let _ = writeln!(text, "  verdicts    {}", verdicts.join(", "));
    }
    for (action, rate) in &config.limits {
        let _ = writeln!(text, "  at most     {action} {rate}");
    }
    if let Some(model) = &role.model {
        let _ = writeln!(text, "  speaks to   {}", plain(model));
    }
    let timeout = role.tasks.timeout.map_or_else(|| "the registry's".to_owned(), |timeout| format!("{timeout:?}"));
    let _ = writeln!(text, "  tasks       {} at once, {timeout} of time each", role.tasks.max_concurrent);
    text
}
