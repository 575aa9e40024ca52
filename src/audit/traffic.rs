//! The gate's records: one writer, so every line continues exactly what is before it.

use std::collections::BTreeSet;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use serde_json::Value;

use super::chain::{Step, Steps};
use super::digest_of;
use super::report::{Problem, Report, Traffic};
use crate::gate;
use crate::gate::records::{Bodies, BodyRef, Kind};
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
    let (mut missing, mut redacted) = (Vec::new(), BTreeSet::new());
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
        match record.get("body").map(|body| check_body(body, bodies)).transpose()?.unwrap_or(Stored::Whole) {
            Stored::Whole => {}
            Stored::Wrong(what) => report.problems.push(at(step, what)),
            Stored::Missing(body) => missing
                .push((seq, at(step, format!("names body {body}, which is not there, and no redaction says why")))),
        }
        if record.get("kind").and_then(Value::as_str) == Some(Kind::Redacted.as_str()) {
            let named = record.get("records").and_then(Value::as_array).into_iter().flatten();
            redacted.extend(named.filter_map(Value::as_u64));
        }
        head = Head { at: step.end(), digest: steps.digest(step.end()).cloned().unwrap_or(head.digest), seq };
    }
    report.problems.extend(missing.into_iter().filter(|(seq, _)| !redacted.contains(seq)).map(|(_, problem)| problem));
    for expected in heads {
        if steps.digest(expected.at) != Some(&expected.digest) {
            let what = format!("has other first {} bytes than the journal says, or fewer", expected.at);
            report.problems.push(Problem::of(&file, 0, 0, what));
        }
    }
    Ok(Traffic { records: seq, head })
}

/// What became of a body.
enum Stored {
    Whole,
    /// It is not there, by the start of its digest: it was taken out of the records, or somebody removed it.
    Missing(String),
    Wrong(String),
}

/// A body is stored under its digest, beside the records.
fn check_body(body: &Value, bodies: &Path) -> Result<Stored> {
    let Some(name) = body.get("sha256").and_then(Value::as_str) else { return Ok(Stored::Whole) };
    let Ok(expected) = Digest::parse(name) else {
        return Ok(Stored::Wrong("names a body by something that is no digest".to_owned()));
    };
    if !bodies.is_dir() {
        return Ok(Stored::Missing(expected.short().to_owned()));
    }
    if body.get("continues") == Some(&Value::Bool(true)) {
        return Ok(check_continued(body, bodies));
    }
    if let Some(at) = body.get("pack").and_then(Value::as_u64) {
        return check_packed(&expected, at, body.get("bytes").and_then(Value::as_u64), bodies);
    }
    Ok(match digest_of(bodies, Path::new(expected.as_str()))? {
        Some(found) if found != expected => changed(&expected),
        Some(_) => Stored::Whole,
        None => Stored::Missing(expected.short().to_owned()),
    })
}

fn changed(body: &Digest) -> Stored {
    Stored::Wrong(format!("names body {}, which has changed", body.short()))
}

/// A body that goes on from others is put together from all of them. One of which a part is missing is missing.
fn check_continued(body: &Value, bodies: &Path) -> Stored {
    let known: BodyRef = match serde_json::from_value(body.clone()) {
        Ok(known) => known,
        Err(error) => return Stored::Wrong(format!("names a body in a way that is not known: {error}")),
    };
    match bodies.parent().map(|gate| Bodies::of(gate).load(&known)) {
        Some(Ok(_)) => Stored::Whole,
        Some(Err(gate::Error::BodyMissing { .. })) | None => Stored::Missing(known.sha256.short().to_owned()),
        Some(Err(_)) => changed(&known.sha256),
    }
}

/// A small body lies in the pack. One that was taken away is zeros.
fn check_packed(expected: &Digest, at: u64, size: Option<u64>, bodies: &Path) -> Result<Stored> {
    let path = bodies.join("pack");
    let folder = std::fs::File::open(bodies).map_err(Error::io("open", bodies))?;
    let missing = || Ok(Stored::Missing(expected.short().to_owned()));
    let Ok(pack) = beneath::open(&folder, Path::new("pack")) else { return missing() };
    let size = size.and_then(|size| usize::try_from(size).ok()).filter(|size| *size <= LARGEST_PACKED);
    let Some(size) = size else {
        return Ok(Stored::Wrong(format!("names body {} of another size", expected.short())));
    };
    let mut bytes = vec![0; size];
    match pack.read_exact_at(&mut bytes, at) {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            return Ok(Stored::Wrong(format!("names body {}, behind the end of the pack", expected.short())));
        }
        Err(e) => return Err(Error::io("read", path)(e)),
    }
    match Digest::of(&bytes) == *expected {
        true => Ok(Stored::Whole),
        false if bytes.iter().all(|byte| *byte == 0) => missing(),
        false => Ok(changed(expected)),
    }
}
