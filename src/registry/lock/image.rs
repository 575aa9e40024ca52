//! The lock of a build.

use std::fs::File;
use std::time::Duration;

use super::{Hold, take};
use crate::registry::Registry;
use crate::registry::error::Result;
use crate::run::id::Digest;

/// Held by the detached build itself, never by the process that started it: if the build dies, the lock is free and the
/// next tick starts it again.
#[derive(Debug)]
pub struct ImageLock {
    _file: File,
}

impl ImageLock {
    /// `None` if the image is being built.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn try_acquire(registry: &Registry, image: &Digest) -> Result<Option<Self>> {
        registry.require_local()?;
        registry.make_local_folders()?;
        let file = take(&registry.layout().image_lock(image), Hold::Exclusive, Duration::ZERO)?;
        Ok(file.map(|file| Self { _file: file }))
    }

    /// Whether a build holds it now. A `false` is out of date at once: it tells what to show, not what to do.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn is_held(registry: &Registry, image: &Digest) -> Result<bool> {
        let path = registry.layout().image_lock(image);
        if !path.exists() {
            return Ok(false);
        }
        Ok(take(&path, Hold::Shared, Duration::ZERO)?.is_none())
    }
}
