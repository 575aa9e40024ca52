//! What the gate can do for an agent, by name. What is not in this list does not exist: there is no merging, closing or
//! pushing to allow.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An action that a role may allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Action {
    #[serde(rename = "github.pr.list")]
    GithubPrList,
    #[serde(rename = "github.pr.read")]
    GithubPrRead,
    #[serde(rename = "github.pr.files")]
    GithubPrFiles,
    #[serde(rename = "github.pr.comment")]
    GithubPrComment,
    #[serde(rename = "github.review.submit")]
    GithubReviewSubmit,
    #[serde(rename = "github.repo.read")]
    GithubRepoRead,
    #[serde(rename = "slack.message.list")]
    SlackMessageList,
    #[serde(rename = "slack.message.read")]
    SlackMessageRead,
    #[serde(rename = "slack.message.send")]
    SlackMessageSend,
    #[serde(rename = "email.draft")]
    EmailDraft,
    #[serde(rename = "email.send")]
    EmailSend,
    #[serde(rename = "memory.get")]
    MemoryGet,
    #[serde(rename = "memory.set")]
    MemorySet,
    #[serde(rename = "memory.list")]
    MemoryList,
    #[serde(rename = "memory.rm")]
    MemoryRm,
    #[serde(rename = "webhook.send")]
    WebhookSend,
}

/// Actions with the same rules: the first part of their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    Github,
    Slack,
    Email,
    Memory,
    Webhook,
}

impl Action {
    pub const ALL: [Self; 16] = [
        Self::GithubPrList,
        Self::GithubPrRead,
        Self::GithubPrFiles,
        Self::GithubPrComment,
        Self::GithubReviewSubmit,
        Self::GithubRepoRead,
        Self::SlackMessageList,
        Self::SlackMessageRead,
        Self::SlackMessageSend,
        Self::EmailDraft,
        Self::EmailSend,
        Self::MemoryGet,
        Self::MemorySet,
        Self::MemoryList,
        Self::MemoryRm,
        Self::WebhookSend,
    ];

    /// The name in a role's `allowedActions`, in requests and in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GithubPrList => "github.pr.list",
            Self::GithubPrRead => "github.pr.read",
            Self::GithubPrFiles => "github.pr.files",
            Self::GithubPrComment => "github.pr.comment",
            Self::GithubReviewSubmit => "github.review.submit",
            Self::GithubRepoRead => "github.repo.read",
            Self::SlackMessageList => "slack.message.list",
            Self::SlackMessageRead => "slack.message.read",
            Self::SlackMessageSend => "slack.message.send",
            Self::EmailDraft => "email.draft",
            Self::EmailSend => "email.send",
            Self::MemoryGet => "memory.get",
            Self::MemorySet => "memory.set",
            Self::MemoryList => "memory.list",
            Self::MemoryRm => "memory.rm",
            Self::WebhookSend => "webhook.send",
        }
    }

    /// The action of this name; none if there is no such.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == text)
    }

    #[must_use]
    pub const fn family(self) -> Family {
        match self {
            Self::GithubPrList
            | Self::GithubPrRead
            | Self::GithubPrFiles
            | Self::GithubPrComment
            | Self::GithubReviewSubmit
            | Self::GithubRepoRead => Family::Github,
            Self::SlackMessageList | Self::SlackMessageRead | Self::SlackMessageSend => Family::Slack,
            Self::EmailDraft | Self::EmailSend => Family::Email,
            Self::MemoryGet | Self::MemorySet | Self::MemoryList | Self::MemoryRm => Family::Memory,
            Self::WebhookSend => Family::Webhook,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Family {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Github => "github",
            Self::Slack => "slack",
            Self::Email => "email",
            Self::Memory => "memory",
            Self::Webhook => "webhook",
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_read_back_and_say_their_family() {
        for action in Action::ALL {
            assert_eq!(Action::named(action.as_str()), Some(action));
            assert_eq!(serde_json::to_value(action).unwrap(), action.as_str());
            assert!(action.as_str().starts_with(&format!("{}.", action.family().as_str())));
        }
        assert_eq!(Action::named("github.pr.merge"), None);
    }
}
