//! The running digest over `traffic.jsonl`.

use sha2::{Digest as _, Sha256};

use crate::run::id::{Digest, RunId};

/// How far the file is known: the last sequence number, the size in bytes, the digest of these bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) seq: u64,
    pub(crate) at: u64,
    digest: [u8; 32],
}

impl Chain {
    /// The chain of a run that has no line yet.
    pub(crate) fn start(run: &RunId) -> Self {
        let digest = Sha256::digest(format!("taskforge-traffic-v1\n{run}\n")).into();
        Self { seq: 0, at: 0, digest }
    }

    /// Goes past `line`, its newline included. `counts` is false for a void line.
    pub(crate) fn pass(&mut self, line: &[u8], counts: bool) {
        let mut hash = Sha256::new();
        hash.update(self.digest);
        hash.update(line);
        self.digest = hash.finalize().into();
        self.at += line.len() as u64;
        self.seq += u64::from(counts);
    }

    pub(crate) fn digest(&self) -> Digest {
        Digest::from_bytes(&self.digest)
    }
}
