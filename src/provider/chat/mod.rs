//! OpenAI's chat wire as types, for the providers that speak another one: a request is read into [`Request`], which a
//! provider's folder puts into its own words, and what came back becomes a [`Reply`] or a stream of [`Chunks`].
//!
//! Nothing is dropped in silence: what cannot be read or said is an [`Untranslatable`] with a code and the parameter.
//!
//! Wire: <https://platform.openai.com/docs/api-reference/chat>.

mod again;
mod chunk;
mod counted;
mod image;
mod message;
mod parameter;
mod reply;
mod request;
mod tool;
mod untranslatable;

pub(crate) use again::again;
pub(crate) use chunk::Chunks;
pub(crate) use counted::{Counted, asking};
pub(crate) use image::Image;
pub(crate) use message::{Assistant, Call, Message, Part};
pub(crate) use parameter::{Effort, Format, Sampling};
pub(crate) use reply::{Reply, Usage, called};
pub(crate) use request::Request;
pub(crate) use tool::{Choice, Tool};
pub use untranslatable::Untranslatable;
