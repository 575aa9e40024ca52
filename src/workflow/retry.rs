//! `retry`: when a failed attempt is followed by another.

use std::time::Duration;

use serde::Serialize;

use super::check::Check;
use super::fields::Fields;
use super::tree::Yaml;
use crate::run::quantity::{as_millis, as_optional_millis};

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// How many attempts may follow the first.
    pub limit: u32,
    /// The pause before the second attempt, doubled before each further one. Serialised in milliseconds.
    #[serde(rename = "backoffMs", serialize_with = "as_millis")]
    pub backoff: Duration,
    /// The longest pause. Serialised in milliseconds.
    #[serde(rename = "maxBackoffMs", serialize_with = "as_optional_millis")]
    pub max_backoff: Option<Duration>,
    /// The exit codes after which another attempt is made; empty means after any failure.
    pub on: Vec<u8>,
}

impl Retry {
    pub(super) fn read(check: &mut Check, yaml: &Yaml, what: &str) -> Option<Self> {
        let fields = Fields::read(check, yaml, what, &["limit", "backoff", "maxBackoff", "on"])?;
        let limit =
            fields.required(check, "limit").and_then(|yaml| check.integer(yaml, &fields.name("limit"), 0..=100));
        let backoff = fields.optional(check, "backoff", Check::duration).unwrap_or(Duration::from_secs(10));
        let max_backoff = fields.optional(check, "maxBackoff", Check::duration);
        if let (Some(longest), Some(yaml)) = (max_backoff, fields.get("maxBackoff"))
            && longest < backoff
        {
            check.problem(yaml.spot, format!("{} is shorter than its `backoff`", fields.name("maxBackoff")));
        }
        let on = fields.optional(check, "on", codes).unwrap_or_default();
        Some(Self { limit: u32::try_from(limit?).ok()?, backoff, max_backoff, on })
    }
}

fn codes(check: &mut Check, yaml: &Yaml, what: &str) -> Option<Vec<u8>> {
    let mut codes = Vec::new();
    for item in check.list(yaml, what)? {
        let Some(code) = check.integer(item, &format!("an exit code in {what}"), 1..=255) else { continue };
        let Ok(code) = u8::try_from(code) else { continue };
        // The shim and the engine have agreed on what these two mean; neither is a failure of the work.
        if matches!(code, 72 | 75) {
            let meaning = if code == 72 { "the gate refused" } else { "the agent waits for a decision" };
            check.problem(item.spot, format!("exit code {code} in {what} means that {meaning}, and is not retried"));
        } else if codes.contains(&code) {
            check.problem(item.spot, format!("exit code {code} stands twice in {what}"));
        } else {
            codes.push(code);
        }
    }
    codes.sort_unstable();
    Some(codes)
}
