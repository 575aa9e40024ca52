//! What models may take in all, by the run, by one node and by all runs within a day: counted from the records, so that a
//! restart forgets nothing. Who reaches a ceiling is refused, and a person is asked for more, in the name of the node that
//! reached it.
//!
//! Requests are counted before they are sent. What tokens and money a request takes is known from its answer: those
//! under way when a ceiling is reached may go beyond it, by what they take.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use hyper::StatusCode;
use serde::{Deserialize, Serialize};

use super::inbox::{Asker, Asking, Wish};
use super::ledger::{DayTurn, Sums};
use super::plan::Step;
use super::policy::{Attempt, Ceilings, Policy, Price, RequestStatus};
use super::records::{Index, Spent};
use super::refusal::{Refusal, SPENT_ABOVE};
use super::role_budget::RoleBudget;
use super::shared::Gate;
use super::surface::Session;
use crate::provider::glob_matches;
use crate::run::capability::{Budget, BudgetScope, BudgetUnit, Capability, MILLION};
use crate::run::id::{NodeId, RoleName};

/// A ceiling that is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reached {
    scope: BudgetScope,
    unit: BudgetUnit,
    spent: u64,
    ceiling: u64,
}

impl Reached {
    /// Twice as much, as often as it takes: what others took of a day, or one answer too many, may be beyond that already.
    fn more(&self) -> u64 {
        let mut more = self.ceiling.saturating_mul(2).max(1);
        while more <= self.spent && more < u64::MAX {
            more = more.saturating_mul(2);
        }
        more
    }
}

/// Whether `model`, which is `steps` one after the other, may be asked once more.
///
/// # Errors
/// The refusal, which names the request for more that a person can decide on.
pub(super) async fn check(session: &Session, model: &str, steps: &[Step]) -> Result<(), Refusal> {
    let (rules, attempt) = (session.gate.rules(), session.attempt());
    let policy = &rules.policy;
    let all = [&policy.ceilings, &attempt.ceilings, &policy.day];
    let roles = budgets(policy, &attempt);
    let all = all.into_iter().chain(roles.iter().map(|(_, budget)| &budget.day)).collect::<Vec<_>>();
    if all.iter().all(|ceilings| ceilings.is_empty()) {
        return Ok(());
    }
    if all.iter().any(|ceilings| ceilings.money.is_some())
        && let Some(free) = Prices::of(policy, model, steps).without_price()
    {
        return Err(no_price(free, model));
    }
    let spent = spent(&session.gate, policy, &attempt);
    let mut first = reached(BudgetScope::Run, &policy.ceilings, spent.run.and(away(&policy.given)))
        .or_else(|| reached(BudgetScope::Agent, &attempt.ceilings, spent.node.and(away(&attempt.given))));
    if first.is_none() && !policy.day.is_empty() {
        let today = Utc::now().date_naive();
        let total = session.gate.ledger.look(today, own(&session.gate, today)).await;
        first = reached(BudgetScope::Day, &policy.day, total.map_err(|error| untold(&error, today))?);
    }
    if let Some(reached) = first {
        return Err(ask(session, reached).await);
    }
    let today = Utc::now().date_naive();
    for (role, budget) in roles {
        let own = on_role(&session.gate, role, today).unwrap_or_default();
        let total = session.gate.roles.of(role).look(today, own).await.map_err(|error| untold(&error, today))?;
        if let Some(reached) = reached(BudgetScope::Role, &budget.day, total) {
            return Err(of_role(session, role, reached).await);
        }
    }
    Ok(())
}

/// What models have taken, by the records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Taken {
    /// All nodes of the run.
    pub(crate) run: Sums,
    /// One of them, over all its attempts.
    pub(crate) node: Sums,
}

/// What the run and the attempt's node have taken so far, without what their children have.
pub(super) fn spent(gate: &Gate, policy: &Policy, attempt: &Attempt) -> Taken {
    gate.recorder.index(|index| Taken {
        run: sums(&policy.prices, index.spent()),
        node: sums(&policy.prices, &index.spent_by(attempt.node.as_str())),
    })
}

/// What was given away, as taken.
fn away(given: &Ceilings) -> Sums {
    let [requests, tokens, money] = [given.requests, given.tokens, given.money].map(Option::unwrap_or_default);
    Sums { requests, tokens, money }
}

/// The budgets of the attempt's role and of those above it, for which it works: those that have one.
fn budgets<'p>(policy: &'p Policy, attempt: &'p Attempt) -> Vec<(&'p RoleName, &'p RoleBudget)> {
    let line = attempt.role.iter().chain(&attempt.under);
    let found = line.filter_map(|role| Some((role, policy.roles.get(role)?)));
    found.filter(|(_, budget)| !budget.day.is_empty()).collect()
}

/// Whether something of what a request for `model` is charged to is counted in tokens or money.
pub(super) fn counts_tokens(session: &Session, model: &str) -> bool {
    let (rules, attempt) = (session.gate.rules(), session.attempt());
    let policy = &rules.policy;
    let roles = budgets(policy, &attempt).into_iter().map(|(_, budget)| &budget.day);
    let counted = |ceilings: &Ceilings| ceilings.tokens.is_some() || ceilings.money.is_some();
    let granted = attempt.grants.iter().any(|grant| match &grant.capability {
        Capability::Llm(models) => {
            (models.tokens().is_some() || models.money().is_some()) && glob_matches(models.glob().as_str(), model)
        }
        _ => false,
    });
    granted || [&policy.ceilings, &attempt.ceilings, &policy.day].into_iter().chain(roles).any(counted)
}

/// A role has had its day's part. For its own the attempt may be given more; what a role above it has is no child's to
/// ask for.
async fn of_role(session: &Session, role: &RoleName, reached: Reached) -> Refusal {
    if session.attempt().role.as_ref() == Some(role) {
        return ask(session, reached).await;
    }
    let whose = format!("the agents of role `{role}`, for which this one works, have taken today");
    Refusal::new(StatusCode::TOO_MANY_REQUESTS, SPENT_ABOVE, taken(&whose, reached))
        .hint("`config.budget` of that role says how much a day")
        .with("role", role.as_str())
        .retry_after(left_of_the_day(Utc::now()))
}

fn taken(whose: &str, Reached { unit, spent, ceiling, .. }: Reached) -> String {
    format!("{whose} {} of {} {}", shown(unit, spent), shown(unit, ceiling), unit.as_str())
}

/// One more request of the day, of all runs and of the attempt's role; nothing where no day has a budget.
///
/// # Errors
/// As [`check`].
pub(super) async fn take(session: &Session) -> Result<Vec<DayTurn>, Refusal> {
    let mut turns = Vec::new();
    turns.extend(take_of_all(session).await?);
    let (rules, attempt) = (session.gate.rules(), session.attempt());
    for (role, budget) in budgets(&rules.policy, &attempt) {
        turns.extend(take_of_role(session, role, budget).await?);
    }
    Ok(turns)
}

async fn take_of_role(session: &Session, role: &RoleName, budget: &RoleBudget) -> Result<Option<DayTurn>, Refusal> {
    let today = Utc::now().date_naive();
    let own = on_role(&session.gate, role, today).unwrap_or_default();
    let taken = session.gate.roles.of(role).take(today, own, budget.day.requests).await;
    match (taken.map_err(|error| untold(&error, today))?, budget.day.requests) {
        (None, Some(ceiling)) => {
            let unit = BudgetUnit::Requests;
            Err(of_role(session, role, Reached { scope: BudgetScope::Role, unit, spent: ceiling, ceiling }).await)
        }
        (turn, _) => Ok(turn),
    }
}

async fn take_of_all(session: &Session) -> Result<Option<DayTurn>, Refusal> {
    let day = session.gate.rules().policy.day;
    if day.is_empty() {
        return Ok(None);
    }
    let today = Utc::now().date_naive();
    let taken = session.gate.ledger.take(today, own(&session.gate, today), day.requests).await;
    match (taken.map_err(|error| untold(&error, today))?, day.requests) {
        (None, Some(ceiling)) => Err(no_more_requests(session, BudgetScope::Day, ceiling).await),
        (turn, _) => Ok(turn),
    }
}

/// Shows the other gates what the records say that this run has taken today.
pub(super) fn publish(gate: &Gate) {
    let today = Utc::now().date_naive();
    for (role, _) in gate.rules().policy.roles.iter().filter(|(_, budget)| !budget.day.is_empty()) {
        gate.roles.of(role).publish(today, on_role(gate, role, today).unwrap_or_default());
    }
    if gate.rules().policy.day.is_empty() {
        return;
    }
    gate.ledger.publish(today, own(gate, today));
}

/// What this run has taken on `date`, if that is the newest day of its records.
pub(super) fn on(gate: &Gate, date: NaiveDate) -> Option<Sums> {
    let rules = gate.rules();
    gate.recorder.index(|index: &Index| index.spent_on(date).map(|spent| sums(&rules.policy.prices, spent)))
}

/// What the nodes of a role have taken in this run on `date`; as [`on`].
pub(super) fn on_role(gate: &Gate, role: &RoleName, date: NaiveDate) -> Option<Sums> {
    let rules = gate.rules();
    let nodes = rules.policy.roles.get(role)?.nodes.iter().map(NodeId::as_str);
    gate.recorder.index(|index: &Index| {
        let parts = index.spent_on_by(date, nodes)?;
        Some(parts.into_iter().map(|spent| sums(&rules.policy.prices, spent)).fold(Sums::default(), Sums::and))
    })
}

fn own(gate: &Gate, date: NaiveDate) -> Sums {
    on(gate, date).unwrap_or_default()
}

/// The refusal of a request that is one too many.
pub(super) async fn no_more_requests(session: &Session, scope: BudgetScope, ceiling: u64) -> Refusal {
    ask(session, Reached { scope, unit: BudgetUnit::Requests, spent: ceiling, ceiling }).await
}

/// What cannot be counted is not asked.
fn untold(error: &std::io::Error, today: NaiveDate) -> Refusal {
    let message = format!("what the models of all runs have taken today cannot be told: {error}");
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "budget_unknown", message)
        .hint(format!("an operator looks at .taskforge/spent/{today} in the registry"))
}

/// Asks a person for more, and says so to the agent.
async fn ask(session: &Session, reached: Reached) -> Refusal {
    let Reached { scope, unit, .. } = reached;
    let attempt = session.attempt();
    let whose = match (scope, &attempt.role) {
        (BudgetScope::Run, _) => "the models of this run have taken".to_owned(),
        (BudgetScope::Agent, _) => "this node has taken of models".to_owned(),
        (BudgetScope::Role, Some(role)) => format!("the agents of role `{role}` have taken today"),
        (BudgetScope::Role | BudgetScope::Day, _) => "the models of all runs have taken today".to_owned(),
    };
    let message = taken(&whose, reached);
    let mut refusal = Refusal::exhausted(message.clone());
    if matches!(scope, BudgetScope::Day | BudgetScope::Role) {
        refusal = refusal.retry_after(left_of_the_day(Utc::now()));
    }
    let Some(budget) = Budget::new(scope, unit, reached.more()) else { return refusal };
    let capability = Capability::Budget(budget).to_string();
    let rules = session.gate.rules();
    let asker = Asker { attempt: &attempt, is_gate: true, in_force: session.socket.in_force() };
    let refusal = refusal.with("capability", capability.as_str());
    let wish = Wish { capability: &capability, deploy: None, schedule: None, reason: &message };
    match session.gate.asked.ask(&rules, &asker, wish).await {
        Ok(Asking::Pending(id)) => refusal
            .with("request", id.as_str())
            .with("status", "pending")
            .hint("a person decides; the attempt that ends now goes on afterwards"),
        Ok(Asking::Known(id)) => {
            let status = rules.request(id.as_str()).map_or(RequestStatus::Pending, |request| request.status);
            let status = serde_json::to_value(status).unwrap_or_default();
            refusal.with("request", id.as_str()).with("status", status).hint("more was asked for, and is not had")
        }
        Ok(Asking::Exhausted) => refusal,
        Err(error) => Refusal::inbox_failed(&error.to_string()),
    }
}

/// How long it is until midnight (UTC).
fn left_of_the_day(now: DateTime<Utc>) -> std::time::Duration {
    let midnight = now.date_naive().succ_opt().map(|next| next.and_time(NaiveTime::MIN).and_utc());
    midnight.and_then(|midnight| (midnight - now).to_std().ok()).unwrap_or_default()
}

/// What models cost, and which of them a request may come to.
pub(crate) struct Prices<'p> {
    table: &'p [Price],
    names: Vec<String>,
}

impl<'p> Prices<'p> {
    /// Those of a request for `model` that is served by `steps`.
    pub(crate) fn of(policy: &'p Policy, model: &str, steps: &[Step]) -> Self {
        let names = steps.iter().map(|step| step.target.model.as_deref().unwrap_or(model).to_owned()).collect();
        Self { table: &policy.prices, names }
    }

    /// The first model without a price.
    pub(crate) fn without_price(&self) -> Option<&str> {
        self.names.iter().map(String::as_str).find(|name| price(self.table, name).is_none())
    }

    pub(crate) fn sums(&self, spent: &Spent) -> Sums {
        sums(self.table, spent)
    }
}

/// What has no price is not asked where money is counted.
pub(crate) fn no_price(free: &str, model: &str) -> Refusal {
    let message = format!("there is a budget in money, and the model `{free}` has no price");
    Refusal::new(StatusCode::FORBIDDEN, "no_price", message)
        .hint("an operator adds it to [[llm.prices]] in taskforge.toml")
        .with("model", model)
}

fn reached(scope: BudgetScope, ceilings: &Ceilings, spent: Sums) -> Option<Reached> {
    let units = [
        (BudgetUnit::Requests, ceilings.requests, spent.requests),
        (BudgetUnit::Tokens, ceilings.tokens, spent.tokens),
        (BudgetUnit::Money, ceilings.money, spent.money),
    ];
    units.into_iter().find_map(|(unit, ceiling, spent)| {
        let ceiling = ceiling?;
        (spent >= ceiling).then_some(Reached { scope, unit, spent, ceiling })
    })
}

fn sums(prices: &[Price], spent: &Spent) -> Sums {
    let tokens = spent.models.values().map(|tokens| tokens.prompt.saturating_add(tokens.completion));
    Sums { requests: spent.requests, tokens: tokens.fold(0, u64::saturating_add), money: money(prices, spent) }
}

fn price<'p>(prices: &'p [Price], model: &str) -> Option<&'p Price> {
    prices.iter().find(|price| glob_matches(&price.pattern, model))
}

/// What was spent, in millionths; rounded up, so that what costs something is never free.
fn money(prices: &[Price], spent: &Spent) -> u64 {
    let of = |(model, tokens): (&String, &super::records::Tokens)| {
        let Some(price) = price(prices, model) else { return 0 };
        [
            (tokens.fresh(), price.input),
            (tokens.cached, price.cached),
            (tokens.written, price.written),
            (tokens.completion, price.output),
        ]
        .into_iter()
        .map(|(count, price)| u128::from(count) * u128::from(price))
        .fold(0, u128::saturating_add)
    };
    let total = spent.models.iter().map(of).fold(0, u128::saturating_add);
    u64::try_from(total.div_ceil(u128::from(MILLION))).unwrap_or(u64::MAX)
}

fn shown(unit: BudgetUnit, amount: u64) -> String {
    Budget::new(BudgetScope::Run, unit, amount).map_or_else(|| amount.to_string(), Budget::number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::records::Tokens;

    fn spent(requests: u64, models: &[(&str, u64, u64, u64)]) -> Spent {
        let tokens = |(model, prompt, cached, completion): &(&str, u64, u64, u64)| {
            ((*model).to_owned(), Tokens { prompt: *prompt, cached: *cached, completion: *completion, written: 0 })
        };
        Spent { requests, models: models.iter().map(tokens).collect() }
    }

    fn prices() -> Vec<Price> {
        let price = |pattern: &str, input, output, cached| {
            let written = 2 * input;
            Price { pattern: pattern.to_owned(), input, output, cached, written }
        };
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
        let mut written = self::spent(1, &[("small-1", 1000, 400, 50)]);
        written.models.values_mut().for_each(|tokens| tokens.written = 100);
        assert_eq!(money(&prices(), &written), 500 + 40 + 2 * 100 + 200);
        let all = self::spent(1, &[("x", u64::MAX, 0, u64::MAX)]);
        assert_eq!(money(&prices(), &all), u64::MAX);
    }

    #[test]
    fn a_ceiling_is_reached_when_it_is_spent_and_not_before() {
        use BudgetScope::{Day, Run};
        let ceilings = Ceilings { requests: Some(3), tokens: Some(100), money: None };
        let reached = |ceilings: &Ceilings, spent: Spent| reached(Run, ceilings, sums(&prices(), &spent));
        assert_eq!(reached(&ceilings, spent(2, &[("m", 90, 0, 9)])), None);
        let at = |unit, spent, ceiling| Some(Reached { scope: Run, unit, spent, ceiling });
        assert_eq!(reached(&ceilings, spent(2, &[("m", 90, 0, 9), ("n", 1, 0, 0)])), at(BudgetUnit::Tokens, 100, 100));
        assert_eq!(reached(&ceilings, spent(3, &[])), at(BudgetUnit::Requests, 3, 3));
        let money = Ceilings { money: Some(5), ..Ceilings::default() };
        assert_eq!(reached(&money, spent(9, &[("small-1", 4, 0, 0)])), None);
        assert_eq!(reached(&money, spent(9, &[("small-1", 1, 0, 1)])), at(BudgetUnit::Money, 5, 5));
        let day = super::reached(Day, &money, Sums { requests: 0, tokens: 0, money: 6 });
        assert_eq!(day, Some(Reached { scope: Day, unit: BudgetUnit::Money, spent: 6, ceiling: 5 }));
    }

    #[test]
    fn a_day_ends_at_midnight() {
        let at = |text: &str| left_of_the_day(text.parse().unwrap_or_default()).as_secs();
        assert_eq!((at("2026-11-27T23:59:50Z"), at("2026-12-31T00:00:00Z")), (10, 86_400));
    }
}
