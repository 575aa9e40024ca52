//! `policy.json`: what the host allows, as types. The host builds a [`Policy`] and writes it; the gate reads it and
//! refuses all of it if any part is not understood.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::durable;
use super::memory::MemoryUse;
use super::pace::MOST as MOST_IN_A_WINDOW;
use super::role_budget::RoleBudget;
use crate::run::capability::{ActionRules, Capability, CapabilityKind};
use crate::run::deployment::{PORTS, Proposal};
use crate::run::id::{NodeId, RequestId, RoleName, RunId};

const FILE: &str = "policy.json";
/// The largest policy that is read, in bytes.
const LARGEST: u64 = 4 << 20;
/// The largest request body that a policy may allow: it is held in memory.
const LARGEST_BODY: u64 = 16 << 20;
/// The most times that a request is sent again to one provider.
const MOST_RETRIES: u32 = 10;
/// The most providers that are asked one after the other.
const MOST_FALLBACKS: usize = 8;

/// Why a policy is not in force.
#[derive(Debug, Error)]
pub enum PolicyError {
    #[error("cannot {action} {path}: {source}")]
    Io { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("the policy is not understood: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the policy is refused: {0}")]
    Invalid(String),
}

/// What the gate of one run may do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// 1.
    pub format: u32,
    /// Counts up with each change; the gate answers with it in `status.json`.
    pub generation: u64,
    /// The registry's id.
    pub registry: String,
    pub run: RunId,
    #[serde(default)]
    pub providers: BTreeMap<String, ProviderSpec>,
    /// Which provider serves a model; the first match counts.
    #[serde(default)]
    pub models: Vec<ModelRule>,
    /// What the models of the run may take in all.
    #[serde(default, skip_serializing_if = "Ceilings::is_empty")]
    pub ceilings: Ceilings,
    /// What the models of all runs of the registry may take within one day of UTC, as far as this run goes.
    #[serde(default, skip_serializing_if = "Ceilings::is_empty")]
    pub day: Ceilings,
    /// The same for all agents of a role.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<RoleName, RoleBudget>,
    /// What a million tokens cost; the first match counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prices: Vec<Price>,
    /// How long a slow client is waited for.
    #[serde(default, skip_serializing_if = "Patience::is_usual")]
    pub patience: Patience,
    /// Where the services are that are acted upon for agents.
    #[serde(default, skip_serializing_if = "Services::is_empty")]
    pub services: Services,
    /// The secrets in the secrets file, each with the digest of what it is encrypted as: another value is another policy.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, String>,
    /// Names that are not looked up, with their addresses.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hosts: BTreeMap<String, Vec<IpAddr>>,
    #[serde(default)]
    pub attempts: Vec<Attempt>,
}

/// How long a client may take, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Patience {
    /// For the head of a request.
    pub head_ms: u64,
    /// For its body.
    pub body_ms: u64,
    /// For reading on, while something is there to be read.
    pub reading_ms: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self { head_ms: 30_000, body_ms: 30_000, reading_ms: 120_000 }
    }
}

impl Patience {
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// Ceilings; what is absent is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Ceilings {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// In millionths of the currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub money: Option<u64>,
}

impl Ceilings {
    /// Whether nothing is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

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
    fn is_empty(&self) -> bool {
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
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// One attempt: the socket it speaks through and what it may do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// The name of its folder under `gate/sockets/`: 1 to 32 lower-case letters and digits.
    pub socket: String,
    pub node: NodeId,
    /// From 1.
    pub attempt: u32,
    /// As what its node works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<RoleName>,
    /// The memory that it reaches; none where no hired agent does the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryUse>,
    /// Whom it may give work to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegation: Option<DelegationUse>,
    /// The runs that work for its node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<ChildView>,
    /// When the socket closes.
    pub deadline: DateTime<Utc>,
    /// Globs of the models it may use.
    #[serde(default)]
    pub models: Vec<String>,
    /// What it was granted beyond that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<Grant>,
    /// What is done for it, by these rules; any of them is enough.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<AllowedAction>,
    #[serde(default)]
    pub limits: Limits,
    /// What the node may take of models, over all its attempts.
    #[serde(default, skip_serializing_if = "Ceilings::is_empty")]
    pub ceilings: Ceilings,
    #[serde(default)]
    pub brief: Brief,
    /// All capability requests of the node, with their present status.
    #[serde(default)]
    pub requests: Vec<CapabilityRequest>,
    /// The port of 127.0.0.1 on which the gate offers what it listens on, by its one grant, a `port:`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<u16>,
}

/// Whom an attempt may give a part of its work to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DelegationUse {
    pub roles: Vec<RoleName>,
    /// The most children of the node.
    pub children: u32,
}

/// A run that works for a node, as its agent sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ChildView {
    pub id: RequestId,
    pub role: RoleName,
    pub run: RunId,
    /// Of the run: `running`, `completed`, `failed`, `cancelled`, `paused`.
    pub status: String,
    /// What it was given of the node's requests to models.
    pub requests: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<serde_json::Value>,
}

/// A way out, or models, that somebody approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The request that it was approved upon.
    pub request: RequestId,
    /// What a gate gives; `port:` where that is published.
    pub capability: Capability,
    /// When it is over, if not with the attempt. The gate keeps the time by itself, to the second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
}

impl Grant {
    /// Whether its time is over at `now`.
    #[must_use]
    pub fn is_over(&self, now: DateTime<Utc>) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// What an attempt may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Limits {
    /// LLM requests, over all attempts of the node.
    pub llm_requests: u64,
    /// The largest body of one LLM request, in bytes.
    pub body_bytes: u64,
    /// Capability requests, over all attempts of the node.
    pub capability_requests: u64,
    /// Kept by the host: the gate does not see the workspace.
    pub workspace_bytes: u64,
    /// LLM requests that the attempt has under way at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrent: Option<u32>,
    /// LLM requests of the node within any second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_second: Option<u32>,
    /// LLM requests of the node within any minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_minute: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            llm_requests: 30,
            body_bytes: 8 << 20,
            capability_requests: 20,
            workspace_bytes: 1 << 30,
            concurrent: None,
            per_second: None,
            per_minute: None,
        }
    }
}

/// What the built-in agent is told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Brief {
    pub system: String,
    pub prompt: String,
    pub model: String,
    pub iterations: u32,
    /// Files it has to leave, relative to `/workspace`.
    pub outputs: Vec<String>,
    /// Files and folders it finds, absolute.
    pub inputs: Vec<String>,
    /// Whether it has a memory to work with.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub memory: bool,
    /// What it was told it has and has no more, a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<String>,
}

/// A capability request as the host knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CapabilityRequest {
    pub id: RequestId,
    /// In canonical form.
    pub capability: String,
    /// What is to be deployed on a `port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deploy: Option<Proposal>,
    pub status: RequestStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
}

impl CapabilityRequest {
    /// Whether it was granted for the next attempt: this one waits for it in vain.
    #[must_use]
    pub fn is_for_the_next(&self) -> bool {
        self.status == RequestStatus::Pending && self.answer.is_some()
    }

    /// Whether the gate alone gives what it is about.
    #[must_use]
    pub fn is_of_gate(&self) -> bool {
        Capability::parse(&self.capability).is_ok_and(|capability| capability.kind().is_of_gate())
    }
}

impl Attempt {
    /// Whether it has what `request` asks for, if the gate gives that.
    #[must_use]
    pub fn gives(&self, request: &CapabilityRequest) -> bool {
        // A ceiling of the run, or of the day, is everybody's.
        let budget = request.capability.strip_prefix("budget:");
        if budget.is_some_and(|budget| !budget.starts_with("agent,")) {
            return request.status.is_granted();
        }
        self.grants.iter().any(|grant| grant.request == request.id)
    }

    /// What is left of it at `now`: without the grants whose time is over.
    pub(crate) fn at(&self, now: DateTime<Utc>) -> std::borrow::Cow<'_, Self> {
        if !self.grants.iter().any(|grant| grant.is_over(now)) {
            return std::borrow::Cow::Borrowed(self);
        }
        let mut left = self.clone();
        left.grants.retain(|grant| !grant.is_over(now));
        std::borrow::Cow::Owned(left)
    }

    /// What may be done for it at `now`: what a role allows, and what a grant does that stands here and is not over.
    pub(crate) fn actions_at(&self, now: DateTime<Utc>) -> impl Iterator<Item = &AllowedAction> {
        self.actions.iter().filter(move |action| {
            let Some(id) = action.by.strip_prefix("request ") else { return true };
            self.grants.iter().any(|grant| grant.request.as_str() == id && !grant.is_over(now))
        })
    }

    /// Globs of the models it may use: its own, and those granted.
    pub(crate) fn model_globs(&self) -> impl Iterator<Item = &str> {
        let granted = self.grants.iter().filter_map(|grant| match &grant.capability {
            Capability::Llm(models) => Some(models.glob().as_str()),
            _ => None,
        });
        self.models.iter().map(String::as_str).chain(granted)
    }
}

/// How far a request has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RequestStatus {
    Pending,
    Approved,
    Applied,
    Denied,
    /// A person named what may be asked for instead.
    Superseded,
    Failed,
    Unresolvable,
    Revoked,
    /// Nobody decided in time.
    Expired,
}

impl RequestStatus {
    /// Whether the answer is a no that stands. What was taken back can be asked for again.
    #[must_use]
    pub const fn is_refused(self) -> bool {
        matches!(self, Self::Denied | Self::Superseded | Self::Failed | Self::Unresolvable | Self::Expired)
    }

    /// Whether it was approved, and not taken back.
    #[must_use]
    pub const fn is_granted(self) -> bool {
        matches!(self, Self::Approved | Self::Applied)
    }
}

/// What was decided, in the words that the agent reads.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Who decided: `operator:ada`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// What is granted, with exact versions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub granted: Vec<String>,
    /// What was asked for and is not among it: a person granted another list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub withheld: Vec<String>,
    /// What may be asked for instead.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alternative: Vec<String>,
    /// Where what was deployed is offered on the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published: Option<String>,
}

impl Policy {
    /// An empty policy: nobody may do anything.
    #[must_use]
    pub fn new(registry: &str, run: RunId) -> Self {
        Self {
            format: 1,
            generation: 0,
            registry: registry.to_owned(),
            run,
            providers: BTreeMap::new(),
            models: Vec::new(),
            ceilings: Ceilings::default(),
            day: Ceilings::default(),
            roles: BTreeMap::new(),
            prices: Vec::new(),
            patience: Patience::default(),
            services: Services::default(),
            secrets: BTreeMap::new(),
            hosts: BTreeMap::new(),
            attempts: Vec::new(),
        }
    }

    /// Reads the policy in the gate's folder.
    ///
    /// # Errors
    /// When it cannot be read, is larger than 4 MiB, or any part of it is not understood.
    pub fn read(gate: &Path) -> Result<Self, PolicyError> {
        let path = gate.join(FILE);
        let bytes = durable::read(&path, LARGEST).map_err(|source| PolicyError::Io { action: "read", path, source })?;
        Self::parse(&bytes)
    }

    /// Reads a policy's text.
    ///
    /// # Errors
    /// The first thing that is not understood.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        let policy: Self = serde_json::from_slice(bytes)?;
        policy.check()?;
        Ok(policy)
    }

    /// Puts this policy into the gate's folder in place of the one there, durably.
    ///
    /// # Errors
    /// When it would be refused by the gate, or cannot be written.
    pub fn write(&self, gate: &Path) -> Result<(), PolicyError> {
        self.check()?;
        let bytes = serde_json::to_vec(self)?;
        if bytes.len() as u64 > LARGEST {
            return Err(PolicyError::Invalid(format!("it is larger than {LARGEST} bytes")));
        }
        durable::write(gate, FILE, &bytes, 0o644).map_err(|source| PolicyError::Io {
            action: "write",
            path: gate.join(FILE),
            source,
        })
    }

    fn check(&self) -> Result<(), PolicyError> {
        let refuse = |reason: String| Err(PolicyError::Invalid(reason));
        if self.format != 1 {
            return refuse(format!("`format` is {}; this gate knows 1", self.format));
        }
        for (name, spec) in &self.providers {
            if let ProviderSpec::Replay { transcript } = spec
                && !stays_inside(transcript)
            {
                return refuse(format!("the transcript of provider `{name}` lies outside of the gate's folder"));
            }
        }
        for rule in &self.models {
            if !self.providers.contains_key(&rule.provider) {
                return refuse(format!("model `{}` names the unknown provider `{}`", rule.pattern, rule.provider));
            }
            if let Some(fallback) = rule.fallback.iter().find(|f| !self.providers.contains_key(&f.provider)) {
                return refuse(format!(
                    "model `{}` falls back on the unknown provider `{}`",
                    rule.pattern, fallback.provider
                ));
            }
            if rule.retries > MOST_RETRIES || rule.fallback.len() > MOST_FALLBACKS {
                let most = format!("{MOST_RETRIES} retries and {MOST_FALLBACKS} fall-backs");
                return refuse(format!("model `{}` has more than {most}", rule.pattern));
            }
        }
        let mut sockets = HashSet::new();
        for attempt in &self.attempts {
            let name = &attempt.socket;
            let fits =
                (1..=32).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
            if !fits {
                return refuse(format!("the socket {name:?} is not 1 to 32 lower-case letters and digits"));
            }
            if !sockets.insert(name) {
                return refuse(format!("the socket `{name}` is named twice"));
            }
            let published = |kind| attempt.publish.is_some() && kind == CapabilityKind::Port;
            let given = |kind: CapabilityKind| kind.is_of_gate() || published(kind);
            if attempt.publish.is_some_and(|port| !PORTS.contains(&port))
                || (attempt.publish.is_some() && attempt.grants.len() > 1)
            {
                return refuse(format!("`{name}` is published on a port of somebody else, or by more than one grant"));
            }
            if let Some(grant) = attempt.grants.iter().find(|grant| !given(grant.capability.kind())) {
                return refuse(format!(
                    "`{}` is granted to `{name}` and is nothing that a gate gives",
                    grant.capability
                ));
            }
            for action in &attempt.actions {
                if let Err(wrong) = action.rules.check() {
                    return refuse(format!(
                        "the action `{}` of `{name}` has a rule that is none: {wrong}",
                        action.name
                    ));
                }
            }
            let rates = [attempt.limits.per_second, attempt.limits.per_minute];
            if rates.into_iter().flatten().any(|rate| rate > MOST_IN_A_WINDOW) {
                return refuse(format!("a rate of `{name}` is higher than {MOST_IN_A_WINDOW}"));
            }
            if attempt.limits.body_bytes > LARGEST_BODY {
                return refuse(format!("`limits.bodyBytes` of `{name}` is larger than {LARGEST_BODY}"));
            }
        }
        Ok(())
    }
}

fn stays_inside(path: &str) -> bool {
    let path = Path::new(path);
    path.components().next().is_some() && path.components().all(|c| matches!(c, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn example() -> Value {
        json!({"format":1,"generation":3,"registry":"01JD2Z3V5Q8M4K7N9P1R2S3T4V","run":"demo-1",
            "providers":{"recorded":{"kind":"replay","transcript":"replay/recorded.jsonl"},
                "ollama":{"kind":"openai","baseUrl":"http://127.0.0.1:11434/v1","key":"ollama","timeoutMs":300000}},
            "models":[{"match":"recorded","provider":"recorded"},
                {"match":"*","provider":"ollama","model":"m","timeoutMs":1000,"maxTokens":9,"retries":2,
                    "fallback":[{"provider":"recorded","model":"r"}]}],
            "ceilings":{"requests":500,"tokens":2000000,"money":12500000},
            "day":{"requests":9000},"patience":{"headMs":1000,"bodyMs":2000,"readingMs":3000},
            "services":{"github":{"baseUrl":"https://api.github.example","key":"vault:github-token"},
                "email":{"server":"mail.example.org:587","tls":"starttls","user":"u","key":"vault:mail","from":"a@example.org"}},
            "secrets":{"vault:github-token":"0123456789ab","vault:mail":"ba9876543210"},
            "prices":[{"match":"small-*","input":1000000,"output":4000000,"cached":100000}],
            "attempts":[{"socket":"3f9c2a","node":"gather","attempt":1,"deadline":"2026-01-01T00:00:00Z","models":["recorded"],
                "grants":[{"request":"01JD2Z3V5Q8M4K7N9P1R2S3T4V","capability":"net:files.example.org:443",
                    "until":"2026-01-01T00:00:00Z"}],
                "actions":[{"by":"role reviewer","name":"github.review.submit",
                    "rules":{"repositories":["o/*"],"verdicts":["COMMENT"],"limit":"5/hour"}}],
                "limits":{"llmRequests":30,"bodyBytes":8388608,"capabilityRequests":20,"workspaceBytes":1073741824,
                    "concurrent":4,"perSecond":2,"perMinute":60},
                "ceilings":{"tokens":5000},
                "brief":{"system":"s","prompt":"p","model":"recorded","iterations":20,"outputs":["report.md"],"inputs":["/inputs/sales.csv"]},
                "requests":[{"id":"01JD2Z3V5Q8M4K7N9P1R2S3T4V","capability":"pip:pygal","status":"approved",
                    "answer":{"comment":"fine","by":"operator:ada","granted":["pip:pygal==3.0.5"]}}]}]})
    }

    #[test]
    fn reads_and_writes_the_example() {
        let policy = Policy::parse(example().to_string().as_bytes()).unwrap();
        assert_eq!(serde_json::to_value(&policy).unwrap(), example());
        let folder = tempfile::tempdir().unwrap();
        policy.write(folder.path()).unwrap();
        assert_eq!(Policy::read(folder.path()).unwrap(), policy);
    }

    #[test]
    fn refuses_what_it_does_not_understand() {
        for (pointer, value) in [
            ("/format", json!(2)),
            ("/attempts/0/socket", json!("../x")),
            ("/attempts/0/socket", json!("")),
            ("/attempts/0/node", json!("..")),
            ("/attempts/0/deadline", json!("tomorrow")),
            ("/attempts/0/grants/0/capability", json!("net:*:443")),
            ("/attempts/0/grants/0/capability", json!("pip:pygal")),
            ("/attempts/0/grants/0/request", json!("../x")),
            ("/attempts/0/limits/bodyBytes", json!(1_u64 << 40)),
            ("/attempts/0/limits/llmRequests", json!(-1)),
            ("/attempts/0/limits/perSecond", json!(100_001)),
            ("/attempts/0/limits/perMinute", json!("many")),
            ("/attempts/0/actions/0/rules/limit", json!("5/year")),
            ("/attempts/0/actions/0/rules/repositories/0", json!("o/../x")),
            ("/attempts/0/actions/0/rules/verdicts/0", json!("MERGE")),
            ("/services/email/tls", json!("maybe")),
            ("/attempts/0/requests/0/status", json!("maybe")),
            ("/attempts/0/requests/0/id", json!("../../x")),
            ("/providers/recorded/transcript", json!("../../etc/passwd")),
            ("/providers/recorded/transcript", json!("/etc/passwd")),
            ("/providers/recorded/kind", json!("magic")),
            ("/models/0/provider", json!("nobody")),
            ("/models/1/fallback/0/provider", json!("nobody")),
            ("/models/1/retries", json!(11)),
        ] {
            let mut policy = example();
            *policy.pointer_mut(pointer).unwrap() = value;
            assert!(Policy::parse(policy.to_string().as_bytes()).is_err(), "{pointer}");
        }
    }

    #[test]
    fn refuses_unknown_keys_everywhere() {
        for pointer in [
            "",
            "/providers/recorded",
            "/providers/ollama",
            "/models/0",
            "/models/1/fallback/0",
            "/ceilings",
            "/day",
            "/patience",
            "/attempts/0/ceilings",
            "/prices/0",
            "/attempts/0",
            "/attempts/0/grants/0",
            "/attempts/0/limits",
            "/attempts/0/actions/0",
            "/attempts/0/actions/0/rules",
            "/services",
            "/services/email",
            "/attempts/0/brief",
            "/attempts/0/requests/0",
            "/attempts/0/requests/0/answer",
        ] {
            let mut policy = example();
            policy.pointer_mut(pointer).unwrap()["surprise"] = json!(1);
            assert!(Policy::parse(policy.to_string().as_bytes()).is_err(), "{pointer}");
        }
    }

    #[test]
    fn refuses_one_socket_for_two_attempts() {
        let mut policy = example();
        let attempt = policy["attempts"][0].clone();
        policy["attempts"].as_array_mut().unwrap().push(attempt);
        assert!(Policy::parse(policy.to_string().as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn never_panics(at in 0usize..2000, byte in any::<u8>(), cut in any::<bool>()) {
            let mut bytes = example().to_string().into_bytes();
            let at = at.min(bytes.len() - 1);
            if cut { bytes.truncate(at) } else { bytes[at] = byte }
            let _ = Policy::parse(&bytes);
        }
    }
}
