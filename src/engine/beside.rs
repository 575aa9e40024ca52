//! A request for packages that is resolved beside the rounds of a tick: that takes as long as a package index does, and
//! what was approved meanwhile does not wait for it.

use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use crate::run::command::Command;
use crate::run::decide::decide;
use crate::run::id::RequestId;
use crate::run::state::{Request, State};

use super::actor::TICK;
use super::docker::Docker;
use super::error::Error;
use super::images;
use super::store::Store;

/// How soon a change of the journal is seen.
const GLANCE: Duration = Duration::from_millis(20);

/// The longest that a round is away: what the journal does not tell of (a container's end, a message) is seen after that.
const LOOK_AWAY: Duration = Duration::from_millis(500);

/// One request that is being resolved. Nothing of it is journaled by its own thread.
pub(super) struct Beside<'scope> {
    /// The request as it was when this began.
    begun: Option<Request>,
    thread: ScopedJoinHandle<'scope, Result<Option<Command>, Error>>,
}

impl<'scope> Beside<'scope> {
    /// Begins to resolve request `id` as it stands in `state`.
    pub(super) fn begin<'r: 'scope>(
        scope: &'scope Scope<'scope, '_>,
        store: &Store<'r>,
        state: &State,
        id: &RequestId,
    ) -> Self {
        let (registry, run, state) = (store.registry(), store.run().clone(), state.clone());
        let begun = state.request(id).cloned();
        let request = begun.clone();
        let thread = scope.spawn(move || {
            let Some(request) = request else { return Ok(None) };
            // A connection of its own: the rounds use theirs meanwhile.
            images::resolving(&Store::open(registry, &run)?, &Docker::default(), &state, &request).map(Some)
        });
        Self { begun, thread }
    }

    /// Waits until it is resolved, something was journaled, or it is time to look again; itself again if it goes on.
    ///
    /// # Errors
    /// Those of the resolving, and of its commit.
    pub(super) fn wait(self, store: &Store<'_>) -> Result<Option<Self>, Error> {
        let length = || std::fs::metadata(store.layout().journal()).map(|meta| meta.len()).ok();
        let (before, begun) = (length(), Instant::now());
        while !self.thread.is_finished() {
            if length() != before || begun.elapsed() > LOOK_AWAY {
                return Ok(Some(self));
            }
            std::thread::sleep(GLANCE);
        }
        self.finish(store).map(|()| None)
    }

    /// Waits for its end, and journals what it came to.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub(super) fn finish(self, store: &Store<'_>) -> Result<(), Error> {
        let resolved = self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let (Some(command), Some(begun)) = (resolved, self.begun) else { return Ok(()) };
        let committed = store.commit_with(TICK, |state, now| match state.request(&begun.id) {
            // What a person made another list of meanwhile is resolved as that.
            Some(request) if request.edited != begun.edited || request.resolution != begun.resolution => Ok(Vec::new()),
            _ => decide(state, command, now).map_err(|refusal| Error::Refused { run: store.run().clone(), refusal }),
        });
        match committed {
            // The run moved on meanwhile; the next round plans anew.
            Err(Error::Refused { .. }) | Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
