//! What requests took and what they cost.

use serde::Serialize;

use super::select::Exchange;
use crate::gate::records::{Kind, Taken, Tokens};
use crate::provider::glob_matches;
use crate::registry::config::{Llm, Price};

/// A million tokens, the unit of prices.
const UNIT: f64 = 1e6;

/// The price of a model by its name at the provider; the first that matches.
pub(super) fn price<'l>(llm: &'l Llm, model: &str) -> Option<&'l Price> {
    llm.prices.iter().find(|price| glob_matches(&price.glob, model))
}

/// The sum over some requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sum {
    pub(super) requests: u64,
    pub(super) answered: u64,
    pub(super) failed: u64,
    pub(super) aborted: u64,
    /// Under way, or the gate ended first.
    pub(super) unclosed: u64,
    pub(super) prompt_tokens: u64,
    pub(super) cached_tokens: u64,
    pub(super) written_tokens: u64,
    pub(super) completion_tokens: u64,
    /// In the currency of the price table, without what is in `unpriced`.
    pub(super) cost: f64,
    /// Requests of which nobody said what they took, those without an outcome among them: a quarter of their bytes counts,
    /// as it does for budgets.
    pub(super) estimated: u64,
    /// Requests that took tokens of models without a price.
    pub(super) unpriced: u64,
}

impl Sum {
    /// Takes up one exchange.
    pub(super) fn add(&mut self, exchange: &Exchange<'_>, llm: &Llm) {
        self.requests += 1;
        match exchange.end.map(|end| &end.kind) {
            Some(Kind::LlmResponse) => self.answered += 1,
            Some(Kind::LlmError) => self.failed += 1,
            Some(Kind::LlmAborted) => self.aborted += 1,
            _ => self.unclosed += 1,
        }
        let sent = exchange.request.body().map_or(0, |body| body.bytes);
        let Taken { tokens, estimated } = Taken::of(sent, exchange.end);
        if tokens == Tokens::default() {
            return;
        }
        self.estimated += u64::from(estimated);
        self.prompt_tokens = self.prompt_tokens.saturating_add(tokens.prompt);
        self.cached_tokens = self.cached_tokens.saturating_add(tokens.cached);
        self.written_tokens = self.written_tokens.saturating_add(tokens.written);
        self.completion_tokens = self.completion_tokens.saturating_add(tokens.completion);
        let request = exchange.request;
        let model = request.text("upstreamModel").or_else(|| request.text("model")).unwrap_or_default();
        match price(llm, model) {
            Some(price) => {
                let cached = price.cached.unwrap_or(price.input);
                let read = float(tokens.fresh()) * price.input + float(tokens.cached) * cached;
                let written = float(tokens.written) * price.written();
                self.cost += (read + written + float(tokens.completion) * price.output) / UNIT;
            }
            None => self.unpriced += 1,
        }
    }

    /// The cost for people: what has no price is said, never left out.
    pub(super) fn money(&self, currency: &str) -> String {
        let mut text = match self.unpriced {
            0 => format!("{:.6} {currency}", self.cost),
            _ if self.cost <= 0.0 => "?".to_owned(),
            unpriced => format!("{:.6} {currency} + {unpriced} unpriced", self.cost),
        };
        if self.estimated > 0 && text != "?" {
            text.push_str(&format!(" ({} estimated)", self.estimated));
        }
        text
    }
}

#[allow(clippy::cast_precision_loss)] // nine quadrillion tokens are more than there will be
fn float(count: u64) -> f64 {
    count as f64
}
