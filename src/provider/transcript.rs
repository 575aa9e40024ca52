//! The transcript of the replay provider: JSON lines, a header and then one exchange a line.
//!
//! ```json
//! {"format":"taskforge-replay-v1","model":"recorded","note":"…"}
//! {"request":"<messages digest>","hint":"node gather, turn 3","response":{"object":"chat.completion", …}}
//! ```

use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ProviderError;
use crate::run::id::Digest;

/// The value of `format` in a transcript's first line.
pub const FORMAT: &str = "taskforge-replay-v1";
/// The largest transcript that is read, in bytes: it is held in memory.
const LARGEST: u64 = 8 << 20;

/// A transcript's first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Header {
    pub format: String,
    pub model: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// One recorded exchange.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// The digest of the normalised messages, see [`messages_digest`](super::messages_digest).
    pub request: Digest,
    /// Where this stands in the conversation, for people.
    #[serde(default)]
    pub hint: String,
    /// The whole `chat.completion` object.
    pub response: Value,
}

/// A whole transcript.
#[derive(Debug, Clone, PartialEq)]
pub struct Transcript {
    pub header: Header,
    pub exchanges: Vec<Exchange>,
}

impl Transcript {
    /// Reads the file at `path`, which must be a regular file.
    ///
    /// # Errors
    /// When it cannot be read, is larger than 8 MiB, or is not a transcript; the line is named.
    pub fn load(path: &Path) -> Result<Self, ProviderError> {
        let read = |source| ProviderError::Read { path: path.to_owned(), source };
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let file = rustix::fs::open(path, flags | rustix::fs::OFlags::CLOEXEC, rustix::fs::Mode::empty())
            .map_err(|e| read(e.into()))?;
        let file = std::fs::File::from(file);
        if !file.metadata().map_err(read)?.is_file() {
            return Err(read(std::io::Error::other("it is not a regular file")));
        }
        let mut text = String::new();
        file.take(LARGEST + 1).read_to_string(&mut text).map_err(read)?;
        if text.len() as u64 > LARGEST {
            return Err(read(std::io::Error::other("it is larger than 8 MiB")));
        }
        Self::parse(&text).map_err(|(line, reason)| ProviderError::Transcript { path: path.to_owned(), line, reason })
    }

    /// Reads a transcript's text.
    ///
    /// # Errors
    /// The line, from 1, and what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let (at, first) = lines.next().ok_or((1, "the transcript is empty".to_owned()))?;
        let header: Header = serde_json::from_str(first).map_err(|e| (at + 1, e.to_string()))?;
        if header.format != FORMAT {
            return Err((at + 1, format!("`format` is {:?}, expected {FORMAT:?}", header.format)));
        }
        let mut exchanges = Vec::new();
        for (at, line) in lines {
            let exchange: Exchange = serde_json::from_str(line).map_err(|e| (at + 1, e.to_string()))?;
            if !exchange.response.pointer("/choices/0/message").is_some_and(Value::is_object) {
                return Err((at + 1, "`response` has no `choices[0].message`".to_owned()));
            }
            exchanges.push(exchange);
        }
        Ok(Self { header, exchanges })
    }

    /// The transcript's text, one line an exchange.
    ///
    /// # Errors
    /// None in practice: every part is JSON already.
    pub fn render(&self) -> Result<String, serde_json::Error> {
        let mut text = serde_json::to_string(&self.header)?;
        text.push('\n');
        for exchange in &self.exchanges {
            text.push_str(&serde_json::to_string(exchange)?);
            text.push('\n');
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn round_trip() {
        let transcript = Transcript {
            header: Header { format: FORMAT.into(), model: "recorded".into(), note: None },
            exchanges: vec![Exchange {
                request: Digest::of(b"x"),
                hint: "node a, turn 1".into(),
                response: json!({"choices": [{"message": {"role": "assistant", "content": "ü"}}]}),
            }],
        };
        assert_eq!(Transcript::parse(&transcript.render().unwrap()).unwrap(), transcript);
    }

    #[test]
    fn names_the_line() {
        let header = format!("{{\"format\":\"{FORMAT}\",\"model\":\"m\"}}");
        for (text, line) in [
            (String::new(), 1),
            ("{}".into(), 1),
            ("{\"format\":\"other\",\"model\":\"m\"}".into(), 1),
            (format!("{header}\n\n{{\"request\":\"x\"}}"), 3),
            (format!("{header}\n{{\"request\":\"{}\",\"response\":{{}}}}", Digest::of(b"")), 2),
        ] {
            assert_eq!(Transcript::parse(&text).unwrap_err().0, line, "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,200}") {
            let _ = Transcript::parse(&text);
            let _ = Transcript::parse(&format!("{{\"format\":\"{FORMAT}\",\"model\":\"m\"}}\n{text}"));
        }
    }
}
