//! `policy.json`: what the host allows, as types. The host builds a [`Policy`] and writes it; the gate reads it and
//! refuses all of it if any part is not understood.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::durable;
use super::pace::MOST as MOST_IN_A_WINDOW;
use super::role_budget::RoleBudget;
use crate::run::capability::CapabilityKind;
use crate::run::deployment::PORTS;
use crate::run::event::Settled;
use crate::run::id::{RoleName, RunId};

mod attempt;
mod upstream;

pub use attempt::{Answer, Attempt, Brief, CapabilityRequest, ChildView, DelegationUse, Grant, Limits, RequestStatus};
pub use upstream::{
    AllowedAction, Counted, Endpoint, Fallback, MailServer, MailTls, ModelRule, Price, ProviderSpec, Services,
};

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
    /// What of that was given to children, who count it themselves: here it counts as taken.
    #[serde(default, skip_serializing_if = "Ceilings::is_empty")]
    pub given: Ceilings,
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
    /// What people said of actions whose outcome is not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settled: Vec<Settled>,
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

    /// What is left of them once `given` was given away; what is not limited stays so.
    #[must_use]
    pub fn without(self, given: Self) -> Self {
        let less = |own: Option<u64>, given: Option<u64>| Some(own?.saturating_sub(given.unwrap_or(0)));
        Self {
            requests: less(self.requests, given.requests),
            tokens: less(self.tokens, given.tokens),
            money: less(self.money, given.money),
        }
    }
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
            given: Ceilings::default(),
            day: Ceilings::default(),
            roles: BTreeMap::new(),
            prices: Vec::new(),
            patience: Patience::default(),
            services: Services::default(),
            secrets: BTreeMap::new(),
            hosts: BTreeMap::new(),
            settled: Vec::new(),
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
            "ceilings":{"requests":500,"tokens":2000000,"money":12500000},"given":{"requests":5,"tokens":20000,"money":125000},
            "day":{"requests":9000},"patience":{"headMs":1000,"bodyMs":2000,"readingMs":3000},
            "services":{"github":{"baseUrl":"https://api.github.example","key":"vault:github-token"},
                "email":{"server":"mail.example.org:587","tls":"starttls","user":"u","key":"vault:mail","from":"a@example.org"}},
            "secrets":{"vault:github-token":"0123456789ab","vault:mail":"ba9876543210"},
            "prices":[{"match":"small-*","input":1000000,"output":4000000,"cached":100000,"written":2000000}],
            "attempts":[{"socket":"3f9c2a","node":"gather","attempt":1,"deadline":"2026-01-01T00:00:00Z","models":["recorded"],
                "grants":[{"request":"01JD2Z3V5Q8M4K7N9P1R2S3T4V","capability":"net:files.example.org:443",
                    "until":"2026-01-01T00:00:00Z"}],
                "actions":[{"by":"role reviewer","name":"github.review.submit",
                    "rules":{"repositories":["o/*"],"verdicts":["COMMENT"],"limit":"5/hour"}}],
                "limits":{"llmRequests":30,"bodyBytes":8388608,"capabilityRequests":20,"workspaceBytes":1073741824,
                    "concurrent":4,"perSecond":2,"perMinute":60},
                "ceilings":{"tokens":5000},"given":{"requests":5},
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
            "/given",
            "/day",
            "/patience",
            "/attempts/0/ceilings",
            "/attempts/0/given",
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
