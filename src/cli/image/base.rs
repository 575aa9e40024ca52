//! `taskforge image base`.

use clap::Args;

use crate::cli::root::Context;
use crate::engine;
use crate::failure::Failure;

/// Make the base image: pulled where a registry answers, else from this distribution's packages
#[derive(Debug, Args)]
pub(crate) struct Base {
    /// Make it anew if it is there
    #[arg(long)]
    force: bool,
    /// Where to pull it from [default: made from packages]
    #[arg(long, value_name = "IMAGE")]
    from: Option<String>,
}

impl Base {
    pub(super) fn run(self, context: &Context<'_>) -> Result<(), Failure> {
        let made = engine::make_base_image(self.from.as_deref(), self.force, &mut |line| context.output.note(line))?;
        context.output.result(&made, || {
            let how = if made.made { "Made" } else { "There already:" };
            format!("{how} {} ({})", made.image, made.id)
        })
    }
}
