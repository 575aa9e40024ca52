//! `taskforge image build`, which people do not call.

use clap::Args;
use serde_json::json;

use crate::cli::root::Context;
use crate::engine;
use crate::failure::Failure;
use crate::run::id::{Digest, RunId};

/// Build an approved set (what a tick starts in the background)
#[derive(Debug, Args)]
pub(crate) struct Build {
    #[arg(long)]
    recipe: Digest,
    /// The run that asked for it
    #[arg(long)]
    run: RunId,
}

impl Build {
    pub(super) fn run(self, context: &Context<'_>) -> Result<(), Failure> {
        crate::image::detached::leave_session();
        let registry = context.registry()?;
        let built = engine::run_build(&registry, &self.recipe, self.run.as_str());
        // Whatever came of it is for the run to find, now rather than at the next tick of somebody else.
        if let Err(error) = engine::tick(&registry, &self.run) {
            context.output.warn(&format!("run {}: {error}", self.run));
        }
        let built = built?;
        let value = json!({"tag": built.tag, "image": built.image, "cached": built.cached});
        context.output.result(&value, || format!("{} {}", built.tag, built.image))
    }
}
