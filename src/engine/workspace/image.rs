//! An ext4 file system in a sparse file, made by the machine's own tools.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::run::visible::visible_line;

/// What the file system keeps for itself beside a thirty-second part of the whole, in bytes: its journal and tables.
const OWN: u64 = 10 << 20;
/// Its journal, in MiB: what is lost with it after a power cut is a scratch folder's newest bytes.
const JOURNAL: &str = "size=4";

/// Why this process cannot have workspaces in images; nothing if it can.
pub(super) fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("only root can mount one".to_owned());
    }
    if crate::user_namespace::ids().is_some() {
        return Some("the machine's root alone can mount one, and this is a rootless Engine's".to_owned());
    }
    if !Path::new("/dev/loop-control").exists() {
        return Some("the kernel offers no loop devices (/dev/loop-control)".to_owned());
    }
    ["mkfs.ext4", "mount"]
        .into_iter()
        .find(|name| tool(name).is_none())
        .map(|name| format!("`{name}` is not installed"))
}

/// Makes the image `path` with room for `limit` bytes of files. It exists whole or not at all.
///
/// # Errors
/// What did not work, in the words of the tool.
pub(super) fn make(path: &Path, limit: u64) -> Result<(), String> {
    let begun = path.with_extension("begun");
    let size = limit.saturating_add(limit / 32).saturating_add(OWN);
    let made = (|| {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&begun)?;
        file.set_len(size)
    })();
    made.map_err(|error| format!("cannot create {}: {error}", begun.display()))?;
    let options = ["-q", "-F", "-m", "0", "-O", "^resize_inode", "-J", JOURNAL];
    run("mkfs.ext4", &[&options.map(Path::new)[..], &[&begun]].concat())?;
    let durable = (|| {
        File::open(&begun)?.sync_all()?;
        std::fs::rename(&begun, path)?;
        File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
    })();
    durable.map_err(|error| format!("cannot keep {}: {error}", path.display()))
}

/// Runs one of the machine's tools to its end.
///
/// # Errors
/// What it complained of.
pub(super) fn run(name: &str, arguments: &[&Path]) -> Result<(), String> {
    let path = tool(name).ok_or_else(|| format!("`{name}` is not installed"))?;
    let done = Command::new(path).args(arguments).stdin(Stdio::null()).env("LC_ALL", "C").output();
    let done = done.map_err(|error| format!("cannot run `{name}`: {error}"))?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    Err(format!("`{name}` failed: {}", visible_line(said.trim(), 400)))
}

/// Where a tool is; the folders of root's tools are not in everybody's `PATH`.
fn tool(name: &str) -> Option<PathBuf> {
    let folders = ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin"];
    folders.into_iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file())
}
