//! The base image, made on request: by `taskforge image base`, never behind anyone's back.

use serde::Serialize;

use crate::container::ImageRef;
use crate::image::base::{self, Origin};

use super::docker::Docker;
use super::error::Error;

/// What a new registry's containers run in unless it says otherwise.
const NAME: &str = "taskforge/base:default";

/// What became of it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BaseImage {
    pub image: String,
    pub id: String,
    /// Whether it was made now.
    pub made: bool,
    /// Where it came from, if it was made now.
    pub from: String,
}

/// Makes the base image if it is not there, or anew with `force`. `from` is where to pull it; without, or where no
/// registry answers, it is made from this distribution's packages.
///
/// # Errors
/// When it cannot be made; the error names what to install.
pub fn make_base_image(from: Option<&str>, force: bool, progress: &mut dyn FnMut(&str)) -> Result<BaseImage, Error> {
    let name = ImageRef::parse(NAME).map_err(Error::ImageRef)?;
    let from = from.map(ImageRef::parse).transpose().map_err(Error::ImageRef)?;
    let docker = Docker::default();
    let origin = docker.wait(|engine| async move {
        if force {
            base::pull_or_bootstrap(engine, &name, from.as_ref(), progress).await
        } else {
            base::ensure(engine, &name, from.as_ref(), progress).await
        }
    })?;
    let facts = super::images::base(&docker, NAME)?;
    let (made, from) = match origin {
        Origin::Present => (false, String::new()),
        Origin::Pulled(from) => (true, from.to_string()),
        Origin::Bootstrapped(from) => (true, from),
    };
    Ok(BaseImage { image: NAME.to_owned(), id: facts.id, made, from })
}
