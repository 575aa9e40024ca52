//! Whom a gate may ask for its agents: providers of models, what they cost, and the services that it acts upon.

use serde::{Deserialize, Serialize};

use crate::provider::{MaxTokensField, Thinking};
use crate::run::capability::{ActionLimit, ActionRules};

/// What a million tokens of a model cost, in millionths of the currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// A glob over models' names at their providers.
    #[serde(rename = "match")]
    pub pattern: String,
    pub input: u64,
    pub output: u64,
    /// Of input that was read from a cache.
    pub cached: u64,
    /// Of input that was written to one.
    pub written: u64,
}

/// An LLM upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum ProviderSpec {
    /// Answers from a transcript, a path inside the gate's folder.
    Replay { transcript: String },
    /// An OpenAI-compatible endpoint.
    Openai(Endpoint),
    /// Anthropic's own wire.
    Anthropic(Endpoint),
    /// Gemini's `generateContent`.
    Gemini(Endpoint),
    /// Ollama's own wire.
    Ollama(Endpoint),
}

/// Services that are acted upon.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Services {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub github: Option<Endpoint>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slack: Option<Endpoint>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<MailServer>,
    /// An entry of the secrets file: what signs the bodies of webhooks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<String>,
}

impl Services {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A mail server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MailServer {
    /// `host:port`.
    pub server: String,
    pub tls: MailTls,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// An entry of the secrets file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    pub from: String,
}

/// How a mail server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    Starttls,
    Implicit,
    None,
}

/// Something that an attempt may have done for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AllowedAction {
    /// `request <id>` of a grant, or `role <name>`.
    pub by: String,
    /// `github.pr.comment`.
    pub name: String,
    #[serde(default)]
    pub rules: ActionRules,
    /// Whose limits it counts against too: those whose work this is a part of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<Counted>,
}

/// A limit of somebody else that an action counts against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Counted {
    /// As [`AllowedAction::by`] says it there.
    pub by: String,
    pub limit: ActionLimit,
}

/// Where an HTTP upstream is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Endpoint {
    /// The wire's paths are put behind it.
    pub base_url: String,
    /// An entry of the secrets file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// How long the upstream may stay silent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// One line of the model table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ModelRule {
    /// A glob: only `*` is special.
    #[serde(rename = "match")]
    pub pattern: String,
    pub provider: String,
    /// The model's name upstream, if it is another than the one that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How long the upstream may stay silent; the provider's own patience if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// The most tokens of an answer, where an agent does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// How a model of Anthropic's is asked to think.
    #[serde(default, skip_serializing_if = "is_default")]
    pub thinking: Thinking,
    /// What the bound of an answer is called upstream.
    #[serde(default, skip_serializing_if = "is_default")]
    pub max_tokens_field: MaxTokensField,
    /// Whether a request may name images and documents by address, which the provider then fetches.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub image_addresses: bool,
    /// How often a request is sent again that could not be delivered, or was answered with 408, 429 or 5xx.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: u32,
    /// Who is asked when this provider fails, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallback: Vec<Fallback>,
}

/// A provider that is asked when another has failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Fallback {
    pub provider: String,
    /// The model's name there; that which was asked for if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

impl ModelRule {
    /// The models that `pattern` matches, by `provider` and under their own names.
    #[must_use]
    pub fn new(pattern: &str, provider: &str) -> Self {
        Self { pattern: pattern.to_owned(), provider: provider.to_owned(), ..Self::default() }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

const fn is_zero(number: &u32) -> bool {
    *number == 0
}
