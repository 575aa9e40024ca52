//! The images that the Engine has, by the recipe they were made by, and taking one away.

use std::collections::{BTreeMap, HashMap};

use bollard::Docker;
use bollard::query_parameters::{ListImagesOptionsBuilder, RemoveImageOptionsBuilder, TagImageOptionsBuilder};

use super::build::LABEL;
use super::error::Error;
use super::sandbox::status;
use crate::run::id::Digest;

/// An image that the Engine has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnEngine {
    /// `sha256:…`.
    pub id: String,
    /// Bytes, layers that it shares with others included.
    pub size: u64,
    /// Seconds since 1970.
    pub created: i64,
    /// What else it is called: names that somebody, or `taskforge image openclaw`, gave it.
    pub other_names: Vec<String>,
}

/// All images that a recipe made and that have their tag.
///
/// # Errors
/// [`Error::Engine`].
pub async fn on_engine(docker: &Docker) -> Result<BTreeMap<Digest, OnEngine>, Error> {
    let filters = HashMap::from([("label", vec![LABEL.to_owned()])]);
    let options = ListImagesOptionsBuilder::default().filters(&filters).build();
    let listed = docker.list_images(Some(options)).await.map_err(Error::engine("listing images"))?;
    let found = listed.into_iter().filter_map(|image| {
        let recipe = Digest::parse(image.labels.get(LABEL)?).ok()?;
        let tag = format!("taskforge/agent:{}", recipe.short());
        let size = u64::try_from(image.size).unwrap_or_default();
        let (own, other_names): (Vec<String>, Vec<String>) = image.repo_tags.into_iter().partition(|name| *name == tag);
        let found = OnEngine { id: image.id, size, created: image.created, other_names };
        (!own.is_empty()).then_some((recipe, found))
    });
    Ok(found.collect())
}

/// Gives an image one more name, `repository:tag`, for whose sake it is kept by every registry that clears up.
///
/// # Errors
/// [`Error::Engine`].
pub async fn give_name(docker: &Docker, image: &str, repository: &str, tag: &str) -> Result<(), Error> {
    let options = TagImageOptionsBuilder::default().repo(repository).tag(tag).build();
    docker.tag_image(image, Some(options)).await.map_err(Error::engine("naming an image"))
}

/// Takes a name from an image that has others.
///
/// # Errors
/// [`Error::Engine`].
pub async fn take_name(docker: &Docker, name: &str) -> Result<(), Error> {
    let options = RemoveImageOptionsBuilder::default().build();
    match docker.remove_image(name, Some(options), None).await {
        Ok(_) => Ok(()),
        Err(error) if status(&error) == Some(404) => Ok(()),
        Err(error) => Err(Error::engine("taking a name from an image")(error)),
    }
}

/// Removes the image of `recipe`; `false` if a container still needs it.
///
/// # Errors
/// [`Error::Engine`].
pub async fn remove(docker: &Docker, recipe: &Digest) -> Result<bool, Error> {
    let tag = format!("taskforge/agent:{}", recipe.short());
    let options = RemoveImageOptionsBuilder::default().build();
    match docker.remove_image(&tag, Some(options), None).await {
        Ok(_) => Ok(true),
        Err(error) if status(&error) == Some(404) => Ok(true),
        Err(error) if status(&error) == Some(409) => Ok(false),
        Err(error) => Err(Error::engine("removing an image")(error)),
    }
}
