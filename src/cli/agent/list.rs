//! `taskforge agent list`.

use std::process::ExitCode;

use clap::Args;

use super::Context;
use crate::cli::table::Table;
use crate::engine;
use crate::failure::Failure;
use crate::role::agent::AgentStatus;
use crate::run::id::RoleName;

/// List hired agents
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  taskforge agent list --all")]
pub(crate) struct List {
    /// Those that were offboarded, too
    #[arg(long)]
    all: bool,
    /// Only those of this role
    #[arg(long)]
    role: Option<RoleName>,
    /// Only those that stand so: `idle`, `working`, `offboarded`
    #[arg(long, value_name = "STATUS", value_delimiter = ',', value_parser = status)]
    status: Vec<AgentStatus>,
}

fn status(text: &str) -> Result<AgentStatus, String> {
    let all = [AgentStatus::Idle, AgentStatus::Working, AgentStatus::Offboarded];
    all.into_iter().find(|status| status.as_str() == text).ok_or_else(|| {
        let all = all.map(AgentStatus::as_str);
        format!("is no status; there are {}", all.join(", "))
    })
}

impl List {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let mut agents = engine::agents(&context.registry()?)?;
        let gone = |listed: &engine::ListedAgent| {
            listed.agent.as_ref().is_some_and(|agent| agent.status() == AgentStatus::Offboarded)
        };
        agents.retain(|listed| self.all || self.status.contains(&AgentStatus::Offboarded) || !gone(listed));
        // Nothing is known of one that cannot be read, so that no filter may hide it.
        agents.retain(|listed| {
            listed.agent.as_ref().is_none_or(|agent| {
                self.role.as_ref().is_none_or(|role| agent.role == *role)
                    && (self.status.is_empty() || self.status.contains(&agent.status()))
            })
        });
        context.output.result(&agents, || {
            let mut table = Table::new(["AGENT", "ROLE", "STATUS", "AT WORK", "WAITING", "TASKS", "REMEMBERS"]);
            for listed in &agents {
                let name = listed.name.to_string();
                let Some(agent) = &listed.agent else {
                    let why = listed.problem.clone().unwrap_or_default();
                    let empty = String::new;
                    table.row([name, empty(), format!("unreadable: {why}"), empty(), empty(), empty(), empty()]);
                    continue;
                };
                let work: Vec<String> = agent.active.iter().map(|task| format!("{}/{}", task.run, task.node)).collect();
                table.row([
                    name,
                    agent.role.to_string(),
                    agent.status().as_str().to_owned(),
                    work.join(" "),
                    agent.queue.len().to_string(),
                    agent.tasks.to_string(),
                    agent.memory.len().to_string(),
                ]);
            }
            table.or("No agents. `taskforge agent hire ROLE --name NAME` hires one.")
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
