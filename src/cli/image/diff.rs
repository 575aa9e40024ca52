//! `taskforge image diff`.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::{Value, json};

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
        let difference = Difference::between(&from, &to);
        context.output.result(&difference.json(), || difference.lines() + "\n")
    }
}

/// Where two images differ.
pub(super) struct Difference {
    from: String,
    to: String,
    /// Whether both were read back, so that what their bases hold is compared, too.
    whole: bool,
    base: Option<(String, String)>,
    added: BTreeMap<String, String>,
    removed: BTreeMap<String, String>,
    changed: BTreeMap<String, (String, String)>,
}

impl Difference {
    pub(super) fn between(from: &Shelved, to: &Shelved) -> Self {
        let whole = from.installed.is_some() && to.installed.is_some();
        let (old, new) = (held(from, whole), held(to, whole));
        let beyond = |one: &BTreeMap<String, String>, other: &BTreeMap<String, String>| {
            let own = one.iter().filter(|(name, _)| !other.contains_key(*name));
            own.map(|(name, version)| (name.clone(), version.clone())).collect()
        };
        let changed = old.iter().filter_map(|(name, was)| {
            let is = new.get(name).filter(|is| *is != was)?;
            Some((name.clone(), (was.clone(), is.clone())))
        });
        let base = (from.recipe.base() != to.recipe.base())
            .then(|| (from.recipe.from().to_string(), to.recipe.from().to_string()));
        Self {
            from: from.recipe.tag(),
            to: to.recipe.tag(),
            whole,
            base,
            added: beyond(&new, &old),
            removed: beyond(&old, &new),
            changed: changed.collect(),
        }
    }

    pub(super) fn json(&self) -> Value {
        let changed = self.changed.iter().map(|(name, (was, is))| (name.clone(), json!({"from": was, "to": is})));
        json!({
            "from": self.from, "to": self.to, "whole": self.whole, "baseChanged": self.base.is_some(),
            "added": self.added, "removed": self.removed, "changed": changed.collect::<serde_json::Map<_, _>>(),
        })
    }

    pub(super) fn lines(&self) -> String {
        let mut lines = Vec::new();
        match &self.base {
            Some((was, is)) if was == is => lines.push(format!("~ base {is}, made anew")),
            Some((was, is)) => lines.push(format!("~ base {was} -> {is}")),
            None => {}
        }
        lines.extend(self.added.iter().map(|(name, version)| format!("+ {name} {version}")));
        lines.extend(self.removed.iter().map(|(name, version)| format!("- {name} {version}")));
        lines.extend(self.changed.iter().map(|(name, (was, is))| format!("~ {name} {was} -> {is}")));
        if lines.is_empty() {
            lines.push("No difference.".to_owned());
        }
        if !self.whole {
            lines.push("(of what was approved; one of them was not built here)".to_owned());
        }
        lines.join("\n")
    }
}

/// What an image holds: names with their ecosystem, and versions.
fn held(image: &Shelved, whole: bool) -> BTreeMap<String, String> {
    match &image.installed {
        Some(installed) if whole => installed.all().map(|(name, version)| (name, version.to_owned())).collect(),
        _ => image.recipe.lock().pins().map(|(name, version, _)| (name, version.to_owned())).collect(),
    }
}
