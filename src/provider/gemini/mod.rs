//! Gemini's `generateContent` wire: a chat request in its words, and its answers in OpenAI's.
//!
//! Wire: <https://ai.google.dev/api/generate-content> and its pages on function calling, thinking, thought signatures,
//! structured output and embeddings.

mod content;
pub(crate) mod embedding;
mod error;
mod request;
mod response;
mod stream;
mod usage;

pub(crate) use request::request;
pub(crate) use response::Answer;
