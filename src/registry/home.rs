//! Where a registry lives, on record in `.taskforge/home.json`. A copy has the same id, and with it the names and labels
//! of the original's containers: it would adopt them, take in their ends and remove them. So a copy drives nothing while
//! its original stands. A registry that was moved is no copy: nothing stands where it came from.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::{Error, Result};
use super::layout::Layout;
use super::project::write_if_changed;
use super::{config, disk};

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Home {
    format: u32,
    path: PathBuf,
}

/// # Errors
/// [`Error::Copied`] if the registry is a copy of one that stands; those of the file system.
pub(super) fn require(layout: &Layout) -> Result<()> {
    let here = Home { format: 1, path: layout.root().to_owned() };
    if read(layout).as_ref() == Some(&here) {
        return Ok(());
    }
    if let Some(original) = original(layout) {
        return Err(Error::Copied { path: here.path, original });
    }
    let text = serde_json::to_vec(&here).map_err(|source| Error::Encode { what: "the registry's place", source })?;
    write_if_changed(&file(layout), &text).map(drop)
}

/// The registry that this one is a copy of, if that stands.
pub(super) fn original(layout: &Layout) -> Option<PathBuf> {
    let known = read(layout)?.path;
    let same_id = || config::read_id(&Layout::new(&known)).ok() == config::read_id(layout).ok();
    (known != layout.root() && is_another(&known, layout.root()) && same_id()).then_some(known)
}

fn file(layout: &Layout) -> PathBuf {
    layout.local().join("home.json")
}

fn read(layout: &Layout) -> Option<Home> {
    let bytes = disk::open_read(&file(layout)).and_then(|file| disk::read_bounded(&file, 1 << 16)).ok().flatten();
    serde_json::from_slice(&bytes?).ok()
}

/// Whether a folder stands at `there` that is not `here` under another name.
fn is_another(there: &Path, here: &Path) -> bool {
    match (there.metadata(), here.metadata()) {
        (Ok(there), Ok(here)) => (there.dev(), there.ino()) != (here.dev(), here.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    fn registry(root: &Path, id: &str) -> Layout {
        let layout = Layout::new(root);
        fs::create_dir_all(layout.local()).unwrap();
        fs::write(layout.config(), format!("format = 1\nid = \"{id}\"\n")).unwrap();
        layout
    }

    #[test]
    fn a_copy_drives_nothing_while_its_original_stands() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| folder.path().join(name));
        let (one, other) = ("01JD2Z3V5Q8M4K7N9P1R2S3T4A", "01JD2Z3V5Q8M4K7N9P1R2S3T4B");
        let original = registry(&a, one);
        require(&original).unwrap();
        require(&original).unwrap();
        let copy = registry(&b, one);
        fs::copy(a.join(".taskforge/home.json"), b.join(".taskforge/home.json")).unwrap();
        assert!(matches!(require(&copy), Err(Error::Copied { original, .. }) if original == a));
        require(&original).unwrap();
        // Another id is another registry.
        let renamed = registry(&c, other);
        fs::copy(a.join(".taskforge/home.json"), c.join(".taskforge/home.json")).unwrap();
        require(&renamed).unwrap();
        // Moved away, the original is the copy's no more.
        fs::remove_dir_all(&a).unwrap();
        require(&copy).unwrap();
        require(&copy).unwrap();
    }

    #[test]
    fn another_name_of_the_same_folder_is_no_copy() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        require(&registry(&a, "01JD2Z3V5Q8M4K7N9P1R2S3T4A")).unwrap();
        std::os::unix::fs::symlink(&a, &b).unwrap();
        require(&Layout::new(&b)).unwrap();
    }
}
