//! Workflows as OpenTask's helper takes them: the frontmatter of a file, or the same as JSON. Its keys are the file's and
//! what it does not know it passes over, so that a file which its helper takes is taken here. It complains in the
//! helper's sentences and in its order, and where the helper goes on with what cannot be right, it complains as well.
//!
//! The strict reading of a file is [`Workflow`](super::Workflow).

mod cycle;
mod error;
mod frontmatter;
mod node;
mod path;
mod prompts;
mod spec;

#[cfg(test)]
mod tests;

pub use error::SpecError;
pub use path::relative as relative_path;
pub use prompts::{Brief, briefs};
pub use spec::{Spec, from_frontmatter, from_json};
