//! Anthropic's wire on the agent's side, for providers that speak another: a request becomes a chat request, and the
//! chat completion that comes back becomes a message, whole or as events.

mod blocks;
mod events;
mod kind;
mod parameter;
mod reply;
mod request;
mod reworded;

pub(crate) use kind::error_type;
pub(crate) use reply::failure;
pub(crate) use request::request;
pub(crate) use reworded::Reworded;
