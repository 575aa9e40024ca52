//! Anthropic's Messages wire: a chat request in its words, and its answers in OpenAI's.
//!
//! Wire: <https://docs.anthropic.com/en/api/messages> and its pages on streaming, tool use, extended thinking,
//! structured outputs and errors.

mod content;
mod error;
mod request;
mod response;
mod stream;
mod usage;

pub(crate) use request::request;
pub(crate) use response::Answer;

/// The version of the wire that is spoken where an agent's client names none.
pub(crate) const VERSION: &str = "2023-06-01";
