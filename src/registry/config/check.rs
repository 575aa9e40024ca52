//! What the types of `taskforge.toml` cannot say. Pure: files it names are looked at by those who use them.

use super::{Ceilings, Config, Provider, ProviderKind};
use crate::registry::beneath;
use crate::run::capability::{Capability, Endpoint, Host};

/// A gate remembers so many requests of a node.
const MOST_IN_A_WINDOW: u32 = 100_000;
/// A gate lets no more requests of an attempt be under way.
const MOST_AT_ONCE: u32 = 128;

/// Each is resolved in a container of its own.
const MOST_IN_A_TOOL: usize = 32;

/// A key and what is wrong with it.
type Wrong = (String, String);

pub(super) fn check(config: &Config) -> Result<(), Wrong> {
    require(config.format == 1, "format", || {
        format!("is {}; this version knows 1, a newer taskforge may know it", config.format)
    })?;
    require(is_ulid(&config.id), "id", || "is not a ULID (26 characters of Crockford's base 32)".to_owned())?;
    for (name, provider) in &config.llm.providers {
        check_provider(provider).map_err(|(key, what)| (format!("llm.providers.{name}.{key}"), what))?;
    }
    config.actions.check()?;
    for (name, watch) in &config.watch {
        watch.check(name, &config.actions)?;
    }
    for rule in &config.llm.models {
        require(config.llm.providers.contains_key(&rule.provider), "llm.models", || {
            format!("{:?} is served by provider {:?}, which is not configured", rule.glob, rule.provider)
        })?;
        for fallback in &rule.fallback {
            require(config.llm.providers.contains_key(&fallback.provider), "llm.models", || {
                format!("{:?} falls back on provider {:?}, which is not configured", rule.glob, fallback.provider)
            })?;
        }
        let bounded = rule.retries <= 10 && rule.fallback.len() <= 8;
        require(bounded, "llm.models", || format!("{:?} has more than 10 retries or 8 fall-backs", rule.glob))?;
        require(rule.timeout.is_none_or(|timeout| !timeout.is_zero()), "llm.models", || {
            format!("the timeout of {:?} is zero", rule.glob)
        })?;
        require(rule.max_tokens != Some(0), "llm.models", || format!("maxTokens of {:?} is zero", rule.glob))?;
    }
    for price in &config.llm.prices {
        let sums = [Some(price.input), Some(price.output), price.cached, price.written];
        let good = sums.into_iter().flatten().all(|sum| sum.is_finite() && sum >= 0.0);
        require(good, "llm.prices", || format!("a price of {:?} is not a number of at least zero", price.glob))?;
    }
    let containers = &config.containers;
    let (first, last) = containers.uid_range;
    require(first >= 1000 && first <= last, "containers.uidRange", || {
        "is a first and a last uid, none below 1000".to_owned()
    })?;
    let references = containers.images.values().chain([&containers.image]);
    for reference in references {
        require(is_word(reference), "containers.images", || format!("{reference:?} is not an image reference"))?;
    }
    let resources = &containers.resources;
    require(resources.cpus.is_finite() && resources.cpus >= 0.01, "containers.resources.cpus", || {
        "is not a number of at least 0.01".to_owned()
    })?;
    // Docker refuses less.
    require(resources.memory >= 6 << 20, "containers.resources.memory", || "is less than 6MiB".to_owned())?;
    require(resources.pids >= 2, "containers.resources.pids", || "is less than 2".to_owned())?;
    require(resources.disk >= 1 << 20, "containers.resources.disk", || "is less than 1MiB".to_owned())?;
    require(!resources.wall.is_zero(), "containers.resources.wall", || "is zero".to_owned())?;
    require(!config.packages.build_timeout.is_zero(), "packages.buildTimeout", || "is zero".to_owned())?;
    require(config.deployments.records >= 1 << 10, "deployments.records", || "is less than 1KiB".to_owned())?;
    require(config.packages.build_disk >= 1 << 20, "packages.buildDisk", || "is less than 1MiB".to_owned())?;
    if let Some(index) = &config.packages.pip_index {
        require(is_http(index), "packages.pipIndex", || format!("{index:?} is not an http(s) address"))?;
    }
    if let Some(registry) = &config.packages.npm_registry {
        // npm takes credentials from files of its own only.
        let good = is_http(registry) && !registry.contains('@');
        require(good, "packages.npmRegistry", || {
            format!("{registry:?} is not an http(s) address without credentials")
        })?;
    }
    for (name, tool) in &config.tools {
        let key = format!("tools.{name}");
        require(Capability::parse(&format!("tool:{name}")).is_ok(), &key, || {
            "is not a name that a `tool` can have: lower-case letters, digits, `.`, `_` and `-`".to_owned()
        })?;
        let packages = tool.packages().map_err(|(package, why)| (key.clone(), format!("{package:?}: {why}")))?;
        require((1..=MOST_IN_A_TOOL).contains(&packages.len()), &key, || {
            format!("names {} packages, and not 1 to {MOST_IN_A_TOOL}", packages.len())
        })?;
    }
    for root in &config.mounts.roots {
        let plain = Capability::parse(&format!("mount:{}:ro", root.display())).is_ok();
        require(plain, "mounts.roots", || {
            format!("{} is not the absolute path of a folder that a `mount` could name", root.display())
        })?;
    }
    let openclaw = &containers.openclaw;
    for (key, version) in [("version", &openclaw.version), ("node", &openclaw.node)] {
        let exact = Capability::parse(&format!("npm:a@{version}")).is_ok();
        let key = format!("containers.openclaw.{key}");
        require(exact, &key, || format!("{version:?} is not an exact npm version, such as 1.2.3"))?;
    }
    require(openclaw.memory >= 6 << 20, "containers.openclaw.memory", || "is less than 6MiB".to_owned())?;
    for (name, addresses) in &config.gate.hosts {
        let named =
            Endpoint::parse(&format!("{name}:1")).is_ok_and(|endpoint| matches!(endpoint.host(), Host::Name(_)));
        require(named, "gate.hosts", || format!("{name:?} is not a lower-case DNS name"))?;
        require(!addresses.is_empty(), "gate.hosts", || format!("{name:?} has no address"))?;
    }
    let budget = &config.llm.budget;
    for (table, ceilings) in [("budget", &budget.run()), ("budget.agent", &budget.agent), ("budget.day", &budget.day)] {
        check_ceilings(ceilings, !config.llm.prices.is_empty())
            .map_err(|(key, what)| (format!("llm.{table}.{key}"), what))?;
    }
    let rate = &config.llm.rate;
    for (key, most, value) in [
        ("perSecond", MOST_IN_A_WINDOW, rate.per_second),
        ("perMinute", MOST_IN_A_WINDOW, rate.per_minute),
        ("concurrent", MOST_AT_ONCE, rate.concurrent),
    ] {
        require(value.is_none_or(|value| (1..=most).contains(&value)), &format!("llm.rate.{key}"), || {
            format!("is not a number from 1 to {most}")
        })?;
    }
    let patience = &config.gate.patience;
    for (key, span) in [("head", patience.head), ("body", patience.body), ("reading", patience.reading)] {
        require(!span.is_zero(), &format!("gate.patience.{key}"), || "is zero".to_owned())?;
    }
    require(config.limits.attempts >= 1, "limits.attempts", || "is zero".to_owned())?;
    require(config.limits.iterations >= 1, "limits.iterations", || "is zero".to_owned())?;
    if let Some(command) = &config.notify.command {
        require(command.first().is_some_and(|program| !program.is_empty()), "notify.command", || {
            "names no program".to_owned()
        })?;
    }
    Ok(())
}

fn check_ceilings(ceilings: &Ceilings, priced: bool) -> Result<(), Wrong> {
    let zero = || "is zero: nothing could ever be asked of a model".to_owned();
    require(ceilings.requests != Some(0), "requests", zero)?;
    require(ceilings.tokens != Some(0), "tokens", zero)?;
    require(ceilings.money.is_none_or(|money| money.is_finite() && money > 0.0), "money", || {
        "is not a number above zero".to_owned()
    })?;
    require(ceilings.money.is_none() || priced, "money", || "limits nothing without [[llm.prices]]".to_owned())
}

fn check_provider(provider: &Provider) -> Result<(), Wrong> {
    let keys = [provider.key_file.is_some(), provider.key_env.is_some(), provider.key.is_some()];
    let key = keys.contains(&true);
    match provider.kind {
        ProviderKind::Replay => {
            let transcript = provider.transcript.as_deref().unwrap_or_default();
            require(beneath::check(transcript).is_ok(), "transcript", || {
                "is not a path below the registry, and a `replay` provider needs one".to_owned()
            })?;
            require(provider.base_url.is_none() && !key, "kind", || {
                "`replay` takes neither baseUrl nor a key".to_owned()
            })
        }
        ProviderKind::Openai | ProviderKind::Anthropic | ProviderKind::Gemini | ProviderKind::Ollama => {
            require(provider.base_url.as_deref().is_some_and(is_http), "baseUrl", || {
                "is not an http(s) address, and a provider of this kind needs one".to_owned()
            })?;
            // Credentials belong into a key's file, where nothing shows them; a query would be behind the path that is asked.
            let bare = |url: &str| {
                let rest = url.split_once("://").map_or("", |(_, rest)| rest);
                let authority = rest.split('/').next().unwrap_or_default();
                !authority.contains('@') && !url.contains(['?', '#'])
            };
            require(provider.base_url.as_deref().is_some_and(bare), "baseUrl", || {
                "holds credentials, a query or a fragment: a key is given by keyFile, keyEnv or key".to_owned()
            })?;
            require(provider.transcript.is_none(), "transcript", || "belongs to `replay` providers".to_owned())?;
            let second = if provider.key.is_some() { "key" } else { "keyFile" };
            require(keys.iter().filter(|given| **given).count() < 2, second, || {
                "is one of keyFile, keyEnv and key: one of them, please".to_owned()
            })?;
            require(!provider.timeout.is_zero(), "timeout", || "is zero".to_owned())
        }
    }
}

fn require(holds: bool, key: &str, message: impl FnOnce() -> String) -> Result<(), Wrong> {
    if holds { Ok(()) } else { Err((key.to_owned(), message())) }
}

pub(super) fn is_ulid(text: &str) -> bool {
    text.len() == 26 && ulid::Ulid::from_string(text).is_ok() && !text.bytes().any(|b| b.is_ascii_lowercase())
}

fn is_http(text: &str) -> bool {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/')) && is_word(text)
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.starts_with('-') && text.bytes().all(|b| b.is_ascii_graphic())
}
