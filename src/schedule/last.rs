//! When a schedule last ticked, and how that went: `.taskforge/tick.json`, which each tick of a schedule replaces.

use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, Utc};
use serde::{Deserialize, Serialize};

use crate::registry::project::{read_file, write_if_changed};
use crate::registry::{Layout, Result};

/// One tick that a schedule caused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Last {
    /// When it ended.
    pub at: DateTime<Utc>,
    pub milliseconds: u64,
    pub exit: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Ticks since the last one that went well.
    #[serde(default)]
    pub failures: u64,
}

/// Records a tick of all runs that has ended.
///
/// # Errors
/// Those of the file system.
pub fn record(layout: &Layout, took: Duration, exit: u8, error: Option<String>) -> Result<()> {
    let failures = if exit == 0 { 0 } else { read(layout).map_or(0, |last| last.failures).saturating_add(1) };
    let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let error = error.map(|text| text.chars().take(2000).collect());
    let last = Last { at: Utc::now().trunc_subsecs(3), milliseconds, exit, error, failures };
    let text = serde_json::to_vec_pretty(&last)
        .map_err(|source| crate::registry::Error::Encode { what: "the last tick", source })?;
    write_if_changed(&layout.local().join("tick.json"), &text).map(drop)
}

/// The last tick of a schedule, if one is on record and can be read.
#[must_use]
pub fn read(layout: &Layout) -> Option<Last> {
    let bytes = read_file(&layout.local().join("tick.json"), 1 << 16).ok().flatten()?;
    serde_json::from_slice(&bytes).ok()
}
