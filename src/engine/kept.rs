//! What a command takes from the one before it, and when it must not: what is kept with the head counts only while the
//! journal and all three projections are, to the byte, what was kept.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use chrono::Utc;

use super::recorded::{intent, registry, runs};
use super::store::Store;
use crate::registry::journal::heads::{self, Kept};
use crate::registry::journal::{Found, Journal};
use crate::registry::{Error, Registry, RunLock};
use crate::run::command::Control;
use crate::run::event::is_known;
use crate::run::id::RunId;

fn pause() -> Control {
    Control::Pause { reason: "to look".to_owned() }
}

/// The first run that goes on, paused by this build, so that something is kept of it.
fn paused(registry: &Registry) -> RunId {
    let goes_on = |run: &RunId| {
        let store = Store::open(registry, run).unwrap();
        !store.load().unwrap().status.is_terminal() && store.commit("operator:ada", intent(pause())).is_ok()
    };
    runs(registry).into_iter().find(goes_on).unwrap()
}

/// Whether the next command would go by what is kept.
fn goes_by_it(registry: &Registry, run: &RunId) -> bool {
    let lock = RunLock::acquire(registry, run, Duration::from_secs(5)).unwrap();
    let (journal, found) = Journal::resume(lock, is_known, "tick", Utc::now()).unwrap();
    let Found::AsKept(kept) = found else { return false };
    Store::open(registry, run).unwrap().as_kept(&kept, &journal.head()).unwrap().is_some()
}

fn head(registry: &Registry, run: &RunId) -> (PathBuf, Kept) {
    let path = registry.layout().head(run);
    let kept = heads::read(&path).unwrap().unwrap();
    (path, kept)
}

#[test]
fn the_next_command_goes_by_what_the_last_one_kept() {
    let (_folder, registry) = registry();
    let run = paused(&registry);
    assert!(goes_by_it(&registry, &run));
    let store = Store::open(&registry, &run).unwrap();
    let state = store.commit("operator:ada", intent(Control::Resume)).unwrap();
    assert_eq!(store.fold(&store.records().unwrap()).unwrap(), state);
    assert!(goes_by_it(&registry, &run));
}

#[test]
fn a_changed_projection_is_not_believed() {
    let (_folder, registry) = registry();
    let run = paused(&registry);
    let layout = registry.layout().run(&run);
    for path in [layout.taskforge(), layout.state(), layout.refs()] {
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replacen('"', " \"", 1)).unwrap();
        assert!(!goes_by_it(&registry, &run), "{}", path.display());
        fs::remove_file(&path).unwrap();
        assert!(!goes_by_it(&registry, &run), "{}", path.display());
        fs::write(&path, text).unwrap();
        assert!(goes_by_it(&registry, &run));
    }
    // A state that was forged together with its own digest is of another journal, or of another run.
    let (path, kept) = head(&registry, &run);
    for (from, to) in [("\"seq\":", "\"seq\":1"), (run.as_str(), "other")] {
        let text = fs::read_to_string(layout.taskforge()).unwrap();
        let forged = text.replacen(from, to, 1);
        fs::write(layout.taskforge(), &forged).unwrap();
        let mut lie = kept.clone();
        lie.projections.as_mut().unwrap().taskforge = crate::run::id::Digest::of(forged.as_bytes());
        heads::write(&path, &lie).unwrap();
        assert!(!goes_by_it(&registry, &run), "{from}");
        fs::write(layout.taskforge(), text).unwrap();
        heads::write(&path, &kept).unwrap();
    }
    assert!(goes_by_it(&registry, &run));
}

#[test]
fn what_other_rules_made_is_read_again() {
    let (_folder, registry) = registry();
    let run = paused(&registry);
    let (path, mut kept) = head(&registry, &run);
    kept.projections.as_mut().unwrap().rules.push('x');
    heads::write(&path, &kept).unwrap();
    assert!(!goes_by_it(&registry, &run));
    kept.projections = None;
    heads::write(&path, &kept).unwrap();
    assert!(!goes_by_it(&registry, &run));
    let store = Store::open(&registry, &run).unwrap();
    store.commit("operator:ada", intent(Control::Resume)).unwrap();
    assert!(goes_by_it(&registry, &run));
}

#[test]
fn a_line_of_another_program_is_read() {
    let (_folder, registry) = registry();
    let run = paused(&registry);
    let journal = registry.layout().run(&run).journal();
    let bytes = fs::read(&journal).unwrap();
    fs::write(&journal, [bytes.as_slice(), b"{\"event\": \"x\"}\n"].concat()).unwrap();
    assert!(!goes_by_it(&registry, &run));
}

#[test]
fn a_changed_byte_of_the_journal_is_refused_as_ever() {
    let (_folder, registry) = registry();
    let run = paused(&registry);
    let path = registry.layout().run(&run).journal();
    let bytes = fs::read(&path).unwrap();
    for place in (0..bytes.len()).step_by(41) {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        fs::write(&path, &changed).unwrap();
        let lock = RunLock::acquire(&registry, &run, Duration::from_secs(5)).unwrap();
        let error = Journal::resume(lock, is_known, "tick", Utc::now()).unwrap_err();
        assert!(matches!(error, Error::Integrity { .. } | Error::Newer { .. }), "byte {place}: {error}");
        assert_eq!(fs::read(&path).unwrap(), changed);
    }
}

#[test]
fn whoever_ends_before_the_projections_keeps_the_head_alone() {
    let (_folder, registry) = registry();
    let run = paused(&registry);
    let lock = RunLock::acquire(&registry, &run, Duration::from_secs(5)).unwrap();
    let (mut journal, _) = Journal::open(lock, is_known, "tick", Utc::now()).unwrap();
    let draft = crate::run::event::Event::RunResumed {}.to_draft();
    journal.commit(vec![draft], "tick", Utc::now()).unwrap();
    let at = journal.head();
    drop(journal);
    let (_, kept) = head(&registry, &run);
    assert_eq!((kept.head(), kept.projections), (at, None));
}
