//! Where lines go. A seam for the storage faults of tests: full disks and failed syncs.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// A file that lines are written into.
pub(crate) trait Disk: Send {
    fn write_at(&mut self, bytes: &[u8], at: u64) -> io::Result<()>;
    fn sync(&mut self) -> io::Result<()>;
    fn len(&mut self) -> io::Result<u64>;
}

impl Disk for File {
    fn write_at(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn len(&mut self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}
