//! A run's journal as a place for commands: load, decide, commit, project, under the run's lock and for milliseconds.

use std::cell::RefCell;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::registry::{Journal, Registry, RunLayout, RunLock};
use crate::run::apply::fold;
use crate::run::command::Command;
use crate::run::decide::decide;
use crate::run::event::{Event, is_known};
use crate::run::id::RunId;
use crate::run::state::State;

use super::error::Error;
use super::project;

/// How long a command waits for a run's lock: OpenTask's service holds it while it talks to its gateway.
const PATIENCE: Duration = Duration::from_secs(10);

/// One run of a registry.
#[derive(Debug, Clone)]
pub struct Store<'a> {
    registry: &'a Registry,
    run: RunId,
    /// What this process last read or wrote, with the journal's length then. A journal only grows, so that one of the
    /// same length is the same; a commit reads all of it again regardless.
    last: RefCell<Option<(u64, State)>>,
}

impl<'a> Store<'a> {
    /// The run `run`, which must exist.
    ///
    /// # Errors
    /// [`Error::NoRun`].
    pub fn open(registry: &'a Registry, run: &RunId) -> Result<Self, Error> {
        let store = Self { registry, run: run.clone(), last: RefCell::default() };
        if store.layout().journal().exists() { Ok(store) } else { Err(Error::NoRun(run.clone())) }
    }

    #[must_use]
    pub fn run(&self) -> &RunId {
        &self.run
    }

    pub(crate) fn registry(&self) -> &'a Registry {
        self.registry
    }

    /// Where the files of the run lie.
    #[must_use]
    pub fn layout(&self) -> RunLayout {
        self.registry.layout().run(&self.run)
    }

    /// The run as it stands, without a lock.
    ///
    /// # Errors
    /// When the journal cannot be read or does not fold.
    pub fn load(&self) -> Result<State, Error> {
        let journal = self.layout().journal();
        let length = std::fs::metadata(&journal).map(|meta| meta.len()).ok();
        if let Some((covered, state)) = &*self.last.borrow()
            && length == Some(*covered)
        {
            return Ok(state.clone());
        }
        let scan = Journal::read(&journal, &self.run)?;
        let state = self.fold(&scan.records)?;
        self.last.replace(Some((scan.length, state.clone())));
        Ok(state)
    }

    /// The run as its projection has it, if that covers the whole journal; folded otherwise. For lists, where each
    /// run costs a file instead of a journal.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn peek(&self) -> Result<State, Error> {
        #[derive(Deserialize)]
        struct Projection {
            journal: Position,
            state: State,
        }
        #[derive(Deserialize)]
        struct Position {
            at: u64,
        }
        let layout = self.layout();
        let length = std::fs::metadata(layout.journal()).map(|meta| meta.len()).ok();
        let projection = std::fs::read(layout.taskforge()).ok();
        let projection = projection.and_then(|bytes| serde_json::from_slice::<Projection>(&bytes).ok());
        match projection {
            Some(found) if Some(found.journal.at) == length && found.state.run == self.run => Ok(found.state),
            _ => self.load(),
        }
    }

    /// Whether the projections are those of the whole journal, as far as the last one written says.
    #[must_use]
    pub fn is_projected(&self) -> bool {
        #[derive(Deserialize)]
        struct Projection {
            journal: Position,
        }
        #[derive(Deserialize)]
        struct Position {
            at: u64,
        }
        let layout = self.layout();
        let projection = std::fs::read(layout.taskforge()).ok();
        let projection = projection.and_then(|bytes| serde_json::from_slice::<Projection>(&bytes).ok());
        let length = std::fs::metadata(layout.journal()).ok().map(|meta| meta.len());
        projection.is_some_and(|found| Some(found.journal.at) == length)
    }

    /// Catches the projections up with the journal where a crash came between the two: nobody else would, once a run has
    /// ended.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub(crate) fn project(&self, actor: &str) -> Result<(), Error> {
        if self.is_projected() {
            return Ok(());
        }
        let lock = RunLock::acquire(self.registry, &self.run, PATIENCE)?;
        let (journal, scan) = Journal::open(lock, is_known, actor, Utc::now())?;
        project::write(&self.layout(), &self.fold(&scan.records)?, &journal.head())
    }

    /// The journal's records.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn records(&self) -> Result<Vec<crate::run::record::Record>, Error> {
        Ok(Journal::read(&self.layout().journal(), &self.run)?.records)
    }

    fn fold(&self, records: &[crate::run::record::Record]) -> Result<State, Error> {
        fold(records).map_err(|source| Error::Fold { run: self.run.clone(), source })
    }

    /// Decides `command` and commits what it comes down to.
    ///
    /// # Errors
    /// [`Error::Refused`] when it may not happen; storage errors otherwise. After an error, nothing was acknowledged.
    pub fn commit(&self, actor: &str, command: Command) -> Result<State, Error> {
        self.commit_with(actor, |state, now| {
            decide(state, command, now).map_err(|refusal| Error::Refused { run: self.run.clone(), refusal })
        })
    }

    /// Commits the events that `choose` gives for the state as it is under the lock.
    ///
    /// # Errors
    /// Those of `choose`, and storage errors.
    pub(crate) fn commit_with(
        &self,
        actor: &str,
        choose: impl FnOnce(&State, DateTime<Utc>) -> Result<Vec<Event>, Error>,
    ) -> Result<State, Error> {
        let now = Utc::now();
        let lock = RunLock::acquire(self.registry, &self.run, PATIENCE)?;
        let (mut journal, scan) = Journal::open(lock, is_known, actor, now)?;
        let mut state = self.fold(&scan.records)?;
        let events = choose(&state, now)?;
        if events.is_empty() {
            return Ok(state);
        }
        // What does not fold is never written: the state is tried on a copy first.
        let mut trial = state.clone();
        for event in &events {
            trial.apply(event, now).map_err(|source| Error::Fold { run: self.run.clone(), source })?;
        }
        let drafts = events.iter().map(Event::to_draft).collect();
        let records = journal.commit(drafts, actor, now)?;
        for (event, record) in events.iter().zip(&records) {
            let at = crate::run::time::parse_time(&record.timestamp).unwrap_or(now);
            state.apply(event, at).map_err(|source| Error::Fold { run: self.run.clone(), source })?;
            state.last_event.clone_from(&record.event);
        }
        let head = journal.head();
        self.last.replace(Some((head.at, state.clone())));
        project::write(&self.layout(), &state, &head)?;
        Ok(state)
    }
}
