//! `control.jsonl`: operator intents, in OpenTask's shape and with nothing else in them (its reader refuses unknown
//! keys). A line that is no control is reported under an id made from its digest, and holds up no other.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::disk;
use super::error::{Error, Result};
use super::json::to_json_line;
use super::layout::RunLayout;
use crate::run::id::{Digest, RunId};
use crate::run::time::isoformat;

/// The largest `control.jsonl` that is read, in bytes.
const LARGEST: u64 = 64 << 20;

/// One intent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Record {
    pub id: String,
    pub action: String,
    pub run_id: String,
    pub timestamp: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    #[serde(default)]
    pub patch: Map<String, Value>,
}

impl Record {
    /// An intent with a new id, as OpenTask names them: `<run>-<action>-<10 hex>`.
    #[must_use]
    pub fn new(run: &RunId, action: &str, now: DateTime<Utc>) -> Self {
        let unique = ulid::Ulid::generate().to_string();
        let hex = Digest::of(unique.as_bytes());
        Self {
            id: format!("{run}-{action}-{}", &hex.as_str()[..10]),
            action: action.to_owned(),
            run_id: run.to_string(),
            timestamp: isoformat(now),
            node_id: None,
            message: None,
            patch: Map::new(),
        }
    }
}

/// The intents, in order. A line that cannot be read gives a record whose action no run knows.
///
/// # Errors
/// When the file cannot be read, or is larger than 64 MiB.
pub fn read(run: &RunLayout, id: &RunId) -> Result<Vec<Record>> {
    let path = run.controls();
    let file = match disk::open_read(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("read", &path)(error)),
    };
    let bytes = disk::read_bounded(&file, LARGEST).map_err(Error::io("read", &path))?;
    let Some(bytes) = bytes else { return Err(Error::TooLarge { path, bytes: LARGEST + 1, limit: LARGEST }) };
    Ok(read_bytes(&bytes, id))
}

/// The intents in the content of a `control.jsonl`; see [`read`].
#[must_use]
pub fn read_bytes(bytes: &[u8], id: &RunId) -> Vec<Record> {
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let (lines, last) = bytes.split_at(whole);
    let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let mut records: Vec<Record> = lines.map(|line| parse(line, id)).collect();
    // Half a line may still be growing: it is no intent, and no wrong one, before something stands behind it.
    records.extend(serde_json::from_slice(last).ok().filter(|record: &Record| record.run_id == id.as_str()));
    records
}

fn parse(line: &[u8], run: &RunId) -> Record {
    let read: std::result::Result<Record, _> = serde_json::from_slice(line);
    let why = match read {
        Ok(record) if record.run_id == run.as_str() && !record.id.is_empty() && record.id.len() <= 256 => {
            return record;
        }
        Ok(_) => "it is for another run, or has no id".to_owned(),
        Err(error) => error.to_string(),
    };
    Record {
        id: format!("unreadable-{}", Digest::of(line).short()),
        action: format!("unreadable: {why}"),
        run_id: run.to_string(),
        timestamp: String::new(),
        node_id: None,
        message: None,
        patch: Map::new(),
    }
}

/// Adds an intent; on disk when it returns.
///
/// # Errors
/// Those of the file system.
pub fn append(run: &RunLayout, record: &Record) -> Result<()> {
    let path = run.controls();
    let mut line = to_json_line(record).map_err(|source| Error::Encode { what: "a control", source })?;
    if !line.ends_with('\n') {
        line.push('\n');
    }
    disk::append_line(&path, line.as_bytes()).map_err(Error::io("append to", &path))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs::{self, OpenOptions};
    use std::io::Write as _;

    use super::*;
    use crate::registry::faults::{Fault, control};

    fn run() -> (tempfile::TempDir, RunLayout, RunId) {
        let folder = tempfile::tempdir().unwrap();
        let layout = RunLayout::new(folder.path());
        fs::write(layout.controls(), "").unwrap();
        (folder, layout, RunId::parse("r").unwrap())
    }

    #[test]
    fn an_intent_behind_half_a_line_is_not_lost_with_it() {
        let (_folder, layout, run) = run();
        let [first, second] = ["pause", "resume"].map(|action| Record::new(&run, action, Utc::now()));
        append(&layout, &first).unwrap();
        let half = &to_json_line(&second).unwrap()[..40];
        OpenOptions::new().append(true).open(layout.controls()).unwrap().write_all(half.as_bytes()).unwrap();
        assert_eq!(read(&layout, &run).unwrap(), std::slice::from_ref(&first), "half a line is nothing yet");
        append(&layout, &second).unwrap();
        let read = read(&layout, &run).unwrap();
        assert_eq!([&read[0], &read[2]], [&first, &second]);
        assert!(read[1].action.starts_with("unreadable"), "{read:?}");
    }

    #[test]
    fn an_interrupted_and_a_short_write_go_on() {
        let (_folder, layout, run) = run();
        let record = Record::new(&run, "pause", Utc::now());
        for fault in [Fault::Error(4), Fault::Short(7)] {
            control::record(&[(0, fault)]);
            append(&layout, &record).unwrap();
            control::stop();
        }
        assert_eq!(read(&layout, &run).unwrap(), [record.clone(), record]);
    }
}
