//! The floor of a commit: the system calls of `taskforge control pause RUN`, and nothing else. `commit FOLDER` works on
//! the files of FOLDER as on a run's.
//!
//! Appends 134 bytes to `control.jsonl` and syncs them; opens and takes the lock; reads the recorded head and the whole
//! journal; appends 646 bytes to it, reads them back and syncs them; replaces the head and three projections, each by
//! writing beside it and renaming. No parsing, no hashing, no JSON, no arguments to understand.

use std::fs::{self, File, OpenOptions};
use std::io::{Result, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

const INTENT: [u8; 134] = line();
const EVENT: [u8; 646] = line();
const HEAD: [u8; 96] = line();
const PROJECTIONS: [(&str, usize); 3] = [("state.json", 988), ("refs.json", 539), ("taskforge.json", 1507)];

const fn line<const N: usize>() -> [u8; N] {
    let mut line = [b'x'; N];
    line[N - 1] = b'\n';
    line
}

fn main() -> Result<()> {
    let folder = PathBuf::from(std::env::args_os().nth(1).expect("usage: commit FOLDER"));
    let log = |name| OpenOptions::new().create(true).read(true).append(true).open(folder.join(name));
    let mut control = log("control.jsonl")?;
    control.write_all(&INTENT)?;
    control.sync_data()?;
    let lock = log(".run.lock")?;
    lock.lock()?;
    let _ = fs::read(folder.join("head"));
    let mut journal = log("events.jsonl")?;
    let end = journal.metadata()?.len();
    let mut all = vec![0; usize::try_from(end).unwrap_or(0)];
    journal.read_exact_at(&mut all, 0)?;
    journal.write_all(&EVENT)?;
    journal.read_exact_at(&mut [0; EVENT.len()], end)?;
    journal.sync_data()?;
    let projections = PROJECTIONS.map(|(name, length)| (name, vec![b'y'; length]));
    for (name, content) in std::iter::once(("head", HEAD.to_vec())).chain(projections) {
        let beside = folder.join(format!(".{name}.{}", std::process::id()));
        let mut file = File::create_new(&beside)?;
        file.write_all(&content)?;
        fs::rename(&beside, folder.join(name))?;
    }
    Ok(())
}
