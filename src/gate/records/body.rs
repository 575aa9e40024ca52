//! Bodies, durable before a record names them: large ones in `bodies/<sha256>`, small ones one after the other in
//! `bodies/pack`, so that many share one sync. None stands in the record itself: the chain covers digests only, and a
//! body can be taken away ([`Bodies::remove`]) without a byte of the chain changing.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use super::continued::Continuation;
use super::rejoined::link_of;
use crate::gate::Error;
use crate::gate::durable;
use crate::run::id::Digest;

/// Bodies up to this size go into the pack.
const MOST_PACKED: usize = 4096;
/// Small bodies.
pub(super) const PACK: &str = "pack";
/// No body is larger, in bytes.
pub(super) const LARGEST: u64 = 64 << 20;

/// A body as a record names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct BodyRef {
    pub sha256: Digest,
    /// The size in bytes.
    pub bytes: u64,
    /// Where it begins in `bodies/pack`, if it is small.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pack: Option<u64>,
    /// The body itself: only in records of before there was a pack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What lies in the pack is a line that names an earlier body, and the bytes that this one has beyond it: see
    /// `docs/registry-format.md`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub continues: bool,
    /// More came than was kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

impl BodyRef {
    const fn new(sha256: Digest, bytes: u64, truncated: bool) -> Self {
        Self { sha256, bytes, pack: None, text: None, continues: false, truncated }
    }
}

/// A body about to be recorded.
#[derive(Debug)]
pub(crate) enum Payload {
    Memory {
        bytes: Bytes,
        truncated: bool,
    },
    /// A file in the bodies folder under a temporary name; removed if it is not recorded.
    Spilled {
        file: Spilled,
        sha256: Digest,
        bytes: u64,
        truncated: bool,
    },
}

impl Payload {
    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self::Memory { bytes, truncated: false }
    }
}

/// A temporary file in the bodies folder, removed with this value unless it was renamed.
#[derive(Debug)]
pub(crate) struct Spilled {
    file: File,
    path: Option<PathBuf>,
}

impl Spilled {
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// A second handle that reads from the beginning.
    pub(crate) fn reopen(&self) -> io::Result<File> {
        self.path.as_deref().map_or_else(|| Err(io::Error::other("already recorded")), durable::open)
    }
}

impl Drop for Spilled {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // What stays behind is cleaned at the next start.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// The folder of bodies.
#[derive(Debug, Clone)]
pub struct Bodies {
    pub(super) folder: PathBuf,
}

impl Bodies {
    /// The bodies of the gate's folder `gate`.
    #[must_use]
    pub fn of(gate: &Path) -> Self {
        Self { folder: gate.join("bodies") }
    }

    pub(crate) fn prepare(&self) -> io::Result<()> {
        durable::folder(&self.folder)?;
        durable::clean(&self.folder)?;
        durable::sync_folder(&self.folder)
    }

    pub(crate) fn spill(&self) -> io::Result<Spilled> {
        let path = self.folder.join(format!(".tmp-{}", ulid::Ulid::generate()));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(&path, flags, Mode::from_raw_mode(0o600))?);
        let spilled = Spilled { file, path: Some(path) };
        // Root writes here when it takes something away; the gate has to read what is left.
        if rustix::process::geteuid().is_root() {
            let folder = std::fs::metadata(&self.folder)?;
            std::os::unix::fs::fchown(&spilled.file, Some(folder.uid()), Some(folder.gid()))?;
        }
        Ok(spilled)
    }

    /// Makes a body's bytes durable; its name is durable after [`Self::sync`], which `true` asks for. A small one is put
    /// behind `pack`, which the caller writes to the pack at `base`.
    pub(crate) fn store(&self, payload: &mut Payload, pack: &mut Vec<u8>, base: u64) -> io::Result<(BodyRef, bool)> {
        match payload {
            Payload::Memory { bytes, truncated } => {
                let (sha256, length) = (Digest::of(bytes), bytes.len() as u64);
                let mut known = BodyRef::new(sha256, length, *truncated);
                if bytes.len() <= MOST_PACKED {
                    known.pack = Some(base + pack.len() as u64);
                    pack.extend_from_slice(bytes);
                    return Ok((known, false));
                }
                if self.holds(&known.sha256, known.bytes)? {
                    return Ok((known, false));
                }
                let mut file = self.spill()?;
                file.write(bytes)?;
                self.keep(&mut file, &known.sha256)?;
                Ok((known, true))
            }
            Payload::Spilled { file, sha256, bytes, truncated } => {
                let sha256 = sha256.clone();
                let known = BodyRef::new(sha256, *bytes, *truncated);
                if self.holds(&known.sha256, *bytes)? {
                    return Ok((known, false));
                }
                self.keep(file, &known.sha256)?;
                Ok((known, true))
            }
        }
    }

    /// A body in memory as a continuation, put behind `pack`, which the caller writes to the pack at `base`.
    pub(super) fn store_on(bytes: &[u8], continuation: &Continuation, pack: &mut Vec<u8>, base: u64) -> BodyRef {
        let at = base + pack.len() as u64;
        pack.extend_from_slice(&continuation.packed);
        BodyRef { pack: Some(at), continues: true, ..BodyRef::new(Digest::of(bytes), bytes.len() as u64, false) }
    }

    /// Opens the pack for writing; it is made if it is missing.
    pub(crate) fn pack(&self) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(self.folder.join(PACK), flags, Mode::from_raw_mode(0o600))?);
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::Error::other("the pack is not a regular file")),
        }
    }

    /// Takes bodies away for good: files are removed, and what lies in the pack is overwritten with zeros. Durable when it
    /// returns; what is gone already is gone.
    pub(crate) fn remove(&self, bodies: &[BodyRef]) -> io::Result<()> {
        let pack = self.pack()?;
        let end = pack.metadata()?.len();
        for body in bodies {
            if let Some((at, size)) = packed_range(&pack, body)?
                && at.checked_add(size as u64).is_some_and(|to| to <= end)
            {
                pack.write_all_at(&vec![0; size], at)?;
            }
            // One that went on from another may have a file besides, from when that one was taken away.
            if body.pack.is_none() || body.continues {
                match std::fs::remove_file(self.folder.join(body.sha256.as_str())) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                    _ => {}
                }
            }
        }
        pack.sync_all()?;
        self.sync()
    }

    pub(super) fn keep(&self, file: &mut Spilled, sha256: &Digest) -> io::Result<()> {
        file.file.sync_all()?;
        if let Some(path) = file.path.take() {
            std::fs::rename(path, self.folder.join(sha256.as_str()))?;
        }
        Ok(())
    }

    pub(super) fn holds(&self, sha256: &Digest, bytes: u64) -> io::Result<bool> {
        match std::fs::symlink_metadata(self.folder.join(sha256.as_str())) {
            Ok(data) => Ok(data.is_file() && data.len() == bytes),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        durable::sync_folder(&self.folder)
    }

    /// The bytes of a body, checked against its digest.
    ///
    /// # Errors
    /// When the body is gone (redacted), cannot be read, is larger than 64 MiB, or is not what its digest says.
    pub fn load(&self, body: &BodyRef) -> Result<Vec<u8>, Error> {
        if body.continues {
            return self.load_continued(body);
        }
        let missing = || self.missing(body);
        let name = if body.pack.is_some() { PACK } else { body.sha256.as_str() };
        let path = self.folder.join(name);
        let open = || match durable::open(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(missing()),
            opened => opened.map_err(Error::io("read", &path)),
        };
        let bytes = match (&body.text, body.pack) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(at)) => {
                let size = usize::try_from(body.bytes).ok().filter(|size| *size <= MOST_PACKED);
                let mut bytes = vec![0; size.ok_or_else(|| Error::TooLarge { path: path.clone(), limit: LARGEST })?];
                open()?.read_exact_at(&mut bytes, at).map_err(Error::io("read", &path))?;
                if !bytes.is_empty() && bytes.iter().all(|byte| *byte == 0) && Digest::of(&bytes) != body.sha256 {
                    return Err(missing());
                }
                bytes
            }
            (None, None) => {
                let mut bytes = Vec::new();
                open()?.take(LARGEST + 1).read_to_end(&mut bytes).map_err(Error::io("read", &path))?;
                bytes
            }
        };
        if bytes.len() as u64 > LARGEST {
            return Err(Error::TooLarge { path, limit: LARGEST });
        }
        if bytes.len() as u64 != body.bytes || Digest::of(&bytes) != body.sha256 {
            return Err(Error::Integrity { path, at: 0, reason: "it is not what its digest says".to_owned() });
        }
        Ok(bytes)
    }

    pub(super) fn missing(&self, body: &BodyRef) -> Error {
        Error::BodyMissing { path: self.folder.clone(), sha256: body.sha256.as_str().to_owned() }
    }
}

/// What `body` takes in the pack: from where, and how many bytes; `None` if it takes nothing, or is gone already.
fn packed_range(pack: &File, body: &BodyRef) -> io::Result<Option<(u64, usize)>> {
    let Some(at) = body.pack else { return Ok(None) };
    if !body.continues {
        return Ok(usize::try_from(body.bytes).ok().filter(|size| *size <= MOST_PACKED).map(|size| (at, size)));
    }
    let Some((link, behind)) = link_of(pack, body) else { return Ok(None) };
    let between = link.between(at, body.bytes).unwrap_or(0);
    usize::try_from(behind - at + between).map(|size| Some((at, size))).map_err(io::Error::other)
}
