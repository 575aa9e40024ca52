//! OpenClaw as a program beside us: its command line is run with plain arguments, its answers are read as JSON, and
//! nothing it says is trusted further than that. Never its files, never its database, never a shell.

mod cli;
pub mod error;
mod gateway;
mod patch;
#[cfg(test)]
mod tests;

pub use cli::OpenclawCli;
pub use error::Error;
pub use gateway::Sent;
