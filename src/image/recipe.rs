//! An image as data. Its identity is a digest of what it is made of, so that the same set, asked for by anyone, is
//! built once.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::dockerfile::{self, Step};
use super::error::Error;
use super::folder;
use super::lock::Lock;
use crate::container::ImageRef;
use crate::run::canonical;
use crate::run::id::Digest;

/// The version of the steps and flags in [`dockerfile`]. Raise it with any change there that changes an image.
pub const TEMPLATE: u32 = 1;

const LIMIT: usize = 9 << 20;

/// What an image is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    format: u32,
    template: u32,
    /// The base's name, for people and for the Dockerfile. Not part of the identity: the layers are.
    from: ImageRef,
    /// SHA-256 of the base's uncompressed layers, lowest first (`RootFS.Layers` of `docker image inspect`).
    base: Vec<Digest>,
    lock: Lock,
}

impl Recipe {
    #[must_use]
    pub const fn new(from: ImageRef, base: Vec<Digest>, lock: Lock) -> Self {
        Self { format: 1, template: TEMPLATE, from, base, lock }
    }

    /// Reads `recipe.json`.
    ///
    /// # Errors
    /// [`Error::Format`], also for a template that this binary does not know.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let format = |reason: String| Error::format("a recipe", reason);
        if bytes.len() > LIMIT {
            return Err(format(format!("it is larger than {LIMIT} bytes")));
        }
        let recipe: Self = serde_json::from_slice(bytes).map_err(|e| format(e.to_string()))?;
        if recipe.format != 1 || recipe.template != TEMPLATE {
            return Err(format(format!("format {} with template {} is not known", recipe.format, recipe.template)));
        }
        Ok(recipe)
    }

    /// Reads `recipe.json` in an image's folder.
    ///
    /// # Errors
    /// [`Error::File`], and as [`Recipe::parse`].
    pub fn read(images_folder: &Path) -> Result<Self, Error> {
        Self::parse(&folder::read(&images_folder.join("recipe.json"), LIMIT as u64)?)
    }

    /// The contents of `recipe.json`.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// The image's identity: SHA-256 over template, base layers and lock.
    #[must_use]
    pub fn identity(&self) -> Digest {
        let value = json!({"template": self.template, "base": self.base, "lock": self.lock.content()});
        canonical::digest("taskforge-recipe-v1", &value)
    }

    /// `taskforge/agent:<digest12>`.
    #[must_use]
    pub fn tag(&self) -> String {
        format!("taskforge/agent:{}", self.identity().short())
    }

    #[must_use]
    pub const fn from(&self) -> &ImageRef {
        &self.from
    }

    #[must_use]
    pub fn base(&self) -> &[Digest] {
        &self.base
    }

    #[must_use]
    pub const fn lock(&self) -> &Lock {
        &self.lock
    }

    /// The install steps, one an ecosystem.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        dockerfile::steps(&self.lock)
    }

    /// The same steps as a Dockerfile, for people to read, to compare and to build by hand.
    #[must_use]
    pub fn dockerfile(&self) -> String {
        dockerfile::render(self)
    }
}
