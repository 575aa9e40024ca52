//! The gate's errors: `{"error":{"code","message","hint",…}}` with an HTTP status. A provider's own errors arrive in
//! the same shape, passed through, with members of their own.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

/// What the gate, or a provider through it, answered instead of what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The request that was refused, as method and path.
    pub(crate) what: String,
    pub(crate) status: u16,
    /// A stable name such as `killed` or `replay_mismatch`; empty when the answer gave none.
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    /// The other members of `error`, such as the digest of a replay that did not match.
    pub(crate) details: Vec<(String, String)>,
}

impl Refusal {
    /// Reads the body of an answer whose status is not a success. Whatever the body holds, something sayable results.
    pub(crate) fn read(what: &str, status: u16, body: &[u8]) -> Self {
        let mut refusal = Self {
            what: what.to_owned(),
            status,
            code: String::new(),
            message: String::new(),
            hint: None,
            details: Vec::new(),
        };
        let parsed: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        match parsed.get("error") {
            Some(Value::Object(error)) => {
                for (name, value) in error {
                    let Some(text) = sayable(value) else { continue };
                    match name.as_str() {
                        "code" => refusal.code = text,
                        "message" => refusal.message = text,
                        "hint" => refusal.hint = Some(text),
                        _ => refusal.details.push((name.clone(), text)),
                    }
                }
            }
            Some(Value::String(message)) => refusal.message = cut(message),
            _ => {}
        }
        if refusal.message.is_empty() {
            refusal.message = cut(String::from_utf8_lossy(body).trim());
        }
        refusal
    }

    /// What a model works with.
    pub(crate) fn told(&self) -> Value {
        let mut told = json!({"code": self.code, "message": self.message});
        if let Some(hint) = &self.hint {
            told["hint"] = hint.as_str().into();
        }
        for (key, value) in
            self.details.iter().filter(|(key, _)| matches!(key.as_str(), "capability" | "status" | "unclear"))
        {
            told[key] = value.as_str().into();
        }
        told
    }

    /// Whether the gate said that nothing more will come: the run is killed, or this attempt's time is over.
    pub(crate) fn ends_the_attempt(&self) -> bool {
        self.status == 423 || matches!(self.code.as_str(), "killed" | "closed")
    }

    /// Whether a person has been asked for what this lacks and has not decided yet.
    pub(crate) fn awaits_a_decision(&self) -> bool {
        let says = |name: &str, text: &str| self.details.iter().any(|(key, value)| key == name && value == text);
        self.code == "budget_exhausted" && says("status", "pending")
    }

    /// Whether asking once more may help: the upstream was busy or broken, and no limit of ours was reached.
    pub(crate) fn may_pass(&self) -> bool {
        let ours = matches!(
            self.code.as_str(),
            "iterations_exhausted" | "budget_exhausted" | "budget_above_exhausted" | "replay_mismatch"
        );
        !ours && !self.ends_the_attempt() && (self.status >= 500 || matches!(self.status, 408 | 429))
    }
}

impl Refusal {
    /// How long to wait for the gate's own limits on how fast and how much at once: they pass by themselves.
    pub(crate) fn pause(&self) -> Option<Duration> {
        let paced = matches!(self.code.as_str(), "rate_limit_exceeded" | "too_many_at_once");
        let after = self.details.iter().find(|(name, _)| name == "retryAfterMs").filter(|_| paced);
        // A minute is the widest window that a gate looks at.
        after.and_then(|(_, millis)| millis.parse().ok()).map(|millis: u64| Duration::from_millis(millis.min(60_000)))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the gate answered {} with {}", self.what, self.status)?;
        if !self.code.is_empty() {
            write!(f, " {}", self.code)?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        for (name, value) in &self.details {
            write!(f, "\n  {name}: {value}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusal {}

fn sayable(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(cut(text)),
        other => Some(cut(&other.to_string())),
    }
}

/// Error texts are shown and recorded; a page of HTML from a proxy is not worth more than its beginning.
fn cut(text: &str) -> String {
    const LIMIT: usize = 2_000;
    match text.char_indices().nth(LIMIT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Refusals without what differs from run to run: a client that retries is refused twice for the same thing, and two
/// that run side by side are refused in any order.
pub(crate) fn lasting(refusals: &[Value]) -> Vec<Value> {
    let mut texts: Vec<(String, Value)> = Vec::new();
    for refusal in refusals {
        let mut kept = json!({});
        for name in ["code", "surface", "target", "capability", "hint"] {
            if let Some(value) = refusal.get(name) {
                kept[name] = value.clone();
            }
        }
        texts.push((kept.to_string(), kept));
    }
    texts.sort_by(|a, b| a.0.cmp(&b.0));
    texts.dedup_by(|a, b| a.0 == b.0);
    texts.into_iter().map(|(_, refusal)| refusal).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn says_what_a_person_needs() {
        let body = br#"{"error":{"code":"replay_mismatch","message":"no exchange matches","digest":"abc","nearest":"node gather, turn 3","param":null}}"#;
        let refusal = Refusal::read("POST /v1/chat/completions", 422, body);
        assert_eq!(
            refusal.to_string(),
            "the gate answered POST /v1/chat/completions with 422 replay_mismatch: no exchange matches\n  \
             digest: abc\n  nearest: node gather, turn 3"
        );
        assert!(!refusal.may_pass());
    }

    #[test]
    fn only_the_gates_own_pace_says_how_long_to_wait() {
        let pause = |code: &str, millis: &str| {
            let body = format!(r#"{{"error":{{"code":"{code}","retryAfterMs":{millis}}}}}"#);
            Refusal::read("x", 429, body.as_bytes()).pause().map(|pause| pause.as_millis())
        };
        assert_eq!(pause("rate_limit_exceeded", "1500"), Some(1500));
        assert_eq!(pause("too_many_at_once", "99999999"), Some(60_000));
        assert_eq!(pause("upstream_error", "1500"), None);
        assert_eq!(pause("rate_limit_exceeded", "\"soon\""), None);
    }

    #[test]
    fn limits_do_not_pass_and_busy_upstreams_do() {
        let at =
            |status, code: &str| Refusal::read("x", status, format!(r#"{{"error":{{"code":"{code}"}}}}"#).as_bytes());
        assert!(at(429, "upstream_error").may_pass());
        assert!(at(502, "upstream_error").may_pass());
        assert!(!at(429, "iterations_exhausted").may_pass());
        assert!(!at(429, "budget_exhausted").may_pass());
        assert!(!at(400, "bad_request").may_pass());
        assert!(at(429, "rate_limit_exceeded").may_pass() && at(504, "upstream_timeout").may_pass());
        assert!(at(423, "killed").ends_the_attempt());
        assert!(at(403, "closed").ends_the_attempt());
        assert!(!at(503, "starting").ends_the_attempt());
    }

    proptest! {
        #[test]
        fn any_body_becomes_a_bounded_text(status in 100u16..600, body in proptest::collection::vec(any::<u8>(), 0..9000)) {
            let text = Refusal::read("GET /x", status, &body).to_string();
            prop_assert!(text.chars().count() < 3_000);
        }
    }
}
