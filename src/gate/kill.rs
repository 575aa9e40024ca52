//! Whether the kill switch is on. In doubt it is.

use std::io::ErrorKind;
use std::path::Path;

/// The file in the kill folder. What is preallocated, so that a full disk does not stop `kill`, lies beside it under
/// another name.
const FILE: &str = "lock.json";

/// Whether the kill switch in `folder` is on: off only if there is nothing under the file's name. What the file holds
/// is for people; the host and the gate agree on its being there.
#[must_use]
pub fn killed(folder: &Path) -> bool {
    match folder.join(FILE).symlink_metadata() {
        Ok(_) => true,
        Err(error) => error.kind() != ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn off_only_when_there_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        assert!(!killed(folder.path()));
        for text in ["", "   \n\0\0\0", "{\"killed\": false}", "garbage"] {
            std::fs::write(&file, text).unwrap();
            assert!(killed(folder.path()), "{text:?}");
        }
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("/nonexistent", &file).unwrap();
        assert!(killed(folder.path()));
        let no_folder = folder.path().join("file");
        std::fs::write(&no_folder, "").unwrap();
        assert!(killed(&no_folder));
    }
}
