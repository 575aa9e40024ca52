//! Ways out that a person grants while the agent runs: a real gate and a real container, against servers of the test's
//! own on loopback.

mod beneath;
mod budgets;
mod clients;
mod databases;
mod decided;
mod edited;
mod for_a_role;
mod index;
mod limited;
mod mounts;
mod next_prompt;
mod npm;
mod ruled;
pub mod server;
pub mod stage;
mod standing;
mod taken_back;
mod tools;
mod waiting;
