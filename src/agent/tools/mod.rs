//! The built-in agent's tools. Each returns JSON for the model and never an error of ours: a path that does not exist
//! or a command that fails is something the model works with. A result holds nothing that differs between two runs
//! of the same work (no time, no duration, no process id), because recorded conversations are matched by digest.

mod beneath;
mod files;
mod roots;
mod shell;
mod tool;

pub(crate) use files::{read_file, write_file};
pub use roots::Roots;
pub(crate) use shell::shell;
pub(crate) use tool::{Tool, Work};
