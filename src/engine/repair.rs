//! What is wrong with a run's files, and mending what can be mended without losing anything: looked at first, without a
//! lock and without a write. What is replaced is kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use chrono::Utc;
use serde::Serialize;

use crate::registry::{Journal, Registry, RunLayout, queries};
use crate::run::id::RunId;
use crate::run::projection::working_memory;
use crate::run::state::State;

use super::adopt::{self, Look};
use super::diagnose::{Diagnosis, Grade};
use super::error::Error;
use super::session::handoff;
use super::store::Store;
use super::{project, verify};

/// How old a temporary file must be before it counts as left over: a writer renames its own within moments.
const STALE: Duration = Duration::from_secs(3600);
/// How deep below a run's folder leftovers are looked for; workspaces are not ours to tidy.
const DEPTH: usize = 3;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub run: RunId,
    /// The file, relative to the run's folder.
    pub file: String,
    pub what: String,
    /// Whether `repair` mends it. What it does not mend needs a person: something acknowledged may be lost or changed.
    pub safe: bool,
    /// What `repair` does, or what a person can do.
    pub mend: String,
}

/// What is wrong with a run. Reads only.
///
/// # Errors
/// [`Error::NoRun`], and when a file is there and cannot be read.
pub fn examine(registry: &Registry, run: &RunId) -> Result<Vec<Finding>, Error> {
    let store = Store::open(registry, run)?;
    let mut look = Examination { store: &store, layout: store.layout(), findings: Vec::new() };
    for problem in verify(registry, run)?.problems {
        let what =
            if problem.line == 0 { problem.what.clone() } else { format!("line {} {}", problem.line, problem.what) };
        look.add(
            &problem.file,
            what,
            false,
            "restore it from git, a backup or an export; `taskforge audit verify` says where",
        );
    }
    let scan = Journal::read(&look.layout.journal(), run)?;
    if !scan.torn.is_empty() {
        let bytes: u64 = scan.torn.iter().map(|range| range.end - range.start).sum();
        let what = format!("{bytes} bytes at its end belong to a command that was never acknowledged");
        look.add("events.jsonl", what, true, "keep them in events.torn, note that in the journal, and blank them");
    }
    match store.load() {
        Ok(state) if scan.records.is_empty() => look.foreign(&state),
        Ok(_) => {
            let state = store.fold_of(&scan.records)?;
            look.projections(&state, &scan)?;
            look.folders(&state);
        }
        // The journal's own breakage is among the problems above.
        Err(Error::Fold { .. }) => {}
        Err(error) => look.add("state.json", error.to_string(), false, "it is another program's run: mend it there"),
    }
    look.leftovers();
    Ok(look.findings)
}

struct Examination<'a> {
    store: &'a Store<'a>,
    layout: RunLayout,
    findings: Vec<Finding>,
}

impl Examination<'_> {
    fn add(&mut self, file: &str, what: impl Into<String>, safe: bool, mend: &str) {
        let run = self.store.run().clone();
        self.findings.push(Finding { run, file: file.to_owned(), what: what.into(), safe, mend: mend.to_owned() });
    }

    fn foreign(&mut self, state: &State) {
        let what = format!("the run was made by another program and is {}", state.status.as_str());
        self.add("events.jsonl", what, true, "take it over, as the next command would");
    }

    fn projections(&mut self, state: &State, scan: &crate::registry::Scan) -> Result<(), Error> {
        let changed = match adopt::look(self.store, state, scan)? {
            Look::Changed(adoption) => {
                let refused: Vec<String> =
                    adoption.refused.iter().map(|refused| format!("{}: {}", refused.what, refused.why)).collect();
                let refused =
                    if refused.is_empty() { String::new() } else { format!("; refused: {}", refused.join("; ")) };
                let what = format!("another program changed it{refused}");
                self.add("state.json", what, true, "take over what may be, and name in the journal what may not");
                true
            }
            _ => false,
        };
        for (path, text) in project::all(&self.layout, state, &scan.head)? {
            let name = self.name(&path);
            if changed && matches!(name.as_str(), "state.json" | "refs.json" | "taskforge.json") {
                continue;
            }
            let what = match fs::read(&path) {
                Ok(bytes) if bytes == text.as_bytes() => continue,
                Ok(_) => "is not what the journal comes to",
                Err(_) => "is missing",
            };
            self.add(&name, what, true, "make it anew from the journal");
        }
        Ok(())
    }

    fn folders(&mut self, state: &State) {
        if !self.layout.controls().exists() {
            self.add("control.jsonl", "is missing", true, "make an empty one: what was applied is in the journal");
        }
        for (definition, _) in state.pairs() {
            if !self.layout.node(&definition.id).is_dir() {
                self.add(&format!("nodes/{}", definition.id), "is missing", true, "make the folder");
            }
            let memory = working_memory(definition);
            if let Some(path) = memory.get("handoff").and_then(|path| path.as_str())
                && !self.layout.root().join(path).exists()
            {
                self.add(path, "is missing", true, "write the text that a new run has there");
            }
        }
    }

    fn leftovers(&mut self) {
        let mut found = Vec::new();
        leftovers(self.layout.root(), DEPTH, &mut found);
        for path in found {
            let name = self.name(&path);
            self.add(&name, "was left by a writer that did not finish", true, "move it aside");
        }
    }

    fn name(&self, path: &Path) -> String {
        path.strip_prefix(self.layout.root()).unwrap_or(path).display().to_string()
    }
}

/// Temporary files of ours and of OpenTask's writers that nobody can be working on any more.
fn leftovers(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            if depth > 1 && !matches!(name.as_str(), "workspace" | "gate" | "attempts") {
                leftovers(&entry.path(), depth - 1, found);
            }
            continue;
        }
        let modified = entry.metadata().and_then(|found| found.modified());
        let old = modified.is_ok_and(|time| SystemTime::now().duration_since(time).is_ok_and(|age| age > STALE));
        if old && kind.is_file() && (name.starts_with(".tmp-") || name.ends_with(".json.tmp")) {
            found.push(entry.path());
        }
    }
}

/// What is wrong with all runs, as one line of a diagnosis.
///
/// # Errors
/// As [`examine`].
pub fn diagnose_runs(registry: &Registry) -> Result<Diagnosis, Error> {
    let runs = queries::list_runs(registry)?;
    let mut findings = Vec::new();
    for run in &runs {
        findings.extend(examine(registry, run)?);
    }
    let grave = findings.iter().filter(|finding| !finding.safe).count();
    let (grade, detail) = match (findings.len(), grave) {
        (0, _) => (Grade::Good, format!("nothing is wrong with the files of {} run(s)", runs.len())),
        (all, 0) => (Grade::Note, format!("{all} thing(s) that can be mended")),
        (all, grave) => (Grade::Bad, format!("{all} thing(s), of which {grave} cannot be mended without a person")),
    };
    let fix = (!findings.is_empty()).then(|| "taskforge repair --dry-run".to_owned());
    Ok(Diagnosis { name: "runs".to_owned(), grade, detail, fix })
}

/// Mends what [`examine`] finds safe to mend. What was found, and where what was replaced is kept, if anything was.
///
/// # Errors
/// As [`examine`], and when something cannot be written.
pub fn repair(registry: &Registry, run: &RunId) -> Result<(Vec<Finding>, Option<PathBuf>), Error> {
    let findings = examine(registry, run)?;
    let safe: Vec<&Finding> = findings.iter().filter(|finding| finding.safe).collect();
    // A journal that is not what was written is not built upon.
    let broken = findings.iter().any(|finding| !finding.safe && finding.file == "events.jsonl");
    if safe.is_empty() || broken {
        return Ok((findings, None));
    }
    let store = Store::open(registry, run)?;
    let layout = store.layout();
    let kept = keep(registry, &layout, run, &safe)?;
    store.mend(&super::operator())?;
    if !layout.controls().exists() {
        crate::registry::project::write_durable(&layout.controls(), b"")?;
    }
    for (definition, _) in store.load()?.pairs() {
        let folder = layout.node(&definition.id);
        fs::create_dir_all(&folder).map_err(|source| Error::Io { action: "create", path: folder.clone(), source })?;
        let memory = working_memory(definition);
        if let Some(path) = memory.get("handoff").and_then(|path| path.as_str())
            && !layout.root().join(path).exists()
        {
            crate::registry::project::write_durable(&layout.root().join(path), handoff(definition).as_bytes())?;
        }
    }
    Ok((findings, kept))
}

/// Copies what will be replaced, and moves what is in the way, to a folder of this machine.
fn keep(registry: &Registry, layout: &RunLayout, run: &RunId, safe: &[&Finding]) -> Result<Option<PathBuf>, Error> {
    let folder = registry.layout().local().join("repaired").join(run.as_str());
    let folder = folder.join(Utc::now().format("%Y%m%dT%H%M%S%.6fZ").to_string());
    let mut any = false;
    for finding in safe {
        let source = layout.root().join(&finding.file);
        if !source.symlink_metadata().is_ok_and(|found| found.is_file()) {
            continue;
        }
        let target = folder.join(&finding.file);
        let io = |action| {
            let path = target.clone();
            move |error| Error::Io { action, path, source: error }
        };
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(io("create"))?;
        }
        let stray = finding.mend == "move it aside";
        if stray { fs::rename(&source, &target) } else { fs::copy(&source, &target).map(drop) }.map_err(io("keep"))?;
        any = true;
    }
    Ok(any.then_some(folder))
}
