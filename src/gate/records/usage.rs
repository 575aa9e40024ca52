//! What LLM traffic cost, summed from the records.

use serde::Serialize;

/// Requests and tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    pub requests: u64,
    pub answered: u64,
    pub failed: u64,
    pub aborted: u64,
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
}
