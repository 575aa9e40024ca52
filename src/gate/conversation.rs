//! A node's conversation, rebuilt from the records: what a new attempt goes on with. The agent has no part in
//! keeping it, so it cannot have changed it.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};

use super::records::{Bodies, Index, MOST_LINE, Node, Record, Traffic, understand};
use super::{Error, durable};
use crate::provider::{Assembly, Events, canonical};

/// What was said so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Conversation {
    /// The messages of the newest answered request, the answer, and the tool results recorded since.
    pub messages: Vec<Value>,
    /// The answer's tool calls without a recorded result.
    pub pending_tool_calls: Vec<Value>,
    /// How many tool calls the answer made.
    #[serde(skip)]
    pub(crate) calls: usize,
    /// The ids of recorded results.
    #[serde(skip)]
    pub(crate) results: HashMap<String, Value>,
}

impl Conversation {
    /// The conversation of `node` in `traffic`; empty if nothing was answered yet.
    ///
    /// # Errors
    /// When a body of it cannot be read.
    pub fn of(traffic: &Traffic, bodies: &Bodies, node: &str) -> Result<Self, Error> {
        let mut index = Index::default();
        traffic.records.iter().for_each(|record| index.learn(record));
        let places: HashMap<u64, &Record> = traffic.records.iter().map(|record| (record.at, record)).collect();
        let find = |at: u64| {
            places.get(&at).map(|record| (*record).clone()).ok_or_else(|| Error::Record(format!("no record at {at}")))
        };
        Self::rebuild(&index.node(node), find, bodies)
    }

    /// The same from the file that the gate is writing.
    pub(crate) fn at(path: &Path, node: &Node, bodies: &Bodies) -> Result<Self, Error> {
        let mut file = durable::open(path).map_err(Error::io("read", path))?;
        Self::rebuild(node, |at| record_at(&mut file, path, at), bodies)
    }

    fn rebuild(
        node: &Node,
        mut find: impl FnMut(u64) -> Result<Record, Error>,
        bodies: &Bodies,
    ) -> Result<Self, Error> {
        for &(request_at, response_at) in node.answered.iter().rev() {
            let (request, response) = (find(request_at)?, find(response_at)?);
            // An answer without a message (a kind of request that we do not know) is no turn of the conversation.
            let Some(answer) = completion(&response, bodies)? else { continue };
            let Some(message) = answer.pointer("/choices/0/message").cloned() else { continue };
            let mut messages = sent(&request, bodies)?;
            let before = messages.len();
            let calls = message.get("tool_calls").and_then(Value::as_array).cloned().unwrap_or_default();
            messages.push(message);
            let mut results = Vec::new();
            for &at in node.results.iter().filter(|&&at| at > response_at) {
                results.extend(recorded_result(&find(at)?, bodies)?);
            }
            if let Some(newest) = node.newest.filter(|&at| at > response_at) {
                let unanswered = sent(&find(newest)?, bodies)?;
                results.extend(carried_results(&messages[..before], &unanswered));
            }
            return Ok(Self::assemble(messages, calls, results));
        }
        Ok(Self::default())
    }

    fn assemble(mut messages: Vec<Value>, calls: Vec<Value>, results: Vec<(String, Value)>) -> Self {
        let count = calls.len();
        let mut by_id = HashMap::new();
        let mut order = Vec::new();
        for (id, content) in results {
            // The first result counts: it is what was acknowledged.
            if let Entry::Vacant(place) = by_id.entry(id) {
                order.push(place.key().clone());
                place.insert(content);
            }
        }
        let id_of = |call: &Value| call.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        let called: Vec<String> = calls.iter().map(id_of).collect();
        // Results in the order of their calls; then those of calls that came without a usable id.
        let (known, other): (Vec<_>, Vec<_>) = order.into_iter().partition(|id| called.contains(id));
        let known: HashSet<String> = known.into_iter().collect();
        for id in called.iter().filter(|id| known.contains(*id)).chain(&other) {
            if let Some(content) = by_id.get(id) {
                messages.push(json!({"role": "tool", "tool_call_id": id, "content": content}));
            }
        }
        let pending_tool_calls = calls.into_iter().filter(|call| !by_id.contains_key(&id_of(call))).collect();
        Self { messages, pending_tool_calls, calls: count, results: by_id }
    }
}

/// The whole completion that an `llm.response` recorded, streamed or not; `None` if it is none.
pub(crate) fn completion(response: &Record, bodies: &Bodies) -> Result<Option<Value>, Error> {
    let Some(body) = response.body().filter(|b| !b.truncated) else {
        return Ok(None);
    };
    let bytes = bodies.load(&body)?;
    if response.fields.get("stream").and_then(Value::as_bool) != Some(true) {
        return Ok(serde_json::from_slice(&bytes).ok());
    }
    let (mut events, mut assembly) = (Events::default(), Assembly::default());
    events.push(&bytes, |data| assembly.push(data));
    events.finish(|data| assembly.push(data));
    Ok(assembly.finish())
}

/// The messages that an `llm.request` sent.
fn sent(request: &Record, bodies: &Bodies) -> Result<Vec<Value>, Error> {
    let Some(body) = request.body() else {
        return Ok(Vec::new());
    };
    let mut body: Value = serde_json::from_slice(&bodies.load(&body)?).unwrap_or_default();
    Ok(match body.get_mut("messages").map(Value::take) {
        Some(Value::Array(messages)) => messages,
        _ => Vec::new(),
    })
}

fn recorded_result(record: &Record, bodies: &Bodies) -> Result<Option<(String, Value)>, Error> {
    let (Some(id), Some(body)) = (record.text("toolCallId"), record.body()) else {
        return Ok(None);
    };
    let content = String::from_utf8_lossy(&bodies.load(&body)?).into_owned();
    Ok(Some((id.to_owned(), content.into())))
}

/// The tool results in a request that got no answer: they are on record there, if it goes on from `before`.
fn carried_results(before: &[Value], unanswered: &[Value]) -> Vec<(String, Value)> {
    let goes_on = unanswered.len() > before.len()
        && before.iter().zip(unanswered).all(|(a, b)| canonical(a, false) == canonical(b, false));
    if !goes_on {
        return Vec::new();
    }
    let tail = &unanswered[before.len() + 1..];
    let results = tail.iter().take_while(|m| m.get("role").and_then(Value::as_str) == Some("tool"));
    results.filter_map(|m| Some((m.get("tool_call_id")?.as_str()?.to_owned(), m.get("content")?.clone()))).collect()
}

fn record_at(file: &mut File, path: &Path, at: u64) -> Result<Record, Error> {
    file.seek(SeekFrom::Start(at)).map_err(Error::io("read", path))?;
    let mut line = Vec::new();
    BufReader::new(file.take(MOST_LINE as u64 + 1)).read_until(b'\n', &mut line).map_err(Error::io("read", path))?;
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    understand(line).map_err(|reason| Error::Integrity { path: path.to_owned(), at, reason })
}
