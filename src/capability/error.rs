//! Why a decision is not taken.

use thiserror::Error;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecisionError {
    #[error("decision file: {reason}")]
    Format { reason: String },
    #[error("decision: {field} {text:?} is not {expected}")]
    Field { field: &'static str, text: String, expected: &'static str },
    #[error("review digest {given:?} is not one: give at least {least} of its hex digits")]
    Prefix { given: String, least: usize },
    #[error("request {request} has changed since it was reviewed: decided on {given}, but it is {current} now")]
    Stale { request: String, given: String, current: String },
    #[error("the decision is about request {given}, not {expected}")]
    OtherRequest { expected: String, given: String },
}
