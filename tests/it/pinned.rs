//! The binary of the build, lent to a test's registry in place of the copy that its first run would make: a hundred
//! megabytes, on disk before that run begins, in each of some hundred registries.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::{Value, json};
use taskforge::run::id::Digest;

struct Pinned {
    digest: Digest,
    copy: PathBuf,
    /// `own.json` as the product writes it.
    known: Value,
}

static PINNED: LazyLock<Pinned> = LazyLock::new(|| {
    let binary = Path::new(env!("CARGO_BIN_EXE_taskforge"));
    let digest = Digest::of(&fs::read(binary).unwrap());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pinned");
    fs::create_dir_all(&folder).unwrap();
    let copy = folder.join(digest.as_str());
    if !copy.exists() {
        // Of builds before; a registry that has one keeps it.
        fs::read_dir(&folder).unwrap().flatten().for_each(|old| fs::remove_file(old.path()).unwrap());
        let staged = folder.join("staged");
        copy_for_others(binary, &staged);
        fs::set_permissions(&staged, fs::Permissions::from_mode(0o555)).unwrap();
        fs::rename(&staged, &copy).unwrap();
    }
    let facts = fs::metadata(binary).unwrap();
    let file = json!({
        "device": facts.dev(), "inode": facts.ino(), "size": facts.len(),
        "modified": [facts.mtime(), facts.mtime_nsec()], "changed": [facts.ctime(), facts.ctime_nsec()],
    });
    let known = json!({"file": file, "digest": digest});
    Pinned { digest, copy, known }
});

/// Copies an executable. Not by this process: a child that another test starts meanwhile would hold it open for writing,
/// and nobody could start it.
pub fn copy_for_others(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

/// Puts the binary into the registry at `root`, where it lies on the same disk as the build.
pub fn lend(root: &Path) {
    let bin = root.join(".taskforge/bin");
    DirBuilder::new().recursive(true).mode(0o700).create(&bin).unwrap();
    match fs::hard_link(&PINNED.copy, bin.join(PINNED.digest.as_str())) {
        Ok(()) => fs::write(bin.join("own.json"), PINNED.known.to_string()).unwrap(),
        // The first run makes its own.
        Err(error) if error.kind() == ErrorKind::CrossesDevices => {}
        Err(error) => panic!("{}: {error}", PINNED.copy.display()),
    }
}
