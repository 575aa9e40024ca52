//! One text for one value: JSON with sorted keys and no white space, so that a digest of it means the value and not
//! its spelling. Keys are ordered by their UTF-8 bytes; our numbers are integers, so RFC 8785's rules for
//! fractions do not come up.

use serde_json::Value;
use sha2::Digest as _;

use super::id::Digest;

/// `value` as canonical JSON.
#[must_use]
pub fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

/// SHA-256 over `domain` and a newline, then `value` as canonical JSON. The domain keeps digests of different
/// kinds of things apart.
#[must_use]
pub fn digest(domain: &str, value: &Value) -> Digest {
    let mut hash = sha2::Sha256::new();
    hash.update(domain.as_bytes());
    hash.update(b"\n");
    hash.update(canonical(value).as_bytes());
    Digest::from_bytes(&hash.finalize().into())
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Array(items) => {
            text.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    text.push(',');
                }
                write(item, text);
            }
            text.push(']');
        }
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by(|a, b| a.0.cmp(b.0));
            text.push('{');
            for (i, (key, item)) in entries.into_iter().enumerate() {
                if i > 0 {
                    text.push(',');
                }
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                write(item, text);
            }
            text.push('}');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn order_of_keys_does_not_matter() {
        let one = json!({"b": [1, {"z": null, "a": "\u{202e}\n"}], "a": true});
        let two = json!({"a": true, "b": [1, {"a": "\u{202e}\n", "z": null}]});
        assert_eq!(canonical(&one), "{\"a\":true,\"b\":[1,{\"a\":\"\u{202e}\\n\",\"z\":null}]}");
        assert_eq!(digest("x", &one), digest("x", &two));
        assert_ne!(digest("x", &one), digest("y", &one));
    }
}
