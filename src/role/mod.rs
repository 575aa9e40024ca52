//! Roles: `roles/<name>.role.md`, Markdown with YAML frontmatter. What an agent of the role is told, which skills it
//! reads, what it may have done for it and within which rules, how large its container is, which model it speaks to.
//!
//! Pure: texts in, types out. A key that is not understood is a problem, an empty list means none, and a rule that
//! could never matter is refused, so that no line of a role is decoration.

mod action;
pub mod agent;
mod budget;
mod bundle;
mod config;
mod delegation;
mod glob;
mod parse;
mod rate;
mod shipped;
mod skill;
#[cfg(test)]
mod tests;
mod verdict;
mod within;

use std::time::Duration;

use serde::Serialize;

pub use self::action::{Action, Family};
pub use self::budget::DayBudget;
pub use self::bundle::{Bundle, BundleError};
pub use self::config::{Config, Email, Github, MemoryRules, Slack, Webhook};
pub use self::delegation::Delegation;
pub use self::glob::{Glob, GlobError};
pub use self::parse::{FILE_LIMIT, PROMPT_LIMIT};
pub use self::rate::{Rate, RateError};
pub use self::shipped::{SHIPPED, Shipped, renamed, shipped, shipped_skill};
pub use self::skill::{SKILL_LIMIT, Skill};
pub use self::verdict::Verdict;
use crate::run::capability::Capability;
use crate::run::id::{RoleName, SkillName};
use crate::run::quantity::as_optional_millis;

/// A role without a problem. Serialised as `role show --json` prints it: the file's keys, durations in milliseconds,
/// sizes in bytes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Role {
    #[serde(rename = "role")]
    pub name: RoleName,
    pub display_name: String,
    pub description: String,
    /// Skills that the container gets, and no others.
    pub skills: Vec<SkillName>,
    /// Actions that the gate may do for it; all others are denied.
    pub allowed_actions: Vec<Action>,
    /// What each of its nodes asks for from the start, as a workflow's declaration does.
    pub capabilities: Vec<Capability>,
    pub resources: Resources,
    /// The registry's own model if absent.
    pub model: Option<String>,
    pub tasks: Tasks,
    pub config: Config,
    /// The Markdown below the frontmatter: what the agent is, in words. Its `SOUL.md` is made of it.
    pub prompt: String,
}

impl Role {
    /// What it allows and yet makes impossible: actions of a family of which nothing may be named. A sentence for each family.
    #[must_use]
    pub fn idle(&self) -> Vec<String> {
        let config = &self.config;
        let review = |action: &Action| *action == Action::GithubReviewSubmit;
        let families = [
            (Family::Github, config.github.repositories.is_empty(), "github.repositories"),
            (Family::Slack, config.slack.channels.is_empty(), "slack.channels"),
            (Family::Email, config.email.recipients.is_empty(), "email.recipients"),
            (Family::Webhook, config.webhook.urls.is_empty(), "webhook.urls"),
        ];
        let mut notes = Vec::new();
        let mut note = |actions: Vec<&str>, key: &str| {
            if !actions.is_empty() {
                let names = actions.join(", ");
                notes.push(format!("may {names}, but `config.{key}` is empty: nothing is allowed"));
            }
        };
        for (family, empty, key) in families {
            let of_it = self.allowed_actions.iter().filter(|action| empty && action.family() == family);
            note(of_it.map(|action| action.as_str()).collect(), key);
        }
        let idle = !config.github.repositories.is_empty() && config.github.verdicts.is_empty();
        let reviews = self.allowed_actions.iter().filter(|action| idle && review(action));
        note(reviews.map(|action| action.as_str()).collect(), "github.verdicts");
        notes
    }
}

/// Hard limits of the role's containers; what is absent comes from `taskforge.toml`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    pub cpus: Option<f64>,
    /// In bytes.
    #[serde(rename = "memoryBytes")]
    pub memory: Option<u64>,
    pub pids: Option<u32>,
    /// In bytes.
    #[serde(rename = "diskBytes")]
    pub disk: Option<u64>,
}

/// How an agent of the role is given work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tasks {
    /// Attempts that one agent has under way at once; others wait in its queue.
    pub max_concurrent: u32,
    /// The wall clock of one attempt. Serialised in milliseconds.
    #[serde(rename = "timeoutMs", serialize_with = "as_optional_millis")]
    pub timeout: Option<Duration>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self { max_concurrent: 1, timeout: None }
    }
}

impl Role {
    /// Whether the role lets the gate do `action`, whatever its arguments.
    #[must_use]
    pub fn allows(&self, action: Action) -> bool {
        self.allowed_actions.contains(&action)
    }

    /// What the container reads as `SOUL.md`.
    #[must_use]
    pub fn soul(&self) -> String {
        format!("# {}\n\n{}\n", self.display_name, self.prompt.trim())
    }
}
