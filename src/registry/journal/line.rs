//! One line of the journal: how ours is written, and what a line found there is. Pure.

use serde_json::{Map, Value};

use crate::registry::json::{is_json_line, to_json_line};
use crate::run::record::Record;

/// What a line is, its newline taken off.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// Nothing but white space: voided, or an empty line. OpenTask's readers skip it.
    Blank,
    /// Ours, and exactly as we write it.
    Ours(Box<Record>),
    /// A record, but not byte for byte as we write one: a newer version's, or changed. Readable, never built upon.
    Altered(Box<Record>),
    /// It has our `seq` and is no record.
    Strange,
    /// A JSON object of another program.
    Foreign(Map<String, Value>),
    /// Not a JSON object: torn, glued or garbage.
    Opaque,
}

impl Line {
    /// Reads one line. Any bytes are fine; nesting is bounded by `serde_json` (128).
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Self::Blank;
        }
        // Nearly every line is this; what follows finds out what the others are.
        if let Ok(record) = serde_json::from_slice::<Record>(bytes)
            && is_json_line(&record, bytes)
        {
            return Self::Ours(Box::new(record));
        }
        let Ok(Value::Object(object)) = serde_json::from_slice::<Value>(bytes) else {
            return Self::Opaque;
        };
        if !object.contains_key("seq") {
            return Self::Foreign(object);
        }
        // Something glued in front of a line of ours, were it only a space: the line does not stand whole behind a
        // newline, so it is void and was written again.
        if bytes.first() != Some(&b'{') {
            return Self::Opaque;
        }
        match serde_json::from_value::<Record>(Value::Object(object)) {
            Ok(record) => Self::Altered(Box::new(record)),
            Err(_) => Self::Strange,
        }
    }
}

/// A line of ours, without its newline.
///
/// # Errors
/// None in practice: every part of a record has a JSON form.
pub fn encode(record: &Record) -> serde_json::Result<String> {
    to_json_line(record)
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    pub(crate) fn sample() -> Record {
        Record {
            event: "node.started".into(),
            timestamp: "2026-11-20T11:46:18.964660+00:00".into(),
            run_id: "demo-1".into(),
            payload: Map::new(),
            node_id: Some("gather".into()),
            message: Some("héllo\u{2028}".into()),
            seq: 7,
            batch: (1, 2),
            actor: "operator:ada".into(),
            data: json!({"f": 0.1}).as_object().unwrap().clone(),
            at: 4711,
            prev: "0".repeat(64),
        }
    }

    #[test]
    fn the_documented_form() {
        let zeros = "0".repeat(64);
        let expected = format!(
            r#"{{"event": "node.started", "timestamp": "2026-11-20T11:46:18.964660+00:00", "runId": "demo-1", "payload": {{}}, "nodeId": "gather", "message": "h\u00e9llo\u2028", "seq": 7, "batch": [1, 2], "actor": "operator:ada", "data": {{"f": 0.1}}, "at": 4711, "prev": "{zeros}"}}"#
        );
        assert_eq!(encode(&sample()).unwrap(), expected);
        let bare = Record { node_id: None, message: None, ..sample() };
        assert!(encode(&bare).unwrap().contains(r#""payload": {}, "seq": 7"#));
    }

    #[test]
    fn kinds_of_lines() {
        let ours = encode(&sample()).unwrap();
        assert_eq!(Line::read(ours.as_bytes()), Line::Ours(Box::new(sample())));
        assert_eq!(Line::read(format!(" {ours}").as_bytes()), Line::Opaque);
        assert_eq!(Line::read(format!("{ours} ").as_bytes()), Line::Altered(Box::new(sample())));
        assert_eq!(Line::read(br#"{"seq": 1}"#), Line::Strange);
        assert_eq!(Line::read(b"   "), Line::Blank);
        assert_eq!(Line::read(b""), Line::Blank);
        assert_eq!(Line::read(b"[1]"), Line::Opaque);
        assert_eq!(Line::read(&[0xff, 0]), Line::Opaque);
        assert_eq!(Line::read("[".repeat(100_000).as_bytes()), Line::Opaque);
        assert!(matches!(Line::read(br#"{"event": "x"}"#), Line::Foreign(_)));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(message in any::<Option<String>>(), key in any::<String>(), number in any::<f64>()) {
            prop_assume!(number.is_finite());
            let mut data = Map::new();
            data.insert(key, json!([number]));
            let record = Record { message, data, ..sample() };
            prop_assert_eq!(Line::read(encode(&record).unwrap().as_bytes()), Line::Ours(Box::new(record)));
        }

        #[test]
        fn any_bytes_are_some_line(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Line::read(&bytes);
        }
    }
}
