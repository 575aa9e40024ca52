//! Usage of a stream whose client did not ask for it: the provider is asked, because a budget counts by it, and the chunk
//! that only says it is taken out again. What it says stands in the last chunk with a choice, as it does where answers are
//! translated: it has to pass to be on record.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::Untranslatable;
use crate::provider::reading::{Reading, Said, parse};

/// `body` with `stream_options.include_usage`; everything else stays byte for byte.
///
/// # Errors
/// When `stream_options` is neither an object nor `null`.
pub(crate) fn asking(body: &Bytes) -> Result<Bytes, Untranslatable> {
    #[derive(Deserialize)]
    struct Named<'b> {
        #[serde(borrow, default)]
        stream_options: Option<&'b RawValue>,
    }
    let malformed = || Untranslatable::malformed("stream_options", "is not an object");
    let named: Named<'_> = serde_json::from_slice(body).map_err(|_| malformed())?;
    let Some(known) = named.stream_options else {
        // `null` is read as nothing, and is something to a key that is named twice.
        return without(body).ok_or_else(malformed);
    };
    let mut options: Map<String, Value> = serde_json::from_str(known.get()).map_err(|_| malformed())?;
    options.insert("include_usage".into(), true.into());
    // The raw value is a slice of the body.
    let at = (known.get().as_ptr() as usize).checked_sub(body.as_ptr() as usize).ok_or_else(malformed)?;
    let (before, after) = body.split_at_checked(at).ok_or_else(malformed)?;
    let after = after.get(known.get().len()..).ok_or_else(malformed)?;
    Ok([before, Value::Object(options).to_string().as_bytes(), after].concat().into())
}

/// The same for a body that has none, or `null`.
fn without(body: &Bytes) -> Option<Bytes> {
    const OPTIONS: &[u8] = b"\"stream_options\":{\"include_usage\":true},";
    let mut members: Map<String, Value> = serde_json::from_slice(body).ok()?;
    if members.contains_key("stream_options") {
        members.insert("stream_options".into(), json!({"include_usage": true}));
        return serde_json::to_vec(&members).ok().map(Bytes::from);
    }
    let begin = body.iter().position(|byte| *byte == b'{')? + 1;
    Some([body.get(..begin)?, OPTIONS, body.get(begin..)?].concat().into())
}

/// Reads such an answer.
#[derive(Default)]
pub(crate) struct Counted {
    /// The chunk that ends the choice, until it is known what the answer took.
    last: Option<Value>,
    usage: Option<Value>,
    over: bool,
}

impl Counted {
    fn release(&mut self, out: &mut Vec<u8>) {
        if let Some(mut last) = self.last.take() {
            if let Some(usage) = self.usage.clone() {
                last["usage"] = usage;
            }
            write(out, last.to_string().as_bytes());
        }
    }
}

fn write(out: &mut Vec<u8>, data: &[u8]) {
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(data);
    out.extend_from_slice(b"\n\n");
}

impl Reading for Counted {
    fn whole(&mut self, body: &[u8]) -> Result<Vec<u8>, Said> {
        Ok(body.to_vec())
    }

    fn event(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), Said> {
        if data == b"[DONE]" {
            self.release(out);
            self.over = true;
            write(out, data);
            return Ok(());
        }
        let chunk = parse(data, "a chunk of its answer")?;
        if chunk.get("error").is_some_and(|error| !error.is_null()) {
            return Err(Said::of(data, "/error/type", "/error/message"));
        }
        let usage = chunk.get("usage").filter(|usage| usage.is_object());
        self.usage = usage.cloned().or_else(|| self.usage.take());
        let choices = chunk.get("choices").and_then(Value::as_array);
        if usage.is_some() && choices.is_some_and(Vec::is_empty) {
            self.release(out);
            return Ok(());
        }
        self.release(out);
        let ends = |choice: &Value| choice.get("finish_reason").and_then(Value::as_str).is_some_and(|r| !r.is_empty());
        if choices.is_some_and(|choices| choices.iter().any(ends)) {
            self.last = Some(chunk);
        } else {
            write(out, data);
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        // Some servers leave `[DONE]` out.
        self.over |= self.last.is_some();
        self.release(out);
    }

    fn spent(&self) -> Option<Value> {
        self.usage.clone()
    }

    fn is_over(&self) -> bool {
        self.over
    }

    fn error(&self, body: &[u8]) -> Said {
        Said::of(body, "/error/type", "/error/message")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_usage_is_asked_for_and_nothing_else_changes() {
        for (body, expected) in [
            (r#" {"model":"m" }"#, r#" {"stream_options":{"include_usage":true},"model":"m" }"#),
            (
                r#"{"stream_options": {"include_usage":false, "x":1} ,"b":1.50}"#,
                r#"{"stream_options": {"include_usage":true,"x":1} ,"b":1.50}"#,
            ),
            (r#"{"stream_options":null,"model":"m"}"#, r#"{"stream_options":{"include_usage":true},"model":"m"}"#),
        ] {
            assert_eq!(asking(&Bytes::from_static(body.as_bytes())).unwrap(), expected.as_bytes(), "{body}");
        }
        assert!(asking(&Bytes::from_static(br#"{"stream_options":7}"#)).is_err());
    }

    #[test]
    fn the_chunk_of_usage_alone_is_taken_out_and_its_words_stay() {
        let (mut counted, mut out) = (Counted::default(), Vec::new());
        for data in [
            r#"{"choices":[{"delta":{"content":"a"},"finish_reason":null}],"usage":null}"#,
            r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#,
            "[DONE]",
        ] {
            counted.event(data.as_bytes(), &mut out).unwrap();
        }
        assert!(counted.is_over());
        let text = String::from_utf8(out).unwrap();
        let events: Vec<&str> = text.split_terminator("\n\n").collect();
        assert_eq!(events.len(), 3, "{text}");
        assert!(events[1].contains("\"stop\"") && events[1].contains("\"prompt_tokens\":3"), "{text}");
        assert_eq!(events[2], "data: [DONE]");
    }
}
