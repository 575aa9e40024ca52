//! Workflow files: `*.task.md`, Markdown with YAML frontmatter, parsed into a typed [`Workflow`] or refused with every
//! problem at once, each at its line and column.
//!
//! Nothing here runs, schedules or decides anything, and nothing a file holds is trusted: sizes, depth and aliases are
//! bounded, and a key that is not understood is a problem, never a fallback. What the engine does not act upon yet
//! (`schedule`, `when`) is checked just as strictly, so that no file becomes wrong later by being understood.

pub(crate) mod capability;
pub(crate) mod check;
mod container;
pub(crate) mod cron;
mod definition;
mod description;
mod driver;
mod error;
pub(crate) mod fields;
pub(crate) mod frontmatter;
pub mod graph;
mod list;
mod needs;
mod node;
pub mod opentask;
mod outputs;
mod params;
mod path;
pub(crate) mod problem;
pub mod prompt;
mod read;
mod render;
mod retry;
mod schedule;
pub(crate) mod template;
pub(crate) mod text;
pub(crate) mod tree;
mod wait;
// The file is named after the type that it holds, as every other one here.
#[allow(clippy::module_inception)]
mod workflow;

#[cfg(test)]
mod tests;

pub use container::{Container, ImageName, Resources, Runtime};
pub use driver::{Defaults, Driver, WakeMode};
pub use error::Error;
pub use list::{Listing, Summary, list};
pub use node::{Ending, Kind, Node};
pub use outputs::{Outputs, OutputsMode};
pub use params::{Param, ParamType, ParamValue};
pub use path::{PathError, RelativePath};
pub use problem::{Problem, Problems};
pub use read::{FILE_LIMIT, read_text};
pub use render::{ParamError, Rendered};
pub use retry::Retry;
pub use schedule::{Overlap, Schedule};
pub use wait::WaitFor;
pub use workflow::{NODE_LIMIT, Workflow};
