//! The policy in force, ready to be asked: which provider serves a model, and whether an attempt may use it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;

use super::policy::{Attempt, CapabilityRequest, Policy, ProviderSpec};
use super::refusal::Refusal;
use crate::provider::{self, DEFAULT_TIMEOUT, Key, Keys, OpenAi, Provider, ProviderError, Replay, glob_matches};

/// A policy and its providers.
pub(crate) struct Rules {
    pub(crate) policy: Policy,
    /// Why nothing is granted although a policy is known: the one on disk is not understood.
    pub(crate) denied: Option<String>,
    providers: HashMap<String, Result<Arc<dyn Provider>, String>>,
}

impl Rules {
    /// The rules of `policy`. A provider that cannot be set up is refused when it is asked, with the reason.
    pub(crate) fn new(
        policy: Policy,
        gate: &Path,
        keys: &Keys,
        client: &reqwest::Client,
        before: Option<&Self>,
    ) -> Self {
        let mut providers = HashMap::new();
        for (name, spec) in &policy.providers {
            // A transcript does not change during a run: it is read once.
            let known = before
                .filter(|b| matches!(spec, ProviderSpec::Replay { .. }) && b.policy.providers.get(name) == Some(spec));
            let provider = match known.and_then(|b| b.providers.get(name)) {
                Some(Ok(provider)) => Ok(provider.clone()),
                _ => build(name, spec, gate, keys, client).map_err(|e| e.to_string()),
            };
            providers.insert(name.clone(), provider);
        }
        Self { policy, denied: None, providers }
    }

    /// The same policy, with everything denied.
    pub(crate) fn deny(&self, reason: String) -> Self {
        Self { policy: self.policy.clone(), denied: Some(reason), providers: self.providers.clone() }
    }

    /// The provider of `model`, if `attempt` may use it.
    pub(crate) fn route(&self, attempt: &Attempt, model: &str) -> Result<(String, Arc<dyn Provider>), Refusal> {
        let refuse = |message: String| {
            Err(Refusal::new(StatusCode::FORBIDDEN, "model_not_granted", message)
                .hint("`GET /v1/models` lists what this attempt may use")
                .with("model", model))
        };
        if !attempt.models.iter().any(|pattern| glob_matches(pattern, model)) {
            return refuse(format!("this attempt may not use the model `{model}`"));
        }
        let Some(rule) = self.policy.models.iter().find(|rule| glob_matches(&rule.pattern, model)) else {
            return refuse(format!("no provider serves the model `{model}`"));
        };
        match self.providers.get(&rule.provider) {
            Some(Ok(provider)) => Ok((rule.provider.clone(), provider.clone())),
            Some(Err(reason)) => {
                let error = ProviderError::Unusable { provider: rule.provider.clone(), reason: reason.clone() };
                Err(error.into())
            }
            None => refuse(format!("no provider serves the model `{model}`")),
        }
    }

    /// The models that `attempt` may use, by name: patterns name none.
    pub(crate) fn models(&self, attempt: &Attempt) -> Vec<String> {
        let rules = self.policy.models.iter().map(|rule| &rule.pattern);
        let mut names: Vec<String> =
            attempt.models.iter().chain([&attempt.brief.model]).chain(rules).cloned().collect();
        names.retain(|name| !name.is_empty() && !name.contains('*') && self.route(attempt, name).is_ok());
        names.sort_unstable();
        names.dedup();
        names
    }

    /// A capability request of the run, by id.
    pub(crate) fn request(&self, id: &str) -> Option<&CapabilityRequest> {
        self.requests().find(|request| request.id.as_str() == id)
    }

    /// All capability requests of the run that the policy knows.
    pub(crate) fn requests(&self) -> impl Iterator<Item = &CapabilityRequest> {
        self.policy.attempts.iter().flat_map(|attempt| &attempt.requests)
    }
}

fn build(
    name: &str,
    spec: &ProviderSpec,
    gate: &Path,
    keys: &Keys,
    client: &reqwest::Client,
) -> Result<Arc<dyn Provider>, ProviderError> {
    match spec {
        ProviderSpec::Replay { transcript } => Ok(Arc::new(Replay::load(name, &gate.join(transcript))?)),
        ProviderSpec::Openai { base_url, key, timeout_ms } => {
            let key = key.as_deref().map(|key| named(name, key, keys)).transpose()?;
            let silence = timeout_ms.map_or(DEFAULT_TIMEOUT, Duration::from_millis);
            Ok(Arc::new(OpenAi::new(name, base_url, key, silence, client.clone())?))
        }
    }
}

/// The key `key`; without it the provider is not used: sending without a key is not what was configured.
fn named(provider: &str, key: &str, keys: &Keys) -> Result<Key, provider::ProviderError> {
    keys.get(key).cloned().ok_or_else(|| ProviderError::Unusable {
        provider: provider.to_owned(),
        reason: format!("its key `{key}` is not in the secrets file"),
    })
}
