//! Lifting the kill switch: a statement of who does it, of which kill and why, signed where approvers are configured. It
//! names the kill by its time and digest, so that it lifts no other one. What was signed is looked at again by whoever verifies.

use chrono::Utc;
use serde::{Deserialize, Serialize};

use crate::audit::{Lifts, Problem};
use crate::registry::Registry;
use crate::registry::kill::{self as switch, Kill, Lifted, Lifting};
use crate::run::id::Digest;
use crate::run::time::{isoformat, parse_time};
use crate::signature::{self, AllowedSigners};

use super::super::actor::operator;
use super::super::approvers::{Hand, approvers};
use super::super::error::Error;

/// Where the lifts are on record.
const HISTORY: &str = ".taskforge/kill/history.jsonl";

/// What is signed, as it lies in `.taskforge/kill/`.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Statement {
    format: u32,
    registry: String,
    /// SHA-256 of the kill, as compact JSON.
    kill: Digest,
    killed_at: String,
    reason: String,
    by: String,
    at: String,
}

impl Statement {
    fn of(registry: &Registry, killed: &Kill, reason: &str, by: &str, at: &str) -> Result<Self, Error> {
        Ok(Self {
            format: 1,
            registry: registry.id()?,
            kill: Digest::of(&serde_json::to_vec(killed).map_err(Error::Json)?),
            killed_at: killed.at.clone(),
            reason: reason.to_owned(),
            by: by.to_owned(),
            at: at.to_owned(),
        })
    }
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
    let statement = Statement::of(registry, killing, reason, &by, &isoformat(now))?;
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

/// What is on record of those who lifted the kill switch, held against the registry's list of who may sign or against
/// `given`.
///
/// # Errors
/// When what is on record cannot be read.
pub fn verify_lifts(registry: &Registry, given: Option<&AllowedSigners>) -> Result<Lifts, Error> {
    let mut found = Lifts::default();
    let lifts = switch::lifts(registry.layout())?;
    if lifts.is_empty() {
        return Ok(found);
    }
    let allowed = match given {
        Some(allowed) => allowed.clone(),
        None => approvers(registry)?.unwrap_or_default(),
    };
    for (line, (byte, lift)) in (1..).zip(&lifts) {
        found.lifts += 1;
        found.signatures += u64::from(lift.as_ref().is_some_and(|lift| lift.lifted.statement.is_some()));
        let what = match lift {
            Some(lift) => stands(registry, &allowed, lift)?,
            None => Some("cannot be read".to_owned()),
        };
        found.problems.extend(what.map(|what| Problem::of(HISTORY, line, *byte, what)));
    }
    Ok(found)
}

/// What of one lift does not hold; of one that was made when nobody had to sign there is nothing to hold.
fn stands(registry: &Registry, allowed: &AllowedSigners, lift: &Lifted) -> Result<Option<String>, Error> {
    let Lifted { killed, lifted } = lift;
    let Some(name) = &lifted.statement else { return Ok(None) };
    let Some((bytes, signature)) = switch::statement(registry.layout(), name)? else {
        return Ok(Some(format!("{name} or its signature is gone")));
    };
    let said = Statement::of(registry, killed, &lifted.reason, &lifted.by, &lifted.at)?;
    if serde_json::from_slice::<Statement>(&bytes).ok() != Some(said) {
        return Ok(Some(format!("{name} says something else than this line")));
    }
    let Some(at) = parse_time(&lifted.at) else { return Ok(Some("its time cannot be read".to_owned())) };
    let by = lifted.by.split_once(':').map_or("", |(_, name)| name);
    let signed = allowed.verify(signature::UNLOCK, by, &bytes, &signature, &[at]);
    Ok(signed.err().map(|error| format!("{name}: {error}")))
}
