//! Which models an agent may ask, and how much of them.

use std::fmt;

use super::names::ModelGlob;

/// Digits of a budget: a million million is more than any.
const DIGITS: usize = 12;
const RULE: &str =
    "behind the model come `,requests=` and `,tokens=`, each once at most, with a number from 1 up to 12 digits";

/// Models by a glob, with a budget over all attempts of those that have it: `gemini-*,requests=50,tokens=200000`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelUse {
    glob: ModelGlob,
    requests: Option<u64>,
    tokens: Option<u64>,
}

impl ModelUse {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut parts = text.split(',');
        let glob = ModelGlob::parse(parts.next().unwrap_or_default())?;
        let mut parsed = Self { glob, requests: None, tokens: None };
        for part in parts {
            let (name, number) = part.split_once('=').ok_or(RULE)?;
            let budget = match name {
                "requests" => &mut parsed.requests,
                "tokens" => &mut parsed.tokens,
                _ => return Err(RULE),
            };
            if budget.replace(parse_budget(number)?).is_some() {
                return Err(RULE);
            }
        }
        Ok(parsed)
    }

    #[must_use]
    pub const fn glob(&self) -> &ModelGlob {
        &self.glob
    }

    /// How many requests may be made.
    #[must_use]
    pub const fn requests(&self) -> Option<u64> {
        self.requests
    }

    /// How many tokens may be used, those sent and those received.
    #[must_use]
    pub const fn tokens(&self) -> Option<u64> {
        self.tokens
    }
}

fn parse_budget(text: &str) -> Result<u64, &'static str> {
    if text.starts_with('0') || text.len() > DIGITS || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(RULE);
    }
    text.parse().map_err(|_| RULE)
}

impl fmt::Display for ModelUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.glob)?;
        if let Some(requests) = self.requests {
            write!(f, ",requests={requests}")?;
        }
        match self.tokens {
            Some(tokens) => write!(f, ",tokens={tokens}"),
            None => Ok(()),
        }
    }
}
