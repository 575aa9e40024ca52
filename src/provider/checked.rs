//! An answer that passes as it is, looked at before its first byte does: what an upstream says with status 200 and is no
//! answer (an error, a page, nothing) is a failure, and somebody else may be asked.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

use super::messages::failure;
use super::reading::Said;
use super::{Answer, Events, Failed, Outcome, ProviderError, Room, Wire};

/// What is looked at of a plain answer, in bytes; of a longer one it is seen that it begins as one.
const GATHER: usize = 256 * 1024;
/// What is held back of a stream that has not said anything yet, in bytes.
const MOST_BEFORE: usize = 64 * 1024;
/// How long a stream that has sent something, but no event, is held back: its client waits for signs of life.
const PATIENCE: Duration = Duration::from_secs(5);

type Pieces = BoxStream<'static, Result<Bytes, ProviderError>>;

/// The answer, or why it is none.
pub(super) async fn checked(provider: &str, answer: Answer, wire: Wire, room: &Room) -> Result<Answer, ProviderError> {
    if !answer.status.is_success() {
        return Ok(answer);
    }
    let kind = answer.headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let events = kind.get(..17).is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/event-stream"));
    let encoding = answer.headers.get(CONTENT_ENCODING).map(|value| String::from_utf8_lossy(value.as_bytes()));
    if let Some(encoding) = encoding.filter(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
        let encoding: String = encoding.chars().take(64).collect();
        let said = Said::garbled(format!("it answered in the encoding {encoding:?}, which nobody asked for"));
        return Ok(refused(answer.status, wire, said, None));
    }
    if events { streamed(provider, answer).await } else { Ok(plain(answer, wire, room).await) }
}

async fn plain(answer: Answer, wire: Wire, room: &Room) -> Answer {
    let Answer { status, headers, mut body, failed } = answer;
    let (mut held, mut size, mut share) = (VecDeque::new(), 0, room.of_record());
    loop {
        match body.next().await {
            Some(Ok(piece)) => {
                size += piece.len();
                held.push_back(piece);
            }
            Some(Err(error)) => {
                // Whoever passes it on says so, and has on record what came.
                let body = stream::iter(held.into_iter().map(Ok).chain([Err(error)])).boxed();
                return Answer { status, headers, body, failed };
            }
            None => break,
        }
        if size > GATHER || !share.try_cover(size) {
            let begins = held.iter().flat_map(|piece| piece.iter()).find(|byte| !byte.is_ascii_whitespace());
            if begins.is_some_and(|byte| *byte != b'{') {
                let words = held.pop_front().unwrap_or_default();
                return refused(status, wire, Said::of(&words, "/error/type", "/error/message"), None);
            }
            return Answer { status, headers, body: again(held, body), failed };
        }
    }
    let whole = Bytes::from(Vec::from(held).concat());
    match fault(wire, &whole) {
        Some(said) => refused(status, wire, said, used(&whole)),
        None => Answer { status, headers, body: stream::iter([Ok(whole)]).boxed(), failed },
    }
}

fn again(held: VecDeque<Bytes>, body: Pieces) -> Pieces {
    stream::iter(held.into_iter().map(Ok)).chain(body).boxed()
}

/// Why a whole body is no answer of `wire`.
fn fault(wire: Wire, body: &[u8]) -> Option<Said> {
    #[derive(Deserialize)]
    struct Shape {
        #[serde(default)]
        choices: Option<Vec<IgnoredAny>>,
        #[serde(default)]
        content: Option<Vec<IgnoredAny>>,
        #[serde(default)]
        data: Option<Vec<IgnoredAny>>,
        #[serde(default)]
        error: Option<Box<RawValue>>,
    }
    if body.trim_ascii().is_empty() {
        return Some(Said::garbled("it answered with nothing"));
    }
    let words = || Some(Said::of(body, "/error/type", "/error/message"));
    let Ok(shape) = serde_json::from_slice::<Shape>(body) else { return words() };
    if shape.error.is_some_and(|error| !matches!(error.get(), "null" | "{}" | "\"\"" | "false")) {
        return words();
    }
    let answers = match wire {
        Wire::Chat => shape.choices.is_some(),
        Wire::Messages => shape.content.is_some(),
        Wire::Embeddings => shape.data.is_some(),
    };
    if answers { None } else { words() }
}

/// What a body that is no answer says that it took.
fn used(body: &[u8]) -> Option<Value> {
    #[derive(Deserialize)]
    struct Used {
        usage: Value,
    }
    serde_json::from_slice::<Used>(body).ok().map(|used| used.usage).filter(Value::is_object)
}

/// What no answer is, as a failure with a status; what has taken tokens is not asked for again.
fn refused(status: StatusCode, wire: Wire, said: Said, usage: Option<Value>) -> Answer {
    let body = match wire {
        Wire::Messages => failure(&said),
        Wire::Chat | Wire::Embeddings => said.json(),
    };
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let body = stream::iter([Ok(Bytes::from(body.to_string()))]).boxed();
    let failed = Failed { status, message: said.message, begun: usage.is_some(), usage };
    Answer { status: StatusCode::BAD_GATEWAY, headers, body, failed: Some(failed) }
}

/// Holds a stream back until its first event is there.
async fn streamed(provider: &str, answer: Answer) -> Result<Answer, ProviderError> {
    let Answer { status, headers, mut body, failed } = answer;
    let (mut events, mut held, mut size) = (Events::default(), VecDeque::new(), 0);
    let mut first: Option<Vec<u8>> = None;
    while first.is_none() && size <= MOST_BEFORE {
        let next = match held.is_empty() {
            true => body.next().await,
            false => match tokio::time::timeout(PATIENCE, body.next()).await {
                Ok(next) => next,
                Err(_) => break,
            },
        };
        let mut take = |data: &[u8]| {
            first.get_or_insert_with(|| data.to_vec());
        };
        match next {
            Some(Ok(piece)) => {
                events.push(&piece, &mut take);
                size += piece.len();
                held.push_back(piece);
            }
            Some(Err(error)) => return Err(error),
            None => {
                events.finish(&mut take);
                if first.is_none() {
                    return Err(cut(provider, "its answer ended before it said anything"));
                }
            }
        }
    }
    if let Some(first) = first.filter(|first| first != b"[DONE]") {
        if serde_json::from_slice::<IgnoredAny>(&first).is_err() {
            return Err(cut(provider, "its answer is a stream of something else"));
        }
        let mut facts = Outcome::default();
        facts.absorb(&first);
        if facts.error.is_some() {
            let Said { kind, message, .. } = Said::of(&first, "/error/type", "/error/message");
            return Err(ProviderError::Said {
                provider: provider.to_owned(),
                kind,
                message,
                begun: false,
                usage: None,
            });
        }
    }
    Ok(Answer { status, headers, body: again(held, body), failed })
}

fn cut(provider: &str, reason: &str) -> ProviderError {
    ProviderError::Cut { provider: provider.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_no_answer_is_told_in_the_providers_words() {
        for (wire, body, words) in [
            (Wire::Chat, r#"{"choices":[]}"#, None),
            (Wire::Chat, r#"{"choices":[{}],"error":null}"#, None),
            (Wire::Messages, r#"{"content":[]}"#, None),
            (Wire::Embeddings, r#"{"data":[]}"#, None),
            (Wire::Chat, r#"{"error":{"message":"no"}}"#, Some("no")),
            (Wire::Chat, r#"{"choices":[],"error":{"message":"no"}}"#, Some("no")),
            (Wire::Messages, r#"{"type":"error","error":{"type":"x","message":"no"}}"#, Some("no")),
            (Wire::Chat, "<html>no</html>", Some("<html>no</html>")),
            (Wire::Chat, " \n", Some("it answered with nothing")),
            (Wire::Embeddings, r#"{"choices":[]}"#, Some(r#"{"choices":[]}"#)),
        ] {
            assert_eq!(fault(wire, body.as_bytes()).map(|said| said.message).as_deref(), words, "{body}");
        }
    }
}
