//! The normal form of a conversation: what stays the same when the same agent does the same work again. Addresses,
//! ids, times and durations in tool results differ from run to run and are replaced before the digest is taken.
//!
//! Whatever changes here changes the digest of every recorded transcript.

use std::borrow::Cow;
use std::io::{self, Write};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::run::id::Digest;

/// The digest by which a replayed answer is found, and which stands in each record: SHA-256 over the canonical JSON
/// of `{"messages": …, "tools": [names, sorted]}`, every string in `messages` normalised.
#[must_use]
pub fn messages_digest(messages: &Value, tools: Option<&Value>) -> Digest {
    let mut names: Vec<&str> = tools.and_then(Value::as_array).into_iter().flatten().filter_map(tool_name).collect();
    names.sort_unstable();
    let mut hash = Hash(Sha256::new());
    let written = (|| {
        hash.write_all(b"{\"messages\":")?;
        write_canonical(messages, true, &mut hash)?;
        hash.write_all(b",\"tools\":")?;
        write_canonical(&Value::from(names), false, &mut hash)?;
        hash.write_all(b"}")
    })();
    debug_assert!(written.is_ok(), "hashing does not fail");
    Digest::from_bytes(&hash.0.finalize().into())
}

fn tool_name(tool: &Value) -> Option<&str> {
    tool.get("function").unwrap_or(tool).get("name")?.as_str()
}

/// Large conversations are hashed as they are written, not put together first.
struct Hash(Sha256);

impl Write for Hash {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Canonical JSON: keys sorted, no spaces, members that are `null` left out (clients differ on whether they send
/// them). `normalise` replaces in every string what differs from run to run.
#[must_use]
pub fn canonical(value: &Value, normalise: bool) -> String {
    let mut text = Vec::new();
    let written = write_canonical(value, normalise, &mut text);
    debug_assert!(written.is_ok(), "writing into memory does not fail");
    String::from_utf8(text).unwrap_or_default()
}

fn write_canonical(value: &Value, normalise: bool, out: &mut impl Write) -> io::Result<()> {
    match value {
        Value::Array(items) => {
            out.write_all(b"[")?;
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.write_all(b",")?;
                }
                write_canonical(item, normalise, out)?;
            }
            out.write_all(b"]")
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().filter(|(_, value)| !value.is_null()).collect();
            members.sort_unstable_by_key(|(key, _)| *key);
            out.write_all(b"{")?;
            for (i, (key, value)) in members.into_iter().enumerate() {
                if i > 0 {
                    out.write_all(b",")?;
                }
                serde_json::to_writer(&mut *out, key)?;
                out.write_all(b":")?;
                write_canonical(value, normalise, out)?;
            }
            out.write_all(b"}")
        }
        Value::String(text) if normalise => Ok(serde_json::to_writer(out, &normalise_text(text))?),
        other => Ok(serde_json::to_writer(out, other)?),
    }
}

/// Replaces addresses (`0x7f…`), ULIDs, times of RFC 3339 and durations (`1.23s`) by `0xADDR`, `ULID`, `TIME`, `DUR`.
#[must_use]
pub fn normalise_text(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut out = String::new();
    let (mut at, mut copied) = (0, 0);
    while at < bytes.len() {
        match token(bytes, at) {
            Some((length, word)) => {
                out.push_str(&text[copied..at]);
                out.push_str(word);
                at += length;
                copied = at;
            }
            None => at += 1,
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// The token that starts at `at`: its length and what it becomes. Tokens are ASCII, so that slices stay whole.
fn token(bytes: &[u8], at: usize) -> Option<(usize, &'static str)> {
    let rest = &bytes[at..];
    match rest.first()? {
        b'0'..=b'9' => address(rest).or_else(|| {
            let start = starts_word(bytes, at);
            start.then(|| time(rest).or_else(|| ulid(rest)).or_else(|| duration(rest))).flatten()
        }),
        // A ULID's first digit is at most 7 until the year 10889.
        _ => None,
    }
}

/// Whether a word may start at `at`. The `n` of an escaped `\n` belongs to the escape: tool results are JSON inside
/// of strings.
fn starts_word(bytes: &[u8], at: usize) -> bool {
    let Some(before) = at.checked_sub(1).map(|i| bytes[i]) else {
        return true;
    };
    if before == b'.' || before == b'_' {
        return false;
    }
    if !before.is_ascii_alphanumeric() {
        return true;
    }
    b"nrtbf".contains(&before) && at >= 2 && bytes[at - 2] == b'\\'
}

fn ends_word(rest: &[u8], length: usize) -> bool {
    rest.get(length).is_none_or(|b| !b.is_ascii_alphanumeric() && *b != b'_')
}

fn address(rest: &[u8]) -> Option<(usize, &'static str)> {
    let digits = rest.strip_prefix(b"0x")?.iter().take_while(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')).count();
    (digits >= 6).then_some((2 + digits, "0xADDR"))
}

fn ulid(rest: &[u8]) -> Option<(usize, &'static str)> {
    let text = rest.get(..26)?;
    let crockford = |b: &u8| b.is_ascii_digit() || (b.is_ascii_uppercase() && !b"ILOU".contains(b));
    // 26 digits without a letter are a number.
    let fits = text[0] <= b'7' && text.iter().all(crockford) && text.iter().any(u8::is_ascii_uppercase);
    (fits && ends_word(rest, 26)).then_some((26, "ULID"))
}

/// `2026-11-20T11:46:18`, with `T` or a space, a fraction and a zone where they are.
fn time(rest: &[u8]) -> Option<(usize, &'static str)> {
    const SHAPE: &[u8; 19] = b"dddd-dd-ddTdd:dd:dd";
    let fits = |(b, shape): (&u8, &u8)| match shape {
        b'd' => b.is_ascii_digit(),
        b'T' => matches!(b, b'T' | b't' | b' '),
        other => b == other,
    };
    if !rest.get(..19)?.iter().zip(SHAPE).all(fits) {
        return None;
    }
    let mut length = 19;
    if rest.get(length) == Some(&b'.') {
        let digits = digits(&rest[length + 1..]);
        length += if digits > 0 { digits + 1 } else { 0 };
    }
    Some((length + zone(&rest[length..]), "TIME"))
}

fn zone(rest: &[u8]) -> usize {
    match rest {
        [b'Z' | b'z', ..] => 1,
        [b'+' | b'-', a, b, b':', c, d, ..] if [a, b, c, d].iter().all(|x| x.is_ascii_digit()) => 6,
        [b'+' | b'-', a, b, c, d, ..] if [a, b, c, d].iter().all(|x| x.is_ascii_digit()) => 5,
        _ => 0,
    }
}

fn duration(rest: &[u8]) -> Option<(usize, &'static str)> {
    let mut length = digits(rest);
    if rest.get(length) == Some(&b'.') {
        let fraction = digits(&rest[length + 1..]);
        length += if fraction > 0 { fraction + 1 } else { return None };
    }
    for unit in ["ms", "us", "µs", "ns", "s"] {
        if rest[length..].starts_with(unit.as_bytes()) && ends_word(rest, length + unit.len()) {
            return Some((length + unit.len(), "DUR"));
        }
    }
    None
}

fn digits(rest: &[u8]) -> usize {
    rest.iter().take_while(|b| b.is_ascii_digit()).count()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn replaces_what_differs_from_run_to_run() {
        for (text, expected) in [
            ("<Foo object at 0x7f3a9c001d30>", "<Foo object at 0xADDR>"),
            ("0xabc", "0xabc"),
            ("id 01JD2Z3V5Q8M4K7N9P1R2S3T4V.", "id ULID."),
            ("x01JD2Z3V5Q8M4K7N9P1R2S3T4V", "x01JD2Z3V5Q8M4K7N9P1R2S3T4V"),
            ("at 2026-11-20T11:46:18.964660+00:00 on", "at TIME on"),
            ("2026-11-20 11:46:18", "TIME"),
            ("2026-11-20T11:46:18Z2", "TIME2"),
            ("2026-11-20", "2026-11-20"),
            ("took 1.23s, then 40ms and 7 µs", "took DUR, then DUR and 7 µs"),
            ("3µs", "DUR"),
            ("5 items", "5 items"),
            ("v1.2.3s", "v1.2.3s"),
            ("12straight", "12straight"),
            ("größe 2s", "größe DUR"),
            (r#"{"stdout":"ran\n1.5s\n2026-11-20T11:46:18Z"}"#, r#"{"stdout":"ran\nDUR\nTIME"}"#),
        ] {
            assert_eq!(normalise_text(text), expected, "{text}");
        }
    }

    #[test]
    fn digest_ignores_key_order_nulls_and_tool_order() {
        let a = json!([{"role": "user", "content": "hi", "name": null}]);
        let b = json!([{"content": "hi", "role": "user"}]);
        let tools = json!([{"type": "function", "function": {"name": "shell"}}, {"name": "read"}]);
        let swapped = json!([{"name": "read"}, {"function": {"name": "shell", "description": "other words"}}]);
        assert_eq!(messages_digest(&a, Some(&tools)), messages_digest(&b, Some(&swapped)));
        assert_ne!(messages_digest(&a, Some(&tools)), messages_digest(&a, None));
    }

    #[test]
    fn digest_sees_roles_tool_calls_and_results() {
        let base = json!([
            {"role": "assistant", "tool_calls": [{"id": "c1", "function": {"name": "shell", "arguments": "{\"command\":\"pip install x\"}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "{\"exit\":1}"}
        ]);
        let digest = messages_digest(&base, None);
        for (pointer, other) in [
            ("/1/content", json!("{\"exit\":0}")),
            ("/1/role", json!("user")),
            ("/0/tool_calls/0/function/arguments", json!("{\"command\":\"true\"}")),
            ("/0/tool_calls/0/id", json!("c2")),
        ] {
            let mut changed = base.clone();
            *changed.pointer_mut(pointer).unwrap() = other;
            assert_ne!(messages_digest(&changed, None), digest, "{pointer}");
        }
    }

    /// The digest stands in recorded transcripts: it may not drift.
    #[test]
    fn digest_is_pinned() {
        let messages = json!([{"role": "user", "content": "took 1.5s at 0x7f3a9c001d30"}]);
        assert_eq!(canonical(&messages, true), r#"[{"content":"took DUR at 0xADDR","role":"user"}]"#);
        let expected = Digest::of(br#"{"messages":[{"content":"took DUR at 0xADDR","role":"user"}],"tools":[]}"#);
        assert_eq!(messages_digest(&messages, None), expected);
    }

    proptest! {
        #[test]
        fn never_panics_and_leaves_ordinary_text(text in "\\PC{0,80}", digits in "[0-9A-Zx.:TZsmu µ\\\\n-]{0,60}") {
            let _ = normalise_text(&format!("{text}{digits}"));
            if !text.bytes().any(|b| b.is_ascii_digit()) {
                prop_assert_eq!(normalise_text(&text), text.as_str());
            }
        }

        #[test]
        fn two_runs_of_the_same_work_have_one_digest(
            a in "[0-9a-f]{6,12}", b in "[0-9a-f]{6,12}", t in 0u32..60, u in 0u32..60, words in "[a-z ]{0,20}"
        ) {
            let run = |address: &str, seconds: u32| {
                messages_digest(&json!([{"content": format!("{words} 0x{address} {seconds}.{seconds}s 2026-01-01T00:00:{seconds:02}Z")}]), None)
            };
            prop_assert_eq!(run(&a, t), run(&b, u));
        }
    }
}
