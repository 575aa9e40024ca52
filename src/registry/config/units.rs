//! Sizes and durations as people write them: `512MiB`, `30m`. Strict: no unit means no value.

use std::path::PathBuf;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error};

use super::ExtraCa;
use crate::run::quantity;

pub(super) fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    quantity::size(&text).map_err(|error| D::Error::custom(format!("{text:?} {error}")))
}

pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    quantity::duration(&text).map_err(|error| D::Error::custom(format!("{text:?} {error}")))
}

pub(super) fn maybe_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    duration(deserializer).map(Some)
}

pub(super) fn extra_ca<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ExtraCa, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.as_str() {
        "auto" => Ok(ExtraCa::Auto),
        "none" => Ok(ExtraCa::None),
        path if path.starts_with('/') => Ok(ExtraCa::File(PathBuf::from(path))),
        other => Err(D::Error::custom(format!("{other:?} is neither \"auto\", \"none\" nor an absolute path"))),
    }
}
