//! The running digest of a chained file: D0 = SHA-256(tag + "\n" + run id + "\n"), Dn = SHA-256(Dn-1 || line), a line
//! being its bytes and its newline, whoever wrote it.

use sha2::{Digest as _, Sha256};

use crate::run::id::{Digest, RunId};

/// The digest of a prefix that ends behind a newline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain([u8; 32]);

impl Chain {
    /// The digest of an empty journal.
    #[must_use]
    pub fn journal(run: &RunId) -> Self {
        Self::start("taskforge-journal-v1", run)
    }

    /// The digest of an empty `traffic.jsonl`.
    #[must_use]
    pub fn traffic(run: &RunId) -> Self {
        Self::start("taskforge-traffic-v1", run)
    }

    /// The digest of an empty log of a registry's vault.
    #[must_use]
    pub fn vault(registry: &str) -> Self {
        Self(Sha256::digest(format!("taskforge-vault-v1\n{registry}\n")).into())
    }

    fn start(tag: &str, run: &RunId) -> Self {
        Self(Sha256::digest(format!("{tag}\n{run}\n")).into())
    }

    /// The digest behind one more line; `line` ends with its newline.
    #[must_use]
    pub fn line(self, line: &[u8]) -> Self {
        Self(Sha256::new().chain_update(self.0).chain_update(line).finalize().into())
    }

    /// The digest behind every line of `bytes`, which end with a newline.
    #[must_use]
    pub fn lines(self, bytes: &[u8]) -> Self {
        bytes.split_inclusive(|byte| *byte == b'\n').fold(self, Self::line)
    }

    #[must_use]
    pub fn digest(self) -> Digest {
        Digest::from_bytes(&self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_definition() {
        let run = RunId::parse("demo-1").unwrap();
        let start = Sha256::digest(b"taskforge-journal-v1\ndemo-1\n");
        let mut expected = start.to_vec();
        expected.extend_from_slice(b"{}\n");
        assert_eq!(Chain::journal(&run).line(b"{}\n").digest(), Digest::of(&expected));
        assert_ne!(Chain::journal(&run), Chain::traffic(&run));
        assert_eq!(Chain::journal(&run).lines(b"a\nb\n"), Chain::journal(&run).line(b"a\n").line(b"b\n"));
    }
}
