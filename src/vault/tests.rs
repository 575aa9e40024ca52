#![allow(clippy::unwrap_used)]

use chrono::{TimeZone as _, Utc};
use proptest::prelude::*;
use zeroize::Zeroizing;

use super::log::{Entry, Event, Log};
use super::*;
use crate::run::id::Digest;

fn value(text: &str) -> Value {
    Value::parse(Zeroizing::new(text.as_bytes().to_vec())).unwrap()
}

#[test]
fn a_value_is_one_text_without_the_newline_of_its_line_and_shows_nothing() {
    for (given, kept) in [("a", "a"), ("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("a b\nc", "a b\nc")] {
        assert_eq!(value(given).expose(), kept);
    }
    assert_eq!(format!("{:?}", value("hush-hush")), "Value(…)");
    let long = vec![b'x'; value::LARGEST + 1];
    for bad in [&b""[..], b"\n", b"\xff", b"a\0b", &long] {
        assert!(Value::parse(Zeroizing::new(bad.to_vec())).is_err(), "{bad:?}");
    }
}

#[test]
fn a_dotenv_file_is_data() {
    let text = "\u{feff}# a comment\n\nA=1\n  export B='two words # and $(touch x)'\nC=\"x\\n\\\"y\\\" \\$HOME\" # why\nD=\nE=a=b\r\n";
    let found = dotenv::parse(text.as_bytes()).unwrap();
    let found: Vec<(&str, &str)> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [("A", "1"), ("B", "two words # and $(touch x)"), ("C", "x\n\"y\" $HOME"), ("D", ""), ("E", "a=b")];
    assert_eq!(found, expected);
    for (bad, line) in [
        ("A", 1),
        ("A=1\n1B=2", 2),
        ("A=$(id)", 1),
        ("A=`id`", 1),
        ("A=\"$HOME\"", 1),
        ("A=\"x", 1),
        ("A='x", 1),
        ("A='x'y", 1),
        ("A=a b", 1),
        ("A=a\\", 1),
        ("A=\"\\x41\"", 1),
        ("A=1\nA=2", 2),
        ("A-B=1", 1),
        ("source x", 1),
        ("A =1", 1),
        ("\n\nA=\u{1b}[2J", 3),
    ] {
        match dotenv::parse(bad.as_bytes()) {
            Err(VaultError::Dotenv { line: at, .. }) => assert_eq!(at, line, "{bad:?}"),
            other => panic!("{bad:?}: {other:?}"),
        }
    }
    assert!(matches!(dotenv::parse(b"A=1\nB=\xff"), Err(VaultError::Dotenv { line: 2, .. })));
    assert_eq!(dotenv::secret_name("GITHUB_TOKEN"), "github-token");
}

proptest! {
    #[test]
    fn what_single_quotes_hold_comes_out_as_it_went_in(text in "[^'\\x00-\\x1f\\x7f-\\u{9f}]{0,40}") {
        let found = dotenv::parse(format!("NAME='{text}'").as_bytes()).unwrap();
        prop_assert_eq!(found[0].1.as_str(), text.as_str());
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = dotenv::parse(&bytes);
    }
}

fn lines(events: Vec<Event>) -> Vec<u8> {
    let time = Utc.timestamp_opt(1_700_000_000, 0).unwrap();
    let mut bytes = Vec::new();
    for event in events {
        let log = Log::read("R", &bytes).unwrap();
        if !bytes.is_empty() && !bytes.ends_with(b"\n") {
            bytes.push(b'\n');
        }
        bytes.extend(serde_json::to_vec(&log.next(event, "operator:ada", time)).unwrap());
        bytes.push(b'\n');
    }
    bytes
}

fn set(name: &str) -> Event {
    Event::Set { name: name.to_owned(), sha256: Digest::of(name.as_bytes()) }
}

#[test]
fn the_log_says_who_and_when_and_a_changed_byte_is_found() {
    let bytes = lines(vec![
        Event::Created { recipients: vec!["age1x".to_owned()] },
        set("a"),
        set("a"),
        set("b"),
        Event::Removed { name: "b".to_owned() },
    ]);
    let log = Log::read("R", &bytes).unwrap();
    assert_eq!(log.secrets.keys().collect::<Vec<_>>(), ["a"]);
    assert_eq!((log.secrets["a"].versions, log.secrets["a"].changed_by.as_str()), (2, "operator:ada"));
    assert!(Log::read("another", &bytes).is_err());
    let text = String::from_utf8(bytes).unwrap();
    for (from, to) in [("ada", "eve"), ("age1x", "age1y"), ("\"a\"", "\"c\"")] {
        // The last line has nothing behind it that would tell.
        let changed = text.replacen(from, to, 1);
        assert!(matches!(Log::read("R", changed.as_bytes()), Err(VaultError::Log { .. })), "{from}");
    }
    let without: String =
        text.lines().enumerate().filter(|(at, _)| *at != 1).map(|(_, line)| format!("{line}\n")).collect();
    assert!(Log::read("R", without.as_bytes()).is_err());
}

#[test]
fn half_a_line_counts_for_nothing_and_the_log_goes_on_behind_it() {
    let whole = lines(vec![Event::Created { recipients: vec![] }, set("a"), set("b")]);
    let start = whole.iter().rposition(|byte| *byte == b'{').unwrap_or(0);
    let from = whole[..start].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for cut in from..whole.len() {
        let mut bytes = whole[..cut].to_vec();
        let log = Log::read("R", &bytes).unwrap();
        // Only its newline is missing: it is whole.
        let kept = if cut + 1 == whole.len() { 3 } else { 2 };
        assert_eq!(log.entries.len(), kept, "cut at {cut}");
        goes_on(&log, &mut bytes, &format!("cut at {cut}"));
    }
}

/// Adds a line to the log that `log` was read from, as `append_line` does it.
fn goes_on(log: &Log, bytes: &mut Vec<u8>, what: &str) {
    let entry: Entry = log.next(set("c"), "operator:ada", Utc.timestamp_opt(1_700_000_001, 0).unwrap());
    if !bytes.ends_with(b"\n") {
        bytes.push(b'\n');
    }
    bytes.extend(serde_json::to_vec(&entry).unwrap());
    bytes.push(b'\n');
    let log = Log::read("R", bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(log.secrets.contains_key("c"), "{what}");
}

#[test]
fn a_line_with_a_lost_sector_counts_for_nothing_and_the_log_goes_on_behind_it() {
    let whole = lines(vec![Event::Created { recipients: vec![] }, set("a"), set("b")]);
    let from = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for (hole, length) in (from..whole.len()).flat_map(|at| [(at, 1), (at, 30), (at, usize::MAX)]) {
        let mut bytes = whole.clone();
        bytes[hole..hole.saturating_add(length).min(whole.len())].fill(0);
        let log = Log::read("R", &bytes).unwrap_or_else(|error| panic!("hole of {length} at {hole}: {error}"));
        // Where only the newline is lost the line is none: nobody was told that it was written.
        assert_eq!(log.entries.len(), 2, "hole of {length} at {hole}");
        goes_on(&log, &mut bytes, &format!("hole of {length} at {hole}"));
    }
}
