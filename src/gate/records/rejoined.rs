//! Reading a body that goes on from others: it is put together from all of them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::body::{Bodies, BodyRef, LARGEST, PACK};
use super::continued::{self, Link, MOST_LINK, MOST_LINKS, Part};
use crate::gate::Error;
use crate::gate::durable;
use crate::run::id::Digest;

impl Bodies {
    /// A body that goes on from others: put together from all of them, or read from the file that it got when one of
    /// them was taken away.
    pub(super) fn load_continued(&self, body: &BodyRef) -> Result<Vec<u8>, Error> {
        let path = self.folder.join(PACK);
        let pack = match durable::open(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(self.missing(body)),
            opened => opened.map_err(Error::io("read", &path))?,
        };
        let changed = match self.put_together(&pack, body) {
            Ok(Some(bytes)) if Digest::of(&bytes) == body.sha256 => return Ok(bytes),
            Ok(Some(_)) => true,
            // Zeros in place of the line: it was taken away.
            Ok(None) => !starts_with_zero(&pack, body),
            Err(Error::BodyMissing { .. }) => false,
            Err(other) => return Err(other),
        };
        // It may have a file of its own, from when something that it went on from was taken away.
        match self.load(&BodyRef { pack: None, continues: false, ..body.clone() }) {
            Err(Error::BodyMissing { .. }) if changed => {
                let reason = "it is not what its digest says".to_owned();
                Err(Error::Integrity { path, at: body.pack.unwrap_or_default(), reason })
            }
            loaded => loaded,
        }
    }

    /// The bytes of `body` from the pack; `None` if a part of them is not there. They are to be held against the digest.
    fn put_together(&self, pack: &File, body: &BodyRef) -> Result<Option<Vec<u8>>, Error> {
        let Ok(size) = usize::try_from(body.bytes.min(LARGEST + 1)) else { return Ok(None) };
        if size as u64 > LARGEST {
            return Ok(None);
        }
        let mut whole = vec![0; size];
        let mut parts = vec![Part { from: 0, length: body.bytes, into: 0 }];
        let mut current = body.clone();
        for _ in 0..=MOST_LINKS {
            if !current.continues {
                let bytes = match self.load(&current) {
                    Err(error @ Error::BodyMissing { .. }) => return Err(error),
                    Err(_) => return Ok(None),
                    Ok(bytes) => bytes,
                };
                return Ok(copy(&bytes, &parts, &mut whole).then_some(whole));
            }
            let Some((link, at)) = link_of(pack, &current) else { return Ok(None) };
            let (between, before) = continued::split(&link, current.bytes, &parts);
            for part in between {
                let Some(place) = place(&part, &mut whole) else { return Ok(None) };
                if pack.read_exact_at(place, at + part.from).is_err() {
                    return Ok(None);
                }
            }
            if before.is_empty() {
                return Ok(Some(whole));
            }
            (parts, current) = (before, link.from);
        }
        Ok(None)
    }

    /// Every body that `body` goes on from, the nearest first.
    pub(crate) fn behind(&self, body: &BodyRef) -> Vec<BodyRef> {
        let Ok(pack) = durable::open(&self.folder.join(PACK)) else { return Vec::new() };
        let (mut found, mut current) = (Vec::new(), body.clone());
        while current.continues
            && found.len() <= MOST_LINKS
            && let Some((link, _)) = link_of(&pack, &current)
        {
            found.push(link.from.clone());
            current = link.from;
        }
        found
    }

    /// Gives a body that goes on from others a file of its own, so that these can be taken away. Its name is durable after
    /// [`Self::sync`].
    pub(crate) fn detach(&self, body: &BodyRef) -> Result<(), Error> {
        let bytes = self.load(body)?;
        let write = || -> io::Result<()> {
            if self.holds(&body.sha256, body.bytes)? {
                return Ok(());
            }
            let mut file = self.spill()?;
            file.write(&bytes)?;
            self.keep(&mut file, &body.sha256)
        };
        write().map_err(Error::io("write", self.folder.join(body.sha256.as_str())))
    }
}

/// The line of a body that goes on, and where what stands behind it begins in the pack; `None` if there is no such line.
pub(super) fn link_of(pack: &File, body: &BodyRef) -> Option<(Link, u64)> {
    let at = body.pack?;
    let mut head = vec![0; MOST_LINK];
    let mut read = 0;
    while read < head.len() {
        match pack.read_at(&mut head[read..], at + read as u64) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    let end = head[..read].iter().position(|byte| *byte == b'\n')?;
    let link: Link = serde_json::from_slice(&head[..end]).ok()?;
    link.between(at, body.bytes)?;
    Some((link, at + end as u64 + 1))
}

fn starts_with_zero(pack: &File, body: &BodyRef) -> bool {
    let mut first = [1];
    body.pack.is_some_and(|at| pack.read_exact_at(&mut first, at).is_ok()) && first == [0]
}

fn place<'a>(part: &Part, whole: &'a mut [u8]) -> Option<&'a mut [u8]> {
    let (from, length) = (usize::try_from(part.into).ok()?, usize::try_from(part.length).ok()?);
    whole.get_mut(from..from.checked_add(length)?)
}

/// Copies `parts` of `bytes` to their places; `false` if one of them is not there.
fn copy(bytes: &[u8], parts: &[Part], whole: &mut [u8]) -> bool {
    parts.iter().all(|part| {
        let range = || {
            let (from, length) = (usize::try_from(part.from).ok()?, usize::try_from(part.length).ok()?);
            bytes.get(from..from.checked_add(length)?)
        };
        match (range(), place(part, whole)) {
            (Some(bytes), Some(place)) => {
                place.copy_from_slice(bytes);
                true
            }
            _ => false,
        }
    })
}
