//! The memory and the open files of the traced process.

use std::collections::BTreeMap;
use std::fs;
use std::io::IoSliceMut;
use std::path::{Path, PathBuf};

use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

/// `AT_FDCWD`, as a register holds it.
const HERE: i32 = -100;

/// A file that the process has open.
#[derive(Clone)]
pub struct Open {
    pub path: PathBuf,
    pub append: bool,
    /// Where the next `write` goes, unless it appends.
    pub position: u64,
}

pub struct Tracee {
    pub pid: Pid,
    pub cwd: PathBuf,
    pub open: BTreeMap<i32, Open>,
}

impl Tracee {
    pub fn bytes(&self, address: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let remote = [RemoteIoVec { base: usize::try_from(address).unwrap(), len: length }];
        let read = process_vm_readv(self.pid, &mut [IoSliceMut::new(&mut bytes)], &remote).unwrap_or(0);
        bytes.truncate(read);
        bytes
    }

    fn text(&self, address: u64) -> PathBuf {
        // A string may lie at the end of a mapping: read up to the page's end first.
        let mut bytes = Vec::new();
        let mut at = address;
        loop {
            let upto = usize::try_from(4096 - at % 4096).unwrap();
            let piece = self.bytes(at, upto);
            if let Some(end) = piece.iter().position(|byte| *byte == 0) {
                bytes.extend_from_slice(&piece[..end]);
                break;
            }
            if piece.is_empty() || bytes.len() > 8192 {
                break;
            }
            at += piece.len() as u64;
            bytes.extend(piece);
        }
        PathBuf::from(String::from_utf8(bytes).unwrap())
    }

    /// The path that a call names: relative ones count from `folder`.
    pub fn path(&self, folder: i32, address: u64) -> PathBuf {
        let path = self.text(address);
        if path.is_absolute() {
            return path;
        }
        match self.open.get(&folder) {
            Some(open) => open.path.join(path),
            None if folder == HERE => self.cwd.join(path),
            None => path,
        }
    }

    pub fn here(&self, address: u64) -> PathBuf {
        self.path(HERE, address)
    }
}

/// Whether something stands under the name, a broken link included.
pub fn stands(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

pub fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |found| found.len())
}
