//! The image everything starts from: fetched where a registry answers, else made on the spot from the packages of the
//! distribution this machine runs, with the mirrors this machine uses. No certificate, proxy or name of the host goes
//! into it.

mod bootstrap;
mod distribution;
mod error;
mod sources;

use std::time::Duration;

pub use error::BaseError;

use crate::container::{Engine, ImageRef};

/// How the base image came to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// It was there.
    Present,
    /// Fetched from the registry that the reference names.
    Pulled(ImageRef),
    /// Made from the packages of this distribution and release, as in `debian bookworm`.
    Bootstrapped(String),
}

/// How long a registry may take to answer at all; what comes after an answer may take as long as it takes.
const ANSWER: Duration = Duration::from_secs(15);

/// As [`pull_or_bootstrap`], unless the image is there.
///
/// # Errors
/// As [`pull_or_bootstrap`].
pub async fn ensure(
    engine: &Engine,
    name: &ImageRef,
    from: Option<&ImageRef>,
    progress: &mut dyn FnMut(&str),
) -> Result<Origin, BaseError> {
    // One that an earlier version bootstrapped lacks what this one counts on; one that somebody else made is theirs.
    let found = engine.image_inspect(name).await?;
    if found.is_some_and(|image| image.labels.get(bootstrap::LABEL).is_none_or(|recipe| recipe == bootstrap::RECIPE)) {
        return Ok(Origin::Present);
    }
    pull_or_bootstrap(engine, name, from, progress).await
}

/// Makes the image `name`, anew if it is there: pulled from `from` if that is given and its registry answers, else
/// bootstrapped, which takes half a minute. `progress` is given a line for each step, for people.
///
/// # Errors
/// [`BaseError`] says what is missing and the command that installs it.
pub async fn pull_or_bootstrap(
    engine: &Engine,
    name: &ImageRef,
    from: Option<&ImageRef>,
    progress: &mut dyn FnMut(&str),
) -> Result<Origin, BaseError> {
    if let Some(from) = from {
        progress(&format!("pulling {from}"));
        match engine.pull(from, ANSWER).await {
            Ok(()) => {
                engine.tag(from, name).await?;
                return Ok(Origin::Pulled(from.clone()));
            }
            Err(error) if error.is_unreachable() => return Err(error.into()),
            Err(error) => progress(&format!("not pulled: {error}")),
        }
    }
    let made = bootstrap::bootstrap(engine, name, progress).await?;
    Ok(Origin::Bootstrapped(made))
}
