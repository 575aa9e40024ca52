//! `taskforge image …`.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use crate::engine;
use crate::failure::Failure;
use crate::run::id::{Digest, RunId};

use super::root::Context;

/// Base images, and images built from what was approved
#[derive(Debug, Subcommand)]
pub(crate) enum Image {
    /// Make the base image: pulled where a registry answers, else from this distribution's packages
    Base {
        /// Make it anew if it is there
        #[arg(long)]
        force: bool,
        /// Where to pull it from [default: made from packages]
        #[arg(long, value_name = "IMAGE")]
        from: Option<String>,
    },
    /// Build an approved set (what a tick starts in the background)
    #[command(hide = true)]
    Build {
        #[arg(long)]
        recipe: Digest,
        #[arg(long)]
        run: RunId,
    },
}

impl Image {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        match self {
            Self::Base { force, from } => {
                let made = engine::make_base_image(from.as_deref(), force, &mut |line| context.output.note(line))?;
                context.output.result(&made, || {
                    let how = if made.made { "Made" } else { "There already:" };
                    format!("{how} {} ({})", made.image, made.id)
                })?;
            }
            Self::Build { recipe, run } => {
                crate::image::detached::leave_session();
                let registry = context.registry()?;
                let built = engine::run_build(&registry, &recipe, run.as_str());
                // Whatever came of it is for the run to find, now rather than at the next tick of somebody else.
                if let Err(error) = engine::tick(&registry, &run) {
                    context.output.warn(&format!("run {run}: {error}"));
                }
                let built = built?;
                let value = json!({"tag": built.tag, "image": built.image, "cached": built.cached});
                context.output.result(&value, || format!("{} {}", built.tag, built.image))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
