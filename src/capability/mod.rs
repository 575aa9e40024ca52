//! Requests for capabilities, what a person is shown before deciding, and the decision. The digest of what was shown
//! binds the two: a decision is good for exactly that text and nothing else.
//!
//! Never decides anything, and never grants: it shows, compares and parses.

mod covers;
mod decision;
mod diff;
mod edited;
mod effect;
mod error;
pub mod policy;
mod render;
mod request;
mod review;
#[cfg(test)]
mod tests;

pub use decision::{Decision, Verdict};
pub use edited::Edited;
pub use effect::of_tool as effect_of_tool;
pub use error::DecisionError;
pub use request::Request;
pub use review::Review;
