//! OpenClaw as a program beside us: its command line is run with plain arguments, its answers are read as JSON, and
//! nothing it says is trusted further than that. Never its files, never its database, never a shell.

pub mod allowlist;
mod cli;
pub mod error;
mod facts;
mod gateway;
mod patch;
pub mod skill;
#[cfg(test)]
mod tests;

pub use cli::OpenclawCli;
pub use error::Error;
pub use facts::{ExecRules, Skill};
pub use gateway::Sent;
