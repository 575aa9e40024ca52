//! `.taskforge/watch/NAME.json`: what a watch knows of its last look. Of this machine only, and nothing that could not be
//! found out again: without it more is asked, and nothing is done twice.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::pace::Pace;
use crate::registry::config::Watch;
use crate::registry::project::{read_file, write_durable};
use crate::registry::{Error, Registry, Result};
use crate::run::id::{Digest, RunId};

/// The largest file that is read, in bytes: a thousand repositories with a thousand pull requests each do not fit, and
/// are then asked for again.
const LARGEST: u64 = 64 << 20;

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WatchState {
    /// 1.
    pub format: u32,
    /// Of the settings that it was made by: with others everything is looked at anew.
    pub definition: Option<Digest>,
    /// When somebody last looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked: Option<DateTime<Utc>>,
    pub pace: Pace,
    /// `schedule`: times up to here have been seen to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// By repository; one that is called `folder`, or `times`, of the other sources.
    #[serde(default)]
    pub parts: BTreeMap<String, Part>,
}

/// One of the places that a watch looks at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Part {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked: Option<DateTime<Utc>>,
    pub pace: Pace,
    /// The tag of the last answer of which everything was taken up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// When all of it was last read, and not only whether it had changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<DateTime<Utc>>,
    /// What was taken up and is still there: key and run.
    #[serde(default)]
    pub taken: BTreeMap<String, RunId>,
    /// Files as they were seen.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, Stamped>,
    /// Files that cannot be used: none is read again before it changes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unread: BTreeMap<String, Unread>,
    /// Work that nothing could be made of, by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unfit: BTreeMap<String, Unfit>,
}

/// A file that was read and cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Unread {
    /// Inode, size and times.
    pub stamp: String,
    pub why: String,
}

/// Work that was tried in vain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Unfit {
    /// How often; after [`MOST_TRIES`] it is let be.
    pub tries: u32,
    pub why: String,
}

/// How often something is tried that nothing can be made of.
pub(crate) const MOST_TRIES: u32 = 5;

/// A file as it was when it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Stamped {
    /// Inode, size and times.
    pub stamp: String,
    pub sha256: Digest,
}

impl Part {
    /// The tag to ask with at `now`: none if a day has passed since everything was read, since a server that says for ever
    /// that nothing has changed is not believed for ever.
    pub(crate) fn tag(&self, now: DateTime<Utc>) -> Option<String> {
        let fresh = self.read.is_some_and(|read| read <= now && now - read < TimeDelta::days(1));
        self.etag.clone().filter(|_| fresh)
    }
}

impl WatchState {
    /// Whether a look may find anything out.
    #[must_use]
    pub fn gave_up(&self) -> bool {
        self.pace.gave_up || self.parts.values().any(|part| part.pace.gave_up)
    }

    /// What is wrong, or odd: of all of it, then of its parts.
    pub fn problems(&self) -> impl Iterator<Item = &str> {
        let all = std::iter::once(&self.pace).chain(self.parts.values().map(|part| &part.pace));
        all.filter_map(|pace| pace.problem.as_deref())
    }

    /// Starts again with `definition` if the settings were others: what was taken up stays taken up.
    fn fit(mut self, definition: &Digest) -> Self {
        if self.definition.as_ref() != Some(definition) {
            self.definition = Some(definition.clone());
            self.renew();
        }
        self
    }

    /// Forgets failures, waits and tags.
    pub(crate) fn renew(&mut self) {
        self.pace = Pace::default();
        for part in self.parts.values_mut() {
            part.pace = Pace::default();
            part.etag = None;
            part.unread.clear();
            part.unfit.clear();
        }
    }
}

/// What the watch `name` knows; nothing where there is no file, or one that cannot be read.
///
/// # Errors
/// Those of the file system.
pub(crate) fn load(registry: &Registry, name: &str, watch: &Watch) -> Result<WatchState> {
    let definition = Digest::of(&serde_json::to_vec(watch).map_err(encode)?);
    let found = match read_file(&registry.layout().watch(name), LARGEST) {
        Ok(bytes) => bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()),
        Err(Error::TooLarge { .. }) => None,
        Err(error) => return Err(error),
    };
    let found: WatchState = found.filter(|found: &WatchState| found.format == 1).unwrap_or_default();
    Ok(WatchState { format: 1, ..found }.fit(&definition))
}

/// Writes it; on disk when it returns.
///
/// # Errors
/// Those of the file system.
pub(crate) fn save(registry: &Registry, name: &str, state: &WatchState) -> Result<()> {
    crate::registry::make_folder(&registry.layout().watches(), 0o700)?;
    write_durable(&registry.layout().watch(name), &serde_json::to_vec_pretty(state).map_err(encode)?)
}

fn encode(source: serde_json::Error) -> Error {
    Error::Encode { what: "the state of a watch", source }
}
