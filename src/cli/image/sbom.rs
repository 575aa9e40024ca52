//! `taskforge image sbom`.

use clap::{Args, ValueEnum};

use crate::cli::root::Context;
use crate::engine;
use crate::failure::Failure;
use crate::image::sbom;

/// Print an image's bill of materials
///
/// It holds what was approved, with the digests that were approved, and what the base held when the image was built.
#[derive(Debug, Args)]
pub(crate) struct Sbom {
    /// Its digest, or the start of one
    image: String,
    /// Which standard
    #[arg(long, value_enum, default_value_t = Format::Cyclonedx)]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// `CycloneDX` 1.6
    Cyclonedx,
    /// SPDX 2.3
    Spdx,
}

impl Sbom {
    pub(super) fn run(self, context: &Context<'_>) -> Result<(), Failure> {
        let registry = context.registry()?;
        let image = engine::find_image(&registry, &self.image)?;
        // Built by another registry: its files say what it holds.
        let installed = match image.installed {
            Some(installed) => Some(installed),
            None => match engine::read_image_back(&registry, &image.recipe) {
                Ok(installed) => Some(installed),
                Err(error) => {
                    context.output.warn(&format!("warning: what its base holds is not in the bill: {error}"));
                    None
                }
            },
        };
        let bill = sbom::Sbom::new(&image.recipe, installed.as_ref());
        let bill = match self.format {
            Format::Cyclonedx => bill.cyclonedx(),
            Format::Spdx => bill.spdx(),
        };
        context.output.result(&bill, || serde_json::to_string_pretty(&bill).unwrap_or_default() + "\n")
    }
}
