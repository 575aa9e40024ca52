//! `taskforge`: durable, reviewable runs of AI agents in gated containers; one binary, no server.
//!
//! The rooms, from the pure core to the edges: [`run`] (what may happen), [`workflow`] (what was asked),
//! [`registry`] (every byte on disk), [`container`], [`image`], [`capability`], [`gate`], [`provider`], [`agent`]
//! (inside the container), [`role`] (what hired agents are), [`openclaw`] (the program beside us), [`engine`] (one tick),
//! [`schedule`] (who calls it), [`audit`], [`report`] (a run as a page), [`signature`] (whose word it is),
//! [`vault`] (secrets), [`watch`] (where work comes from). `cli` imports everything; nothing imports `cli`.

pub mod agent;
pub mod audit;
pub mod capability;
pub mod cli;
pub mod container;
pub mod engine;
pub mod failure;
pub mod gate;
#[cfg(any(test, fuzzing))]
pub mod hostile;
pub mod image;
pub mod openclaw;
mod program;
pub mod provider;
pub mod registry;
pub mod report;
pub mod role;
pub mod run;
pub mod schedule;
#[cfg(test)]
mod schema;
pub mod signature;
mod user_namespace;
pub mod vault;
pub mod watch;
pub mod workflow;
