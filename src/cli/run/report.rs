//! `taskforge run report`.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::cli::failure_from::io;
use crate::engine::{Store, waits_for};
use crate::failure::{Failure, Kind};
use crate::gate::records;
use crate::registry::{Journal, Scan, beneath};
use crate::report::{self, Content, Proof, Report as Page, Source};
use crate::run::id::{Digest, RunId};
use crate::run::record::Record;
use crate::run::state::State;
use crate::run::time::parse_time;

use crate::cli::run_arg::RunArg;

use super::Context;

/// Write what a run did as one page: for a browser, or for a pull request
///
/// The page is one file without scripts, and loads nothing from elsewhere. It is made from the journal alone: the same
/// run gives the same bytes. Without `--html` or `--md` the name of the file says which, or it is Markdown.
#[derive(Debug, Args)]
pub(crate) struct Report {
    run: RunArg,
    /// A page for a browser: graph, timeline, decisions, files, usage and proof
    #[arg(long, conflicts_with = "md")]
    html: bool,
    /// Markdown as GitHub shows it, short enough for a pull request
    #[arg(long)]
    md: bool,
    /// The file to write [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file even if it is not an earlier report of this run
    #[arg(long, requires = "output")]
    force: bool,
}

impl Report {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let run = self.run.find(&registry)?;
        let store = Store::open(&registry, &run)?;
        let layout = store.layout();
        let (mut state, scan) = consistent(&store)?;
        let lines = lines(&scan);
        // What other programs changed is taken over as of now, which is not when it happened.
        let last = lines.iter().filter_map(|line| parse_time(&line.timestamp)).max();
        state.updated_at = last.unwrap_or(state.updated_at);
        let traffic = records::read(&layout.traffic(), &run).map_err(|error| error.to_string());
        let (proof, contents) = (proof(&scan), contents(layout.root(), &state)?);
        let waits_for = waits_for(&state, registry.config().is_ok_and(|config| config.openclaw.cli.is_some()));
        let page = Page::new(Source {
            state: &state,
            records: &lines,
            proof: &proof,
            traffic: traffic.as_ref().map_err(String::as_str),
            contents: &contents,
            waits_for: &waits_for,
            version: env!("CARGO_PKG_VERSION"),
        });
        let is_html = self.is_html();
        let text = if is_html { report::html(&page) } else { report::markdown(&page) };
        let format = if is_html { "html" } else { "markdown" };
        let Some(path) = self.output.as_ref().filter(|path| path.as_os_str() != "-") else {
            context.output.result(&json!({"format": format, "report": text}), || text.clone())?;
            return Ok(ExitCode::SUCCESS);
        };
        self.write(&run, path, &text)?;
        let digest = Digest::of(text.as_bytes());
        let value = json!({"format": format, "path": path, "bytes": text.len(), "sha256": digest});
        context.output.result(&value, || format!("Wrote {}: {} bytes", path.display(), text.len()))?;
        Ok(ExitCode::SUCCESS)
    }

    fn is_html(&self) -> bool {
        let named = self.output.as_deref().and_then(Path::extension).and_then(|ending| ending.to_str());
        self.html || (!self.md && named.is_some_and(|ending| matches!(ending, "html" | "htm")))
    }

    /// The whole file or none: made beside the place and renamed to it.
    fn write(&self, run: &RunId, path: &Path, text: &str) -> Result<(), Failure> {
        let is_taken = path.symlink_metadata().is_ok();
        if is_taken && !self.force && !is_ours(path, run) {
            let what = format!("{} is there, and is no report of run `{run}`", path.display());
            return Err(Failure::new(Kind::Conflict, what).hint("choose another name, or replace it with `--force`"));
        }
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let failed = |error: &std::io::Error| io("write", path, error);
        let mut file = tempfile::Builder::new()
            .prefix(".report")
            // As any new file: the umask takes its share.
            .permissions(std::fs::Permissions::from_mode(0o666))
            .tempfile_in(folder)
            .map_err(|error| failed(&error))?;
        file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(|error| failed(&error))?;
        let placed = if is_taken { file.persist(path) } else { file.persist_noclobber(path) };
        placed.map_err(|error| failed(&error.error))?;
        std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| failed(&error))
    }
}

/// The run as it stands and the journal it stands in. Both are read without the lock, so that a journal which grew between
/// is read again; one that never rests is shown as it was last found.
fn consistent(store: &Store<'_>) -> Result<(State, Scan), Failure> {
    const TRIES: u32 = 5;
    let journal = store.layout().journal();
    for _ in 1..TRIES {
        let length = std::fs::metadata(&journal).map_err(|error| io("read", &journal, &error))?.len();
        let state = store.load()?;
        let scan = Journal::read(&journal, store.run())?;
        if scan.length == length {
            return Ok((state, scan));
        }
    }
    Ok((store.load()?, Journal::read(&journal, store.run())?))
}

/// Whether the file is an earlier report of `run`.
fn is_ours(path: &Path, run: &RunId) -> bool {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let opened =
        std::fs::OpenOptions::new().read(true).custom_flags(i32::try_from(flags.bits()).unwrap_or_default()).open(path);
    let Ok(file) = opened else { return false };
    let mut start = Vec::new();
    let is_read = file.take(512).read_to_end(&mut start).is_ok();
    is_read
        && [report::html_head(run), report::markdown_head(run)].iter().any(|head| start.starts_with(head.as_bytes()))
}

/// All lines of the journal, in its order.
fn lines(scan: &Scan) -> Vec<Record> {
    let mut lines = Vec::with_capacity(scan.records.len() + scan.foreign.len());
    let mut foreign = scan.foreign.iter().peekable();
    for n in 0..=scan.records.len() {
        while let Some(line) = foreign.next_if(|line| line.after <= n) {
            lines.extend(line.event.as_ref().map(report::foreign_line));
        }
        lines.extend(scan.records.get(n).cloned());
    }
    lines
}

fn proof(scan: &Scan) -> Proof {
    let findings = scan.findings.iter().map(|found| format!("Line {} of the journal {}", found.place.line, found.what));
    Proof {
        head: scan.head.clone(),
        lines: (scan.records.len() + scan.foreign.len()) as u64,
        foreign: scan.foreign.len() as u64,
        findings: findings.collect(),
    }
}

/// The files of `state` that a page shows, as far as there is room for them.
fn contents(root: &Path, state: &State) -> Result<BTreeMap<String, Content>, Failure> {
    let folder = std::fs::File::open(root).map_err(|error| io("open", root, &error))?;
    let mut room = Content::MOST;
    let mut contents = BTreeMap::new();
    for artifact in state.nodes.iter().flat_map(|node| &node.artifacts).take(report::MOST_FILES) {
        let bound = Content::LARGEST_PICTURE.min(room);
        let content = if artifact.bytes > bound {
            Content::Large
        } else {
            match read(&folder, &artifact.path, bound) {
                Ok(Some(bytes)) => Content::of(&artifact.path, bytes, &artifact.sha256),
                // Longer than the journal says.
                Ok(None) => Content::Changed,
                Err(_) => Content::Gone,
            }
        };
        if matches!(content, Content::Text(_) | Content::Picture(..)) {
            room = room.saturating_sub(artifact.bytes);
        }
        contents.insert(artifact.path.clone(), content);
    }
    Ok(contents)
}

/// A regular file below `folder`, reached through no link; `None` if it holds more than `bound` bytes.
fn read(folder: &std::fs::File, path: &str, bound: u64) -> std::io::Result<Option<Vec<u8>>> {
    beneath::check(path).map_err(|_| ErrorKind::InvalidInput)?;
    let file = beneath::open(folder, Path::new(path))?;
    if !file.metadata()?.is_file() {
        return Err(ErrorKind::InvalidInput.into());
    }
    let mut bytes = Vec::new();
    file.take(bound + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= bound).then_some(bytes))
}
