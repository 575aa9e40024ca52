//! Collects a body that is passing through: a little of it in memory, more of it in a file, never more than a bound.

use std::io;

use bytes::{Bytes, BytesMut};
use sha2::{Digest as _, Sha256};

use super::body::{Bodies, Payload, Spilled};
use crate::run::id::Digest;

/// What is held in memory before it goes to a file, in bytes.
pub(crate) const IN_MEMORY: usize = 256 * 1024;
/// What is kept of one body, in bytes.
const MOST: u64 = 16 << 20;

/// A body on its way into the records.
pub(crate) struct Sink {
    bodies: Bodies,
    most: u64,
    memory: BytesMut,
    file: Option<Spilled>,
    hash: Sha256,
    bytes: u64,
    truncated: bool,
}

impl Sink {
    pub(crate) fn new(bodies: Bodies) -> Self {
        let (memory, hash) = (BytesMut::new(), Sha256::new());
        Self { bodies, most: MOST, memory, file: None, hash, bytes: 0, truncated: false }
    }

    /// Takes up `chunk`, or the part of it that is still kept.
    pub(crate) fn push(&mut self, chunk: &[u8]) -> io::Result<()> {
        let room = usize::try_from(self.most - self.bytes).unwrap_or(usize::MAX);
        let kept = &chunk[..chunk.len().min(room)];
        self.truncated |= kept.len() < chunk.len();
        self.bytes += kept.len() as u64;
        self.hash.update(kept);
        if self.memory.len() + kept.len() > IN_MEMORY {
            self.spill()?;
        }
        match &mut self.file {
            Some(file) => file.write(kept),
            None => {
                self.memory.extend_from_slice(kept);
                Ok(())
            }
        }
    }

    /// What is held in memory, in bytes.
    pub(crate) fn held(&self) -> usize {
        self.memory.len()
    }

    /// Whether a part of it is not kept.
    pub(crate) const fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// Goes on in a file from here on.
    pub(crate) fn spill(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            let mut file = self.bodies.spill()?;
            file.write(&self.memory)?;
            self.memory = BytesMut::new();
            self.file = Some(file);
        }
        Ok(())
    }

    /// All of it, if it is whole and was small enough to stay in memory.
    pub(crate) fn memory(&self) -> Option<&[u8]> {
        (self.file.is_none() && !self.truncated).then_some(&self.memory[..])
    }

    /// A reader over a whole body that went to a file.
    pub(crate) fn reader(&self) -> Option<io::Result<std::fs::File>> {
        self.file.as_ref().filter(|_| !self.truncated).map(Spilled::reopen)
    }

    pub(crate) fn finish(self) -> Payload {
        let Self { memory, file, hash, bytes, truncated, .. } = self;
        match file {
            Some(file) => {
                Payload::Spilled { file, sha256: Digest::from_bytes(&hash.finalize().into()), bytes, truncated }
            }
            None => Payload::Memory { bytes: Bytes::from(memory), truncated },
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::FileExt as _;

    use super::*;

    fn through(most: u64, chunks: &[&[u8]]) -> (Vec<u8>, bool) {
        let folder = tempfile::tempdir().unwrap();
        let bodies = Bodies::of(folder.path());
        bodies.prepare().unwrap();
        let mut sink = Sink { most, ..Sink::new(bodies.clone()) };
        for chunk in chunks {
            sink.push(chunk).unwrap();
        }
        let mut pack = Vec::new();
        let (known, _) = bodies.store(&mut sink.finish(), &mut pack, 0).unwrap();
        bodies.pack().unwrap().write_all_at(&pack, 0).unwrap();
        (bodies.load(&known).unwrap(), known.truncated)
    }

    #[test]
    fn small_large_and_cut_bodies_come_back() {
        assert_eq!(through(MOST, &[b"a", b"b"]), (b"ab".to_vec(), false));
        let large = vec![7_u8; IN_MEMORY];
        assert_eq!(through(MOST, &[b"x", &large]), ([b"x", &large[..]].concat(), false));
        assert_eq!(through(3, &[b"ab", b"cd", b"ef"]), (b"abc".to_vec(), true));
        let whole = IN_MEMORY as u64 + 1;
        assert_eq!(through(whole, &[&large, &large]).0.len() as u64, whole);
    }

    #[test]
    fn what_is_not_recorded_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let bodies = Bodies::of(folder.path());
        bodies.prepare().unwrap();
        let mut sink = Sink::new(bodies);
        sink.push(&vec![0; IN_MEMORY + 1]).unwrap();
        drop(sink);
        assert_eq!(std::fs::read_dir(folder.path().join("bodies")).unwrap().count(), 0);
    }
}
