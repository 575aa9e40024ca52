//! Runs that other programs change: what OpenTask's `state.json` and `refs.json` say, and what of it is taken over.
//! Pure. Its helper takes no lock and its service a lock only, so that either may have written over ours a moment ago:
//! nothing they write undoes what was acknowledged.

mod begin;
mod merge;
mod seen;

#[cfg(test)]
mod tests;

pub use begin::begin;
pub use merge::{Theirs, merge};
pub use seen::{SeenNode, SeenRun};
