//! `config`: the rules by which allowed actions may be used, and what else is particular to a role.

use std::collections::BTreeMap;

use serde::Serialize;

use super::action::Action;
use super::budget::DayBudget;
use super::delegation::Delegation;
use super::glob::Glob;
use super::rate::Rate;
use super::verdict::Verdict;

/// Argument rules by family, rates by action. An empty list lets nothing pass.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Config {
    pub github: Github,
    pub slack: Slack,
    pub email: Email,
    pub webhook: Webhook,
    /// How often an action may happen, all agents' own counts apart; one that is not named here is not limited.
    pub limits: BTreeMap<Action, Rate>,
    pub memory: MemoryRules,
    /// What all agents of the role may take of models within one day.
    pub budget: DayBudget,
    pub delegation: Delegation,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Github {
    /// `owner/name` patterns of the repositories that any action may name.
    pub repositories: Vec<Glob>,
    /// What a review may come to.
    pub verdicts: Vec<Verdict>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Slack {
    /// Patterns of the channels that any action may name.
    pub channels: Vec<Glob>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Email {
    /// Patterns that every recipient of a mail has to match one of.
    pub recipients: Vec<Glob>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Webhook {
    /// Patterns of the URLs that may be called.
    pub urls: Vec<Glob>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MemoryRules {
    /// Bytes of the agent's memory that stand in its prompt; what does not fit is named there.
    pub prompt: u64,
}

impl MemoryRules {
    /// The most that may stand in a prompt, in bytes.
    pub const MOST: u64 = 256 * 1024;
}

impl Default for MemoryRules {
    fn default() -> Self {
        Self { prompt: 8 * 1024 }
    }
}

impl Config {
    /// Whether some rule for `repository` (`owner/name`) lets it pass.
    #[must_use]
    pub fn allows_repository(&self, repository: &str) -> bool {
        self.github.repositories.iter().any(|glob| glob.matches(repository))
    }

    #[must_use]
    pub fn allows_channel(&self, channel: &str) -> bool {
        self.slack.channels.iter().any(|glob| glob.matches(channel))
    }

    #[must_use]
    pub fn allows_recipient(&self, recipient: &str) -> bool {
        self.email.recipients.iter().any(|glob| glob.matches(recipient))
    }

    #[must_use]
    pub fn allows_url(&self, url: &str) -> bool {
        self.webhook.urls.iter().any(|glob| glob.matches(url))
    }
}
