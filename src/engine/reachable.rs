//! Which providers the attempts of a run can come to, by their models, what they were granted and the table of models: the
//! keys of no others are anything to its gate.

use std::collections::BTreeSet;

use crate::gate::{ModelRule, Policy};
use crate::provider::{glob_matches, globs_overlap};

/// The providers that a policy leads to.
pub(crate) fn of_policy(policy: &Policy) -> BTreeSet<&str> {
    of_models(&policy.models, policy.attempts.iter().flat_map(|attempt| attempt.model_globs()))
}

/// The providers that models by these globs may be asked of; those that are fallen back on, too.
pub(crate) fn of_models<'r, 'g>(rules: &'r [ModelRule], globs: impl Iterator<Item = &'g str>) -> BTreeSet<&'r str> {
    let mut found = BTreeSet::new();
    for glob in globs {
        for rule in rules.iter().filter(|rule| globs_overlap(&rule.pattern, glob)) {
            found.insert(rule.provider.as_str());
            found.extend(rule.fallback.iter().map(|fallback| fallback.provider.as_str()));
            // The first match counts: a name, and whatever is matched by all of a rule, gets no further.
            let is_name = !glob.contains('*');
            if rule.pattern == "*" || rule.pattern == glob || (is_name && glob_matches(&rule.pattern, glob)) {
                break;
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::Fallback;

    fn rule(pattern: &str, provider: &str, fallback: &[&str]) -> ModelRule {
        let fallback = fallback.iter().map(|name| Fallback { provider: (*name).to_owned(), model: None });
        ModelRule {
            pattern: pattern.to_owned(),
            provider: provider.to_owned(),
            model: None,
            timeout_ms: None,
            max_tokens: None,
            thinking: crate::provider::Thinking::Budget,
            max_tokens_field: crate::provider::MaxTokensField::MaxCompletionTokens,
            image_addresses: false,
            retries: 0,
            fallback: fallback.collect(),
        }
    }

    #[test]
    fn a_provider_is_reached_by_the_first_rule_of_a_name_and_by_all_that_a_pattern_touches() {
        let rules = [rule("claude-*", "anthropic", &["mirror"]), rule("gpt-*", "openai", &[]), rule("*", "local", &[])];
        let reached = |globs: &[&'static str]| of_models(&rules, globs.iter().copied()).into_iter().collect::<Vec<_>>();
        assert_eq!(reached(&[]), [""; 0]);
        assert_eq!(reached(&["claude-4"]), ["anthropic", "mirror"]);
        assert_eq!(reached(&["gpt-4o", "llama"]), ["local", "openai"]);
        assert_eq!(reached(&["gpt-*"]), ["openai"]);
        assert_eq!(reached(&["*-mini"]), ["anthropic", "local", "mirror", "openai"]);
        assert_eq!(reached(&["*"]), ["anthropic", "local", "mirror", "openai"]);
    }
}
