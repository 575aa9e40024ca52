//! Files that are one type of ours, written and read as it is.

use schemars::JsonSchema;
use serde_json::json;

use super::{Named, of};
use crate::capability::Decision;
use crate::container::logs::LogCursor;
use crate::engine::AgentProjection;
use crate::gate::{MemoryFile, Policy, Status};
use crate::image::{Installed, Lock, Recipe};
use crate::provider::{Exchange, Header};
use crate::registry::config::Config;
use crate::registry::journal::heads::Projections;
use crate::registry::{Head, controls, inbox, kill};
use crate::run::id::Digest;
use crate::run::state::State;
use crate::schedule::last::Last;

/// `taskforge.json`.
#[derive(JsonSchema)]
#[allow(dead_code)] // read by its schema only
struct Projection {
    format: u32,
    /// How far the journal had been folded.
    journal: Head,
    state: State,
}

/// The head of a journal, and a checksum of the line up to it.
#[derive(JsonSchema)]
#[allow(dead_code)]
struct HeadFile {
    /// The length in bytes of what is covered.
    at: u64,
    /// The running digest of the first `at` bytes.
    digest: Digest,
    /// The `seq` of our last record before `at`.
    seq: u64,
    /// The projections as they were written for it; none if that did not come to its end.
    projections: Option<Projections>,
    /// The first 16 hex digits of the SHA-256 of the line before `,"sum"`; none in a file of an earlier version.
    #[schemars(regex(pattern = "^[0-9a-f]{16}$"))]
    sum: Option<String>,
}

/// A line of a transcript.
#[derive(JsonSchema)]
#[allow(dead_code)]
#[schemars(untagged)]
enum Replay {
    /// The first line.
    Header(Header),
    /// Every other line.
    Exchange(Exchange),
}

pub(super) fn all() -> Vec<Named> {
    let mut all = vec![
        ("taskforge.json", of::<Projection>()),
        ("taskforge.toml", of::<Config>()),
        ("control.jsonl", of::<controls::Record>()),
        ("decision.json", of::<Decision>()),
        ("inbox-message.json", of::<inbox::Message>()),
        ("policy.json", of::<Policy>()),
        ("status.json", of::<Status>()),
        ("logs.cursor.json", of::<LogCursor>()),
        ("agent.json", of::<AgentProjection>()),
        ("memory.json", of::<MemoryFile>()),
        ("recipe.json", of::<Recipe>()),
        ("packages.lock", of::<Lock>()),
        ("installed.json", of::<Installed>()),
        ("head", of::<HeadFile>()),
        ("kill-lock.json", of::<kill::Kill>()),
        ("tick.json", of::<Last>()),
        ("schedule.json", of::<crate::registry::schedules::ScheduleFile>()),
        ("watch.json", of::<crate::watch::WatchState>()),
        ("replay.jsonl", of::<Replay>()),
        ("vault-log.jsonl", of::<crate::vault::Entry>()),
    ];
    for (name, schema) in &mut all {
        if schema["properties"]["format"]["type"] == "integer" {
            let versions = if *name == "decision.json" { json!({"enum": [1, 2, 3]}) } else { json!({"const": 1}) };
            schema["properties"]["format"] = versions;
            schema["properties"]["format"]["description"] = json!("The format's version.");
        }
    }
    all
}
