//! Why a request cannot be put into a provider's words: a named error, never a quiet loss.

use thiserror::Error;

use crate::provider::TooComplex;

/// A request that is not sent, with the parameter that is to blame.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{param}` {why}")]
pub struct Untranslatable {
    /// Stable, for programs: `bad_request` for what no provider would understand, `unsupported_…` for what this one
    /// cannot do.
    pub code: &'static str,
    /// `messages[2].content[0].image_url`.
    pub param: String,
    /// A sentence that begins with its verb: the parameter is its subject.
    pub why: String,
}

impl Untranslatable {
    fn new(code: &'static str, param: impl Into<String>, why: impl Into<String>) -> Self {
        Self { code, param: param.into(), why: why.into() }
    }

    /// Not of the shape that the wire has.
    pub(crate) fn malformed(param: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new("bad_request", param, why)
    }

    /// Parsed, it would be more than a request may be.
    pub(crate) fn complex(param: impl Into<String>, error: &TooComplex) -> Self {
        Self::new("bad_request", param, format!("cannot be read: {error}"))
    }

    /// A parameter without a counterpart.
    pub(crate) fn parameter(param: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new("unsupported_parameter", param, why)
    }

    /// A parameter that has a counterpart, which does not take this value.
    pub(crate) fn value(param: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new("unsupported_value", param, why)
    }

    /// A message or a part of one without a counterpart.
    pub(crate) fn content(param: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new("unsupported_content", param, why)
    }

    pub(crate) fn tool_choice(why: impl Into<String>) -> Self {
        Self::new("unsupported_tool_choice", "tool_choice", why)
    }

    pub(crate) fn format(why: impl Into<String>) -> Self {
        Self::new("unsupported_response_format", "response_format", why)
    }

    /// The provider does not speak what was asked for at all.
    pub(crate) fn wire(path: &str, why: impl Into<String>) -> Self {
        Self::new("unsupported_wire", path, why)
    }
}
