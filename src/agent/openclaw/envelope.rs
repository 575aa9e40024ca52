//! What `openclaw agent exec --json` prints at its end: `{ok, status, final, usage, toolSummary, error, …}`.

use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Envelope {
    pub(super) ok: bool,
    pub(super) timed_out: bool,
    /// The turn's last text.
    pub(super) last_words: String,
    /// Why it is not ok, in its own words.
    pub(super) error: Option<String>,
    turns: u64,
    calls: u64,
    failures: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    ok: bool,
    #[serde(default)]
    status: String,
    #[serde(default, rename = "final")]
    last: Option<String>,
    #[serde(default)]
    assistant_turns: u64,
    #[serde(default)]
    tool_summary: Value,
    #[serde(default)]
    error: Value,
}

impl Envelope {
    /// Reads the program's whole output.
    ///
    /// # Errors
    /// A sentence for people, if it is something else.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let raw: Raw = serde_json::from_slice(bytes).map_err(|error| {
            if bytes.is_empty() {
                "it said nothing".to_owned()
            } else {
                format!("its answer is not an envelope: {error}")
            }
        })?;
        let count = |name: &str| raw.tool_summary.get(name).and_then(Value::as_u64).unwrap_or(0);
        let error = raw.error.get("message").and_then(Value::as_str).or(raw.error.as_str());
        let kind = raw.error.get("kind").and_then(Value::as_str).unwrap_or_default();
        Ok(Self {
            ok: raw.ok,
            timed_out: !raw.ok && (raw.status == "timeout" || kind == "timeout"),
            last_words: raw.last.unwrap_or_default(),
            error: error.map(|text| text.chars().take(2000).collect()),
            turns: raw.assistant_turns,
            calls: count("calls"),
            failures: count("failures"),
        })
    }

    /// One line for people.
    pub(super) fn summary(&self) -> String {
        let (turns, calls, failures) = (self.turns, self.calls, self.failures);
        let outcome = if self.ok { "done" } else { "not done" };
        format!("{outcome} after {turns} turns with {calls} tool calls, {failures} of them failed")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_good_and_bad_ends() {
        let good = br#"{"ok":true,"status":"ok","final":"Done.","assistantTurns":2,
            "toolSummary":{"calls":1,"tools":["write"],"failures":0},"model":"m","new":1}"#;
        let good = Envelope::read(good).unwrap();
        assert!(good.ok && !good.timed_out && good.error.is_none());
        assert_eq!(good.summary(), "done after 2 turns with 1 tool calls, 0 of them failed");
        let bad = br#"{"ok":false,"status":"error","final":"","error":{"message":"no model","kind":"exception"}}"#;
        assert_eq!(Envelope::read(bad).unwrap().error.as_deref(), Some("no model"));
        assert!(Envelope::read(br#"{"ok":false,"status":"timeout","final":null}"#).unwrap().timed_out);
        assert!(Envelope::read(b"").unwrap_err().contains("nothing"));
        assert!(Envelope::read(b"{}").unwrap_err().contains("not an envelope"));
    }

    proptest! {
        #[test]
        fn no_output_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Envelope::read(&bytes);
        }
    }
}
