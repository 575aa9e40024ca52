//! `taskforge image openclaw`.

use clap::Args;

use crate::cli::root::Context;
use crate::engine;
use crate::failure::Failure;

/// Make the image of nodes with `runtime: openclaw`: OpenClaw and Node from npm, in the versions of taskforge.toml
#[derive(Debug, Args)]
pub(crate) struct Openclaw {
    /// Ask npm again and make it anew
    #[arg(long)]
    force: bool,
}

impl Openclaw {
    pub(super) fn run(self, context: &Context<'_>) -> Result<(), Failure> {
        let registry = context.registry()?;
        let made = engine::make_openclaw_image(&registry, self.force, &mut |line| context.output.note(line))?;
        context.output.result(&made, || {
            let how = if made.made { "Made" } else { "There already:" };
            format!("{how} {} ({})", made.image, made.id)
        })
    }
}
