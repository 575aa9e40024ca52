//! The gate's records: one writer, so every line continues exactly what is before it.

use std::os::unix::fs::FileExt as _;
use std::path::Path;

use serde_json::Value;

use super::chain::{Step, Steps};
use super::digest_of;
use super::report::{Problem, Report, Traffic};
use crate::gate;
use crate::gate::records::{Bodies, BodyRef};
use crate::registry::beneath;
use crate::registry::error::{Error, Result};
use crate::registry::journal::chain::Chain;
use crate::registry::journal::scan::Head;
use crate::run::id::{Digest, RunId};

/// No larger body lies in the pack, in bytes.
const LARGEST_PACKED: usize = 4096;

/// Verifies the records in the folder `gate` of a run: of its own gate, or of a deployment's.
pub(super) fn verify(
    run: &RunId,
    gate: &Path,
    bytes: &[u8],
    heads: &[Head],
    bodies: &Path,
    report: &mut Report,
) -> Result<Traffic> {
    let file = gate.join("traffic.jsonl").display().to_string();
    let at = |step: &Step<'_>, what: String| Problem::of(&file, step.line, step.at, what);
    let start = Chain::traffic(run);
    let steps = Steps::of(start, bytes);
    let mut seq = 0;
    let mut head = Head { at: 0, digest: start.digest(), seq: 0 };
    for step in &steps.lines {
        if !step.whole {
            report.warnings.push(at(
                step,
                "has no newline: it is being written, or was cut off and never acknowledged".to_owned(),
            ));
            break;
        }
        // Voided: what a crash tore, overwritten by spaces. The chain covers the spaces.
        if step.text.iter().all(|byte| *byte == b' ') {
            continue;
        }
        let Ok(Value::Object(record)) = serde_json::from_slice::<Value>(step.text) else {
            report.problems.push(at(step, "is not a JSON object".to_owned()));
            continue;
        };
        if !step.text.is_ascii() || step.text.first() != Some(&b'{') || step.text.last() != Some(&b'}') {
            report.problems.push(at(step, "is not written as the gate writes its lines".to_owned()));
        }
        seq += 1;
        let number = |key: &str| record.get(key).and_then(Value::as_u64);
        if number("seq") != Some(seq) {
            report.problems.push(at(step, format!("has seq {:?} where {seq} is due", number("seq"))));
            seq = number("seq").unwrap_or(seq);
        }
        if number("at") != Some(step.at) {
            report.problems.push(at(step, format!("says that it stands at byte {:?}", number("at"))));
        }
        let prev = record.get("prev").and_then(Value::as_str);
        if prev != steps.digest(step.at).map(Digest::as_str) {
            report
                .problems
                .push(at(step, "does not continue what stands before it: bytes there have changed".to_owned()));
        }
        if let Some(what) = record.get("body").map(|body| check_body(body, bodies)).transpose()?.flatten() {
            report.problems.push(at(step, what));
        }
        head = Head { at: step.end(), digest: steps.digest(step.end()).cloned().unwrap_or(head.digest), seq };
    }
    for expected in heads {
        if steps.digest(expected.at) != Some(&expected.digest) {
            let what = format!("has other first {} bytes than the journal says, or fewer", expected.at);
            report.problems.push(Problem::of(&file, 0, 0, what));
        }
    }
    Ok(Traffic { records: seq, head })
}

/// A body is stored under its digest, beside the records. One that retention removed is missing, which is not wrong.
fn check_body(body: &Value, bodies: &Path) -> Result<Option<String>> {
    let Some(name) = body.get("sha256").and_then(Value::as_str) else { return Ok(None) };
    let Ok(expected) = Digest::parse(name) else {
        return Ok(Some("names a body by something that is no digest".to_owned()));
    };
    if !bodies.is_dir() {
        return Ok(None);
    }
    if body.get("continues") == Some(&Value::Bool(true)) {
        return Ok(check_continued(body, bodies));
    }
    if let Some(at) = body.get("pack").and_then(Value::as_u64) {
        return check_packed(&expected, at, body.get("bytes").and_then(Value::as_u64), bodies);
    }
    match digest_of(bodies, Path::new(expected.as_str()))? {
        Some(found) if found != expected => Ok(Some(format!("names body {}, which has changed", expected.short()))),
        _ => Ok(None),
    }
}

/// A body that goes on from others is put together from all of them. One of which a part was taken away is missing, which
/// is not wrong.
fn check_continued(body: &Value, bodies: &Path) -> Option<String> {
    let known: BodyRef = match serde_json::from_value(body.clone()) {
        Ok(known) => known,
        Err(error) => return Some(format!("names a body in a way that is not known: {error}")),
    };
    match bodies.parent().map(|gate| Bodies::of(gate).load(&known)) {
        Some(Err(gate::Error::BodyMissing { .. })) | Some(Ok(_)) | None => None,
        Some(Err(_)) => Some(format!("names body {}, which has changed", known.sha256.short())),
    }
}

/// A small body lies in the pack. One that was taken away is zeros, which is not wrong.
fn check_packed(expected: &Digest, at: u64, size: Option<u64>, bodies: &Path) -> Result<Option<String>> {
    let path = bodies.join("pack");
    let folder = std::fs::File::open(bodies).map_err(Error::io("open", bodies))?;
    let Ok(pack) = beneath::open(&folder, Path::new("pack")) else { return Ok(None) };
    let size = size.and_then(|size| usize::try_from(size).ok()).filter(|size| *size <= LARGEST_PACKED);
    let Some(size) = size else { return Ok(Some(format!("names body {} of another size", expected.short()))) };
    let mut bytes = vec![0; size];
    match pack.read_exact_at(&mut bytes, at) {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            return Ok(Some(format!("names body {}, behind the end of the pack", expected.short())));
        }
        Err(e) => return Err(Error::io("read", path)(e)),
    }
    let sound = Digest::of(&bytes) == *expected || bytes.iter().all(|byte| *byte == 0);
    Ok((!sound).then(|| format!("names body {}, which has changed", expected.short())))
}
