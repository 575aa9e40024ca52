//! A run's journal as a place for commands: load, decide, commit, project, under the run's lock and for milliseconds.

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::registry::journal::Found;
use crate::registry::journal::heads::Projections;
use crate::registry::{Head, Journal, Registry, RunLayout, RunLock, Scan};
use crate::run::apply::fold;
use crate::run::command::Command;
use crate::run::decide::decide;
use crate::run::event::{Event, is_known};
use crate::run::id::{Digest, RunId};
use crate::run::record::{Draft, Record};
use crate::run::state::State;

use super::adopt::{self, Look};
use super::error::Error;
use super::listing;
use super::project::{self, Shared};

/// How long a command waits for a run's lock: OpenTask's service holds it while it talks to its gateway.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// What a caller says of what it does, in place of our own words: OpenTask's helper journals what it is given.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wording {
    /// None journals no message at all.
    pub message: Option<String>,
    pub payload: Map<String, Value>,
}

/// Who a command is from, as the journal names them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Speaker<'a> {
    Named(&'a str),
    /// The OpenClaw session that drives the run, whichever that is: a claim, not a proof.
    Session,
}

impl Speaker<'_> {
    fn of(self, state: &State) -> String {
        match self {
            Self::Named(name) => name.to_owned(),
            Self::Session => super::actor::session(&state.created.sessions),
        }
    }
}

/// What a command came down to.
#[derive(Debug, Clone)]
pub struct Told {
    pub state: State,
    /// The events as journaled, in order; none when nothing had to happen.
    pub events: Vec<Record>,
}

/// Who commits and when, and what is known to stand in the files that others write.
#[derive(Clone, Copy)]
struct Place<'a> {
    actor: &'a str,
    now: DateTime<Utc>,
    standing: Option<&'a Shared>,
}

/// Where the projections stand.
#[derive(Deserialize)]
struct Position {
    at: u64,
    #[serde(default)]
    seq: u64,
}

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
        let state = match self.fold_any(&scan)? {
            Some(mut state) => {
                let changed = adopt::look(self, &state, &scan)?;
                // Behind a journal that has grown meanwhile stand projections of ours that it does not explain yet.
                let grew = std::fs::metadata(&journal).map(|meta| meta.len()).ok() != Some(scan.length);
                if let Look::Changed(adoption) = changed
                    && !grew
                {
                    // As the next command will take it over; until then the journal does not say so.
                    let event = Event::RegistryAdopted(adoption);
                    state.apply(&event, Utc::now()).map_err(|source| self.unfit(source))?;
                }
                state
            }
            None => adopt::begin(self)?.1,
        };
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
        let length = std::fs::metadata(self.layout().journal()).ok().map(|meta| meta.len());
        self.position().is_some_and(|position| Some(position.at) == length)
    }

    /// The `seq` of the journal's line up to which the projections were last written.
    pub(crate) fn projected_seq(&self) -> Option<u64> {
        self.position().map(|position| position.seq)
    }

    fn position(&self) -> Option<Position> {
        #[derive(Deserialize)]
        struct Projection {
            journal: Position,
        }
        let projection = std::fs::read(self.layout().taskforge()).ok()?;
        serde_json::from_slice::<Projection>(&projection).ok().map(|found| found.journal)
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
        let (mut journal, scan) = Journal::open(lock, is_known, actor, Utc::now())?;
        // Another program's run that we have not touched yet: its projections are its own.
        if let Some(state) = self.fold_any(&scan)? {
            let written = project::write(&self.layout(), &state, &journal.head(), None)?;
            journal.keep(Some(written));
        }
        Ok(())
    }

    /// Mends the journal's tail as any command does, takes over what other programs changed and writes every
    /// projection that is not what the journal comes to. The state; none of a run that another program made and that we have
    /// not touched yet.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub(crate) fn mend(&self, lock: RunLock, actor: &str) -> Result<Option<State>, Error> {
        let now = Utc::now();
        let (mut journal, scan) = Journal::open(lock, is_known, actor, now)?;
        if self.fold_any(&scan)?.is_none() {
            return Ok(None);
        }
        let (state, _) = self.current(&mut journal, &scan, actor, now)?;
        let written = project::write(&self.layout(), &state, &journal.head(), None)?;
        journal.keep(Some(written));
        Ok(Some(state))
    }

    /// Whether `control.jsonl` holds intents that the journal does not answer.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn has_open_controls(&self, state: &State) -> Result<bool, Error> {
        let recorded = crate::registry::controls::read(&self.layout(), &self.run)?;
        Ok(recorded.iter().any(|control| !state.applied_controls.contains(&control.id)))
    }

    /// The journal's records.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn records(&self) -> Result<Vec<crate::run::record::Record>, Error> {
        Ok(Journal::read(&self.layout().journal(), &self.run)?.records)
    }

    /// The state that these lines come to.
    pub(crate) fn fold(&self, records: &[Record]) -> Result<State, Error> {
        fold(records).map_err(|source| self.unfit(source))
    }

    /// The state that our lines come down to; none if there are none, because another program made the run.
    pub(crate) fn fold_any(&self, scan: &Scan) -> Result<Option<State>, Error> {
        // A journal with lines of ours that cannot be followed is broken, and no other program's.
        let foreign = scan.records.iter().all(|record| record.event == "journal.voided") && scan.grave().is_none();
        if foreign && self.layout().state().exists() {
            return Ok(None);
        }
        self.fold(&scan.records).map(Some)
    }

    fn unfit(&self, source: crate::run::apply::ApplyError) -> Error {
        Error::Fold { run: self.run.clone(), source }
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

    /// [`commit`](Self::commit), with the caller's own words on the first event, which is the command itself.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub(crate) fn commit_told(
        &self,
        speaker: Speaker<'_>,
        command: Command,
        wording: Option<Wording>,
    ) -> Result<Told, Error> {
        self.commit_worded(speaker, wording, |state, now| {
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
        self.commit_worded(Speaker::Named(actor), None, choose).map(|told| told.state)
    }

    fn commit_worded(
        &self,
        speaker: Speaker<'_>,
        wording: Option<Wording>,
        choose: impl FnOnce(&State, DateTime<Utc>) -> Result<Vec<Event>, Error>,
    ) -> Result<Told, Error> {
        let now = Utc::now();
        let lock = RunLock::acquire(self.registry, &self.run, PATIENCE)?;
        let early = match speaker {
            Speaker::Named(name) => name,
            Speaker::Session => "openclaw",
        };
        let (mut journal, mut state, standing) = self.enter(lock, early, now)?;
        let actor = speaker.of(&state);
        let events = choose(&state, now)?;
        if events.is_empty() {
            return Ok(Told { state, events: Vec::new() });
        }
        super::approvers::require_signed(self.registry, &self.run, &state, &events)?;
        super::kept_rules::keep(self.registry, &self.run, &events)?;
        // What does not fold is never written: the state is tried on a copy first.
        let mut trial = state.clone();
        for event in &events {
            trial.apply(event, now).map_err(|source| self.unfit(source))?;
        }
        let mut drafts: Vec<Draft> = events.iter().map(|event| event.to_draft_of(&self.run)).collect();
        if let (Some(wording), Some(place)) = (wording, spoken(&events)) {
            drafts[place].message = wording.message;
            drafts[place].payload = wording.payload;
        }
        let place = Place { actor: &actor, now, standing: standing.as_ref() };
        let records = self.write(&mut journal, &mut state, &events, drafts, place)?;
        // The lock is given back first: what is sealed is acknowledged already.
        drop(journal);
        if state.status.is_terminal() {
            super::seal::seal_ended(self.registry, &self.run);
        }
        Ok(Told { state, events: records })
    }

    /// Opens the run for a command: as it was kept, if nothing has touched it since; read, mended and folded otherwise.
    fn enter(&self, lock: RunLock, actor: &str, now: DateTime<Utc>) -> Result<(Journal, State, Option<Shared>), Error> {
        let (mut journal, found) = Journal::resume(lock, is_known, actor, now)?;
        let scan = match found {
            Found::Read(scan) => scan,
            Found::AsKept(kept) => match self.as_kept(&kept, &journal.head())? {
                Some((state, shared)) => return Ok((journal, state, Some(shared))),
                None => journal.recover(actor, now)?,
            },
        };
        let (state, standing) = self.current(&mut journal, &scan, actor, now)?;
        Ok((journal, state, standing))
    }

    /// The state as the last command left it, if all three files are, to the byte, what that command wrote.
    pub(super) fn as_kept(&self, kept: &Projections, head: &Head) -> Result<Option<(State, Shared)>, Error> {
        #[derive(Deserialize)]
        struct Projection {
            journal: Head,
            state: State,
        }
        let layout = self.layout();
        let standing = |path: &Path, digest: &Digest| {
            let bytes = adopt::read(path)?;
            Ok::<_, Error>(bytes.filter(|bytes| Digest::of(bytes) == *digest))
        };
        if standing(&layout.state(), &kept.state)?.is_none() || standing(&layout.refs(), &kept.refs)?.is_none() {
            return Ok(None);
        }
        let Some(bytes) = standing(&layout.taskforge(), &kept.taskforge)? else { return Ok(None) };
        let Ok(found) = serde_json::from_slice::<Projection>(&bytes) else { return Ok(None) };
        if found.journal != *head || found.state.run != self.run {
            return Ok(None);
        }
        debug_assert_eq!(
            self.records().ok().and_then(|records| fold(&records).ok()).as_ref(),
            Some(&found.state),
            "what was kept is what the journal comes to"
        );
        Ok(Some((found.state, Shared { state: kept.state.clone(), refs: kept.refs.clone() })))
    }

    /// The run as it stands under the lock, with what other programs changed of it taken over first.
    fn current(
        &self,
        journal: &mut Journal,
        scan: &Scan,
        actor: &str,
        now: DateTime<Utc>,
    ) -> Result<(State, Option<Shared>), Error> {
        let Some(mut state) = self.fold_any(scan)? else {
            let (adoption, state) = adopt::begin(self)?;
            let draft = Event::RegistryAdopted(Box::new(adoption)).to_draft();
            journal.commit(vec![draft], actor, now)?;
            let written = project::write(&self.layout(), &state, &journal.head(), None)?;
            journal.keep(Some(written));
            listing::note(self.registry, &state, journal.head().at);
            return Ok((state, None));
        };
        match adopt::look(self, &state, scan)? {
            Look::AsWritten(shared) => return Ok((state, Some(shared))),
            Look::Nothing => {}
            Look::Changed(adoption) => {
                let command = Command::Adopt(adoption);
                let refused = |refusal| Error::Refused { run: self.run.clone(), refusal };
                let events = decide(&state, command, now).map_err(refused)?;
                let drafts = events.iter().map(|event| event.to_draft_of(&self.run)).collect();
                self.write(journal, &mut state, &events, drafts, Place { actor, now, standing: None })?;
            }
        }
        Ok((state, None))
    }

    /// Journals `events`, applies them to `state` and writes the projections.
    fn write(
        &self,
        journal: &mut Journal,
        state: &mut State,
        events: &[Event],
        drafts: Vec<Draft>,
        place: Place<'_>,
    ) -> Result<Vec<Record>, Error> {
        let Place { actor, now, standing } = place;
        let records = journal.commit(drafts, actor, now)?;
        for (event, record) in events.iter().zip(&records) {
            let at = crate::run::time::parse_time(&record.timestamp).unwrap_or(now);
            state.apply(event, at).map_err(|source| self.unfit(source))?;
            state.last_event.clone_from(&record.event);
        }
        let head = journal.head();
        self.last.replace(Some((head.at, state.clone())));
        let written = project::write(&self.layout(), state, &head, standing)?;
        journal.keep(Some(written));
        listing::note(self.registry, state, head.at);
        Ok(records)
    }
}

/// Which of a command's events the caller's words belong to: the command itself, not what had to come before it.
fn spoken(events: &[Event]) -> Option<usize> {
    events.iter().position(|event| !matches!(event, Event::RunReopened {}))
}
