//! Images upon a base that has changed since: made again by the same lock, for whoever asks for that set next.

use crate::image::{self, Built, Recipe};
use crate::registry::Registry;
use crate::run::id::Digest;

use super::docker::Docker;
use super::error::Error;
use super::images;
use super::shelf::{Shelved, shelf};

/// An image whose base is another one by now.
#[derive(Debug, Clone)]
pub struct Outdated {
    pub image: Shelved,
    /// The same lock upon the base as it is.
    pub recipe: Recipe,
    /// Whether that is on the shelf already.
    pub there: bool,
}

/// The images of `registry` whose base has changed since they were built; only of `wanted`, if there are any in it. A base
/// that the Engine does not have any more has not changed.
///
/// # Errors
/// When the registry cannot be read or the Engine does not answer.
pub fn outdated(registry: &Registry, wanted: &[Digest]) -> Result<Vec<Outdated>, Error> {
    let shelf = shelf(registry)?;
    let docker = Docker::default();
    let known: Vec<Digest> = shelf.images.iter().map(|image| image.identity.clone()).collect();
    let mut found = Vec::new();
    for image in shelf.images {
        if !wanted.is_empty() && !wanted.contains(&image.identity) {
            continue;
        }
        let from = image.recipe.from().clone();
        let engine = docker.engine()?;
        let layers = match docker.wait(|_| image::base_layers(engine.docker(), &from)) {
            Ok(layers) => layers,
            Err(Error::Image(image::Error::NoBase { .. })) => continue,
            Err(error) => return Err(error),
        };
        if layers == image.recipe.base() {
            continue;
        }
        let recipe = Recipe::new(from, layers, image.recipe.lock().clone());
        let there = known.contains(&recipe.identity());
        found.push(Outdated { image, recipe, there });
    }
    Ok(found)
}

/// Builds `recipe`, in this process.
///
/// # Errors
/// As of any build; the reason stands in the image's folder, too.
pub fn rebuild(registry: &Registry, recipe: &Recipe) -> Result<Built, Error> {
    images::build_here(registry, recipe)
}
