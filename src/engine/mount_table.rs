//! What is mounted where: `/proc/self/mountinfo`. With it a folder is known by the file system it lies on and its path
//! there, whichever of several mounts it is reached through.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: u64,
    /// `major:minor`.
    pub(super) device: String,
    /// What of the file system is mounted.
    pub(super) root: PathBuf,
    pub(super) point: PathBuf,
    pub(super) kind: String,
}

/// A path within a file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    device: String,
    path: PathBuf,
}

impl Place {
    /// Whether one is, lies in, or contains the other.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.contains(other) || other.contains(self)
    }

    /// Whether `other` is this, or lies in it.
    pub(super) fn contains(&self, other: &Self) -> bool {
        self.device == other.device && other.path.starts_with(&self.path)
    }
}

/// All mounts of this process's namespace, in the order in which they were made.
#[derive(Debug, Clone, Default)]
pub(super) struct MountTable(Vec<Entry>);

impl MountTable {
    /// # Errors
    /// When the kernel does not show it.
    pub(super) fn read() -> std::io::Result<Self> {
        Ok(Self::parse(&std::fs::read("/proc/self/mountinfo")?))
    }

    fn parse(text: &[u8]) -> Self {
        Self(text.split(|byte| *byte == b'\n').filter_map(entry).collect())
    }

    /// The mount that `file` was opened on.
    pub(super) fn of(&self, file: &File) -> Option<&Entry> {
        let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).ok()?;
        let id: u64 = text.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim().parse().ok()?;
        self.0.iter().find(|entry| entry.id == id)
    }

    /// Where `path`, which has no symlink, lies.
    pub(super) fn place(&self, path: &Path) -> Option<Place> {
        // Of two at the same point the later one covers the earlier one.
        let above = self.0.iter().filter(|entry| path.starts_with(&entry.point));
        above.max_by_key(|entry| entry.point.components().count())?.place(path)
    }
}

impl Entry {
    /// Where `path`, which is reached through this mount, lies.
    pub(super) fn place(&self, path: &Path) -> Option<Place> {
        let rest = path.strip_prefix(&self.point).ok()?;
        let path = if rest.as_os_str().is_empty() { self.root.clone() } else { self.root.join(rest) };
        Some(Place { device: self.device.clone(), path })
    }
}

/// proc_pid_mountinfo(5): id, parent, device, root, mount point, options, any number of tags, `-`, type.
fn entry(line: &[u8]) -> Option<Entry> {
    let mut fields = line.split(|byte| *byte == b' ');
    let text = |field: &[u8]| String::from_utf8(field.to_vec()).ok();
    let id = text(fields.next()?)?.parse().ok()?;
    let device = text(fields.nth(1)?)?;
    let (root, point) = (unescape(fields.next()?), unescape(fields.next()?));
    let kind = text(fields.skip_while(|field| *field != b"-").nth(1)?)?;
    Some(Entry { id, device, root, point, kind })
}

/// What would part fields is an octal escape.
pub(super) fn unescape(field: &[u8]) -> PathBuf {
    let mut name = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = (byte == b'\\').then(|| after.get(..3)).flatten();
        let code = escaped.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        name.push(code.unwrap_or(byte));
        rest = if code.is_some() { after.get(3..).unwrap_or_default() } else { after };
    }
    PathBuf::from(std::ffi::OsString::from_vec(name))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TABLE: &[u8] = b"21 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
        30 21 8:1 /etc /data/x rw shared:1 master:2 - ext4 /dev/sda1 rw\n\
        31 21 8:2 / /data/big\\040disk rw - xfs /dev/sdb rw\n\
        32 21 0:5 / /proc rw - proc proc rw\n\
        bad line\n";

    fn place(path: &str) -> Place {
        MountTable::parse(TABLE).place(Path::new(path)).unwrap()
    }

    #[test]
    fn a_bind_is_known_by_what_it_shows() {
        assert!(place("/data/x/ssl").overlaps(&place("/etc")));
        assert!(place("/etc/ssl").contains(&place("/data/x/ssl")));
        assert!(!place("/data/xy").overlaps(&place("/etc")));
        assert!(!place("/data/big disk/etc").overlaps(&place("/etc")), "another file system");
        assert!(place("/").contains(&place("/data/x")) && !place("/data/x").contains(&place("/")));
    }

    #[test]
    fn an_open_folder_names_its_mount() {
        let table = MountTable::read().unwrap();
        let proc = File::open("/proc").unwrap();
        assert_eq!(table.of(&proc).unwrap().kind, "proc");
    }
}
