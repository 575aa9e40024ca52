//! Lifting the kill switch: a statement of who does it, of which kill and why, signed where approvers are configured. It
//! names the kill by its time and digest, so that it lifts no other one.

use chrono::Utc;
use serde::Serialize;

use crate::registry::Registry;
use crate::registry::kill::{Kill, Lifting};
use crate::run::id::Digest;
use crate::run::time::isoformat;
use crate::signature;

use super::super::actor::operator;
use super::super::approvers::{Hand, approvers};
use super::super::error::Error;

/// What is signed, as it lies in `.taskforge/kill/`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Statement<'a> {
    format: u32,
    registry: &'a str,
    /// SHA-256 of the kill, as compact JSON.
    kill: Digest,
    killed_at: &'a str,
    reason: &'a str,
    by: &'a str,
    at: String,
}

/// The statement that lifts `killing`; an unsigned one where nobody has to sign.
///
/// # Errors
/// When nobody who may lift it signs.
pub(super) fn sign(registry: &Registry, killing: &Kill, reason: &str, hand: &Hand<'_>) -> Result<Lifting, Error> {
    let allowed = approvers(registry)?;
    let signer = allowed.as_ref().map(|allowed| hand.signer(allowed, signature::UNLOCK)).transpose()?;
    let by = signer.map_or_else(operator, |signer| format!("operator:{}", signer.name()));
    let now = Utc::now();
    let statement = Statement {
        format: 1,
        registry: &registry.id()?,
        kill: Digest::of(&serde_json::to_vec(killing).map_err(Error::Json)?),
        killed_at: &killing.at,
        reason,
        by: &by,
        at: isoformat(now),
    };
    let mut text = serde_json::to_string_pretty(&statement).map_err(Error::Json)?;
    text.push('\n');
    let signature = match (signer, &allowed) {
        (Some(signer), Some(allowed)) => {
            let armoured = signer.sign(signature::UNLOCK, text.as_bytes())?;
            allowed.verify(signature::UNLOCK, signer.name(), text.as_bytes(), armoured.as_bytes(), &[now])?;
            Some(armoured)
        }
        _ => None,
    };
    Ok(Lifting { reason: reason.to_owned(), by, at: isoformat(now), statement: text, signature })
}
