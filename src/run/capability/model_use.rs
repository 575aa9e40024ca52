//! Which models an agent may ask, and how much of them.

use std::fmt;

use super::budget::{Budget, BudgetScope, BudgetUnit};
use super::names::ModelGlob;

/// Digits of a budget: a million million is more than any.
const DIGITS: usize = 12;
const RULE: &str = "behind the model come `,requests=`, `,tokens=` and `,money=`, each once at most, with a number from 1 up to 12 \
                    digits; money may be less, with up to six digits behind its point";

/// Models by a glob, with a budget over all attempts of those that have it: `gemini-*,requests=50,tokens=200000`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelUse {
    glob: ModelGlob,
    requests: Option<u64>,
    tokens: Option<u64>,
    /// In millionths of the currency.
    money: Option<u64>,
}

impl ModelUse {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut parts = text.split(',');
        let glob = ModelGlob::parse(parts.next().unwrap_or_default())?;
        let mut parsed = Self { glob, requests: None, tokens: None, money: None };
        for part in parts {
            let (name, number) = part.split_once('=').ok_or(RULE)?;
            let (budget, amount) = match name {
                "requests" => (&mut parsed.requests, parse_budget(number)?),
                "tokens" => (&mut parsed.tokens, parse_budget(number)?),
                "money" => (&mut parsed.money, Budget::parse(part).map_err(|_| RULE)?.amount()),
                _ => return Err(RULE),
            };
            if budget.replace(amount).is_some() {
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

    /// What may be spent by the price table, in millionths of the currency.
    #[must_use]
    pub const fn money(&self) -> Option<u64> {
        self.money
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
        if let Some(tokens) = self.tokens {
            write!(f, ",tokens={tokens}")?;
        }
        match self.money.and_then(|money| Budget::new(BudgetScope::Run, BudgetUnit::Money, money)) {
            Some(money) => write!(f, ",{money}"),
            None => Ok(()),
        }
    }
}
