//! Registries as earlier versions left them, in `tests/fixtures/`: their journals fold for ever, into projections that
//! change only when somebody means them to, and what a newer version wrote is read and never touched.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::Utc;
use serde_json::{Value, json};

use super::store::Store;
use super::{Error, project, verify};
use crate::audit::{Problem, Report};
use crate::registry::journal::Journal;
use crate::registry::{self, Registry, RunLock};
use crate::run::command::{Command, Control};
use crate::run::event::{Event, is_known};
use crate::run::id::RunId;
use crate::run::record::{Draft, Record};
use crate::run::status::RunStatus;

/// Writes the projections when set, instead of comparing them. The journals stay as they are.
const WRITE: &str = "TASKFORGE_WRITE_RECORDED";

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/registry-v1")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target)
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A copy that may be written to, with the heads where a machine keeps them.
pub(super) fn registry() -> (tempfile::TempDir, Registry) {
    let folder = tempfile::tempdir().unwrap();
    copy(&fixture(), folder.path());
    let local = folder.path().join(".taskforge");
    fs::create_dir(&local).unwrap();
    fs::set_permissions(&local, fs::Permissions::from_mode(0o700)).unwrap();
    fs::rename(folder.path().join("heads"), local.join("heads")).unwrap();
    let registry = Registry::at(folder.path());
    (folder, registry)
}

pub(super) fn runs(registry: &Registry) -> Vec<RunId> {
    let runs = registry::queries::list_runs(registry).unwrap();
    assert_eq!(runs.len(), 6, "{runs:?}");
    runs
}

pub(super) fn intent(control: Control) -> Command {
    Command::Control { id: None, control }
}

/// Every file below `root` with its bytes.
fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { open.push(path) } else { drop(found.insert(path.clone(), fs::read(&path).unwrap())) }
        }
    }
    found
}

#[test]
fn every_recorded_journal_folds_into_the_recorded_projections() {
    let registry = Registry::at(&fixture());
    for run in runs(&registry) {
        let store = Store::open(&registry, &run).unwrap();
        let scan = Journal::read(&store.layout().journal(), &run).unwrap();
        assert_eq!(scan.grave(), None, "{run}");
        let state = store.fold(&scan.records).unwrap();
        for (path, text) in project::all(&store.layout(), &state, &scan.head).unwrap() {
            if std::env::var_os(WRITE).is_some() {
                fs::write(&path, &text).unwrap();
            }
            let stands = fs::read_to_string(&path).unwrap();
            assert!(
                stands == text,
                "{} is not what its journal comes down to now; if that is meant, refresh it with `{WRITE}=1 cargo test --lib recorded::` and review the difference",
                path.display()
            );
        }
    }
}

/// Recorded runs are kept without the bodies of what was said.
fn problems(report: &Report) -> Vec<Problem> {
    let of_bodies = |problem: &&Problem| problem.what.ends_with("no redaction says why");
    report.problems.iter().filter(|problem| !of_bodies(problem)).cloned().collect()
}

#[test]
fn every_recorded_run_is_sound_and_goes_on() {
    let (_folder, registry) = registry();
    for run in runs(&registry) {
        assert_eq!(problems(&verify(&registry, &run).unwrap()), [], "{run}");
        let store = Store::open(&registry, &run).unwrap();
        let journal = store.layout().journal();
        let before = fs::read(&journal).unwrap();
        // Nothing is to be settled, nothing is another program's, so nothing is written.
        store.commit("tick", Command::Settle).unwrap();
        assert!(fs::read(&journal).unwrap() == before, "{run}");
        let state = store.load().unwrap();
        if state.status == RunStatus::Running {
            store.commit("operator:ada", intent(Control::Pause { reason: "to look".to_owned() })).unwrap();
        } else {
            let note = Event::ControlRejected { id: "c".to_owned(), reason: "too late".to_owned() };
            store.commit_with("operator:ada", |_, _| Ok(vec![note])).unwrap();
        }
        let after = fs::read(&journal).unwrap();
        assert!(after.len() > before.len() && after.starts_with(&before), "{run}");
        assert_eq!(problems(&verify(&registry, &run).unwrap()), [], "{run}");
    }
}

#[test]
fn projections_of_an_earlier_version_are_no_changes_of_another_program() {
    let (folder, registry) = registry();
    for run in ["capable", "failing", "stopped"] {
        copy(&folder.path().join("older").join(run), &folder.path().join("runs").join(run));
        let run = RunId::parse(run).unwrap();
        let store = Store::open(&registry, &run).unwrap();
        let before = fs::read(store.layout().journal()).unwrap();
        store.commit("tick", Command::Settle).unwrap();
        let after = fs::read(store.layout().journal()).unwrap();
        assert!(after == before, "{run}: {}", String::from_utf8_lossy(&after[before.len()..]));
    }
}

/// One line of each event that there is, as this format has it: a name or a field that goes is a format that goes.
#[test]
fn every_recorded_event_is_understood_and_written_the_same() {
    let text = fs::read_to_string(fixture().join("../events-v1.jsonl")).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for line in text.lines() {
        let record: Record = serde_json::from_str(line).unwrap();
        let event = Event::from_record(&record).unwrap_or_else(|error| panic!("{error}: {line}"));
        seen.insert(record.event.clone());
        if record.event == "journal.voided" {
            continue; // written by the journal, which alone knows what stands in it
        }
        let draft = event.to_draft();
        assert_eq!((&draft.event, &draft.node_id), (&record.event, &record.node_id), "{line}");
        assert_eq!(Value::Object(draft.data), Value::Object(record.data), "{line}");
    }
    assert!(seen.iter().all(|name| is_known(name)));
    assert_eq!(seen.len(), 60, "an event without a line in tests/fixtures/events-v1.jsonl: {seen:?}");
}

/// Appends a line of ours with this event, as a version that knows it would.
fn append(registry: &Registry, run: &RunId, event: &str) {
    let lock = RunLock::acquire(registry, run, Duration::from_secs(10)).unwrap();
    let (mut journal, _) = Journal::open(lock, |_| true, "tick", Utc::now()).unwrap();
    let data = json!({"speed": 7}).as_object().unwrap().clone();
    let draft = Draft { event: event.to_owned(), node_id: None, message: None, payload: serde_json::Map::new(), data };
    journal.commit(vec![draft], "tick", Utc::now()).unwrap();
}

/// Everything that would change a run is refused, and not one byte of it is changed.
fn is_left_alone(registry: &Registry, run: &RunId) {
    let all = || {
        let mut found = files(&registry.root().join("runs"));
        found.extend(files(&registry.layout().heads()));
        // The lock's file may be made; it holds nothing.
        found.retain(|path, bytes| !(path.ends_with(".run.lock") && bytes.is_empty()));
        found
    };
    let before = all();
    let store = Store::open(registry, run).unwrap();
    let refused = [
        store.commit("operator:ada", intent(Control::Pause { reason: "x".to_owned() })).map(drop),
        store.commit("operator:ada", intent(Control::Cancel { reason: "x".to_owned() })).map(drop),
        store.commit("tick", Command::Settle).map(drop),
        store.project("tick"),
    ];
    for result in refused {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Registry(registry::Error::Newer { .. })), "{run}: {error}");
    }
    // Reading works, and changes nothing either.
    assert!(store.records().unwrap().len() > 1);
    let report = verify(registry, run).unwrap();
    let problems = problems(&report);
    assert!(problems.len() <= 1, "{problems:#?}");
    let after = all();
    let changed: Vec<_> = after.iter().filter(|(path, bytes)| before.get(*path) != Some(*bytes)).collect();
    assert!(changed.is_empty() && before.len() == after.len(), "{run} was changed: {changed:?}");
}

#[test]
fn an_unknown_event_makes_a_run_readable_only() {
    let (_folder, registry) = registry();
    for run in runs(&registry) {
        append(&registry, &run, "node.teleported");
        is_left_alone(&registry, &run);
    }
}

#[test]
fn a_newer_format_is_readable_only() {
    let (_folder, registry) = registry();
    let run = RunId::parse("capable").unwrap();
    let layout = registry.layout().run(&run);
    let old = Journal::read(&layout.journal(), &run).unwrap().records;
    fs::remove_file(layout.journal()).unwrap();
    fs::remove_file(registry.layout().head(&run)).unwrap();
    let mut journal = Journal::create(layout.root(), &run).unwrap();
    let drafts = old.into_iter().map(|record| {
        let Record { event, node_id, message, payload, mut data, .. } = record;
        if event == "run.created" {
            data.insert("format".to_owned(), json!(2));
        }
        Draft { event, node_id, message, payload, data }
    });
    journal.commit(drafts.collect(), "tick", Utc::now()).unwrap();
    drop(journal);
    is_left_alone(&registry, &run);
}
