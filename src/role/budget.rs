//! What all agents of a role may take of models within one day.

use serde::Serialize;

/// Ceilings within one day of UTC; what is absent is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct DayBudget {
    pub requests: Option<u64>,
    pub tokens: Option<u64>,
    /// In the currency of `taskforge.toml`.
    pub money: Option<f64>,
}

impl DayBudget {
    /// Whether nothing is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
