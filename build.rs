//! Names the rules by which this build folds a journal, so that another build's state of a run is never taken for its own.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let mut files = Vec::new();
    collect(&root.join("src/run"), &mut files);
    files.sort();
    // FNV-1a over names and contents: a build that differs is to be told apart, not an adversary.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut take = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for file in &files {
        take(file.strip_prefix(&root).unwrap_or(file).as_os_str().as_encoded_bytes());
        take(&fs::read(file).unwrap_or_default());
    }
    let mut name = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let _ = write!(name, "-{hash:016x}");
    println!("cargo::rerun-if-changed=src/run");
    println!("cargo::rustc-env=TASKFORGE_FOLD={name}");
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
