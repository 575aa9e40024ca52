//! By whose leave a model is asked: the node's own, or a grant's, whose budget is then charged.

use super::budget::{Prices, no_price};
use super::policy::Attempt;
use super::refusal::Refusal;
use super::shared::Gate;
use super::turns::Turn;
use crate::provider::glob_matches;
use crate::run::capability::Capability;
use crate::run::id::RequestId;

/// A grant that a request is charged to.
pub(crate) struct Allowance {
    pub(crate) grant: RequestId,
    pub(crate) turn: Turn,
}

/// The name under which requests by a grant are counted beside those of nodes, whose names hold no space.
pub(crate) fn key(grant: &str) -> String {
    format!("grant {grant}")
}

/// What a request for `model` is charged to; nothing if the model is the node's own.
///
/// # Errors
/// When every grant that covers the model is used up. Whether one covers it at all is for the rules to say.
pub(crate) fn charge(
    gate: &Gate,
    attempt: &Attempt,
    model: &str,
    prices: &Prices<'_>,
) -> Result<Option<Allowance>, Refusal> {
    if attempt.models.iter().any(|glob| glob_matches(glob, model)) {
        return Ok(None);
    }
    let covering = attempt.grants.iter().filter_map(|grant| match &grant.capability {
        Capability::Llm(models) if glob_matches(models.glob().as_str(), model) => Some((&grant.request, models)),
        _ => None,
    });
    let mut unpriced = None;
    for (grant, models) in covering {
        let spent = gate.recorder.index(|index| prices.sums(&index.charged(grant.as_str())));
        let over = |limit: Option<u64>, spent: u64| limit.is_some_and(|limit| spent >= limit);
        if over(models.tokens(), spent.tokens) || over(models.money(), spent.money) {
            continue;
        }
        if models.money().is_some()
            && let Some(free) = prices.without_price()
        {
            // Another grant may have no limit in money.
            unpriced = unpriced.or_else(|| Some(no_price(free, model)));
            continue;
        }
        if let Some(turn) = gate.turns.charge(&key(grant.as_str()), models.requests().unwrap_or(u64::MAX)) {
            return Ok(Some(Allowance { grant: grant.clone(), turn }));
        }
    }
    Err(unpriced.unwrap_or_else(|| {
        Refusal::exhausted(format!("what was granted of the model `{model}` is used up"))
            .hint(
                "a larger budget is a capability of its own: llm:<model>,requests=<number>,tokens=<number>,money=<amount>",
            )
            .with("model", model)
    }))
}
