//! How the answer of a provider that speaks another wire becomes one of OpenAI's.

use serde_json::{Value, json};

use super::check_complexity;

/// The longest message of a provider that is passed on, in characters.
const LONGEST_MESSAGE: usize = 4000;

/// How a streamed answer is cut into events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Server-sent events.
    Events,
    /// One JSON object a line.
    Lines,
}

/// Reads one answer of a provider. Pure: bytes in, bytes out.
pub(crate) trait Reading: Send {
    fn framing(&self) -> Framing {
        Framing::Events
    }

    /// A whole answer with a status of success.
    ///
    /// # Errors
    /// What makes it none.
    fn whole(&mut self, body: &[u8]) -> Result<Vec<u8>, Said>;

    /// The next event of a streamed answer; writes what it says to `out`.
    ///
    /// # Errors
    /// The provider's failure after it had begun to answer.
    fn event(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), Said>;

    /// What a whole answer that cannot be read says that it took, as `usage` of OpenAI's or Anthropic's.
    fn used(&self, _body: &[u8]) -> Option<Value> {
        None
    }

    /// The same of a stream, so far.
    fn spent(&self) -> Option<Value> {
        None
    }

    /// What is held of a streamed answer, in bytes.
    fn held(&self) -> usize {
        0
    }

    /// The stream has ended in good order; what is held back of it is written to `out`.
    fn finish(&mut self, _out: &mut Vec<u8>) {}

    /// Whether the event that ends a whole answer was read. A stream that ends without it was cut.
    fn is_over(&self) -> bool;

    /// An answer with a status of failure.
    fn error(&self, body: &[u8]) -> Said;

    /// What an error with this status is called on the agent's wire, where that is not the provider's own word.
    fn kind_of(&self, _status: u16) -> Option<&'static str> {
        None
    }

    /// A failure in the words of the agent's wire.
    fn failure(&self, said: &Said) -> Value {
        said.json()
    }

    /// A failure in the middle of a stream, as an event.
    fn broken(&self, said: &Said) -> Vec<u8> {
        format!("data: {}\n\n", said.json()).into_bytes()
    }
}

/// Reads `what` of a provider: as hostile as anything an agent sends, and as bounded.
pub(crate) fn parse(json: &[u8], what: &str) -> Result<Value, Said> {
    check_complexity(json).map_err(|e| Said::garbled(format!("{what} cannot be read: {e}")))?;
    serde_json::from_slice(json).map_err(|e| Said::garbled(format!("{what} is not JSON: {e}")))
}

/// Reads a whole answer with a status of success; `said` reads the error that one may hold all the same. What is no object
/// is told in its own words: a page of a proxy's, most likely.
pub(crate) fn read(body: &[u8], said: fn(&[u8]) -> Said) -> Result<Value, Said> {
    match parse(body, "its answer") {
        Ok(answer) if answer.get("error").is_some_and(|error| !error.is_null()) => {
            let told = said(body);
            Err(Said { raw: if told.raw.is_null() { answer } else { told.raw }, ..told })
        }
        Ok(answer) if answer.is_object() => Ok(answer),
        Ok(_) => Err(said(body)),
        Err(error) if body.trim_ascii().first() == Some(&b'{') => Err(error),
        Err(_) if body.trim_ascii().is_empty() => Err(Said::garbled("it answered with nothing")),
        Err(error) => Err(Said { message: format!("{}: {}", error.message, said(body).message), ..error }),
    }
}

/// A provider's failure, in its own words.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Said {
    /// The provider's name for this kind of failure.
    pub(crate) kind: String,
    pub(crate) message: String,
    /// The whole object that it sent, if it was one.
    pub(crate) raw: Value,
}

impl Said {
    /// An answer that cannot be understood.
    pub(crate) fn garbled(why: impl Into<String>) -> Self {
        Self { kind: "upstream_error".to_owned(), message: why.into(), raw: Value::Null }
    }

    /// A failure whose body is an object with these members; any other body is taken as text.
    pub(crate) fn of(body: &[u8], kind: &str, message: &str) -> Self {
        let text = || String::from_utf8_lossy(body).trim().chars().take(LONGEST_MESSAGE).collect::<String>();
        let Ok(raw) = parse(body, "its answer") else { return Self::garbled(text()) };
        // Gemini puts the error of a stream that never began into a list.
        let raw = match raw {
            Value::Array(mut all) if all.len() == 1 => all.remove(0),
            other => other,
        };
        let own = |pointer: &str| raw.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        match own(message) {
            Some(message) => {
                let message = message.chars().take(LONGEST_MESSAGE).collect();
                Self { kind: own(kind).unwrap_or_else(|| "upstream_error".to_owned()), message, raw }
            }
            None => Self::garbled(text()),
        }
    }

    /// The error as OpenAI's clients read it, with what the provider sent beside it.
    pub(crate) fn json(&self) -> Value {
        let mut error = json!({"message": self.message, "type": self.kind, "param": null, "code": self.kind});
        if !self.raw.is_null() {
            error["provider_error"] = self.raw.clone();
        }
        json!({ "error": error })
    }
}

/// An id for an answer whose provider gives it none.
pub(crate) fn made_id() -> String {
    format!("chatcmpl-{}", ulid::Ulid::generate().to_string().to_lowercase())
}

/// What a translated answer says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct About {
    /// The model that was asked for.
    pub(crate) model: String,
    /// Seconds since 1970.
    pub(crate) created: u64,
    pub(crate) include_usage: bool,
    /// The number of the first tool call, where the provider gives no ids.
    pub(crate) first_call: usize,
}
