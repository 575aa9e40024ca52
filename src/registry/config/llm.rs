//! `[llm]`: models and who serves them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::{Provider, ProviderKind, units};
use crate::provider::{MaxTokensField, Thinking};

/// Models and who serves them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(try_from = "Written")]
pub struct Llm {
    /// The model of container nodes that name none.
    pub model: Option<String>,
    pub providers: BTreeMap<String, Provider>,
    /// The first that matches wins.
    pub models: Vec<ModelRule>,
    /// What a million tokens cost; the first that matches wins.
    pub prices: Vec<Price>,
    /// What prices are in, for people.
    pub currency: String,
    /// What models may take.
    pub budget: Budgets,
    /// How fast an agent may ask.
    pub rate: Rate,
}

/// What the models of one run may take, and those of one node and of a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Budgets {
    pub requests: Option<u64>,
    /// Of prompts and answers together.
    pub tokens: Option<u64>,
    /// In the currency of the price table.
    pub money: Option<f64>,
    /// Of one node of a run, over its attempts.
    pub agent: Ceilings,
    /// Of all runs of the registry, within a day of UTC.
    pub day: Ceilings,
}

impl Budgets {
    /// Those of a run.
    #[must_use]
    pub const fn run(&self) -> Ceilings {
        Ceilings { requests: self.requests, tokens: self.tokens, money: self.money }
    }
}

/// How fast one node may ask models; what is unset is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Rate {
    /// Requests within any second.
    pub per_second: Option<u32>,
    /// Requests within any minute.
    pub per_minute: Option<u32>,
    /// Requests under way at once; never more than 128.
    pub concurrent: Option<u32>,
}

/// Ceilings; what is unset is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Ceilings {
    pub requests: Option<u64>,
    /// Of prompts and answers together.
    pub tokens: Option<u64>,
    /// In the currency of the price table.
    pub money: Option<f64>,
}

impl Default for Llm {
    fn default() -> Self {
        let (providers, models, prices) = (BTreeMap::new(), Vec::new(), Vec::new());
        Self {
            model: None,
            providers,
            models,
            prices,
            currency: dollars(),
            budget: Budgets::default(),
            rate: Rate::default(),
        }
    }
}

/// What a million tokens of a model cost.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// A glob over models' names at their providers.
    #[serde(rename = "match")]
    pub glob: String,
    pub input: f64,
    pub output: f64,
    /// Of input that was read from a cache; as `input` if unset.
    pub cached: Option<f64>,
    /// Of input that was written to one; twice `input` if unset, which is the most that is known to be asked for it.
    pub written: Option<f64>,
}

impl Price {
    #[must_use]
    pub fn written(&self) -> f64 {
        self.written.unwrap_or(2.0 * self.input)
    }
}

/// One line of the model table. `match` is a glob in which only `*` is special.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ModelRule {
    #[serde(rename = "match")]
    pub glob: String,
    pub provider: String,
    /// The model's name at the provider; the one that was asked for if unset.
    pub model: Option<String>,
    /// How long the provider may stay silent; the provider's own `timeout` if unset.
    #[serde(default, deserialize_with = "units::maybe_duration")]
    #[cfg_attr(test, schemars(with = "Option<crate::schema::Span>"))]
    pub timeout: Option<Duration>,
    /// The most tokens of an answer, where an agent does not say.
    pub max_tokens: Option<u64>,
    /// How a model of Anthropic's is asked to think: `budget`, or `adaptive` from Opus 4.7 on.
    #[serde(default)]
    pub thinking: Thinking,
    /// What a server that speaks OpenAI's wire calls the bound of an answer to who speaks Anthropic's.
    #[serde(default)]
    pub max_tokens_field: MaxTokensField,
    /// Whether agents may name images and documents by address: the provider then connects to hosts that they choose.
    #[serde(default)]
    pub image_addresses: bool,
    /// How often a request is sent again that could not be delivered, or was answered with 408, 429 or 5xx.
    #[serde(default = "two")]
    pub retries: u32,
    /// Who is asked when this provider has failed, in this order.
    #[serde(default)]
    pub fallback: Vec<Fallback>,
}

/// A provider that is asked when another has failed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Fallback {
    pub provider: String,
    /// The model's name there; the one that was asked for if unset.
    pub model: Option<String>,
}

const fn two() -> u32 {
    2
}

impl ModelRule {
    /// `glob` is served by `provider`, and everything else is as it is where nothing is said.
    fn new(glob: &str, provider: &str) -> Self {
        Self {
            glob: glob.to_owned(),
            provider: provider.to_owned(),
            model: None,
            timeout: None,
            max_tokens: None,
            thinking: Thinking::default(),
            max_tokens_field: MaxTokensField::default(),
            image_addresses: false,
            retries: two(),
            fallback: Vec::new(),
        }
    }
}

/// The table as it is written: the model may bring its endpoint along, so that one line changes both.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Written {
    model: Option<Model>,
    #[serde(default)]
    providers: BTreeMap<String, Provider>,
    #[serde(default)]
    models: Vec<ModelRule>,
    #[serde(default)]
    prices: Vec<Price>,
    #[serde(default = "dollars")]
    currency: String,
    #[serde(default)]
    budget: Budgets,
    #[serde(default)]
    rate: Rate,
}

fn dollars() -> String {
    "USD".to_owned()
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "expected a model's name, or { name = \"…\", baseUrl = \"http://…/v1\" }")]
enum Model {
    Name(String),
    Served(Served),
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Served {
    name: String,
    base_url: String,
    key_file: Option<PathBuf>,
    key_env: Option<String>,
    key: Option<super::VaultKey>,
    #[serde(default = "super::five_minutes", deserialize_with = "units::duration")]
    #[cfg_attr(test, schemars(with = "crate::schema::Span"))]
    timeout: Duration,
}

/// The name of the provider that a model with an endpoint stands for.
const OWN: &str = "model";

impl TryFrom<Written> for Llm {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { model, mut providers, mut models, prices, currency, budget, rate } = written;
        let model = match model {
            None => None,
            Some(Model::Name(name)) => Some(name),
            Some(Model::Served(served)) => {
                if served.name.is_empty() || served.name.contains('*') {
                    return Err("`llm.model.name` is empty, or holds a `*`".to_owned());
                }
                let provider = Provider {
                    kind: ProviderKind::Openai,
                    transcript: None,
                    base_url: Some(served.base_url),
                    key_file: served.key_file,
                    key_env: served.key_env,
                    key: served.key,
                    timeout: served.timeout,
                };
                if providers.insert(OWN.to_owned(), provider).is_some() {
                    return Err(format!("`llm.providers.{OWN}` is what `llm.model` with a `baseUrl` defines"));
                }
                models.insert(0, ModelRule::new(&served.name, OWN));
                Some(served.name)
            }
        };
        Ok(Self { model, providers, models, prices, currency, budget, rate })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_line_changes_model_and_endpoint() {
        let llm: Llm =
            toml::from_str("model = { name = \"m\", baseUrl = \"http://127.0.0.1:1/v1\", keyEnv = \"K\" }").unwrap();
        assert_eq!(llm.model.as_deref(), Some("m"));
        assert_eq!(llm.models[0], ModelRule::new("m", OWN));
        assert_eq!(llm.providers[OWN].key_env.as_deref(), Some("K"));
    }

    #[test]
    fn what_is_no_model_is_refused_with_both_forms() {
        for wrong in
            ["model = 3", "model = { name = \"m\" }", "model = { name = \"m\", baseUrl = \"u\", key = \"secret\" }"]
        {
            let error = toml::from_str::<Llm>(wrong).unwrap_err().to_string();
            assert!(error.contains("a model's name, or"), "{error}");
        }
    }
}
