//! The forms in which a value may turn up somewhere: as it is, in base64, in hexadecimal, in a URL, in JSON. Whoever hides a
//! value, and whoever looks for one that leaked, takes the same list.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

/// A form of a value.
#[derive(Clone)]
pub struct Trace {
    pub form: &'static str,
    pub bytes: Zeroizing<Vec<u8>>,
}

/// The forms of `value`, each once. Of base64 there are three, by where in a longer text the value begins; what its
/// neighbours would change is left out at both ends.
#[must_use]
pub fn traces(value: &str) -> Vec<Trace> {
    let bytes = value.as_bytes();
    let mut found: Vec<Trace> = Vec::new();
    let mut add = |form, bytes: Vec<u8>| {
        if !found.iter().any(|trace| *trace.bytes == bytes) {
            found.push(Trace { form, bytes: Zeroizing::new(bytes) });
        }
    };
    add("raw", bytes.to_vec());
    for before in 0..3 {
        let padded = Zeroizing::new([&[0; 3][..before], bytes].concat());
        // Characters that hold bits of the bytes before; those of a last group that is not whole hold bits of what follows.
        let (first, whole) = ([0, 2, 3][before], padded.len() / 3 * 4);
        for (form, engine) in [("base64", &STANDARD_NO_PAD), ("base64url", &URL_SAFE_NO_PAD)] {
            let text = Zeroizing::new(engine.encode(&*padded));
            let end = whole + [0, 1, 2][padded.len() % 3];
            add(form, text.as_bytes().get(first..end).unwrap_or_default().to_vec());
        }
    }
    let hex = |digits: &[u8; 16]| {
        bytes.iter().flat_map(|b| [digits[usize::from(b >> 4)], digits[usize::from(b & 15)]]).collect()
    };
    add("hex", hex(b"0123456789abcdef"));
    add("hex", hex(b"0123456789ABCDEF"));
    for digits in [b"0123456789ABCDEF", b"0123456789abcdef"] {
        add("url", escaped(bytes, digits));
    }
    let json = serde_json::to_string(value).unwrap_or_default();
    add("json", json.trim_matches('"').as_bytes().to_vec());
    found
}

/// Percent-encoded, all but the unreserved characters (RFC 3986, section 2.3).
fn escaped(bytes: &[u8], digits: &[u8; 16]) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(*byte),
            _ => text.extend([b'%', digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    fn has(haystack: &[u8], form: &str, value: &str) -> bool {
        let is = |trace: &&Trace| trace.form == form;
        traces(value)
            .iter()
            .filter(is)
            .any(|trace| haystack.windows(trace.bytes.len()).any(|part| part == trace.bytes.as_slice()))
    }

    proptest! {
        #[test]
        fn base64_is_found_wherever_the_value_stands(value in "[ -~]{12,60}", before in "[ -~]{0,7}", after in "[ -~]{0,7}") {
            let text = STANDARD.encode(format!("{before}{value}{after}"));
            let found = has(text.as_bytes(), "base64", &value);
            prop_assert!(found);
        }
    }

    #[test]
    fn the_other_forms() {
        let value = "tok-Ä/+ \"q\"\\x";
        let hex: String = value.bytes().map(|b| format!("{b:02x}")).collect();
        assert!(has(format!("x{hex}").as_bytes(), "hex", value));
        assert!(has(hex.to_uppercase().as_bytes(), "hex", value));
        assert!(has(b"a=tok-%C3%84%2F%2B%20%22q%22%5Cx&b", "url", value));
        assert!(has(serde_json::json!({"a": value}).to_string().as_bytes(), "json", value));
        assert!(has(value.as_bytes(), "raw", value));
        assert!(!has(b"nothing of it", "raw", value));
    }
}
