//! `taskforge agent request CAPABILITY --reason TEXT [--wait SECONDS] [--when TIMES --task TEXT] [--folder FOLDER] [-- PROGRAM …]`.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::answer;
use crate::agent::capability_request::{poll, request_id};
use crate::agent::decision::Standing;
use crate::agent::error::AgentError;
use crate::agent::exit;
use crate::agent::gate_client::GateClient;
use crate::run::deployment::Proposal;
use crate::run::timetable::Timetable;

/// What a capability is asked for with, where its name does not say all.
#[derive(Debug, Default)]
pub struct With {
    /// What is to be deployed on a `port`.
    pub deploy: Option<Proposal>,
    /// When a `schedule` does what.
    pub schedule: Option<Timetable>,
}

/// Asks for a capability, with what belongs to it, and waits up to `wait` for the decision. Prints `{"id","capability","status",…}`. Exit code
/// 0 if it is approved, 75 if it is pending, 4 if it is denied or cannot be had, 2 if the gate refuses its grammar.
#[must_use]
pub fn request(socket: &Path, capability: &str, reason: &str, with: &With, wait: Duration, out: &mut dyn Write) -> u8 {
    let gate = GateClient::new(socket, super::PATIENCE);
    answer(out, async {
        let mut body = json!({"capability": capability, "reason": reason});
        if let Some(deploy) = &with.deploy {
            body["deploy"] = json!(deploy);
        }
        if let Some(schedule) = &with.schedule {
            body["schedule"] = json!(schedule);
        }
        let reply = gate.post("/taskforge/v1/capabilities", &body).await?;
        if reply.status == 422 {
            return Ok((super::described(&AgentError::Refused(Box::new(reply.refusal()))), exit::USAGE));
        }
        let id = request_id(&reply, &reply.json()?)?;
        let until = Instant::now() + wait;
        let (status, told, code) = match poll(&gate, &id, until).await? {
            Standing::Pending => ("pending".to_owned(), json!({}), exit::SUSPENDED),
            Standing::Approved(told) => (status(&told), told, exit::DONE),
            Standing::Refused(told) => (status(&told), told, exit::DENIED),
        };
        super::asked::note(&id, code != exit::SUSPENDED);
        let mut printed = json!({"id": id, "capability": capability, "status": status});
        for (name, value) in told.as_object().into_iter().flatten() {
            printed[name] = value.clone();
        }
        Ok((printed, code))
    })
}

fn status(told: &Value) -> String {
    told.get("status").and_then(Value::as_str).unwrap_or_default().to_owned()
}
