//! `taskforge agent memory list|get|set|rm`.

use std::io::{Read, Write};
use std::path::Path;

use serde_json::{Value, json};

use super::answer;
use crate::agent::error::AgentError;
use crate::agent::exit;
use crate::agent::gate_client::{GateClient, Reply};

/// The gate's own limit, and a byte to see that there is more.
const LIMIT: u64 = 16 * 1024 + 1;
const PLACE: &str = "/taskforge/v1/memory";

/// What is to be done with the memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemoryVerb {
    List,
    Get {
        key: String,
    },
    /// Without a `value` it is read from the input.
    Set {
        key: String,
        value: Option<String>,
    },
    Rm {
        key: String,
    },
}

/// Works with the agent's own memory. Exit code 0 if it was done, 3 if there is nothing under the key, 4 if the role does
/// not allow it.
#[must_use]
pub fn memory(socket: &Path, verb: MemoryVerb, input: &mut dyn Read, out: &mut dyn Write) -> u8 {
    let gate = GateClient::new(socket, super::PATIENCE);
    answer(out, async {
        let reply = ask(&gate, verb, input).await?;
        match reply.status {
            404 => Ok((super::described(&AgentError::Refused(Box::new(reply.refusal()))), exit::NOTHING)),
            403 => Ok((super::described(&AgentError::Refused(Box::new(reply.refusal()))), exit::DENIED)),
            400..=499 => Ok((super::described(&AgentError::Refused(Box::new(reply.refusal()))), exit::USAGE)),
            _ => Ok((reply.json()?, exit::DONE)),
        }
    })
}

/// Asks the gate; its answer, whatever it says.
pub(crate) async fn ask(gate: &GateClient, verb: MemoryVerb, input: &mut dyn Read) -> Result<Reply, AgentError> {
    match verb {
        MemoryVerb::List => gate.get(PLACE).await,
        MemoryVerb::Get { key } => gate.get(&format!("{PLACE}/{}", plain(&key)?)).await,
        MemoryVerb::Set { key, value } => {
            let value = value.map_or_else(|| read(input), Ok)?;
            gate.post(PLACE, &json!({"key": key, "value": value})).await
        }
        MemoryVerb::Rm { key } => gate.post(PLACE, &json!({"key": key, "value": Value::Null})).await,
    }
}

/// A key goes into a path here: only what needs no escaping does.
fn plain(key: &str) -> Result<&str, AgentError> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if !key.is_empty() && key.bytes().all(fits) {
        return Ok(key);
    }
    Err(AgentError::Usage("a key holds lower-case letters, digits, `.`, `_` and `-`".to_owned()))
}

fn read(input: &mut dyn Read) -> Result<String, AgentError> {
    let mut bytes = Vec::new();
    input
        .take(LIMIT)
        .read_to_end(&mut bytes)
        .map_err(|error| AgentError::Usage(format!("the value cannot be read: {error}")))?;
    String::from_utf8(bytes).map_err(|_| AgentError::Usage("the value is not UTF-8".to_owned()))
}
