//! `taskforge agent progress MESSAGE`.

use std::io::Write;
use std::path::Path;

use serde_json::json;

use super::answer;
use crate::agent::exit;
use crate::agent::gate_client::GateClient;

/// Tells whoever watches the run what happens now. `message`: at most 4 KiB, by the gate's rule.
#[must_use]
pub fn progress(socket: &Path, message: &str, out: &mut dyn Write) -> u8 {
    let gate = GateClient::new(socket, super::PATIENCE);
    answer(out, async {
        gate.post("/taskforge/v1/progress", &json!({"message": message})).await?.accepted()?;
        Ok((json!({"accepted": true}), exit::DONE))
    })
}
