//! `taskforge image gc`.

use std::fmt::Write as _;

use clap::Args;
use serde_json::json;

use super::size;
use crate::cli::root::Context;
use crate::cli::terminal::plain;
use crate::engine;
use crate::failure::Failure;

/// Remove images, and the files fetched for them, that no run needs which goes on; and workspaces of runs that are gone
///
/// Their recipes, locks and bills of materials stay. Workspaces are meant that are images (`containers.workspace`), of runs whose folder was removed. An image that has another name as well is kept: remove that name first. A run that is retried has its image built again.
#[derive(Debug, Args)]
pub(crate) struct Gc {
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
}

impl Gc {
    pub(super) fn run(self, context: &Context<'_>) -> Result<(), Failure> {
        let registry = context.registry()?;
        let cleared = engine::clear_images(&registry, self.dry_run)?;
        let images: u64 = cleared.images.iter().map(|(_, bytes)| bytes).sum();
        let files: u64 = cleared.files.iter().map(|(_, bytes)| bytes).sum();
        let value = json!({
            "dryRun": self.dry_run,
            "images": cleared.images.iter().map(|(recipe, bytes)| json!({"recipe": recipe, "size": bytes})).collect::<Vec<_>>(),
            "inUse": cleared.in_use,
            "named": cleared.named.iter().map(|(recipe, names)| json!({"recipe": recipe, "names": names})).collect::<Vec<_>>(),
            "files": cleared.files.iter().map(|(name, bytes)| json!({"name": name, "size": bytes})).collect::<Vec<_>>(),
            "workspaces": cleared.workspaces.iter().map(|(run, bytes)| json!({"run": run, "size": bytes})).collect::<Vec<_>>(),
        });
        context.output.result(&value, || {
            let mut text = String::new();
            let done = if self.dry_run { "would remove" } else { "removed" };
            for (recipe, bytes) in &cleared.images {
                let _ = writeln!(text, "{done} taskforge/agent:{}  {}", recipe.short(), size(*bytes));
            }
            for recipe in &cleared.in_use {
                let _ = writeln!(text, "kept taskforge/agent:{}: a container needs it", recipe.short());
            }
            for (recipe, names) in &cleared.named {
                let names = plain(&names.join(", "));
                let _ = writeln!(text, "kept taskforge/agent:{}: it is {names}, too", recipe.short());
            }
            for (name, bytes) in &cleared.files {
                let _ = writeln!(text, "{done} {}  {}", plain(name), size(*bytes));
            }
            for (run, bytes) in &cleared.workspaces {
                let _ = writeln!(text, "{done} the workspaces of {}  {}", plain(run), size(*bytes));
            }
            let (count, fetched) = (cleared.images.len(), cleared.files.len());
            let _ = writeln!(
                text,
                "{count} images ({}, layers that others share included) and {fetched} fetched files ({}).",
                size(images),
                size(files)
            );
            text
        })
    }
}
