//! Taking in an attempt that has ended: its logs, its declared outputs, its end. The container is removed only after
//! its end is journaled, so that a crash anywhere here means doing it again, never losing it.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use chrono::Utc;
use serde_json::json;

use crate::container::logs::{self, LogCursor};
use crate::registry::{collect as outputs, project, to_opentask_json};
use crate::role::agent::Task;
use crate::run::command::{Command, EXIT_SUSPENDED, How, Seen};
use crate::run::definition::Artifact;
use crate::run::id::NodeId;
use crate::run::state::State;
use crate::run::visible::visible_line;

use super::actor::TICK;
use super::attempt_log::{AttemptLog, MOST};
use super::dispatch::make_folder;
use super::docker::Docker;
use super::error::Error;
use super::store::Store;
use super::{agents, gate, ingest, policy, workspace};

/// How much of a log is copied between two looks at the cursor, in bytes.
const AT_ONCE: u64 = 4 << 20;

/// How often that is done in one go: together more than the Engine keeps of one container.
const ROUNDS: usize = 16;

/// How much of the end of a log is looked at for its last line, in bytes.
const LAST_WORDS: u64 = 16 << 10;

/// What begins a complaint of our own agent.
const COMPLAINT: &str = "taskforge agent: ";

/// The most of it that is journaled, in characters.
const LONGEST_WORDS: usize = 400;

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
    if matches!(how, How::Exited { .. } | How::OverDisk { .. } | How::Revoked | How::Offboarded) {
        copy_logs(store, docker, node, attempt, &live.plan.container)?;
    }
    let open = match how {
        How::Exited { .. } => Some(workspace::look_into(store, node)?),
        _ => None,
    };
    // Whatever it says of the error that the kernel gave it: this is what was in its way.
    let how = match (how, definition.container.as_ref()) {
        (How::Exited { code, oom: false, timed_out: false }, Some(container))
            if !matches!(code, 0 | EXIT_SUSPENDED) && open.as_ref().is_some_and(workspace::Open::is_full) =>
        {
            How::OverDisk { limit: container.resources.disk }
        }
        (how, _) => how,
    };
    let said = match how {
        How::Exited { code, .. } if code != 0 => {
            last_words(&store.layout().attempt(node, attempt).join("stderr.log")).unwrap_or_default()
        }
        _ => String::new(),
    };
    let mut artifacts = Vec::new();
    let mut missing = Vec::new();
    if matches!(how, How::Exited { code: 0, .. }) {
        let layout = store.layout();
        reopen(&layout.workspace(node), state);
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
    drop(open);
    // What it said last is journaled before its end: the gate wrote that before it answered.
    match ingest::take_inbox(store, store.load()?) {
        // What it may have said holds up nobody who ends it: its messages stay where they are.
        Err(_) if matches!(how, How::Revoked | How::Offboarded | How::Cancelled) => {}
        other => drop(other?),
    }
    let traffic = gate::traffic_head(store);
    let exit = json!({
        "node": node, "attempt": attempt, "container": live.plan.container, "how": describe_end(&how),
        "missing": missing, "at": crate::run::time::isoformat(Utc::now()),
    });
    let folder = store.layout().attempt(node, attempt);
    std::fs::create_dir_all(&folder).map_err(|source| Error::Io { action: "create", path: folder.clone(), source })?;
    project::write_durable(&folder.join("exit.json"), to_opentask_json(&exit).as_bytes())?;
    let failed = match how {
        How::Exited { code: 0, .. } => !missing.is_empty(),
        How::Exited { code, .. } => code != EXIT_SUSPENDED,
        _ => false,
    };
    let spent = if failed { gate::spent(store, node, attempt) } else { None };
    let seen = Seen { how, artifacts, missing, said, traffic, spent, at: Utc::now() };
    store.commit(TICK, Command::End { node: node.clone(), attempt, seen })?;
    give_back(store, state, node, attempt);
    Ok(())
}

/// The agent's place is free again. Where this fails, whoever needs the place finds out that the attempt is over.
pub(crate) fn give_back(store: &Store<'_>, state: &State, node: &NodeId, attempt: u32) {
    if let Some(agent) = state.node(node).and_then(|(definition, _)| definition.agent()) {
        let task = Task { run: store.run().clone(), node: node.clone(), attempt };
        let _ = agents::release(store.registry(), agent, &task);
    }
}

/// The workspace belongs to the agent's user, who may have closed it to everybody, the host included.
pub(crate) fn reopen(workspace: &Path, state: &State) {
    let Some(users) = state.created.users else { return };
    if workspace.symlink_metadata().is_ok_and(|found| found.is_dir()) {
        // Where this does not help, each output says why it cannot be read.
        let _ = make_folder(workspace, 0o700, Some((users.agent_uid, users.agent_gid)));
    }
}

fn describe_end(how: &How) -> serde_json::Value {
    match how {
        How::Exited { code, oom, timed_out } => json!({"exitCode": code, "oom": oom, "timedOut": timed_out}),
        How::Gone => json!({"gone": true}),
        How::OverDisk { limit } => json!({"overDisk": true, "limit": limit}),
        How::NotStarted { reason } => json!({"notStarted": reason}),
        How::Revoked => json!({"revoked": true}),
        How::Offboarded => json!({"offboarded": true}),
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
    copy_logs_to(docker, &store.layout().attempt(node, attempt), container)
}

/// Copies what a container has printed since the last time into `folder`.
pub(crate) fn copy_logs_to(docker: &Docker, folder: &Path, container: &str) -> Result<(), Error> {
    std::fs::create_dir_all(folder).map_err(|source| Error::Io { action: "create", path: folder.into(), source })?;
    let cursor_file = folder.join("logs.cursor.json");
    let mut cursor = read_cursor(&cursor_file);
    let open = |name: &str, written: u64| {
        let path = folder.join(name);
        AttemptLog::open(&path, written).map_err(|source| Error::Io { action: "append to", path, source })
    };
    let mut stdout = open("stdout.log", cursor.stdout.bytes)?;
    let mut stderr = open("stderr.log", cursor.stderr.bytes)?;
    // A container may print faster than is copied: what is left is for the next look, and of one that has ended the
    // Engine holds less than this.
    for _ in 0..ROUNDS {
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

/// The streams in `folder` of which more was printed than is kept.
#[must_use]
pub fn streams_cut_off(folder: &Path) -> Vec<&'static str> {
    let cursor = read_cursor(&folder.join("logs.cursor.json"));
    let streams = [("stdout", cursor.stdout.bytes), ("stderr", cursor.stderr.bytes)];
    streams.into_iter().filter(|(_, bytes)| *bytes > MOST).map(|(stream, _)| stream).collect()
}

/// What a log ends with: the complaint of our agent, which may have several lines, or else the last line that says
/// anything. There programs say what they ended of. It is the agent's claim, and bounded.
pub(crate) fn last_words(log: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LAST_WORDS)))?;
    let mut end = Vec::new();
    file.take(LAST_WORDS).read_to_end(&mut end)?;
    let end = String::from_utf8_lossy(&end);
    let lines: Vec<&str> = end.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let complaint = lines.iter().rposition(|line| line.starts_with(COMPLAINT));
    let from = complaint.unwrap_or(lines.len().saturating_sub(1));
    Ok(visible_line(lines[from..].join("; ").trim_start_matches(COMPLAINT), LONGEST_WORDS))
}

fn read_cursor(path: &Path) -> LogCursor {
    std::fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}
