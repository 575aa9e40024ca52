//! `taskforge agent result JSON|-`.

use std::io::{Read, Write};
use std::path::Path;

use serde_json::{Value, json};

use super::answer;
use crate::agent::error::AgentError;
use crate::agent::exit;
use crate::agent::gate_client::GateClient;

/// The gate's own limit.
const LIMIT: u64 = 256 * 1024;

/// Hands in the node's structured result: a JSON object of at most 256 KiB. `text` is the object, or `-` to read it
/// from `input`.
#[must_use]
pub fn result(socket: &Path, text: &str, input: &mut dyn Read, out: &mut dyn Write) -> u8 {
    let gate = GateClient::new(socket, super::PATIENCE);
    answer(out, async {
        let object = read(text, input)?;
        gate.post("/taskforge/v1/result", &object).await?.accepted()?;
        Ok((json!({"accepted": true}), exit::DONE))
    })
}

fn read(text: &str, input: &mut dyn Read) -> Result<Value, AgentError> {
    let mut read = String::new();
    let text = if text == "-" {
        let got = input.take(LIMIT + 1).read_to_string(&mut read);
        got.map_err(|error| AgentError::Usage(format!("cannot read the result from stdin: {error}")))?;
        &read
    } else {
        text
    };
    if text.len() as u64 > LIMIT {
        return Err(AgentError::Usage(format!("the result has more than {LIMIT} bytes; write a file and name it")));
    }
    match serde_json::from_str(text) {
        Ok(object @ Value::Object(_)) => Ok(object),
        Ok(_) => Err(AgentError::Usage("the result is not a JSON object, such as {\"summary\":\"…\"}".into())),
        Err(error) => Err(AgentError::Usage(format!("the result is not JSON: {error}"))),
    }
}
