//! One archive with everything that proves a run, and what is needed to verify it without this program.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::registry::{Registry, beneath};
use crate::run::id::{Digest, RunId};

use super::error::Error;
use super::store::Store;
use super::{verify, verify::expected};

/// The script that verifies an archive; it is in each.
const SCRIPT: &str = include_str!("../../examples/verify.py");

/// How to verify an archive; it is in each.
const TEXT: &str = "\
# What is in here, and how to verify it

`python3 verify.py` in this folder checks everything that can be checked without the program that made it; with
`--checkpoint FILE` also against a checkpoint that was kept elsewhere, and with `--keys FILE` by keys from elsewhere. That is
the point: files that travel together can be changed together, so a checkpoint and a key from another place prove more than
those in this archive. It needs Python 3 and, for signatures, `openssl` 3.

- `events.jsonl` is the journal. A line's `prev` is the running digest of the first `at` bytes: D0 =
  SHA-256(\"taskforge-journal-v1\\n\" + run id + \"\\n\"), Dn = SHA-256(Dn-1 || line with its newline), over all lines.
- `checkpoints/<seq>.txt` are signed notes (C2SP signed-note, tlog-checkpoint): origin, size in bytes, running digest in
  base64, `seq`, a blank line, signatures. `checkpoint.pub` has the public keys.
- `policies/`: the written rules that were in force, a folder for each set of files, with their signatures. Whether a rule allows
  what was granted by it is not looked at by `verify.py`, only that its files are these, and signed.
- `workflow.lock.md`, `inputs/`, `nodes/`: `run.created` and `node.completed` name their SHA-256.
- `decisions/<id>.json`: `capability.approved`, `capability.denied` and `node.completed` name their SHA-256.
  A signed one has its OpenSSH signature beside it, in `.json.sig`: `ssh-keygen -Y verify -f allowed_signers -n taskforge-decision
  -I NAME -s X.json.sig < X.json`, with the name in its `by`. `--allowed-signers FILE` goes by another list than the archive's.
- `gate/traffic.jsonl`: the exchanges with models, chained alike from \"taskforge-traffic-v1\\n\"; `gate/bodies/` by SHA-256,\n  small ones in `gate/bodies/pack` from the byte that a record's `body.pack` names; zeros are a body that was taken away.\n  Where `body.continues` is true, a line of JSON stands there: `from` names an earlier body, of which the first `start` and the last\n  `end` bytes are the beginning and the end of this one; what lies between follows the line.
- `control.jsonl`: an operator's intents, for reading; nothing covers them.
";

/// An archive as it was written.
#[derive(Debug, Clone, Serialize)]
pub struct Exported {
    pub run: RunId,
    pub output: PathBuf,
    pub files: usize,
    pub checkpoints: u64,
    /// Of the archive.
    pub digest: Digest,
}

/// Where an entry's bytes are.
enum Source {
    Text(&'static str),
    /// A folder, and a path beneath it.
    File(PathBuf, PathBuf),
}

/// Counts and digests what is written.
struct Digesting<W> {
    inner: W,
    hash: Sha256,
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hash.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Writes the archive of run `run` to `output`, whole or not at all.
///
/// # Errors
/// [`Error::Unsound`] where the run does not verify; those of the file system.
pub fn export(registry: &Registry, run: &RunId, output: &Path) -> Result<Exported, Error> {
    let report = verify(registry, run)?;
    if let Some(problem) = report.problems.first() {
        return Err(Error::Unsound { run: run.clone(), what: format!("{} {}", problem.file, problem.what) });
    }
    let entries = entries(registry, run)?;
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let failed = |source| Error::Io { action: "write", path: output.to_owned(), source };
    let staged = tempfile::Builder::new().prefix(".tmp-").tempfile_in(folder).map_err(failed)?;
    let writer = Digesting { inner: io::BufWriter::new(staged.as_file()), hash: Sha256::new() };
    let mut archive = tar::Builder::new(writer);
    let mut files = 0;
    for (name, source) in entries {
        if append(&mut archive, &Path::new(run.as_str()).join(&name), &source, &name)? {
            files += 1;
        }
    }
    let mut written = archive.into_inner().map_err(failed)?;
    written.flush().map_err(failed)?;
    let digest = Digest::from_bytes(&written.hash.clone().finalize().into());
    drop(written);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    staged.as_file().set_permissions(mode).map_err(failed)?;
    staged.as_file().sync_all().map_err(failed)?;
    // What stands there may be anything, a journal included.
    staged.persist_noclobber(output).map_err(|error| failed(error.error))?;
    let checkpoints = report.checkpoints;
    Ok(Exported { run: run.clone(), output: output.to_owned(), files, checkpoints, digest })
}

/// What belongs into the archive, by name: the order of its entries.
fn entries(registry: &Registry, run: &RunId) -> Result<BTreeMap<String, Source>, Error> {
    let layout = registry.layout();
    let root = layout.run(run).root().to_owned();
    let state = Store::open(registry, run)?.load()?;
    let mut entries = BTreeMap::new();
    let mut beneath_run = |name: String| {
        let source = Source::File(root.clone(), PathBuf::from(&name));
        entries.insert(name, source);
    };
    for name in ["events.jsonl", "control.jsonl", "gate/traffic.jsonl", "gate/bodies/pack"] {
        beneath_run(name.to_owned());
    }
    for (path, _) in expected(&state).files {
        beneath_run(path.display().to_string());
    }
    for path in super::kept_rules::names(registry, run) {
        beneath_run(path.display().to_string());
    }
    for seq in crate::registry::checkpoints::list(&layout.run(run))? {
        beneath_run(format!("checkpoints/{}", crate::registry::checkpoints::file_name(seq)));
    }
    for digest in bodies(&layout.run(run).bodies())? {
        beneath_run(format!("gate/bodies/{digest}"));
    }
    for decided in verify::decided(&state) {
        let name = format!("decisions/{}.json", decided.id);
        for name in [format!("{name}.sig"), name] {
            entries.insert(name.clone(), Source::File(registry.root().to_owned(), PathBuf::from(name)));
        }
    }
    let signers = super::approvers::path(registry)?;
    if let (Some(folder), Some(name)) = (signers.parent(), signers.file_name()) {
        entries.insert("allowed_signers".to_owned(), Source::File(folder.to_owned(), PathBuf::from(name)));
    }
    let keys = "checkpoint.pub".to_owned();
    entries.insert(keys.clone(), Source::File(registry.root().to_owned(), PathBuf::from(keys)));
    entries.insert("VERIFY.md".to_owned(), Source::Text(TEXT));
    entries.insert("verify.py".to_owned(), Source::Text(SCRIPT));
    Ok(entries)
}

fn bodies(folder: &Path) -> Result<Vec<Digest>, Error> {
    let failed = |source| Error::Io { action: "read", path: folder.to_owned(), source };
    let mut found = Vec::new();
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(failed(error)),
    };
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        found.extend(name.to_str().and_then(|name| Digest::parse(name).ok()));
    }
    Ok(found)
}

/// Appends a regular file as long as it is now; whether there is one. Nothing of this machine or of the time is kept.
fn append(archive: &mut tar::Builder<impl Write>, name: &Path, source: &Source, shown: &str) -> Result<bool, Error> {
    let failed = |source| Error::Io { action: "archive", path: PathBuf::from(shown), source };
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header.set_mtime(0);
    let (root, path) = match source {
        Source::Text(text) => {
            header.set_size(text.len() as u64);
            archive.append_data(&mut header, name, text.as_bytes()).map_err(failed)?;
            return Ok(true);
        }
        Source::File(root, path) => (root, path),
    };
    let folder = File::open(root).map_err(failed)?;
    let file = match beneath::open(&folder, path) {
        Ok(file) => file,
        Err(rustix::io::Errno::NOENT) => return Ok(false),
        Err(errno) => return Err(failed(errno.into())),
    };
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(failed(io::Error::other("not a regular file")));
    }
    header.set_size(metadata.len());
    let mut bounded = Counted { inner: file.take(metadata.len()), left: metadata.len() };
    archive.append_data(&mut header, name, &mut bounded).map_err(failed)?;
    if bounded.left > 0 {
        return Err(failed(io::Error::other("it became shorter meanwhile")));
    }
    Ok(true)
}

/// Knows how much is still to come.
struct Counted<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self.left.saturating_sub(count as u64);
        Ok(count)
    }
}
