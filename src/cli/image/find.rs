//! `taskforge image find`.

use clap::Args;
use serde_json::json;

use crate::cli::root::Context;
use crate::cli::table::Table;
use crate::engine;
use crate::failure::{Failure, Kind};
use crate::provider::glob_matches;

/// Find the images that hold a package, and the runs that were given them
#[derive(Debug, Args)]
pub(crate) struct Find {
    /// The package's name; `*` stands for anything
    package: String,
    /// Only this version; `*` stands for anything
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
}

struct Found {
    image: String,
    package: String,
    version: String,
    layer: &'static str,
    runs: Vec<String>,
}

impl Find {
    pub(super) fn run(self, context: &Context<'_>) -> Result<(), Failure> {
        let registry = context.registry()?;
        let users = engine::users_of_images(&registry)?;
        let wanted = self.package.to_ascii_lowercase();
        let fits = |name: &str, version: &str| {
            let bare = name.split_once(':').map_or(name, |(_, rest)| rest);
            let bare = bare.split(':').next().unwrap_or(bare);
            glob_matches(&wanted, bare) && self.version.as_deref().is_none_or(|glob| glob_matches(glob, version))
        };
        let mut found = Vec::new();
        for image in engine::shelf(&registry)?.images {
            let runs: Vec<String> = users.get(&image.identity).into_iter().flatten().map(ToString::to_string).collect();
            let mut add = |package: String, version: &str, layer| {
                let (image, version) = (image.recipe.tag(), version.to_owned());
                found.push(Found { image, package, version, layer, runs: runs.clone() });
            };
            for (name, version, _) in image.recipe.lock().pins().filter(|(name, version, _)| fits(name, version)) {
                add(name, version, "approved");
            }
            let Some(installed) = &image.installed else { continue };
            let approved: Vec<String> = image.recipe.lock().pins().map(|(name, ..)| name).collect();
            for (name, version) in installed.all().filter(|(name, version)| fits(name, version)) {
                if !approved.contains(&name) {
                    add(name, version, "base");
                }
            }
        }
        if found.is_empty() {
            return Err(Failure::new(Kind::NotFound, format!("no image of this registry holds `{}`", self.package)));
        }
        let value: Vec<_> = found
            .iter()
            .map(|f| json!({"image": f.image, "package": f.package, "version": f.version, "layer": f.layer, "runs": f.runs}))
            .collect();
        context.output.result(&json!({"found": value}), || {
            let mut table = Table::new(["IMAGE", "PACKAGE", "VERSION", "LAYER", "RUNS"]);
            for f in &found {
                let runs = if f.runs.is_empty() { "-".to_owned() } else { f.runs.join(", ") };
                table.row([f.image.clone(), f.package.clone(), f.version.clone(), f.layer.to_owned(), runs]);
            }
            table.or("")
        })
    }
}
