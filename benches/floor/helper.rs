//! The floor of a helper's call: the system calls of `taskforge helper progress RUN MESSAGE`, and nothing else. `helper
//! FOLDER` works on the files of FOLDER as on a run's.
//!
//! Opens and takes the lock, waiting in the kernel's queue; reads the recorded head, the whole journal and the two
//! projections that other programs may have changed; appends 400 bytes to the journal, reads them back and syncs them;
//! replaces the head and two projections, each by writing beside it and renaming. No parsing, no hashing, no JSON, no
//! arguments to understand.

use std::fs::{self, File, OpenOptions};
use std::io::{Result, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

const EVENT: [u8; 400] = line();
const HEAD: [u8; 96] = line();
const PROJECTIONS: [(&str, usize); 2] = [("state.json", 1400), ("taskforge.json", 2200)];

const fn line<const N: usize>() -> [u8; N] {
    let mut line = [b'x'; N];
    line[N - 1] = b'\n';
    line
}

fn main() -> Result<()> {
    let folder = PathBuf::from(std::env::args_os().nth(1).expect("usage: helper FOLDER"));
    let log = |name| OpenOptions::new().create(true).read(true).append(true).open(folder.join(name));
    let lock = log(".run.lock")?;
    lock.lock()?;
    let _ = fs::read(folder.join("head"));
    let mut journal = log("events.jsonl")?;
    let end = journal.metadata()?.len();
    let mut all = vec![0; usize::try_from(end).unwrap_or(0)];
    journal.read_exact_at(&mut all, 0)?;
    let _ = fs::read(folder.join("state.json"));
    let _ = fs::read(folder.join("refs.json"));
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
    println!("{{\"ok\": true}}");
    Ok(())
}
