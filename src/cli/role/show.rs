//! `taskforge role show`.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::Context;
use crate::cli::terminal::plain;
use crate::engine;
use crate::failure::Failure;
use crate::role::{Family, Role};
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
                let asked = format!("{}: {}", declared.capability, plain(&declared.ruling.to_string()));
                row(&mut text, "asks for", &asked);
            }
            for skill in &bundle.skills {
                row(&mut text, "skill", &format!("{}: {}", skill.name, plain(&skill.description)));
            }
            let _ = write!(text, "\n{}\n", plain(&bundle.role.prompt));
            text
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// A line: what it is about, and what is so.
pub(crate) fn row(text: &mut String, label: &str, value: &str) {
    let _ = writeln!(text, "  {label:<14}{value}");
}

/// A role in lines.
pub(crate) fn describe(role: &Role) -> String {
    let mut text = format!("{} ({})\n{}\n\n", plain(&role.display_name), role.name, plain(&role.description));
    let names: Vec<&str> = role.allowed_actions.iter().map(|action| action.as_str()).collect();
    let may = if names.is_empty() { "do nothing through the gate".to_owned() } else { names.join(", ") };
    row(&mut text, "may", &may);
    let list = |globs: &[crate::role::Glob]| globs.iter().map(crate::role::Glob::as_str).collect::<Vec<_>>().join(", ");
    let config = &role.config;
    for (name, globs) in [
        ("repositories", &config.github.repositories),
        ("channels", &config.slack.channels),
        ("recipients", &config.email.recipients),
        ("urls", &config.webhook.urls),
    ] {
        if !globs.is_empty() {
            row(&mut text, name, &list(globs));
        }
    }
    if !config.github.verdicts.is_empty() {
        let verdicts: Vec<&str> = config.github.verdicts.iter().map(|verdict| verdict.as_str()).collect();
        row(&mut text, "verdicts", &verdicts.join(", "));
    }
    for (action, rate) in &config.limits {
        row(&mut text, "at most", &format!("{action} {rate}"));
    }
    for note in role.idle() {
        row(&mut text, "note", &note);
    }
    if let Some(model) = &role.model {
        row(&mut text, "speaks to", &plain(model));
    }
    let budget = parts([
        ("requests", config.budget.requests.map(|n| n.to_string())),
        ("tokens", config.budget.tokens.map(|n| n.to_string())),
        ("money", config.budget.money.map(|n| n.to_string())),
    ]);
    if !budget.is_empty() {
        row(&mut text, "a day", &format!("{budget}, all its agents together"));
    }
    let given = parts([
        ("cpus", role.resources.cpus.map(|n| n.to_string())),
        ("memory", role.resources.memory.map(bytes)),
        ("pids", role.resources.pids.map(|n| n.to_string())),
        ("disk", role.resources.disk.map(bytes)),
    ]);
    if !given.is_empty() {
        row(&mut text, "container", &given);
    }
    if role.allowed_actions.iter().any(|action| action.family() == Family::Memory) {
        row(&mut text, "memory", &format!("{} of it in the prompt", bytes(config.memory.prompt)));
    }
    let delegation = &config.delegation;
    if !delegation.roles.is_empty() {
        let roles: Vec<&str> = delegation.roles.iter().map(RoleName::as_str).collect();
        let (depth, children) = (delegation.depth, delegation.children);
        let deep = if depth == 1 { "1 generation".to_owned() } else { format!("{depth} generations") };
        let value = format!("work to {}: {children} of them in a run at most, {deep} deep", roles.join(", "));
        row(&mut text, "gives", &value);
    }
    let timeout = role.tasks.timeout.map_or_else(|| "the registry's".to_owned(), |timeout| format!("{timeout:?}"));
    row(&mut text, "tasks", &format!("{} at once, {timeout} of time each", role.tasks.max_concurrent));
    text
}

/// Those that there are, as `name value, …`.
fn parts<const N: usize>(all: [(&str, Option<String>); N]) -> String {
    let there = all.into_iter().filter_map(|(name, value)| Some(format!("{name} {}", value?)));
    there.collect::<Vec<_>>().join(", ")
}

/// A size in the largest unit that says it exactly.
fn bytes(bytes: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let exact = units.into_iter().find(|(_, shift)| bytes > 0 && bytes.is_multiple_of(1 << shift));
    exact.map_or_else(|| format!("{bytes} B"), |(unit, shift)| format!("{} {unit}", bytes >> shift))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn everything_that_a_role_says_is_shown_and_apart_from_its_label() {
        let text = "---\nrole: r\ndisplayName: R\ndescription: A role\n\
            allowedActions: [github.pr.list, email.send, memory.get]\n\
            resources: {cpus: 2, memory: 512MiB, pids: 50, disk: 1500B}\n\
            config:\n  github: {repositories: ['acme/*']}\n  budget: {requests: 40, tokens: 9000, money: 1.5}\n  \
            delegation: {roles: [worker, other], depth: 2, children: 3}\n  memory: {prompt: 4KiB}\n---\nYou are R.\n";
        let role = Role::parse(&RoleName::parse("r").unwrap(), "roles/r.role.md", text).unwrap();
        let shown = describe(&role);
        for line in [
            "\n  repositories  acme/*\n",
            "\n  note          may email.send, but `config.email.recipients` is empty: nothing is allowed\n",
            "\n  a day         requests 40, tokens 9000, money 1.5, all its agents together\n",
            "\n  container     cpus 2, memory 512 MiB, pids 50, disk 1500 B\n",
            "\n  memory        4 KiB of it in the prompt\n",
            "\n  gives         work to worker, other: 3 of them in a run at most, 2 generations deep\n",
        ] {
            assert!(shown.contains(line), "{line}\n{shown}");
        }
    }
}
