//! What the gate put into `gate/inbox/` for the host. The gate is ours but talks to agents, so a message is hostile until
//! read: bounded, a regular file, of the documented form. What is not is moved aside, where a person can look at it.

use std::fs::File;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, RenameFlags, renameat_with, unlinkat};
use rustix::io::Errno;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::{Error, Result};
use super::layout::RunLayout;
use super::{beneath, disk};
use crate::run::id::{Digest, NodeId, RequestId};

/// The largest message, in bytes.
pub const LARGEST: u64 = 1 << 20;
/// The deepest nesting of a message.
pub const DEEPEST: usize = 32;
/// How many messages one look takes; the next takes more.
pub const MOST: usize = 1000;

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Capability,
    Progress,
    Result,
    Memory,
    Child,
}

/// One message of the gate.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Message {
    pub format: u32,
    /// The file's name, and the id of the request if it is one.
    pub id: RequestId,
    pub kind: Kind,
    /// When the gate wrote it, RFC 3339.
    pub at: String,
    pub node: NodeId,
    pub attempt: u32,
    pub body: Map<String, Value>,
}

impl Message {
    /// Whether the gate asks by itself, and not for an agent: what agents say it writes into fields of its own choice.
    #[must_use]
    pub fn is_of_gate(&self) -> bool {
        self.kind == Kind::Capability && self.body.get("by").and_then(Value::as_str) == Some("gate")
    }
}

/// A file that was no message, and why. It lies in `gate/inbox-rejected/` now, unless `why` says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Fit to be shown: printable ASCII.
    pub name: String,
    pub why: String,
}

/// One look into the inbox.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Inbox {
    /// In the order of their ids, which is that of their times.
    pub messages: Vec<Message>,
    pub rejected: Vec<Rejected>,
    /// More than [`MOST`] were waiting.
    pub more: bool,
}

/// Reads the messages that wait, and moves aside what is none. A message stays until [`remove`]d.
///
/// # Errors
/// When the folder cannot be read; no inbox is an empty one.
pub fn read(run: &RunLayout) -> Result<Inbox> {
    let Some(gate) = open_gate(run)? else { return Ok(Inbox::default()) };
    let path = run.inbox();
    let folder = match beneath::open_dir(&gate, Path::new("inbox")) {
        Ok(folder) => folder,
        Err(Errno::NOENT) => return Ok(Inbox::default()),
        Err(errno) => return Err(Error::errno("open", path)(errno)),
    };
    let (names, more) = list(&folder, &path)?;
    let mut inbox = Inbox { more, ..Inbox::default() };
    for name in names {
        match message(&folder, &name) {
            Ok(Some(message)) => inbox.messages.push(message),
            Ok(None) => {}
            Err(why) => {
                let why = match move_aside(&gate, &folder, &name) {
                    Ok(()) => why,
                    Err(errno) => format!("{why}; it could not be moved aside: {errno}"),
                };
                inbox.rejected.push(Rejected { name: shown(&name), why });
            }
        }
    }
    inbox.messages.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(inbox)
}

/// How many messages wait to be taken in, at most [`MOST`]. Reads none of them, and moves nothing.
///
/// # Errors
/// When the folder cannot be read; no inbox is an empty one.
pub fn count(run: &RunLayout) -> Result<usize> {
    let Some(gate) = open_gate(run)? else { return Ok(0) };
    match beneath::open_dir(&gate, Path::new("inbox")) {
        Ok(folder) => Ok(list(&folder, &run.inbox())?.0.len()),
        Err(Errno::NOENT) => Ok(0),
        Err(errno) => Err(Error::errno("open", run.inbox())(errno)),
    }
}

/// Removes a message that was journaled; whether it was there.
///
/// # Errors
/// Those of the file system.
pub fn remove(run: &RunLayout, id: &RequestId) -> Result<bool> {
    let Some(gate) = open_gate(run)? else { return Ok(false) };
    let gone = beneath::open_dir(&gate, Path::new("inbox"))
        .and_then(|folder| unlinkat(&folder, format!("{id}.json"), AtFlags::empty()));
    match gone {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(Error::errno("remove a message from", run.inbox())(errno)),
    }
}

fn open_gate(run: &RunLayout) -> Result<Option<File>> {
    match disk::open_dir(&run.gate()) {
        Ok(gate) => Ok(Some(gate)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("open", run.gate())(error)),
    }
}

/// At most [`MOST`] names, those that come first, and whether there are more. Unfinished files (`.tmp-…`) are left alone.
fn list(folder: &File, path: &Path) -> Result<(Vec<Vec<u8>>, bool)> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder).map_err(Error::errno("list", path))? {
        let entry = entry.map_err(Error::errno("list", path))?;
        let name = entry.file_name().to_bytes();
        if !name.starts_with(b".") {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    let more = names.len() > MOST;
    names.truncate(MOST);
    Ok((names, more))
}

fn message(folder: &File, name: &[u8]) -> Result<Option<Message>, String> {
    let text = std::str::from_utf8(name).map_err(|_| "its name is not UTF-8".to_owned())?;
    let id = text.strip_suffix(".json").filter(|id| id.len() == 26).and_then(|id| RequestId::parse(id).ok());
    let id = id.ok_or("its name is not <ulid>.json")?;
    let file = match beneath::open(folder, Path::new(text)) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP) => return Err("it is a symlink".to_owned()),
        Err(errno) => return Err(format!("it cannot be opened: {errno}")),
    };
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Err("it is not a regular file".to_owned());
    }
    let bytes = disk::read_bounded(&file, LARGEST).map_err(|error| format!("it cannot be read: {error}"))?;
    let bytes = bytes.ok_or_else(|| format!("it is larger than {LARGEST} bytes"))?;
    parse(&id, &bytes).map(Some)
}

/// The message that stands in the file of `id`.
pub(crate) fn parse(id: &RequestId, bytes: &[u8]) -> Result<Message, String> {
    if depth(bytes) > DEEPEST {
        return Err(format!("it is nested deeper than {DEEPEST}"));
    }
    let message: Message = serde_json::from_slice(bytes).map_err(|error| format!("it is no message: {error}"))?;
    if message.format != 1 {
        return Err(format!("its format is {}, not 1", message.format));
    }
    if message.id != *id {
        return Err("its id is not its name".to_owned());
    }
    Ok(message)
}

/// How deeply brackets nest, without recursion. Exact for JSON, and no matter for anything else.
fn depth(bytes: &[u8]) -> usize {
    let (mut now, mut deepest, mut string, mut escaped) = (0_usize, 0, false, false);
    for byte in bytes {
        match (string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => string = !string,
            (false, b'[' | b'{') => {
                now += 1;
                deepest = deepest.max(now);
            }
            (false, b']' | b'}') => now = now.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Into `gate/inbox-rejected/`, under a name that is plain and free.
fn move_aside(gate: &File, folder: &File, name: &[u8]) -> Result<(), Errno> {
    let rejected = beneath::make_dirs(gate, Path::new("inbox-rejected"))?;
    let target = format!("{}-{}", ulid::Ulid::generate(), Digest::of(name).short());
    renameat_with(folder, name, &rejected, target, RenameFlags::NOREPLACE)
}

fn shown(name: &[u8]) -> String {
    name.escape_ascii().to_string().chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    use super::*;

    const A: &str = "01JD2Z3V5Q8M4K7N9P1R2S3T4A";
    const B: &str = "01JD2Z3V5Q8M4K7N9P1R2S3T4B";

    fn text(id: &str) -> String {
        format!(
            r#"{{"format":1,"id":"{id}","kind":"capability","at":"2026-11-20T11:46:18Z","node":"gather","attempt":1,"body":{{"capability":"pip:pygal"}}}}"#
        )
    }

    fn run() -> (tempfile::TempDir, RunLayout) {
        let folder = tempfile::tempdir().unwrap();
        let run = RunLayout::new(folder.path());
        fs::create_dir_all(run.inbox()).unwrap();
        (folder, run)
    }

    #[test]
    fn messages_in_order_until_removed() {
        let (_folder, run) = run();
        for id in [B, A] {
            fs::write(run.inbox().join(format!("{id}.json")), text(id)).unwrap();
        }
        fs::write(run.inbox().join(".tmp-x"), "half").unwrap();
        let inbox = read(&run).unwrap();
        assert_eq!(inbox.messages.iter().map(|message| message.id.as_str()).collect::<Vec<_>>(), [A, B]);
        assert_eq!(inbox.rejected, []);
        let id = RequestId::parse(A).unwrap();
        assert!(remove(&run, &id).unwrap());
        assert!(!remove(&run, &id).unwrap());
        assert_eq!(read(&run).unwrap().messages.len(), 1);
        assert!(run.inbox().join(".tmp-x").exists());
    }

    #[test]
    fn no_inbox_is_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(&RunLayout::new(folder.path())).unwrap(), Inbox::default());
    }

    #[test]
    fn what_is_no_message_is_moved_aside() {
        let (_folder, run) = run();
        let put = |name: &str, text: &str| fs::write(run.inbox().join(name), text).unwrap();
        put(&format!("{A}.json"), "{");
        put(&format!("{B}.json"), &text(A));
        put("01JD2Z3V5Q8M4K7N9P1R2S3T4C.json", &"[".repeat(1000));
        put("01JD2Z3V5Q8M4K7N9P1R2S3T4D.json", &" ".repeat((1 << 20) + 1));
        put(
            "01JD2Z3V5Q8M4K7N9P1R2S3T4E.json",
            &text("01JD2Z3V5Q8M4K7N9P1R2S3T4E").replace("\"format\":1", "\"format\":2"),
        );
        put("01JD2Z3V5Q8M4K7N9P1R2S3T4F.json", &text("01JD2Z3V5Q8M4K7N9P1R2S3T4F").replace("gather", "../x"));
        put("notes.txt", "");
        symlink("/etc/passwd", run.inbox().join("01JD2Z3V5Q8M4K7N9P1R2S3T4G.json")).unwrap();
        fs::create_dir(run.inbox().join("01JD2Z3V5Q8M4K7N9P1R2S3T4H.json")).unwrap();
        fs::write(run.inbox().join(OsStr::from_bytes(b"\xff\x1b[31m")), "").unwrap();
        let inbox = read(&run).unwrap();
        assert_eq!(inbox.messages, []);
        assert_eq!(inbox.rejected.len(), 10, "{:#?}", inbox.rejected);
        assert!(inbox.rejected.iter().all(|file| file.name.bytes().all(|b| (b' '..=b'~').contains(&b))));
        assert_eq!(fs::read_dir(run.inbox_rejected()).unwrap().count(), 10);
        assert_eq!(read(&run).unwrap(), Inbox::default());
    }

    #[test]
    fn a_planted_reject_folder_is_not_followed() {
        let (folder, run) = run();
        let elsewhere = folder.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        symlink(&elsewhere, run.inbox_rejected()).unwrap();
        fs::write(run.inbox().join("bad"), "").unwrap();
        let inbox = read(&run).unwrap();
        assert!(inbox.rejected[0].why.contains("could not be moved"), "{inbox:?}");
        assert_eq!(fs::read_dir(elsewhere).unwrap().count(), 0);
    }

    #[test]
    fn brackets_in_strings_do_not_nest() {
        assert_eq!(depth(br#"{"a": "[[[\"[", "b": [1]}"#), 2);
    }
}
