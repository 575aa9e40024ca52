//! The terminal: one file a command.

pub mod agent;
