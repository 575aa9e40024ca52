//! Walks through `traffic.jsonl` line by line, checking the chain, in bounded memory.

use std::io::{self, BufRead, Read as _};
use std::path::Path;

use super::Record;
use super::chain::Chain;
use super::line::{MOST_LINE, understand};
use crate::gate::Error;

/// A line without an end at the file's end: it was being written when the gate died, and was never acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// Where it begins, in bytes.
    pub from: u64,
    /// Its size in bytes.
    pub bytes: u64,
}

/// Calls `each` with every record; moves `chain` behind the last whole line.
///
/// # Errors
/// [`Error::Integrity`] at the first line that is not what the chain says: that is no accident of writing, since a
/// file grows by whole prefixes.
pub(crate) fn scan(
    path: &Path,
    mut reader: impl BufRead,
    chain: &mut Chain,
    mut each: impl FnMut(Record),
) -> Result<Option<Torn>, Error> {
    let mut line = Vec::new();
    loop {
        line.clear();
        let limit = MOST_LINE as u64 + 1;
        reader.by_ref().take(limit).read_until(b'\n', &mut line).map_err(Error::io("read", path))?;
        let broken = |reason: String| Error::Integrity { path: path.to_owned(), at: chain.at, reason };
        let Some((b'\n', text)) = line.split_last() else {
            if line.is_empty() {
                return Ok(None);
            }
            let rest = io::copy(&mut reader.by_ref(), &mut Newlines(false)).map_err(Error::io("read", path))?;
            return Ok(Some(Torn { from: chain.at, bytes: line.len() as u64 + rest }));
        };
        if text.iter().all(|&b| b == b' ') {
            chain.pass(&line, false);
            continue;
        }
        let record = understand(text).map_err(broken)?;
        if record.seq != chain.seq + 1 || record.at != chain.at || record.prev != chain.digest() {
            return Err(broken("the line does not follow from what stands before it".to_owned()));
        }
        chain.pass(&line, true);
        each(record);
    }
}

/// Counts what follows an overlong line, and fails if lines follow: then it is no torn tail.
struct Newlines(bool);

impl io::Write for Newlines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 |= bytes.contains(&b'\n');
        if self.0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a line of more than 256 KiB"));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
