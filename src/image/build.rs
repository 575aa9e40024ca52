//! From recipe to image: fetch by digest, install without a network, one layer an ecosystem, read back, tag. The
//! tag is the last step, so an image that has it is whole. Only one process builds a recipe at a time; whoever finds
//! the image built uses it.

mod install;

use std::path::Path;
use std::time::Duration;

use bollard::Docker;
use bollard::models::ImageInspect;
use bollard::query_parameters::{ListImagesOptionsBuilder, RemoveImageOptionsBuilder, TagImageOptionsBuilder};
use tokio::time::Instant;

use super::error::{Error, Refusal};
use super::fetch::{FetchOrder, Fetched, fetch};
use super::folder;
use super::installed::Installed;
use super::limits::Limits;
use super::recipe::Recipe;
use super::sandbox::{Role, Scope, remove_leftovers, status};
use super::sbom::Sbom;
use super::{detached, store};
use crate::container::ImageRef;
use crate::run::id::Digest;

/// The label that holds the full digest of the recipe that an image was made by.
pub const LABEL: &str = "io.taskforge.recipe";
/// On every image of a build, finished or not: how the leftovers of a dead build are found.
const PART: &str = "io.taskforge.part";

/// What to build and where its files lie.
#[derive(Debug, Clone, Copy)]
pub struct BuildOrder<'a> {
    pub recipe: &'a Recipe,
    /// `images/<digest12>`: `recipe.json`, `Dockerfile`, `packages.lock`, `build.log`, and `failed.json` if it failed.
    pub folder: &'a Path,
    /// The store: `.taskforge/packages`.
    pub packages: &'a Path,
    /// The lock file that is held while building.
    pub lock_file: &'a Path,
    pub ca: Option<&'a Path>,
    pub pip_index: Option<&'a str>,
    pub scope: &'a Scope,
    pub limits: &'a Limits,
}

/// An image that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// `taskforge/agent:<digest12>`.
    pub tag: String,
    /// The Engine's id, `sha256:…`.
    pub image: String,
    pub recipe: Digest,
    /// Whether nothing had to be built.
    pub cached: bool,
    pub fetching: Duration,
    pub building: Duration,
}

/// The layers of an image, lowest first: what a recipe's base is.
///
/// # Errors
/// [`Error::NoBase`], [`Error::Engine`].
pub async fn base_layers(docker: &Docker, image: &ImageRef) -> Result<Vec<Digest>, Error> {
    layers(&inspect(docker, image.as_str()).await?.ok_or_else(|| Error::NoBase { image: image.to_string() })?)
}

fn layers(image: &ImageInspect) -> Result<Vec<Digest>, Error> {
    let layers = image.root_fs.as_ref().and_then(|fs| fs.layers.as_deref()).unwrap_or_default();
    let digest = |text: &String| Digest::parse(text.strip_prefix("sha256:").unwrap_or(text));
    layers.iter().map(|l| digest(l).map_err(|e| Error::format("the base image's layers", e.to_string()))).collect()
}

async fn inspect(docker: &Docker, image: &str) -> Result<Option<ImageInspect>, Error> {
    match docker.inspect_image(image).await {
        Ok(found) => Ok(Some(found)),
        Err(e) if status(&e) == Some(404) => Ok(None),
        Err(e) => Err(Error::engine(format!("looking for image `{image}`"))(e)),
    }
}

/// The image of `recipe`, if it is built.
///
/// # Errors
/// [`Error::Collision`] if the tag is another recipe's or nobody's, [`Error::Engine`].
pub async fn find(docker: &Docker, recipe: &Recipe) -> Result<Option<Built>, Error> {
    let (tag, identity) = (recipe.tag(), recipe.identity());
    let Some(found) = inspect(docker, &tag).await? else {
        return Ok(None);
    };
    let labels = found.config.and_then(|c| c.labels).unwrap_or_default();
    if labels.get(LABEL).map(String::as_str) != Some(identity.as_str()) {
        return Err(Error::Collision { tag, recipe: identity.to_string() });
    }
    let image = found.id.unwrap_or_default();
    let none = Duration::ZERO;
    Ok(Some(Built { tag, image, recipe: identity, cached: true, fetching: none, building: none }))
}

/// Builds the image of a recipe, unless it is there. A failure of the build (not one that passes, see
/// [`Error::is_passing`]) is recorded in `failed.json`; a new try removes that first.
///
/// # Errors
/// [`Error::Busy`] if another process builds it; any other if it could not be built: then there is a log, and
/// no tag and no container.
pub async fn run_build<G, E: Into<Refusal>>(
    docker: &Docker,
    order: &BuildOrder<'_>,
    guard: &impl Fn() -> Result<G, E>,
) -> Result<Built, Error> {
    if let Some(built) = find(docker, order.recipe).await? {
        return Ok(built);
    }
    let identity = order.recipe.identity();
    let held = detached::hold(order.lock_file)?.ok_or_else(|| Error::Busy { recipe: identity.to_string() })?;
    // Somebody may have finished between the first look and the lock.
    let result = match find(docker, order.recipe).await? {
        Some(built) => Ok(built),
        None => locked(docker, order, guard).await,
    };
    drop(held);
    result
}

async fn locked<G, E: Into<Refusal>>(
    docker: &Docker,
    order: &BuildOrder<'_>,
    guard: &impl Fn() -> Result<G, E>,
) -> Result<Built, Error> {
    folder::make(order.folder)?;
    detached::clear_failure(order.folder)?;
    folder::replace(&order.folder.join("recipe.json"), &order.recipe.to_bytes())?;
    folder::replace(&order.folder.join("Dockerfile"), order.recipe.dockerfile().as_bytes())?;
    let mut log = super::output::Bounded::new(order.limits.log);
    let mut result = build(docker, order, guard, &mut log).await;
    if result.as_ref().is_err_and(Error::is_loss) && guard().is_ok() {
        // Once, so that whoever keeps removing containers does not keep us building.
        log.push(b"\nthe Engine has lost the container: beginning again\n");
        result = build(docker, order, guard, &mut log).await;
    }
    if let Err(e) = &result {
        log.push(format!("\nfailed: {e}\n").as_bytes());
    }
    // The kill switch ends a build by removing its container, which looks like any other failure from here.
    let refusal = if result.is_err() { guard().err() } else { None };
    let failed = result.as_ref().err().filter(|error| refusal.is_none() && !error.is_passing());
    let kept = detached::conclude(order.folder, &order.recipe.identity(), &log.text(), failed);
    if let Some(refusal) = refusal {
        return Err(Error::NotPermitted { source: refusal.into() });
    }
    // Of two errors the first is the one to be told.
    let built = result?;
    kept.map(|()| built)
}

async fn build<G, E: Into<Refusal>>(
    docker: &Docker,
    order: &BuildOrder<'_>,
    guard: &impl Fn() -> Result<G, E>,
    log: &mut super::output::Bounded,
) -> Result<Built, Error> {
    let recipe = order.recipe;
    let (base, identity, started) = (recipe.from(), recipe.identity(), Instant::now());
    let deadline = started + order.limits.wall;
    let found = inspect(docker, base.as_str()).await?.ok_or_else(|| Error::NoBase { image: base.to_string() })?;
    if layers(&found)? != recipe.base() {
        return Err(Error::BaseChanged { image: base.to_string() });
    }
    remove_leftovers(docker, order.scope, &[Role::Fetch, Role::Build, Role::Probe]).await?;
    clear_parts(docker, &identity).await?;
    let fetched = fetch(
        docker,
        &FetchOrder {
            base,
            lock: recipe.lock(),
            packages: order.packages,
            ca: order.ca,
            pip_index: order.pip_index,
            scope: order.scope,
            limits: order.limits,
        },
        guard,
    )
    .await?;
    let Fetched { present, downloaded } = fetched;
    log.push(format!("fetched {downloaded} files, {present} were there\n").as_bytes());
    let fetching = started.elapsed();

    let staged = order.packages.join(format!(".staged-{}", identity.short()));
    store::stage(recipe.lock(), order.packages, &staged)?;
    let bench = install::Bench { docker, order, deadline, staged: &staged, base: &found };
    let installed = bench.install(guard, log).await;
    folder::remove_all(&staged)?;
    let (image, held) = match installed {
        Ok(installed) => installed,
        Err(e) => {
            clear_parts(docker, &identity).await?;
            return Err(e);
        }
    };
    folder::replace(&order.folder.join("packages.lock"), &recipe.lock().to_bytes())?;
    keep(order, &held)?;
    let options = TagImageOptionsBuilder::default().repo("taskforge/agent").tag(identity.short()).build();
    docker.tag_image(&image, Some(options)).await.map_err(Error::engine("tagging the image"))?;
    let building = started.elapsed().saturating_sub(fetching);
    Ok(Built { tag: recipe.tag(), image, recipe: identity, cached: false, fetching, building })
}

/// What is installed in an image that is there: of one that another registry had built. Its folder has the file and both
/// bills afterwards.
///
/// # Errors
/// As of a build's reading back.
pub async fn read_installed<G, E: Into<Refusal>>(
    docker: &Docker,
    order: &BuildOrder<'_>,
    guard: &impl Fn() -> Result<G, E>,
) -> Result<Installed, Error> {
    let recipe = order.recipe;
    let found = find(docker, recipe).await?.ok_or_else(|| Error::NoBase { image: recipe.tag() })?;
    let base = inspect(docker, &found.image).await?.ok_or_else(|| Error::NoBase { image: recipe.tag() })?;
    let deadline = Instant::now() + order.limits.wall;
    let bench = install::Bench { docker, order, deadline, staged: order.folder, base: &base };
    // Only for where packages came from: the image is what it is without it.
    let upon = inspect(docker, recipe.from().as_str()).await?;
    let upon = upon.filter(|upon| layers(upon).is_ok_and(|layers| layers == recipe.base())).and_then(|upon| upon.id);
    folder::make(order.packages)?;
    let held = bench.what_is_installed(guard, &found.image, upon.as_deref()).await?;
    keep(order, &held)?;
    Ok(held)
}

fn keep(order: &BuildOrder<'_>, held: &Installed) -> Result<(), Error> {
    held.write(order.folder)?;
    for (name, bill) in sbom_files(order.recipe, held) {
        folder::replace(&order.folder.join(name), &bill)?;
    }
    Ok(())
}

/// The two bills of materials, as the files of an image's folder.
fn sbom_files(recipe: &Recipe, held: &Installed) -> [(&'static str, Vec<u8>); 2] {
    let sbom = Sbom::new(recipe, Some(held));
    let pretty = |bill: &serde_json::Value| {
        let mut bytes = serde_json::to_vec_pretty(bill).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    };
    [("sbom.cdx.json", pretty(&sbom.cyclonedx())), ("sbom.spdx.json", pretty(&sbom.spdx()))]
}

/// Removes what an unfinished build of this recipe left: images without a name that carry its label.
async fn clear_parts(docker: &Docker, recipe: &Digest) -> Result<(), Error> {
    let label = vec![format!("{PART}={recipe}")];
    let filters = std::collections::HashMap::from([("label", label), ("dangling", vec!["true".to_owned()])]);
    let options = ListImagesOptionsBuilder::default().filters(&filters).build();
    let parts = docker.list_images(Some(options)).await.map_err(Error::engine("listing images"))?;
    for part in parts {
        let options = RemoveImageOptionsBuilder::default().build();
        match docker.remove_image(&part.id, Some(options), None).await {
            Ok(_) => {}
            Err(e) if matches!(status(&e), Some(404 | 409)) => {}
            Err(e) => return Err(Error::engine("removing an unfinished image")(e)),
        }
    }
    Ok(())
}
