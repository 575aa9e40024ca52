//! The policy in force, ready to be asked: which provider serves a model, and whether an attempt may use it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;

use super::plan::Step;
use super::policy::{Attempt, CapabilityRequest, Endpoint, ModelRule, Policy, ProviderSpec};
use super::refusal::Refusal;
use crate::provider::{
    self, DEFAULT_TIMEOUT, Dialect, Foreign, Key, Keys, OpenAi, Provider, ProviderError, Replay, Target, glob_matches,
};
use crate::run::capability::Capability;
use crate::run::id::RequestId;

/// A policy and its providers.
pub(crate) struct Rules {
    pub(crate) policy: Policy,
    /// Why nothing is granted although a policy is known: the one on disk is not understood.
    pub(crate) denied: Option<String>,
    providers: HashMap<String, Result<Arc<dyn Provider>, String>>,
    keys: Keys,
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
        Self { policy, denied: None, providers, keys: keys.clone() }
    }

    /// The same policy, with everything denied.
    pub(crate) fn deny(&self, reason: String) -> Self {
        let (policy, providers) = (self.policy.clone(), self.providers.clone());
        Self { policy, denied: Some(reason), providers, keys: Keys::default() }
    }

    /// Who is asked for `model`, one after the other, if `attempt` may use it. There is at least one.
    pub(crate) fn route(&self, attempt: &Attempt, model: &str) -> Result<Vec<Step>, Refusal> {
        let refuse = |message: String| {
            Refusal::new(StatusCode::FORBIDDEN, "model_not_granted", message)
                .hint("`GET /v1/models` lists what this attempt may use")
                .with("model", model)
        };
        if !attempt.model_globs().any(|pattern| glob_matches(pattern, model)) {
            let refusal = refuse(format!("this attempt may not use the model `{model}`"));
            // What to ask for; nothing, where the name cannot stand in a capability.
            return Err(match Capability::parse(&format!("llm:{model}")) {
                Ok(capability) => refusal.with("capability", capability.to_string()),
                Err(_) => refusal,
            });
        }
        let Some(rule) = self.policy.models.iter().find(|rule| glob_matches(&rule.pattern, model)) else {
            return Err(refuse(format!("no provider serves the model `{model}`")));
        };
        let first = self.step(&rule.provider, rule.model.as_ref(), rule)?;
        // One that cannot be used is not fallen back on; the first one's failure says more.
        let others = rule.fallback.iter().filter_map(|f| self.step(&f.provider, f.model.as_ref(), rule).ok());
        Ok(std::iter::once(first).chain(others).collect())
    }

    fn step(&self, name: &str, model: Option<&String>, rule: &ModelRule) -> Result<Step, Refusal> {
        let unusable = |reason: String| Refusal::from(ProviderError::Unusable { provider: name.to_owned(), reason });
        let provider = match self.providers.get(name) {
            Some(Ok(provider)) => provider.clone(),
            Some(Err(reason)) => return Err(unusable(reason.clone())),
            None => return Err(unusable("it is not configured".to_owned())),
        };
        let target = Target {
            model: model.cloned(),
            max_tokens: rule.max_tokens,
            thinking: rule.thinking,
            max_tokens_field: rule.max_tokens_field,
            silence: rule.timeout_ms.map(Duration::from_millis),
            counts: false,
        };
        let addresses = rule.image_addresses;
        Ok(Step { name: name.to_owned(), provider, target, addresses, retries: rule.retries })
    }

    /// A secret, by its name in the secrets file.
    pub(crate) fn key(&self, name: &str) -> Option<&Key> {
        self.keys.get(name)
    }

    /// The models that `attempt` may use, by name: patterns name none.
    pub(crate) fn models(&self, attempt: &Attempt) -> Vec<String> {
        let rules = self.policy.models.iter().map(|rule| rule.pattern.as_str());
        let mut names: Vec<String> =
            attempt.model_globs().chain([attempt.brief.model.as_str()]).chain(rules).map(str::to_owned).collect();
        names.retain(|name| !name.is_empty() && !name.contains('*') && self.route(attempt, name).is_ok());
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The provider that is asked first for `model`.
    pub(crate) fn provider_of(&self, model: &str) -> Option<&str> {
        let rule = self.policy.models.iter().find(|rule| glob_matches(&rule.pattern, model));
        rule.map(|rule| rule.provider.as_str())
    }

    /// A capability request of the run, by id.
    pub(crate) fn request(&self, id: &str) -> Option<&CapabilityRequest> {
        self.requests().find(|request| request.id.as_str() == id)
    }

    /// Whether what was granted upon a request was for a time that is over.
    pub(crate) fn is_over(&self, request: &RequestId) -> bool {
        let now = chrono::Utc::now();
        let mut grants = self.policy.attempts.iter().flat_map(|attempt| &attempt.grants);
        grants.any(|grant| grant.request == *request && grant.is_over(now))
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
    let foreign = |dialect, endpoint: &Endpoint| {
        let (key, silence) = reach(name, endpoint, keys)?;
        let provider = Foreign::new(dialect, name, &endpoint.base_url, key, silence, client.clone())?;
        Ok(Arc::new(provider) as Arc<dyn Provider>)
    };
    match spec {
        ProviderSpec::Replay { transcript } => Ok(Arc::new(Replay::load(name, &gate.join(transcript))?)),
        ProviderSpec::Openai(endpoint) => {
            let (key, silence) = reach(name, endpoint, keys)?;
            Ok(Arc::new(OpenAi::new(name, &endpoint.base_url, key, silence, client.clone())?))
        }
        ProviderSpec::Anthropic(endpoint) => foreign(Dialect::Anthropic, endpoint),
        ProviderSpec::Gemini(endpoint) => foreign(Dialect::Gemini, endpoint),
        ProviderSpec::Ollama(endpoint) => foreign(Dialect::Ollama, endpoint),
    }
}

/// The key of an endpoint, and how long it may stay silent.
fn reach(name: &str, endpoint: &Endpoint, keys: &Keys) -> Result<(Option<Key>, Duration), ProviderError> {
    let key = endpoint.key.as_deref().map(|key| named(name, key, keys)).transpose()?;
    Ok((key, endpoint.timeout_ms.map_or(DEFAULT_TIMEOUT, Duration::from_millis)))
}

/// The key `key`; without it the provider is not used: sending without a key is not what was configured.
fn named(provider: &str, key: &str, keys: &Keys) -> Result<Key, provider::ProviderError> {
    keys.get(key).cloned().ok_or_else(|| ProviderError::Unusable {
        provider: provider.to_owned(),
        reason: format!("its key `{key}` is not in the secrets file"),
    })
}
