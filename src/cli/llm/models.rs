//! `taskforge llm models`.

use serde_json::{Value, json};

use super::cost::price as price_of;
use crate::cli::root::Context;
use crate::cli::table::Table;
use crate::failure::Failure;
use crate::registry::config::{ModelRule, ProviderKind};

pub(super) fn run(context: &Context<'_>) -> Result<(), Failure> {
    let registry = context.registry()?;
    let llm = &registry.config()?.llm;
    let kind = |name: &str| llm.providers.get(name).map_or("", |provider| word(provider.kind));
    let timeout = |rule: &ModelRule| {
        let own = llm.providers.get(&rule.provider).map(|provider| provider.timeout);
        rule.timeout.or(own).map_or(0, |timeout| timeout.as_secs())
    };
    let price = |rule: &ModelRule| {
        let model = rule.model.as_deref().unwrap_or(&rule.glob);
        price_of(llm, model).map(|price| json!({"input": price.input, "output": price.output, "cached": price.cached, "written": price.written}))
    };
    let one = |rule: &ModelRule| {
        let fallback: Vec<Value> = rule
            .fallback
            .iter()
            .map(|f| json!({"provider": f.provider, "kind": kind(&f.provider), "model": f.model}))
            .collect();
        json!({
            "match": rule.glob, "provider": rule.provider, "kind": kind(&rule.provider), "model": rule.model,
            "timeoutSeconds": timeout(rule), "maxTokens": rule.max_tokens,
            "imageAddresses": rule.image_addresses, "retries": rule.retries, "fallback": fallback,
            "price": price(rule),
        })
    };
    let models: Vec<Value> = llm.models.iter().map(one).collect();
    let value = json!({"default": llm.model, "currency": llm.currency, "models": models});
    context.output.result(&value, || {
        let mut table =
            Table::new(["MATCH", "PROVIDER", "KIND", "THERE", "TIMEOUT", "RETRIES", "FALLBACK", "IN / OUT"]);
        for rule in &llm.models {
            let fallback: Vec<String> = rule
                .fallback
                .iter()
                .map(|f| f.model.as_ref().map_or_else(|| f.provider.clone(), |model| format!("{}:{model}", f.provider)))
                .collect();
            let model = rule.model.as_deref().unwrap_or(&rule.glob);
            table.row([
                rule.glob.clone(),
                rule.provider.clone(),
                kind(&rule.provider).to_owned(),
                rule.model.clone().unwrap_or_else(|| "as asked".to_owned()),
                format!("{}s", timeout(rule)),
                rule.retries.to_string(),
                fallback.join(", "),
                price_of(llm, model)
                    .map_or_else(|| "?".to_owned(), |p| format!("{} / {} {}", p.input, p.output, llm.currency)),
            ]);
        }
        table.or("No models.")
    })
}

const fn word(kind: ProviderKind) -> &'static str {
    match kind {
        ProviderKind::Replay => "replay",
        ProviderKind::Openai => "openai",
        ProviderKind::Anthropic => "anthropic",
        ProviderKind::Gemini => "gemini",
        ProviderKind::Ollama => "ollama",
    }
}
