//! JSON given as an argument.

use serde_json::{Map, Value};

use super::sentence::Sentence;

/// The longest JSON argument, in bytes.
const LONGEST: usize = 1 << 20;

/// An object; empty if the argument is absent, or what Python takes for nothing. OpenTask's helper journals any other
/// value too, and every reader of its then fails.
pub(super) fn object(flag: &str, text: Option<&str>) -> Result<Map<String, Value>, Sentence> {
    match parse(flag, text)? {
        Value::Object(object) => Ok(object),
        Value::Null | Value::Bool(false) => Ok(Map::new()),
        Value::String(text) if text.is_empty() => Ok(Map::new()),
        Value::Array(items) if items.is_empty() => Ok(Map::new()),
        Value::Number(number) if number.as_f64() == Some(0.0) => Ok(Map::new()),
        _ => Err(not_an_object(flag)),
    }
}

/// An object, or none where the argument is absent or null.
pub(super) fn optional_object(flag: &str, text: Option<&str>) -> Result<Option<Map<String, Value>>, Sentence> {
    match parse(flag, text)? {
        Value::Null => Ok(None),
        Value::Object(object) => Ok(Some(object)),
        _ => Err(not_an_object(flag)),
    }
}

fn not_an_object(flag: &str) -> Sentence {
    Sentence::new(format!("{flag} must be a JSON object"))
}

fn parse(flag: &str, text: Option<&str>) -> Result<Value, Sentence> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(Value::Null) };
    if text.len() > LONGEST {
        return Err(Sentence::new(format!("{flag} is longer than {LONGEST} bytes")));
    }
    if let Some(number) = too_long_number(text) {
        return Err(Sentence::new(format!(
            "{flag} holds the number {number}, which does not fit 64 bits: make it text"
        )));
    }
    serde_json::from_str(text).map_err(|error| Sentence::new(format!("{flag} is not JSON: {error}")))
}

/// A whole number outside of strings that would be rounded: Python keeps any, and ours has 64 bits.
fn too_long_number(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let mut in_string = false;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => in_string = !in_string,
            b'\\' if in_string => at += 1,
            b'0'..=b'9' | b'-' if !in_string => {
                let part = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E');
                let end = at + bytes[at..].iter().take_while(|byte| part(byte)).count();
                let number = &text[at..end];
                let whole = !number.contains(['.', 'e', 'E']);
                if whole && number.parse::<u64>().is_err() && number.parse::<i64>().is_err() && number.len() > 18 {
                    return Some(number);
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn nothing_is_an_empty_object() {
        for text in [None, Some(""), Some("null"), Some("[]"), Some("{}"), Some("0"), Some("false"), Some("\"\"")] {
            assert_eq!(object("--p", text).unwrap(), Map::new(), "{text:?}");
        }
        for text in ["[1]", "1", "\"x\"", "true", "{", "NaN", "{\"a\": NaN}", "{\"a\": \"\\ud800\"}"] {
            assert!(object("--p", Some(text)).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_number_is_kept_or_refused() {
        for text in ["18446744073709551615", "-9223372036854775808", "1.5e300", "[1, \"123456789012345678901\"]"] {
            assert_eq!(too_long_number(text), None, "{text}");
        }
        assert_eq!(too_long_number("{\"\\\"a\": 18446744073709551616}"), Some("18446744073709551616"));
        assert_eq!(too_long_number("-9223372036854775809"), Some("-9223372036854775809"));
    }
}
