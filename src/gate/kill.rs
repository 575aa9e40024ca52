//! Whether the kill switch is on. In doubt it is.

use std::io::ErrorKind;
use std::path::Path;

use super::durable;

/// The file in the kill folder. It is preallocated, so that a full disk cannot keep it from being written.
const FILE: &str = "lock.json";
/// More than this is nothing that `kill` writes, and counts as killed.
const LARGEST: u64 = 1 << 20;

/// Whether the kill switch in `folder` is on: off only if the file is missing or holds nothing but spaces and NULs.
/// Everything else, unreadable or malformed included, is on.
#[must_use]
pub fn killed(folder: &Path) -> bool {
    match durable::read(&folder.join(FILE), LARGEST) {
        Ok(bytes) => !bytes.iter().all(|b| matches!(b, 0 | b' ' | b'\t' | b'\r' | b'\n')),
        Err(e) => e.kind() != ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn off_only_when_missing_or_blank() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        assert!(!killed(folder.path()));
        for (text, on) in [
            ("", false),
            ("   \n\0\0\0", false),
            ("{\"killed\": true}", true),
            ("{\"killed\": true}\0\0 ", true),
            ("{\"killed\": false}", true),
            ("garbage", true),
            ("\0\0{", true),
        ] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(killed(folder.path()), on, "{text:?}");
        }
    }

    #[test]
    fn unreadable_is_on() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        std::fs::create_dir(&file).unwrap();
        assert!(killed(folder.path()));
        std::fs::remove_dir(&file).unwrap();
        std::os::unix::fs::symlink("/nonexistent", &file).unwrap();
        assert!(killed(folder.path()));
        std::fs::remove_file(&file).unwrap();
        std::fs::write(&file, vec![b' '; (LARGEST + 1) as usize]).unwrap();
        assert!(killed(folder.path()));
        assert!(killed(&file));
    }
}
