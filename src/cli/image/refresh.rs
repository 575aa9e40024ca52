//! `taskforge image refresh`.

use std::fmt::Write as _;

use clap::Args;
use serde_json::{Value, json};

use super::diff::Difference;
use crate::cli::root::Context;
use crate::cli::terminal::plain;
use crate::engine;
use crate::failure::{Failure, Kind};

/// Build images again whose base has changed since, by the same locks, and say what changed
///
/// Runs keep the image that was approved for them. A set that is asked for upon the new base finds its image built.
#[derive(Debug, Args)]
pub(crate) struct Refresh {
    /// Their digests, or the starts of some [default: all]
    images: Vec<String>,
    /// Only say which are out of date
    #[arg(long)]
    dry_run: bool,
}

impl Refresh {
    pub(super) fn run(self, context: &Context<'_>) -> Result<(), Failure> {
        let registry = context.registry()?;
        let wanted = self.images.iter().map(|text| Ok(engine::find_image(&registry, text)?.identity));
        let wanted = wanted.collect::<Result<Vec<_>, Failure>>()?;
        let mut text = String::new();
        let mut values: Vec<Value> = Vec::new();
        let mut failed = 0;
        for old in engine::outdated(&registry, &wanted)? {
            let (from, to) = (old.image.recipe.tag(), old.recipe.tag());
            let mut value = json!({"from": from, "to": to, "base": old.recipe.from().to_string()});
            if self.dry_run || old.there {
                let what = if old.there { "built already as" } else { "would be built as" };
                let _ = writeln!(text, "{from} {what} {to}");
                value["built"] = old.there.into();
                values.push(value);
                continue;
            }
            context.output.note(format!("Building {to} in place of {from} ..."));
            match engine::rebuild(&registry, &old.recipe) {
                Ok(_) => {
                    let new = engine::find_image(&registry, old.recipe.identity().as_str())?;
                    let difference = Difference::between(&old.image, &new);
                    let _ = writeln!(text, "{from} -> {to}\n{}", difference.lines());
                    value["built"] = true.into();
                    value["difference"] = difference.json();
                }
                Err(error) => {
                    failed += 1;
                    let _ = writeln!(text, "{from}: cannot be built upon its new base: {}", plain(&error.to_string()));
                    value["built"] = false.into();
                    value["failure"] = error.to_string().into();
                }
            }
            values.push(value);
        }
        if values.is_empty() {
            text.push_str("Every image is upon its base as it is.\n");
        }
        context.output.result(&json!({"dryRun": self.dry_run, "images": values}), || text)?;
        if failed > 0 {
            return Err(Failure::new(Kind::Failed, format!("{failed} of {} images could not be built", values.len()))
                .hint(
                    "`images/DIGEST/build.log` has what was printed; a request upon the new base finds a set that fits",
                ));
        }
        Ok(())
    }
}
