//! An image's bill of materials, in the two formats that tools read: what the lock installed, with its digests, and what
//! the base held. Made from files alone, and the same each time.

mod cyclonedx;
mod package;
mod spdx;
#[cfg(test)]
mod tests;

use serde_json::Value;

use super::installed::Installed;
use super::recipe::Recipe;
use crate::run::id::Digest;
use package::Package;

pub use cyclonedx::SPEC as CYCLONEDX;
pub use spdx::SPEC as SPDX;

/// A bill of materials, before it takes a format.
#[derive(Debug)]
pub struct Sbom<'a> {
    recipe: &'a Recipe,
    /// When the image was read back; none if it never was here.
    at: Option<&'a str>,
    /// The lock's packages, then what came within them and the base's: each once.
    packages: Vec<Package>,
}

impl<'a> Sbom<'a> {
    /// The bill of `recipe`'s image. Without `installed` it holds the lock's packages alone.
    #[must_use]
    pub fn new(recipe: &'a Recipe, installed: Option<&'a Installed>) -> Self {
        let at = installed.map(|installed| installed.at.as_str());
        Self { recipe, at, packages: package::all(recipe.lock(), installed) }
    }

    /// As CycloneDX 1.6.
    #[must_use]
    pub fn cyclonedx(&self) -> Value {
        cyclonedx::of(self)
    }

    /// As SPDX 2.3.
    #[must_use]
    pub fn spdx(&self) -> Value {
        spdx::of(self)
    }

    fn identity(&self) -> Digest {
        self.recipe.identity()
    }

    /// A UUID that is this recipe's alone: version 8, whose bits are for whoever makes it (RFC 9562).
    fn uuid(&self) -> String {
        let identity = self.identity();
        let hex = identity.as_str();
        format!("{}-{}-8{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
    }
}
