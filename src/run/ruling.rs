//! What the written rules say of one request: journaled with it, so that it can be explained years later without the
//! files that said so.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::event::DecisionRecord;
use super::id::Digest;
use super::terms::Scope;
use super::time;

/// What stands before the id of a standing grant, as the rule of a ruling and as who decided.
pub const STANDING: &str = "grant:";

/// What a rule makes of the requests that it fits. The later one is the stricter one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Granted without a person.
    Allow,
    /// A person decides.
    Ask,
    /// Denied without a person.
    Deny,
}

impl Effect {
    pub const ALL: [Self; 3] = [Self::Allow, Self::Ask, Self::Deny];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Ask => "ask",
            Self::Deny => "deny",
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The answer of the policies in force to one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Ruling {
    pub effect: Effect,
    /// The rule that decided, as `packages.yaml:12`, or the standing grant, as `grant:ID`; none if no rule fits, or if the policies cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What the rule says of itself, or why it is no rule.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub because: String,
    /// SHA-256 over all policy files that were in force; of a standing grant, of its decision's file.
    pub policies: Digest,
    /// When what it allows ends, if not with the run: of a standing grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
}

impl Ruling {
    /// Who decided, where it was this ruling: `policy:packages.yaml:12`.
    #[must_use]
    pub fn by(&self) -> String {
        if let Some(standing) = self.rule.as_ref().filter(|rule| rule.starts_with(STANDING)) {
            return standing.clone();
        }
        format!("policy:{}", self.rule.as_deref().unwrap_or("unreadable"))
    }

    /// It as a decision on what has the digest `review`.
    #[must_use]
    pub fn decision(&self, review: Digest, now: DateTime<Utc>) -> DecisionRecord {
        DecisionRecord {
            by: self.by(),
            at: time::isoformat(now),
            digest: review,
            comment: self.because.clone(),
            instead: Vec::new(),
            until: self.until,
            scope: Scope::Run,
            key: None,
            signature: None,
            file: self.policies.clone(),
            proven: false,
        }
    }
}

impl fmt::Display for Ruling {
    /// On one line: `allow by packages.yaml:12: read by us`, `ask (no rule)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.effect)?;
        match (&self.rule, self.because.as_str()) {
            (Some(rule), "") => write!(f, " by {rule}"),
            (Some(rule), because) => write!(f, " by {rule}: {because}"),
            (None, because) => write!(f, " ({because})"),
        }
    }
}
