//! `taskforge image show`.

use std::fmt::Write as _;

use clap::Args;

use super::{list, size};
use crate::cli::root::Context;
use crate::cli::terminal::plain;
use crate::engine;
use crate::failure::Failure;

/// Show one image: its base, what was approved for it, and the runs that were given it
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Its digest, or the start of one
    image: String,
}

impl Show {
    pub(super) fn run(self, context: &Context<'_>) -> Result<(), Failure> {
        let registry = context.registry()?;
        let image = engine::find_image(&registry, &self.image)?;
        let there = engine::images_on_engine();
        let known = there.is_ok();
        let there = there.unwrap_or_default();
        let runs = engine::users_of_images(&registry)?.remove(&image.identity).unwrap_or_default();
        let mut value = list::describe(&image, &there, known);
        value["lock"] = serde_json::to_value(image.recipe.lock()).unwrap_or_default();
        value["runs"] = serde_json::to_value(&runs).unwrap_or_default();
        value["folder"] = image.folder.display().to_string().into();
        context.output.result(&value, || {
            let found = there.get(&image.identity);
            let mut text = format!("{}  {}\n", image.recipe.tag(), list::status(&image, found, known));
            let _ = writeln!(text, "recipe    {}", image.identity);
            let _ = writeln!(text, "upon      {}", image.recipe.from());
            if let Some(found) = found {
                let _ = writeln!(text, "engine    {}, {}", found.id, size(found.size));
            }
            if let Some(installed) = &image.installed {
                let held = installed.all().count();
                let _ = writeln!(text, "built     {}, {held} packages with its base's", installed.at);
                if let Some(attempts) = installed.network_attempts {
                    let _ = writeln!(
                        text,
                        "network   tried {attempts} times while it was installed, and refused: see build.log"
                    );
                }
                if installed.network_unseen {
                    let _ = writeln!(text, "network   what was tried while it was installed could not be looked at");
                }
            }
            if let Some(failure) = &image.failure {
                let _ = writeln!(text, "failed    {}", plain(failure));
            }
            let _ = writeln!(text, "files     {}", plain(&image.folder.display().to_string()));
            let runs: Vec<String> = runs.iter().map(ToString::to_string).collect();
            let _ = writeln!(text, "runs      {}", if runs.is_empty() { "none".to_owned() } else { runs.join(", ") });
            text.push_str("\nApproved\n");
            for (name, version, sum) in image.recipe.lock().pins() {
                let _ = writeln!(text, "  {name} {version}  {sum}");
            }
            for (pin, inner) in image.recipe.lock().bundled() {
                let _ = writeln!(text, "  npm:{} {}  within {}", inner.place(), inner.version, pin.filename());
            }
            text
        })
    }
}
