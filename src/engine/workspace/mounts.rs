//! What is mounted on workspaces, and taking it away.

use std::path::{Path, PathBuf};

use rustix::mount::{UnmountFlags, unmount};

use super::super::mount_table::unescape;
use super::image;

/// An image on the folder of a workspace, until this is dropped.
pub(super) struct Mounted {
    folder: PathBuf,
}

impl Mounted {
    /// Mounts `image` on `folder`. A loop device that has the image already, for a container that still runs, is used
    /// again by mount(8), so that one file system is never two.
    ///
    /// # Errors
    /// What did not work.
    pub(super) fn mount(image: &Path, folder: &Path) -> Result<Self, String> {
        release(folder);
        // The loop device goes with the last mount of it: nothing has to be detached, whatever happens to us.
        let options = Path::new("loop,nosuid,nodev");
        image::run("mount", &[Path::new("-t"), Path::new("ext4"), Path::new("-o"), options, image, folder])?;
        let mounted = Self { folder: folder.to_owned() };
        // Made by mkfs, root's, and in the way of an agent that looks around.
        let _ = std::fs::remove_dir(folder.join("lost+found"));
        Ok(mounted)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// How many bytes can still be written.
    pub(super) fn left(&self) -> Option<u64> {
        let found = rustix::fs::statvfs(&self.folder).ok()?;
        // Full of files is full.
        if found.f_favail == 0 { Some(0) } else { Some(found.f_bavail.saturating_mul(found.f_frsize)) }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = unmount(&self.folder, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
    }
}

/// Takes away everything that is mounted at `top` or below it, the newest first.
pub(super) fn release(top: &Path) {
    // A name as the kernel knows it.
    let top = top.canonicalize().unwrap_or_else(|_| top.to_owned());
    let Ok(table) = std::fs::read("/proc/self/mountinfo") else { return };
    let mut points: Vec<PathBuf> = table.split(|byte| *byte == b'\n').filter_map(mount_point).collect();
    points.retain(|point| point.starts_with(&top));
    for point in points.iter().rev() {
        let _ = unmount(point, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
    }
}

/// The fifth field of a line of `mountinfo`.
fn mount_point(line: &[u8]) -> Option<PathBuf> {
    Some(unescape(line.split(|byte| *byte == b' ').nth(4)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_with_their_escapes() {
        let point = |line: &str| mount_point(line.as_bytes());
        assert_eq!(
            point("36 35 98:0 /mnt1 /r/a\\040b\\134c rw,noatime - ext4 /dev/loop0 rw"),
            Some(PathBuf::from("/r/a b\\c"))
        );
        assert_eq!(point("36 35 98:0 / /x\\9 rw"), Some(PathBuf::from("/x\\9")));
        assert_eq!(point("36 35"), None);
    }
}
