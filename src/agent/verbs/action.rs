//! `taskforge agent action NAME --arg KEY=VALUE`.

use std::io::{Read, Write};
use std::path::Path;

use serde_json::{Map, Value, json};

use super::answer;
use crate::agent::error::AgentError;
use crate::agent::exit;
use crate::agent::gate_client::GateClient;

/// The gate's own limit.
const LIMIT: u64 = 512 * 1024;

/// What a person or a script asks for.
#[derive(Debug, Clone, Default)]
pub struct ActionCall {
    /// `github.pr.comment`; none to list what may be done.
    pub name: Option<String>,
    /// `key=value`, each a text.
    pub args: Vec<String>,
    /// All arguments as a JSON object, or `-` to read it from the input.
    pub json: Option<String>,
    /// Tells one of several that are the same from the others.
    pub key: Option<String>,
}

/// Has the gate do something, or lists what it would do.
#[must_use]
pub fn action(socket: &Path, call: &ActionCall, input: &mut dyn Read, out: &mut dyn Write) -> u8 {
    let gate = GateClient::new(socket, super::PATIENCE);
    answer(out, async {
        let Some(name) = &call.name else {
            return Ok((gate.get("/taskforge/v1/actions").await?.json()?, exit::DONE));
        };
        let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
        if name.is_empty() || name.len() > 128 || !name.chars().all(word) {
            return Err(AgentError::Usage(format!("{name:?} is no action: lower-case words with dots between them")));
        }
        let mut body = json!({"arguments": arguments(call, input)?});
        if let Some(key) = &call.key {
            body["key"] = key.as_str().into();
        }
        Ok((gate.post(&format!("/taskforge/v1/actions/{name}"), &body).await?.json()?, exit::DONE))
    })
}

fn arguments(call: &ActionCall, input: &mut dyn Read) -> Result<Map<String, Value>, AgentError> {
    let usage = |what: String| AgentError::Usage(what);
    let mut arguments = match call.json.as_deref() {
        None => Map::new(),
        Some(text) => {
            let mut read = String::new();
            let text = if text == "-" {
                let got = input.take(LIMIT + 1).read_to_string(&mut read);
                got.map_err(|error| usage(format!("cannot read the arguments from stdin: {error}")))?;
                &read
            } else {
                text
            };
            match serde_json::from_str(text) {
                Ok(Value::Object(object)) => object,
                Ok(_) => return Err(usage("the arguments are not a JSON object".to_owned())),
                Err(error) => return Err(usage(format!("the arguments are not JSON: {error}"))),
            }
        }
    };
    for pair in &call.args {
        let (key, value) = pair.split_once('=').ok_or_else(|| usage(format!("{pair:?} is not KEY=VALUE")))?;
        if arguments.insert(key.to_owned(), value.into()).is_some() {
            return Err(usage(format!("the argument {key:?} is given twice")));
        }
    }
    Ok(arguments)
}
