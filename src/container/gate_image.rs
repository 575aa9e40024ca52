//! The gate's image: `FROM scratch`, one layer, one file, the binary that is to run. No shell, nothing else to run.

use std::io::Read as _;
use std::path::Path;

use super::engine::Engine;
use super::error::Error;
use super::image_ref::ImageRef;
use crate::run::id::Digest;

/// The label with the whole digest; the tag has only its beginning.
const BINARY: &str = "io.taskforge.binary";

/// A static binary is a few MiB, a debug build some hundred; more is no binary of ours.
const LIMIT: u64 = 1 << 30;

/// An image that holds exactly one binary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateImage {
    /// `taskforge/gate:<first 12 digits of the binary's SHA-256>`.
    pub name: ImageRef,
    pub binary: Digest,
    /// Whether it was made now.
    pub made: bool,
}

impl GateImage {
    /// The image of `binary`, whose SHA-256 is `digest`: made if it is not there, and only then is the binary read.
    ///
    /// # Errors
    /// [`Error::Io`] if the binary cannot be read; [`Error::ImageChanged`] if it is another, or an image has the name and
    /// holds another.
    pub async fn ensure(engine: &Engine, binary: &Path, digest: &Digest) -> Result<Self, Error> {
        let name = Self::name_of(digest)?;
        if let Some(found) = engine.image_inspect(&name).await? {
            if found.labels.get(BINARY).map(String::as_str) == Some(digest.as_str()) {
                return Ok(Self { name, binary: digest.clone(), made: false });
            }
            let why =
                format!("its label `{BINARY}` does not name the binary {digest}; remove it with `docker rmi {name}`");
            return Err(Error::ImageChanged { image: name.to_string(), why });
        }
        let bytes = read(binary)?;
        if Digest::of(&bytes) != *digest {
            let why = format!("it would be made of {}, which is not {digest}", binary.display());
            return Err(Error::ImageChanged { image: name.to_string(), why });
        }
        let tar = archive(&bytes).map_err(|source| Error::Io {
            path: binary.to_path_buf(),
            doing: "put into an archive",
            source,
        })?;
        let changes = vec![format!("LABEL {BINARY}={digest}"), "ENTRYPOINT [\"/taskforge\"]".to_owned()];
        engine.import_bytes(tar.into(), &name, changes).await?;
        Ok(Self { name, binary: digest.clone(), made: true })
    }

    /// The name of the image that holds the binary with this digest.
    ///
    /// # Errors
    /// None in practice: the name is always one.
    pub fn name_of(binary: &Digest) -> Result<ImageRef, Error> {
        Ok(ImageRef::parse(&format!("taskforge/gate:{}", binary.short()))?)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let io = |source| Error::Io { path: path.to_path_buf(), doing: "read", source };
    let file = std::fs::File::open(path).map_err(io)?;
    let mut bytes = Vec::new();
    file.take(LIMIT).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 == LIMIT {
        return Err(io(std::io::Error::other("it is larger than 1 GiB")));
    }
    Ok(bytes)
}

/// Each with those above it: an Engine gives one that it has to make up itself whatever mode it likes.
const FOLDERS: [&str; 9] = [
    "gate/",
    "kill/",
    "tmp/",
    "run/",
    "run/taskforge/",
    "run/taskforge/secrets/",
    "etc/",
    "etc/ssl/",
    "etc/ssl/certs/",
];

/// The same binary makes the same archive, byte for byte.
fn archive(binary: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::with_capacity(binary.len() + 4096));
    // A gate's container has a read-only root: what is mounted needs a place that exists on any runtime.
    for folder in FOLDERS {
        let mut header = header(0o755, 0, tar::EntryType::Directory);
        builder.append_data(&mut header, folder, std::io::empty())?;
    }
    let mut header = header(0o755, binary.len() as u64, tar::EntryType::Regular);
    builder.append_data(&mut header, "taskforge", binary)?;
    builder.into_inner()
}

fn header(mode: u32, size: u64, kind: tar::EntryType) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_archive_holds_the_binary_and_nothing_to_run_besides() {
        let tar = archive(b"\x7fELF").unwrap();
        let mut archive = tar::Archive::new(tar.as_slice());
        let files: Vec<String> = archive
            .entries()
            .unwrap()
            .map(Result::unwrap)
            .filter(|entry| entry.header().entry_type().is_file())
            .map(|entry| entry.path().unwrap().display().to_string())
            .collect();
        assert_eq!(files, ["taskforge"]);
        assert_eq!(tar, super::archive(b"\x7fELF").unwrap());
        for folder in FOLDERS {
            let above = folder.trim_end_matches('/').rsplit_once('/').map(|(above, _)| format!("{above}/"));
            assert!(above.is_none_or(|above| FOLDERS.contains(&above.as_str())), "what is above {folder} is left open");
        }
    }
}
