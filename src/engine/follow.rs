//! Following a run: each event as it is journaled, until the run ends or waits for a person. A follower that drives
//! ticks whenever something could have changed: a file of the run, the end of a container, a build, a moment.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use notify::Watcher as _;

use crate::registry::{Journal, Registry, kill};
use crate::run::id::RunId;
use crate::run::record::Record;
use crate::run::state::State;
use crate::run::status::{NodeStatus, RunStatus};

use super::docker::Docker;
use super::error::Error;
use super::inbox::{Waiting, waiting_of};
use super::store::Store;
use super::tick::tick_with;

/// When following ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// The run has ended, or nothing but a person can take it on.
    Blocked,
    /// The run has ended.
    Ended,
}

/// Why following ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    Completed,
    Failed,
    Cancelled,
    Waits(Vec<Waiting>),
    /// It waits for something that no decision moves; the reason says for what.
    Stuck(String),
}

/// The longest a follower looks away: what no file tells of (a container's end, a deadline) is seen after that.
const LOOK_AWAY: Duration = Duration::from_millis(500);

/// Follows run `run` and calls `seen` with each record, those that stand there already included. With `drives`, it
/// ticks the run as well.
///
/// # Errors
/// When the run cannot be read, or (driving) a tick fails.
pub fn follow(
    registry: &Registry,
    run: &RunId,
    until: Until,
    drives: bool,
    seen: &mut dyn FnMut(&Record),
) -> Result<Ending, Error> {
    let store = Store::open(registry, run)?;
    let (sender, changes) = mpsc::channel();
    let _watcher = watch(store.layout().root(), sender);
    let docker = Docker::default();
    let mut printed = 0;
    loop {
        let mut acted = false;
        if drives {
            kill::refuse_if_killed(registry.layout())?;
            let ticked = tick_with(registry, run, &docker)?;
            acted = !ticked.actions.is_empty();
            // Who waits for an agent has an interest in what the agent does, and may be the only one who looks. What goes
            // wrong there is for those to hear who look at that run.
            for other in ticked.behind.iter().filter(|other| *other != run) {
                let _ = tick_with(registry, other, &docker);
            }
        }
        let scan = Journal::read(&store.layout().journal(), run)?;
        for record in scan.records.iter().skip(printed) {
            seen(record);
        }
        printed = scan.records.len();
        let state = store.load()?;
        if let Some(ending) = ending(&state, until) {
            return Ok(ending);
        }
        if !acted {
            wait(&store, &docker, &state, drives, &changes);
        }
    }
}

fn ending(state: &State, until: Until) -> Option<Ending> {
    match state.status {
        RunStatus::Completed if !state.is_at_work() => return Some(Ending::Completed),
        RunStatus::Failed if !state.is_at_work() => return Some(Ending::Failed),
        RunStatus::Cancelled if !state.is_at_work() => return Some(Ending::Cancelled),
        _ => {}
    }
    // Something is under way that moves by itself.
    let moving = state.is_at_work()
        || !state.wanted_recipes().is_empty()
        || state.needed_to_start(chrono::Utc::now()).any(|recipe| state.building.contains_key(recipe))
        || state.requests.iter().any(|request| request.status == crate::run::state::RequestStatus::Requested);
    if until == Until::Ended || moving || state.status.is_terminal() {
        return None;
    }
    let waiting = waiting_of(state);
    if !waiting.is_empty() {
        return Some(Ending::Waits(waiting));
    }
    if state.status == RunStatus::Paused {
        return Some(Ending::Stuck(format!("the run is paused: `taskforge control resume {}`", state.run)));
    }
    let session =
        state.pairs().find(|(definition, node)| node.status == NodeStatus::Ready && definition.container.is_none());
    session.map(|(definition, _)| {
        Ending::Stuck(format!("node {} is for an OpenClaw session, and none is configured", definition.id))
    })
}

/// Tells of changes below the run folder. Without it (no inotify left) the follower looks twice a second.
fn watch(folder: &Path, sender: mpsc::Sender<()>) -> Option<notify::RecommendedWatcher> {
    let tell = move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !event.kind.is_access()) {
            let _ = sender.send(());
        }
    };
    let mut watcher = notify::recommended_watcher(tell).ok()?;
    watcher.watch(folder, notify::RecursiveMode::NonRecursive).ok()?;
    // Inbox files are what an agent's request becomes.
    let _ = watcher.watch(&folder.join("gate/inbox"), notify::RecursiveMode::NonRecursive);
    Some(watcher)
}

fn wait(store: &Store<'_>, docker: &Docker, state: &State, drives: bool, changes: &mpsc::Receiver<()>) {
    let live: Vec<String> = state.live_attempts().map(|(_, attempt)| attempt.plan.container.clone()).collect();
    if drives && !live.is_empty() {
        // A container's end is the usual news: the Engine tells of it at once. Files are looked at in between.
        let ended = docker.wait(|engine| async move {
            let first = futures_util::future::select_all(live.iter().map(|name| Box::pin(engine.wait(name))));
            match tokio::time::timeout(LOOK_AWAY, first).await {
                // Not there, or not to be asked: that is no news, and asking again at once would bring none.
                Ok((Err(error), ..)) => Err(Error::from(error)),
                _ => Ok(()),
            }
        });
        if ended.is_err() {
            std::thread::sleep(LOOK_AWAY);
        }
        while changes.try_recv().is_ok() {}
        return;
    }
    let _ = store;
    let _ = changes.recv_timeout(LOOK_AWAY);
    while changes.try_recv().is_ok() {}
}
