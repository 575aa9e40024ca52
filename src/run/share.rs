//! What a child may take of models: a part of its parent's, which the parent then has no more.

use serde::{Deserialize, Serialize};

/// A part of what a node may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Share {
    /// Requests to models.
    pub requests: u64,
    /// None where the parent's own are not limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// In millionths; as `tokens`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub money: Option<u64>,
}

impl Share {
    /// What is left of `self` after `given` was given away.
    #[must_use]
    pub fn without(self, given: Self) -> Self {
        let less = |own: Option<u64>, given: Option<u64>| own.map(|own| own.saturating_sub(given.unwrap_or(0)));
        Self {
            requests: self.requests.saturating_sub(given.requests),
            tokens: less(self.tokens, given.tokens),
            money: less(self.money, given.money),
        }
    }

    /// The part that belongs to `requests` of the requests: of what is limited as large a part; none if there are not so
    /// many.
    #[must_use]
    pub fn part(self, requests: u64) -> Option<Self> {
        if requests == 0 || requests > self.requests {
            return None;
        }
        let scaled = |own: Option<u64>| {
            let part = u128::from(own?) * u128::from(requests) / u128::from(self.requests);
            u64::try_from(part).ok()
        };
        Some(Self { requests, tokens: scaled(self.tokens), money: scaled(self.money) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_never_come_to_more_than_the_whole(
            whole in (1u64..1000, proptest::option::of(0u64..u64::MAX), proptest::option::of(0u64..1_000_000)),
            asked in proptest::collection::vec(0u64..400, 0..12),
        ) {
            let whole = Share { requests: whole.0, tokens: whole.1, money: whole.2 };
            let mut left = whole;
            let (mut requests, mut tokens, mut money) = (0u64, 0u64, 0u64);
            for asked in asked {
                let Some(part) = left.part(asked) else { continue };
                prop_assert_eq!(part.tokens.is_some(), whole.tokens.is_some());
                prop_assert_eq!(part.money.is_some(), whole.money.is_some());
                requests += part.requests;
                tokens = tokens.saturating_add(part.tokens.unwrap_or(0));
                money += part.money.unwrap_or(0);
                left = left.without(part);
            }
            prop_assert!(requests + left.requests == whole.requests);
            prop_assert!(whole.tokens.is_none_or(|whole| tokens <= whole));
            prop_assert!(whole.money.is_none_or(|whole| money <= whole));
        }
    }
}
