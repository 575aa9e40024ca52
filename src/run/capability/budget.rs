//! What models may take in all: a new ceiling of a run, of one agent in it, or of a day, for a role or for all, in requests, tokens or money.

use std::fmt;

/// What a ceiling is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BudgetUnit {
    Requests,
    /// Of prompts and of answers.
    Tokens,
    /// In millionths of the currency of the price table.
    Money,
}

impl BudgetUnit {
    pub const ALL: [Self; 3] = [Self::Requests, Self::Tokens, Self::Money];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::Money => "money",
        }
    }
}

/// Whose taking a ceiling counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BudgetScope {
    /// All nodes of the run together.
    Run,
    /// One node of the run, over all its attempts.
    Agent,
    /// All agents of the role that the node works as, in whatever runs, within one day of UTC.
    Role,
    /// All runs of the registry, within one day of UTC.
    Day,
}

impl BudgetScope {
    /// In the order in which they are looked at.
    pub const ALL: [Self; 4] = [Self::Run, Self::Agent, Self::Role, Self::Day];

    /// What stands before the unit.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Run => "",
            Self::Agent => "agent,",
            Self::Role => "role,",
            Self::Day => "day,",
        }
    }
}

/// A ceiling: `tokens=2000000`, `money=12.5`, `day,requests=500`, `agent,tokens=9`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Budget {
    scope: BudgetScope,
    unit: BudgetUnit,
    amount: u64,
}

/// Millionths in one unit of money.
pub const MILLION: u64 = 1_000_000;
/// No ceiling is higher, in whatever it is counted: sums of many stay far from overflow.
const HIGHEST: u64 = 1_000_000_000_000_000;
const RULE: &str = "a budget is `requests=`, `tokens=` or `money=` and a number above zero without leading zeros, after \
                    `agent,`, `role,` or `day,` if it is not the run's; money has at most six digits behind its point, of which \
                    the last is no zero";

impl Budget {
    /// A ceiling of `amount`, money in millionths; none of zero, or beyond what is ever meant.
    #[must_use]
    pub fn new(scope: BudgetScope, unit: BudgetUnit, amount: u64) -> Option<Self> {
        (1..=HIGHEST).contains(&amount).then_some(Self { scope, unit, amount })
    }

    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (scope, text) = [BudgetScope::Agent, BudgetScope::Role, BudgetScope::Day]
            .into_iter()
            .find_map(|scope| Some((scope, text.strip_prefix(scope.prefix())?)))
            .unwrap_or((BudgetScope::Run, text));
        let (unit, number) = text.split_once('=').ok_or(RULE)?;
        let unit = BudgetUnit::ALL.into_iter().find(|known| known.as_str() == unit).ok_or(RULE)?;
        let amount = match (unit, number.split_once('.')) {
            (BudgetUnit::Money, None) => whole(number)?.checked_mul(MILLION).ok_or(RULE)?,
            (BudgetUnit::Money, Some((units, fraction))) => {
                let digits = fraction.len() <= 6 && fraction.bytes().all(|byte| byte.is_ascii_digit());
                if !digits || fraction.is_empty() || fraction.ends_with('0') {
                    return Err(RULE);
                }
                let fraction: u64 = format!("{fraction:0<6}").parse().map_err(|_| RULE)?;
                whole(units)?.checked_mul(MILLION).and_then(|units| units.checked_add(fraction)).ok_or(RULE)?
            }
            (_, None) => whole(number)?,
            (_, Some(_)) => return Err(RULE),
        };
        Self::new(scope, unit, amount).ok_or(RULE)
    }

    #[must_use]
    pub const fn scope(self) -> BudgetScope {
        self.scope
    }

    #[must_use]
    pub const fn unit(self) -> BudgetUnit {
        self.unit
    }

    /// Requests, tokens, or millionths of the currency.
    #[must_use]
    pub const fn amount(self) -> u64 {
        self.amount
    }

    /// The amount as people write it: money in units of the currency.
    #[must_use]
    pub fn number(self) -> String {
        if self.unit != BudgetUnit::Money {
            return self.amount.to_string();
        }
        let whole = self.amount / MILLION;
        match self.amount % MILLION {
            0 => whole.to_string(),
            fraction => format!("{whole}.{}", format!("{fraction:06}").trim_end_matches('0')),
        }
    }
}

/// A number as it is written in one way only.
fn whole(text: &str) -> Result<u64, &'static str> {
    let canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if canonical { text.parse().map_err(|_| RULE) } else { Err(RULE) }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}={}", self.scope.prefix(), self.unit.as_str(), self.number())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_spelling_a_ceiling() {
        use BudgetScope::{Agent, Day, Role, Run};
        for (text, scope, unit, amount) in [
            ("requests=500", Run, BudgetUnit::Requests, 500),
            ("tokens=1", Run, BudgetUnit::Tokens, 1),
            ("money=12", Run, BudgetUnit::Money, 12_000_000),
            ("money=0.5", Run, BudgetUnit::Money, 500_000),
            ("money=3.000001", Run, BudgetUnit::Money, 3_000_001),
            ("day,tokens=7", Day, BudgetUnit::Tokens, 7),
            ("role,requests=9", Role, BudgetUnit::Requests, 9),
            ("agent,money=0.5", Agent, BudgetUnit::Money, 500_000),
        ] {
            let budget = Budget::parse(text).unwrap();
            assert_eq!((budget.scope(), budget.unit(), budget.amount()), (scope, unit, amount));
            assert_eq!(budget.to_string(), text);
        }
        for text in [
            "",
            "tokens",
            "tokens=",
            "tokens=0",
            "tokens=01",
            "tokens=-1",
            "tokens=+1",
            "tokens=1.5",
            "tokens=1e9",
            "tokens=1_000",
            "money=0",
            "money=0.0",
            "money=1.50",
            "money=1.",
            "money=.5",
            "money=1.0000001",
            "money=00.5",
            "Tokens=1",
            "token=1",
            "tokens=1,money=2",
            "day,agent,tokens=1",
            "agent,day,tokens=1",
            "run,tokens=1",
            "Day,tokens=1",
            ",tokens=1",
            "tokens=18446744073709551616",
            "money=18446744073709551615",
            "tokens=1000000000000001",
        ] {
            assert!(Budget::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(scope in 0usize..4, unit in 0usize..3, amount in 1u64..=HIGHEST) {
            let budget = Budget::new(BudgetScope::ALL[scope], BudgetUnit::ALL[unit], amount).unwrap();
            prop_assert_eq!(Budget::parse(&budget.to_string()), Ok(budget));
        }

        #[test]
        fn what_parses_has_one_spelling(text in "(day,|agent,|role,)?(requests|tokens|money)=[0-9.]{0,12}") {
            if let Ok(budget) = Budget::parse(&text) {
                prop_assert_eq!(budget.to_string(), text);
            }
        }
    }
}
