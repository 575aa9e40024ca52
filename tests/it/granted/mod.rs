//! Ways out that a person grants while the agent runs: a real gate and a real container, against servers of the test's
//! own on loopback.

mod budgets;
mod clients;
mod databases;
mod decided;
mod edited;
mod index;
mod limited;
mod mounts;
mod npm;
mod ruled;
pub mod server;
pub mod stage;
mod standing;
mod taken_back;
mod tools;
mod waiting;
