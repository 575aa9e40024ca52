//! `taskforge image list`.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::json;

use super::size;
use crate::cli::root::Context;
use crate::cli::table::Table;
use crate::cli::terminal::plain;
use crate::engine::{self, Shelved};
use crate::failure::Failure;
use crate::image::OnEngine;
use crate::run::id::Digest;

/// List the images of this registry: what was approved, and what the Engine has of it
#[derive(Debug, Args)]
pub(crate) struct List {}

impl List {
    pub(super) fn run(self, context: &Context<'_>) -> Result<(), Failure> {
        let registry = context.registry()?;
        let shelf = engine::shelf(&registry)?;
        for (name, reason) in &shelf.unreadable {
            context.output.warn(&format!("warning: images/{}: {}", plain(name), plain(reason)));
        }
        // The files say all but the size; an Engine that does not answer is no reason to say nothing.
        let there = engine::images_on_engine();
        if let Err(error) = &there {
            context.output.warn(&format!("warning: which of them the Engine has is not known: {error}"));
        }
        let known = there.is_ok();
        let there = there.unwrap_or_default();
        let value: Vec<_> = shelf.images.iter().map(|image| describe(image, &there, known)).collect();
        context.output.result(&json!({"images": value}), || {
            let mut table = Table::new(["IMAGE", "BASE", "APPROVED", "SIZE", "STATUS"]);
            for image in &shelf.images {
                let found = there.get(&image.identity);
                table.row([
                    image.recipe.tag(),
                    image.recipe.from().to_string(),
                    image.recipe.lock().len().to_string(),
                    found.map_or_else(|| "-".to_owned(), |found| size(found.size)),
                    status(image, found, known).to_owned(),
                ]);
            }
            table.or("No image was asked for.\n")
        })
    }
}

/// How an image stands.
pub(super) fn status(image: &Shelved, found: Option<&OnEngine>, known: bool) -> &'static str {
    match (found, known) {
        (Some(_), _) => "built",
        (None, false) => "unknown",
        (None, true) if image.failure.is_some() => "failed",
        (None, true) if image.installed.is_some() => "removed",
        (None, true) => "not built",
    }
}

pub(super) fn describe(image: &Shelved, there: &BTreeMap<Digest, OnEngine>, known: bool) -> serde_json::Value {
    let found = there.get(&image.identity);
    json!({
        "image": image.recipe.tag(), "recipe": image.identity, "base": image.recipe.from().to_string(),
        "packages": image.recipe.lock().len(), "status": status(image, found, known),
        "id": found.map(|found| &found.id), "size": found.map(|found| found.size),
        "builtAt": image.installed.as_ref().map(|installed| &installed.at), "failure": image.failure,
        "networkAttempts": image.installed.as_ref().and_then(|installed| installed.network_attempts),
        "networkUnseen": image.installed.as_ref().is_some_and(|installed| installed.network_unseen),
    })
}
