//! A person's word on one request: `decisions/<requestId>.json`. The file is the decision; a journal only repeats
//! it. Read strictly, since it may come from a merge of someone else's branch.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::error::DecisionError;
use super::review::Review;
use crate::run::capability::Capability;
use crate::run::id::{Digest, RequestId, RunId};
use crate::run::terms::{Scope, Terms};

/// Largest file, and longest comment and name, in bytes.
const FILE: usize = 64 << 10;
const COMMENT: usize = 16 << 10;
const NAME: usize = 256;
/// Most capabilities that one decision suggests.
const ALTERNATIVES: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Approve,
    Deny,
    /// Ask for what stands in `instead`.
    Suggest,
}

impl Verdict {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Deny => "deny",
            Self::Suggest => "suggest",
        }
    }
}

/// One decision, and there is only one a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Decision {
    format: u32,
    /// The id of the registry; none in format 1, which no signature can be good for: it would be good in every registry.
    /// Empty in a registry without `taskforge.toml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<String>,
    pub request: RequestId,
    pub run: RunId,
    pub verdict: Verdict,
    /// What may be asked for instead: of a suggestion, and of nothing else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instead: Vec<Capability>,
    /// When what is approved ends, if not with the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// For whom it is approved.
    #[serde(default, skip_serializing_if = "Scope::is_run")]
    pub scope: Scope,
    /// The digest of the review that was shown.
    pub digest: Digest,
    /// For the agent to read; may be empty.
    pub comment: String,
    /// Who: `operator:<name>`.
    pub by: String,
    /// RFC 3339.
    pub at: String,
}

impl Decision {
    /// A decision on what `digest` shows: a capability's review, or an approval node.
    ///
    /// # Errors
    /// [`DecisionError::Field`] if a text is too long or not of its form.
    #[allow(clippy::too_many_arguments)] // the fields of the file, in its order
    pub fn new(
        registry: &str,
        request: RequestId,
        run: RunId,
        verdict: Verdict,
        instead: Vec<Capability>,
        terms: Terms,
        digest: Digest,
        comment: &str,
        by: &str,
        at: &str,
    ) -> Result<Self, DecisionError> {
        let (comment, by, at) = (comment.to_owned(), by.to_owned(), at.to_owned());
        let registry = Some(registry.to_owned());
        let format = if terms.are_usual() { 2 } else { 3 };
        let Terms { until, scope } = terms;
        let decision = Self { format, registry, request, run, verdict, instead, until, scope, digest, comment, by, at };
        decision.check().map(|()| decision)
    }

    /// Reads what [`Decision::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`DecisionError::Format`] if it is too large, not JSON, or has an unknown, missing or repeated key,
    /// [`DecisionError::Field`].
    pub fn parse(bytes: &[u8]) -> Result<Self, DecisionError> {
        if bytes.len() > FILE {
            return Err(DecisionError::Format { reason: format!("it is larger than {FILE} bytes") });
        }
        let decision: Self =
            serde_json::from_slice(bytes).map_err(|e| DecisionError::Format { reason: e.to_string() })?;
        decision.check().map(|()| decision)
    }

    /// The file's contents.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Whether this decision is about `review` as it stands.
    ///
    /// # Errors
    /// [`DecisionError::OtherRequest`], [`DecisionError::Stale`].
    pub fn check_against(&self, review: &Review) -> Result<(), DecisionError> {
        let request = &review.request;
        if self.request != request.id || self.run != request.run {
            let expected = format!("{} of run {}", request.id, request.run);
            return Err(DecisionError::OtherRequest {
                expected,
                given: format!("{} of run {}", self.request, self.run),
            });
        }
        review.check_digest(self.digest.as_str()).map(drop)
    }

    /// The bounds of what it approves.
    #[must_use]
    pub fn terms(&self) -> Terms {
        Terms { until: self.until, scope: self.scope.clone() }
    }

    /// The name in `by`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.by.split_once(':').map_or("", |(_, name)| name)
    }

    /// Whether it is of registry `registry`, as far as it says.
    #[must_use]
    pub fn is_of(&self, registry: &str) -> bool {
        self.registry.as_deref().is_none_or(|own| own == registry)
    }

    fn check(&self) -> Result<(), DecisionError> {
        let field = |field, text: &str, expected| {
            Err(DecisionError::Field { field, text: text.chars().take(80).collect(), expected })
        };
        match (self.format, &self.registry) {
            (1, None) => {}
            (2 | 3, Some(registry)) if registry.len() <= NAME && !registry.contains(char::is_control) => {}
            (1, Some(_)) => return Err(DecisionError::Format { reason: "format 1 names no registry".to_owned() }),
            (2 | 3, _) => {
                return Err(DecisionError::Format { reason: "it names no registry that can be one".to_owned() });
            }
            (format, _) => return Err(DecisionError::Format { reason: format!("format {format} is not known") }),
        }
        // A reader of format 2 would grant without bounds what has some.
        if (self.format == 3) == self.terms().are_usual() {
            let reason = "a time or a scope goes with format 3, and format 3 with one of them".to_owned();
            return Err(DecisionError::Format { reason });
        }
        if self.verdict != Verdict::Approve && !self.terms().are_usual() {
            return Err(DecisionError::Format { reason: "a time and a scope go with approvals only".to_owned() });
        }
        let wanted = if self.verdict == Verdict::Suggest { 1..=ALTERNATIVES } else { 0..=0 };
        if !wanted.contains(&self.instead.len()) {
            let reason = format!("{} alternatives do not go with its verdict", self.instead.len());
            return Err(DecisionError::Format { reason });
        }
        if self.comment.len() > COMMENT || self.comment.contains('\0') {
            return field("comment", &self.comment, "a text of at most 16 KiB");
        }
        let (kind, name) = self.by.split_once(':').unwrap_or_default();
        let plain = name.chars().all(|c| !c.is_control() && !c.is_whitespace());
        if kind != "operator" || name.is_empty() || !plain || self.by.len() > NAME {
            return field("by", &self.by, "`operator:<name>`");
        }
        if self.at.len() > 64 || DateTime::parse_from_rfc3339(&self.at).is_err() {
            return field("at", &self.at, "an RFC 3339 time");
        }
        Ok(())
    }
}
