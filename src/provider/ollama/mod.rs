//! Ollama's own wire: a chat request in its words, and its answers in OpenAI's.
//!
//! Wire: <https://docs.ollama.com/api>, chat and embed.

pub(crate) mod embedding;
mod error;
mod request;
mod response;
mod stream;

pub(crate) use request::request;
pub(crate) use response::Answer;
