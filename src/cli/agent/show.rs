//! `taskforge agent show`.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::Context;
use crate::cli::role::{describe, row};
use crate::cli::terminal::plain;
use crate::engine::{self, AgentStore};
use crate::failure::Failure;
use crate::run::id::AgentName;

/// Show an agent: its role as it was hired, what it does, what waits for it, what it remembers
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  taskforge agent show ada")]
pub(crate) struct Show {
    agent: AgentName,
}

impl Show {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let agent = AgentStore::open(&registry, &self.agent)?.load()?;
        let bundle = engine::of_agent(&registry, &agent)?;
        // Whether the role's file has changed since: what a new agent of the role would be.
        let today = engine::role(&registry, &agent.role).ok().map(|bundle| bundle.digest());
        let is_current = today.as_ref() == Some(&agent.digest);
        let value = json!({
            "agent": agent, "status": agent.status(), "role": bundle.role, "roleIsCurrent": is_current,
            "skills": bundle.skills,
        });
        context.output.result(&value, || {
            let mut text = format!("{} · {} · {}\n", agent.name, agent.status().as_str(), agent.id);
            let at = agent.hired_at.format("%Y-%m-%d %H:%M:%S");
            let _ = writeln!(text, "hired {at} by {} (role {})", plain(&agent.hired_by), agent.digest.short());
            if !is_current {
                let _ = writeln!(
                    text,
                    "roles/{}.role.md has changed since; this agent keeps what it was hired with",
                    agent.role
                );
            }
            if let Some(end) = &agent.offboarded {
                let at = end.at.format("%Y-%m-%d %H:%M:%S");
                let _ = writeln!(text, "offboarded {at} by {}: {}", plain(&end.by), plain(&end.reason));
            }
            let _ = write!(text, "\n{}", describe(&bundle.role));
            for task in &agent.active {
                row(&mut text, "at work", &format!("{}/{} attempt {}", task.run, task.node, task.attempt));
            }
            for (run, node) in &agent.queue {
                row(&mut text, "waiting", &format!("{run}/{node}"));
            }
            for (key, bytes) in &agent.memory {
                row(&mut text, "remembers", &format!("{key} ({bytes} bytes)"));
            }
            text
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
