//! The floor of a commit: the system calls of one, and nothing else. `commit FOLDER` works on the files of FOLDER.
//!
//! Opens and takes the lock, reads the journal's tail, appends 300 bytes, syncs them, reads them back, and replaces three
//! projections by writing beside them and renaming. No parsing, no hashing, no JSON.

use std::fs::{self, File, OpenOptions};
use std::io::{Result, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

const LINE: [u8; 300] = {
    let mut line = [b'x'; 300];
    line[299] = b'\n';
    line
};
const PROJECTION: [u8; 2048] = [b'y'; 2048];

fn main() -> Result<()> {
    let folder = PathBuf::from(std::env::args_os().nth(1).expect("usage: commit FOLDER"));
    let lock = OpenOptions::new().create(true).append(true).open(folder.join(".run.lock"))?;
    lock.lock()?;
    let mut journal = OpenOptions::new().create(true).read(true).append(true).open(folder.join("events.jsonl"))?;
    let end = journal.metadata()?.len();
    let mut tail = [0; 4096];
    journal.read_at(&mut tail, end.saturating_sub(4096))?;
    journal.write_all(&LINE)?;
    journal.sync_data()?;
    journal.read_at(&mut tail, end)?;
    for name in ["state.json", "refs.json", "taskforge.json"] {
        let beside = folder.join(format!(".{name}.{}", std::process::id()));
        let mut file = File::create_new(&beside)?;
        file.write_all(&PROJECTION)?;
        fs::rename(&beside, folder.join(name))?;
    }
    Ok(())
}
