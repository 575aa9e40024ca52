//! `taskforge image diff`.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::json;

use crate::cli::root::Context;
use crate::engine::{self, Shelved};
use crate::failure::Failure;

/// Compare two images: packages that came, went or have another version, and another base
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// An image's digest, or the start of one
    from: String,
    /// The other one's
    to: String,
}

impl Diff {
    pub(super) fn run(self, context: &Context<'_>) -> Result<(), Failure> {
        let registry = context.registry()?;
        let (from, to) = (engine::find_image(&registry, &self.from)?, engine::find_image(&registry, &self.to)?);
        // What was read back says more, but only where both were built here.
        let whole = from.installed.is_some() && to.installed.is_some();
        let (old, new) = (held(&from, whole), held(&to, whole));
        let added: BTreeMap<_, _> = new.iter().filter(|(name, _)| !old.contains_key(*name)).collect();
        let removed: BTreeMap<_, _> = old.iter().filter(|(name, _)| !new.contains_key(*name)).collect();
        let changed: BTreeMap<_, _> =
            old.iter().filter_map(|(name, was)| Some((name, (was, new.get(name).filter(|is| *is != was)?)))).collect();
        let base = from.recipe.base() != to.recipe.base();
        let value = json!({
            "from": from.recipe.tag(), "to": to.recipe.tag(), "whole": whole, "baseChanged": base,
            "added": added, "removed": removed,
            "changed": changed.iter().map(|(name, (was, is))| (name, json!({"from": was, "to": is}))).collect::<BTreeMap<_, _>>(),
        });
        context.output.result(&value, || {
            let mut lines = Vec::new();
            if base {
                lines.push(format!("~ base {} -> {}", from.recipe.from(), to.recipe.from()));
            }
            lines.extend(added.iter().map(|(name, version)| format!("+ {name} {version}")));
            lines.extend(removed.iter().map(|(name, version)| format!("- {name} {version}")));
            lines.extend(changed.iter().map(|(name, (was, is))| format!("~ {name} {was} -> {is}")));
            if lines.is_empty() {
                lines.push("No difference.".to_owned());
            }
            if !whole {
                lines.push("(of what was approved; one of them was not built here)".to_owned());
            }
            lines.join("\n") + "\n"
        })
    }
}

/// What an image holds: names with their ecosystem, and versions.
fn held(image: &Shelved, whole: bool) -> BTreeMap<String, String> {
    match &image.installed {
        Some(installed) if whole => {
            let apt = installed.apt.iter().map(|(name, version)| (format!("apt:{name}"), version.clone()));
            let pip = installed.pip.iter().map(|(name, version)| (format!("pip:{name}"), version.clone()));
            apt.chain(pip).collect()
        }
        _ => image.recipe.lock().pins().map(|(name, version, _)| (name, version.to_owned())).collect(),
    }
}
