//! Taking in an attempt that has ended: its logs, its declared outputs, its end. The container is removed only after
//! its end is journaled, so that a crash anywhere here means doing it again, never losing it.

use std::fs::OpenOptions;
use std::path::Path;

use chrono::Utc;
use serde_json::json;

use crate::container::logs::{self, LogCursor};
use crate::registry::{collect as outputs, project, to_opentask_json};
use crate::run::command::{Command, How, Seen};
use crate::run::definition::Artifact;
use crate::run::id::NodeId;
use crate::run::state::State;

use super::actor::TICK;
use super::docker::Docker;
use super::error::Error;
use super::store::Store;
use super::{gate, ingest, policy};

/// How much of a log is copied between two looks at the cursor, in bytes.
const AT_ONCE: u64 = 4 << 20;

/// The largest file that is copied out of a workspace, in bytes.
const LARGEST_OUTPUT: u64 = 256 << 20;

pub(crate) fn collect(
    store: &Store<'_>,
    docker: &Docker,
    state: &State,
    node: &NodeId,
    attempt: u32,
    how: How,
) -> Result<(), Error> {
    let Some((definition, live)) = state.live_attempts().find(|(d, a)| d.id == *node && a.number == attempt) else {
        return Ok(());
    };
    if matches!(how, How::Exited { .. }) {
        copy_logs(store, docker, node, attempt, &live.plan.container)?;
    }
    let mut artifacts = Vec::new();
    let mut missing = Vec::new();
    if matches!(how, How::Exited { code: 0, .. }) {
        let layout = store.layout();
        for path in policy::outputs(definition) {
            match outputs::collect(&layout.workspace(node), &path, &layout.node(node), LARGEST_OUTPUT)? {
                Ok(copy) => artifacts.push(Artifact {
                    path: format!("nodes/{node}/{path}"),
                    sha256: copy.digest,
                    bytes: copy.bytes,
                }),
                Err(refusal) => missing.push(format!("{path}: {refusal}")),
            }
        }
    }
    // What it said last is journaled before its end: the gate wrote that before it answered.
    ingest::take_inbox(store, store.load()?)?;
    let traffic = gate::traffic_head(store);
    let exit = json!({
        "node": node, "attempt": attempt, "container": live.plan.container, "how": describe_end(&how),
        "missing": missing, "at": crate::run::projection::isoformat(Utc::now()),
    });
    let folder = store.layout().attempt(node, attempt);
    std::fs::create_dir_all(&folder).map_err(|source| Error::Io { action: "create", path: folder.clone(), source })?;
    project::write_durable(&folder.join("exit.json"), to_opentask_json(&exit).as_bytes())?;
    let seen = Seen { how, artifacts, missing, traffic, at: Utc::now() };
    store.commit(TICK, Command::End { node: node.clone(), attempt, seen })?;
    Ok(())
}

fn describe_end(how: &How) -> serde_json::Value {
    match how {
        How::Exited { code, oom, timed_out } => json!({"exitCode": code, "oom": oom, "timedOut": timed_out}),
        How::Gone => json!({"gone": true}),
        How::NotStarted { reason } => json!({"notStarted": reason}),
        How::Cancelled => json!({"cancelled": true}),
    }
}

/// Copies what a container has printed since the last time into the attempt's folder.
pub(crate) fn copy_logs(
    store: &Store<'_>,
    docker: &Docker,
    node: &NodeId,
    attempt: u32,
    container: &str,
) -> Result<(), Error> {
    let folder = store.layout().attempt(node, attempt);
    std::fs::create_dir_all(&folder).map_err(|source| Error::Io { action: "create", path: folder.clone(), source })?;
    let cursor_file = folder.join("logs.cursor.json");
    let mut cursor = read_cursor(&cursor_file);
    // What stands behind the cursor was written by a tick that died before it had said so: it comes again.
    let open = |name: &str, bytes: u64| {
        let path = folder.join(name);
        let opened = OpenOptions::new().create(true).append(true).open(&path).and_then(|file| {
            if file.metadata()?.len() > bytes {
                file.set_len(bytes)?;
            }
            Ok(file)
        });
        opened.map_err(|source| Error::Io { action: "append to", path, source })
    };
    let mut stdout = open("stdout.log", cursor.stdout.bytes)?;
    let mut stderr = open("stderr.log", cursor.stderr.bytes)?;
    loop {
        let copied = docker.wait(|engine| logs::copy(engine, container, cursor, AT_ONCE, &mut stdout, &mut stderr))?;
        cursor = copied.cursor;
        if !copied.more {
            break;
        }
    }
    let text = serde_json::to_vec(&cursor).unwrap_or_default();
    project::write_if_changed(&cursor_file, &text)?;
    Ok(())
}

fn read_cursor(path: &Path) -> LogCursor {
    std::fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}
