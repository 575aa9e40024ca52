//! A run's LLM exchanges as a transcript that the replay provider answers from.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::Error;
use super::conversation::completion;
use super::records::{Bodies, Kind, Traffic};
use crate::provider::{Exchange, Header, Transcript};
use crate::run::id::Digest;

/// The transcript of all answered requests in `traffic`, the first answer to each conversation. Its text ends in a
/// newline.
///
/// # Errors
/// When a body cannot be read.
pub fn export(traffic: &Traffic, bodies: &Bodies) -> Result<String, Error> {
    let mut exchanges = Vec::new();
    let mut seen = HashSet::new();
    let mut turns: HashMap<String, u64> = HashMap::new();
    let mut model = None;
    for (request, outcome) in traffic.exchanges() {
        let Some(response) = outcome.filter(|o| o.kind == Kind::LlmResponse) else { continue };
        let Some(digest) = request.text("messagesDigest").and_then(|d| Digest::parse(d).ok()) else { continue };
        let Some(answer) = completion(response, bodies)? else { continue };
        if !answer.pointer("/choices/0/message").is_some_and(Value::is_object) || !seen.insert(digest.clone()) {
            continue;
        }
        let node = request.node.clone().unwrap_or_default();
        let turn = turns.entry(node.clone()).or_default();
        *turn += 1;
        model = model.or_else(|| request.text("model").map(str::to_owned));
        exchanges.push(Exchange { request: digest, hint: format!("node {node}, turn {turn}"), response: answer });
    }
    let header = Header {
        format: "taskforge-replay-v1".to_owned(),
        model: model.unwrap_or_else(|| "recorded".to_owned()),
        note: None,
    };
    let transcript = Transcript { header, exchanges };
    transcript.render().map_err(|e| Error::Record(e.to_string()))
}
