//! The run's ceilings: what its models may take in all, counted from the records, so that a restart forgets nothing. Who
//! reaches one is refused, and a person is asked for more, in the name of the node that reached it.
//!
//! Requests are counted before they are sent. What tokens and money a request takes is known from its answer: those
//! under way when a ceiling is reached may go beyond it, by what they take.

use hyper::StatusCode;

use super::inbox::{Asker, Asking};
use super::plan::Step;
use super::policy::{Ceilings, Price, RequestStatus};
use super::records::Spent;
use super::refusal::Refusal;
use super::surface::Session;
use crate::provider::glob_matches;
use crate::run::capability::{Budget, BudgetUnit, Capability, MILLION};

/// A ceiling that is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reached {
    unit: BudgetUnit,
    spent: u64,
    ceiling: u64,
}

/// Whether the run may ask `model`, which is `steps` one after the other, once more.
///
/// # Errors
/// The refusal, which names the request for more that a person can decide on.
pub(super) async fn check(session: &Session, model: &str, steps: &[Step]) -> Result<(), Refusal> {
    let rules = session.gate.rules();
    let policy = &rules.policy;
    if policy.ceilings.is_empty() {
        return Ok(());
    }
    if policy.ceilings.money.is_some() {
        let names = steps.iter().map(|step| step.target.model.as_deref().unwrap_or(model));
        if let Some(free) = names.into_iter().find(|name| price(&policy.prices, name).is_none()) {
            let message = format!("the run has a budget in money, and the model `{free}` has no price");
            return Err(Refusal::new(StatusCode::FORBIDDEN, "no_price", message)
                .hint("an operator adds it to [[llm.prices]] in taskforge.toml")
                .with("model", model));
        }
    }
    let spent = session.gate.recorder.index(|index| index.spent().clone());
    match reached(&policy.ceilings, &policy.prices, &spent) {
        Some(reached) => Err(ask(session, reached).await),
        None => Ok(()),
    }
}

/// The refusal of a request that is one too many.
pub(super) async fn no_more_requests(session: &Session, ceiling: u64) -> Refusal {
    ask(session, Reached { unit: BudgetUnit::Requests, spent: ceiling, ceiling }).await
}

/// Asks a person for twice as much, and says so to the agent.
async fn ask(session: &Session, reached: Reached) -> Refusal {
    let Reached { unit, spent, ceiling } = reached;
    let (spent, allowed) = (shown(unit, spent), shown(unit, ceiling));
    let message = format!("the models of this run have taken {spent} of {allowed} {}", unit.as_str());
    let refusal = Refusal::exhausted(message.clone());
    let Some(budget) = Budget::new(unit, ceiling.saturating_mul(2)) else { return refusal };
    let capability = Capability::Budget(budget).to_string();
    let (attempt, rules) = (session.attempt(), session.gate.rules());
    let asker = Asker { attempt: &attempt, in_force: session.socket.in_force() };
    let refusal = refusal.with("capability", capability.as_str());
    match session.gate.asked.ask(&rules, &asker, &capability, &message).await {
        Ok(Asking::Pending(id)) => refusal
            .with("request", id.as_str())
            .with("status", "pending")
            .hint("a person decides; exit code 75 waits for it"),
        Ok(Asking::Known(id)) => {
            let status = rules.request(id.as_str()).map_or(RequestStatus::Pending, |request| request.status);
            let status = serde_json::to_value(status).unwrap_or_default();
            refusal.with("request", id.as_str()).with("status", status).hint("more was asked for, and is not had")
        }
        Ok(Asking::Exhausted) => refusal,
        Err(error) => Refusal::inbox_failed(&error.to_string()),
    }
}

fn reached(ceilings: &Ceilings, prices: &[Price], spent: &Spent) -> Option<Reached> {
    let tokens = spent.models.values().map(|tokens| tokens.prompt.saturating_add(tokens.completion));
    let units = [
        (BudgetUnit::Requests, ceilings.requests, spent.requests),
        (BudgetUnit::Tokens, ceilings.tokens, tokens.fold(0, u64::saturating_add)),
        (BudgetUnit::Money, ceilings.money, money(prices, spent)),
    ];
    units.into_iter().find_map(|(unit, ceiling, spent)| {
        let ceiling = ceiling?;
        (spent >= ceiling).then_some(Reached { unit, spent, ceiling })
    })
}

fn price<'p>(prices: &'p [Price], model: &str) -> Option<&'p Price> {
    prices.iter().find(|price| glob_matches(&price.pattern, model))
}

/// What was spent, in millionths; rounded up, so that what costs something is never free.
fn money(prices: &[Price], spent: &Spent) -> u64 {
    let of = |(model, tokens): (&String, &super::records::Tokens)| {
        let Some(price) = price(prices, model) else { return 0 };
        let fresh = u128::from(tokens.prompt.saturating_sub(tokens.cached)) * u128::from(price.input);
        let cached = u128::from(tokens.cached) * u128::from(price.cached);
        fresh.saturating_add(cached).saturating_add(u128::from(tokens.completion) * u128::from(price.output))
    };
    let total = spent.models.iter().map(of).fold(0, u128::saturating_add);
    u64::try_from(total.div_ceil(u128::from(MILLION))).unwrap_or(u64::MAX)
}

fn shown(unit: BudgetUnit, amount: u64) -> String {
    match Budget::new(unit, amount) {
        Some(budget) => budget.to_string().split_once('=').map(|(_, number)| number.to_owned()).unwrap_or_default(),
        None => amount.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::records::Tokens;

    fn spent(requests: u64, models: &[(&str, u64, u64, u64)]) -> Spent {
        let tokens = |(model, prompt, cached, completion): &(&str, u64, u64, u64)| {
            ((*model).to_owned(), Tokens { prompt: *prompt, cached: *cached, completion: *completion })
        };
        Spent { requests, models: models.iter().map(tokens).collect() }
    }

    fn prices() -> Vec<Price> {
        let price = |pattern: &str, input, output, cached| Price { pattern: pattern.to_owned(), input, output, cached };
        vec![price("small-*", 1_000_000, 4_000_000, 100_000), price("*", 10_000_000, 30_000_000, 10_000_000)]
    }

    #[test]
    fn money_is_counted_by_model_and_by_what_was_cached() {
        // 600 fresh at 1, 400 cached at 0.1, 50 out at 4, and 10 + 10 of another model at 10 and 30, a million each.
        let spent = spent(2, &[("small-1", 1000, 400, 50), ("large", 10, 0, 10)]);
        assert_eq!(money(&prices(), &spent), 600 + 40 + 200 + 100 + 300);
        assert_eq!(money(&[], &spent), 0);
        assert_eq!(money(&prices(), &self::spent(1, &[("small-1", 0, 0, 0)])), 0);
        assert_eq!(money(&prices(), &self::spent(1, &[("small-1", 10, 10, 0)])), 1);
        let all = self::spent(1, &[("x", u64::MAX, 0, u64::MAX)]);
        assert_eq!(money(&prices(), &all), u64::MAX);
    }

    #[test]
    fn a_ceiling_is_reached_when_it_is_spent_and_not_before() {
        let ceilings = Ceilings { requests: Some(3), tokens: Some(100), money: None };
        assert_eq!(reached(&ceilings, &[], &spent(2, &[("m", 90, 0, 9)])), None);
        let at = |unit, spent, ceiling| Some(Reached { unit, spent, ceiling });
        assert_eq!(
            reached(&ceilings, &[], &spent(2, &[("m", 90, 0, 9), ("n", 1, 0, 0)])),
            at(BudgetUnit::Tokens, 100, 100)
        );
        assert_eq!(reached(&ceilings, &[], &spent(3, &[])), at(BudgetUnit::Requests, 3, 3));
        let money = Ceilings { money: Some(5), ..Ceilings::default() };
        assert_eq!(reached(&money, &prices(), &spent(9, &[("small-1", 4, 0, 0)])), None);
        assert_eq!(reached(&money, &prices(), &spent(9, &[("small-1", 1, 0, 1)])), at(BudgetUnit::Money, 5, 5));
    }
}
