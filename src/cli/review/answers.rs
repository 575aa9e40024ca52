//! Answers from a file: each names what it decides on, as `--digest` does.

use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::engine::{self, Hand, Word};
use crate::failure::{Failure, Kind};
use crate::registry::Registry;
use crate::run::command::Verdict;
use crate::run::terms::Terms;

use super::super::decision::{SHORTEST_PREFIX, digest_of};
use super::super::root::Context;
use super::super::terminal;

/// The largest file of answers, in bytes.
const LARGEST: u64 = 1 << 20;

/// One line of it.
#[derive(Debug, PartialEq)]
struct Line<'a> {
    /// None to leave it for later.
    verdict: Option<Verdict>,
    id: &'a str,
    digest: &'a str,
    comment: &'a str,
}

pub(super) fn take(context: &Context<'_>, registry: &Registry, path: &Path) -> Result<ExitCode, Failure> {
    let text = read(path)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    // A line that says nothing clear is found before anything is decided.
    let parsed: Vec<Line<'_>> = lines.map(|(at, line)| parse(at + 1, line)).collect::<Result<_, _>>()?;
    let hand = Hand::new(&terminal::passphrase);
    let (mut results, mut said, mut failed) = (Vec::new(), String::new(), None);
    for line in &parsed {
        let Some(verdict) = line.verdict else { continue };
        match decide(registry, &hand, verdict, line) {
            Ok((what, value)) => {
                said.push_str(&what);
                results.push(value);
            }
            Err(failure) => {
                said.push_str(&format!("{}: not decided: {}\n", line.id, failure.message));
                results.push(json!({"id": line.id, "problem": failure.message}));
                failed.get_or_insert(failure.kind);
            }
        }
    }
    context.output.result(&json!({"answers": results}), || terminal::plain(&said))?;
    Ok(failed.map_or(ExitCode::SUCCESS, |kind| ExitCode::from(kind.exit_code())))
}

fn read(path: &Path) -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::new(Kind::Failed, format!("cannot read {}: {error}", path.display()));
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(LARGEST + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_string(&mut text))
    };
    read.map_err(failed)?;
    if text.len() as u64 > LARGEST {
        return Err(Failure::new(Kind::Usage, format!("{} is larger than {LARGEST} bytes", path.display())));
    }
    Ok(text)
}

fn parse(at: usize, line: &str) -> Result<Line<'_>, Failure> {
    let wrong = || {
        let message = format!("line {at} of the answers is none");
        Failure::new(Kind::Usage, message).hint("`approve ID DIGEST [COMMENT]`, `deny ID DIGEST COMMENT`, `skip ID`")
    };
    let mut words = line.trim().splitn(4, char::is_whitespace);
    let mut word = || words.next().map(str::trim).unwrap_or_default();
    let (verb, id, digest, comment) = (word(), word(), word(), word());
    let verdict = match verb {
        "approve" => Some(Verdict::Approve),
        "deny" => Some(Verdict::Deny),
        "skip" => None,
        _ => return Err(wrong()),
    };
    let clear = match verdict {
        None => digest.is_empty(),
        Some(Verdict::Deny) => digest.len() >= SHORTEST_PREFIX && !comment.is_empty(),
        Some(_) => digest.len() >= SHORTEST_PREFIX,
    };
    if id.is_empty() || !clear { Err(wrong()) } else { Ok(Line { verdict, id, digest, comment }) }
}

fn decide(registry: &Registry, hand: &Hand<'_>, verdict: Verdict, line: &Line<'_>) -> Result<(String, Value), Failure> {
    let waiting = engine::find_waiting(registry, line.id)?;
    let shown = engine::show(registry, &waiting)?;
    let digest = digest_of(&waiting, &shown)?;
    if !digest.as_str().starts_with(line.digest) {
        let message =
            format!("what you decided on ({}) is not what stands there now ({})", line.digest, digest.short());
        return Err(Failure::new(Kind::Stale, message));
    }
    let terms = Terms::default();
    let word = Word { verdict, digest: &digest, comment: line.comment, instead: &[], terms: &terms };
    let decided = engine::decide_on(registry, &waiting, &word, hand)?;
    if crate::registry::kill::read(registry.layout())?.is_none() {
        // That the run goes on at once is a courtesy that the next tick would do.
        let _ = engine::tick(registry, &waiting.run);
    }
    let said = format!("{}: {} {}\n", decided.id, decided.verdict, waiting.what);
    Ok((said, json!({"id": decided.id, "decision": decided})))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_line_says_what_it_decides_on_or_is_refused() {
        let line = parse(1, "approve 01J 0123456789ab as we said ").unwrap();
        assert_eq!((line.verdict, line.digest, line.comment), (Some(Verdict::Approve), "0123456789ab", "as we said"));
        assert_eq!(parse(1, "skip 01J").unwrap().verdict, None);
        for wrong in [
            "approve 01J",
            "approve 01J 0123",
            "deny 01J 0123456789ab",
            "yes 01J 0123456789ab",
            "skip",
            "skip a b",
            "a",
        ] {
            parse(1, wrong).unwrap_err();
        }
    }
}
