//! Bodies: small ones stand in the record, others in `bodies/<sha256>`, durable before a record names them.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use crate::gate::Error;
use crate::gate::durable;
use crate::run::id::Digest;

/// Bodies up to this size stand in the record itself, if they are text.
const MOST_INLINE: usize = 4096;
/// No body is larger, in bytes.
const LARGEST: u64 = 64 << 20;

/// A body as a record names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct BodyRef {
    pub sha256: Digest,
    /// The size in bytes.
    pub bytes: u64,
    /// The body itself, where it is small.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// More came than was kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
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
    folder: PathBuf,
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
        Ok(Spilled { file, path: Some(path) })
    }

    /// Makes a body's bytes durable; its name is durable after [`Self::sync`], which `true` asks for.
    pub(crate) fn store(&self, payload: &mut Payload) -> io::Result<(BodyRef, bool)> {
        match payload {
            Payload::Memory { bytes, truncated } => {
                let sha256 = Digest::of(bytes);
                let text = (bytes.len() <= MOST_INLINE).then(|| std::str::from_utf8(bytes).ok()).flatten();
                let known =
                    BodyRef { sha256, bytes: bytes.len() as u64, text: text.map(str::to_owned), truncated: *truncated };
                if known.text.is_some() || self.holds(&known.sha256, known.bytes)? {
                    return Ok((known, false));
                }
                let mut file = self.spill()?;
                file.write(bytes)?;
                self.keep(&mut file, &known.sha256)?;
                Ok((known, true))
            }
            Payload::Spilled { file, sha256, bytes, truncated } => {
                let known = BodyRef { sha256: sha256.clone(), bytes: *bytes, text: None, truncated: *truncated };
                if self.holds(sha256, *bytes)? {
                    return Ok((known, false));
                }
                self.keep(file, sha256)?;
                Ok((known, true))
            }
        }
    }

    fn keep(&self, file: &mut Spilled, sha256: &Digest) -> io::Result<()> {
        file.file.sync_all()?;
        if let Some(path) = file.path.take() {
            std::fs::rename(path, self.folder.join(sha256.as_str()))?;
        }
        Ok(())
    }

    fn holds(&self, sha256: &Digest, bytes: u64) -> io::Result<bool> {
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
        let path = self.folder.join(body.sha256.as_str());
        let bytes = match &body.text {
            Some(text) => text.clone().into_bytes(),
            None => {
                let file = match durable::open(&path) {
                    Ok(file) => file,
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {
                        return Err(Error::BodyMissing {
                            path: self.folder.clone(),
                            sha256: body.sha256.as_str().to_owned(),
                        });
                    }
                    Err(e) => return Err(Error::io("read", path)(e)),
                };
                let mut bytes = Vec::new();
                file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(Error::io("read", &path))?;
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
}
