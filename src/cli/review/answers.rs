//! Answers from a file: each names what it decides on, as `--digest` does.

use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::engine::{self, Hand, Waiting, Word};
use crate::failure::{Failure, Kind};
use crate::registry::Registry;
use crate::run::command::Verdict;
use crate::run::id::{Digest, RunId};
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

/// What became of one line.
type Outcome = Result<(String, Value), Failure>;

pub(super) fn take(
    context: &Context<'_>,
    registry: &Registry,
    path: &Path,
    run: Option<&RunId>,
) -> Result<ExitCode, Failure> {
    let text = read(path)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    // A line that says nothing clear is found before anything is decided.
    let parsed: Vec<Line<'_>> = lines.map(|(at, line)| parse(at + 1, line)).collect::<Result<_, _>>()?;
    let mut outcomes: Vec<Option<Outcome>> = Vec::new();
    let mut items: Vec<Item<'_>> = Vec::new();
    for (at, line) in parsed.iter().enumerate() {
        outcomes.push(None);
        match line.verdict.map(|verdict| look(registry, run, at, verdict, line)) {
            None => {}
            Some(Ok(item)) => items.push(item),
            Some(Err(failure)) => outcomes[at] = Some(Err(failure)),
        }
    }
    let hand = Hand::new(&terminal::passphrase);
    while let Some(first) = items.first() {
        // Of one run together, as they were shown beside each other.
        let run = first.waiting.run.clone();
        let (together, others) = items.into_iter().partition(|item| item.waiting.run == run);
        items = others;
        for (at, outcome) in decide(registry, &hand, together) {
            outcomes[at] = Some(outcome);
        }
    }
    let (mut results, mut said, mut failed) = (Vec::new(), String::new(), None);
    for (line, outcome) in parsed.iter().zip(outcomes) {
        match outcome {
            None => {}
            Some(Ok((what, value))) => {
                said.push_str(&what);
                results.push(value);
            }
            Some(Err(failure)) => {
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
    let wrong = |what: String| {
        let message = format!("line {at} of the answers: {what}");
        Err(Failure::new(Kind::Usage, message)
            .hint("`approve ID DIGEST [COMMENT]`, `deny ID DIGEST COMMENT`, `skip ID`"))
    };
    let mut words = line.trim().splitn(4, char::is_whitespace);
    let mut word = || words.next().map(str::trim).unwrap_or_default();
    let (verb, id, digest, comment) = (word(), word(), word(), word());
    let verdict = match verb {
        "approve" => Some(Verdict::Approve),
        "deny" => Some(Verdict::Deny),
        "skip" => None,
        other => return wrong(format!("`{other}` is none of `approve`, `deny` and `skip`")),
    };
    if id.is_empty() {
        return wrong(format!("`{verb}` names no request"));
    }
    let digits = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match verdict {
        None if !digest.is_empty() => wrong(format!("`skip` takes an id and nothing else, and `{digest}` follows it")),
        None => Ok(Line { verdict, id, digest, comment }),
        Some(_) if digest.is_empty() => wrong("the digest that it decides on is missing".to_owned()),
        Some(_) if !digits(digest) => wrong(format!("`{digest}` is no digest")),
        Some(_) if digest.len() < SHORTEST_PREFIX => {
            wrong(format!("`{digest}` has {} digits of the digest, and {SHORTEST_PREFIX} are needed", digest.len()))
        }
        Some(Verdict::Deny) if comment.is_empty() => {
            wrong("a denial needs a word, which is the answer that the agent gets".to_owned())
        }
        Some(_) => Ok(Line { verdict, id, digest, comment }),
    }
}

/// One line with what it decides on.
struct Item<'a> {
    /// Which of the lines.
    at: usize,
    verdict: Verdict,
    comment: &'a str,
    waiting: Waiting,
    digest: Digest,
}

fn look<'a>(
    registry: &Registry,
    run: Option<&RunId>,
    at: usize,
    verdict: Verdict,
    line: &Line<'a>,
) -> Result<Item<'a>, Failure> {
    let waiting = engine::find_waiting(registry, line.id)?;
    if let Some(run) = run.filter(|run| **run != waiting.run) {
        return Err(Failure::new(Kind::Usage, format!("it is of run {}, and not of {run}", waiting.run)));
    }
    let shown = engine::show(registry, &waiting)?;
    let digest = digest_of(&waiting, &shown)?;
    if !digest.as_str().starts_with(line.digest) {
        let message =
            format!("what you decided on ({}) is not what stands there now ({})", line.digest, digest.short());
        return Err(Failure::new(Kind::Stale, message));
    }
    Ok(Item { at, verdict, comment: line.comment, waiting, digest })
}

fn word<'a>(item: &'a Item<'_>, terms: &'a Terms) -> Word<'a> {
    Word { verdict: item.verdict, digest: &item.digest, comment: item.comment, instead: &[], terms }
}

/// Decides on items of one run; what became of the line of each.
fn decide(registry: &Registry, hand: &Hand<'_>, items: Vec<Item<'_>>) -> Vec<(usize, Outcome)> {
    let terms = Terms::default();
    let words: Vec<Word<'_>> = items.iter().map(|item| word(item, &terms)).collect();
    let pairs: Vec<(&Waiting, &Word<'_>)> = items.iter().map(|item| &item.waiting).zip(&words).collect();
    let decided = match engine::decide_each(registry, &pairs, hand) {
        Ok(decided) => decided,
        Err(error) => {
            let failure = Failure::from(error);
            return items.iter().map(|item| (item.at, Err(failure.clone()))).collect();
        }
    };
    if let Some(item) = items.first()
        && decided.iter().any(Result::is_ok)
        && matches!(crate::registry::kill::read(registry.layout()), Ok(None))
    {
        // That the run goes on at once is a courtesy that the next tick would do.
        let _ = engine::tick(registry, &item.waiting.run);
    }
    let told = |item: &Item<'_>, decided: engine::Decided| {
        let said = format!("{}: {} {}\n", decided.id, decided.verdict, item.waiting.what);
        (said, json!({"id": decided.id, "decision": decided}))
    };
    let outcomes = items.iter().zip(decided);
    outcomes.map(|(item, decided)| (item.at, decided.map(|it| told(item, it)).map_err(Failure::from))).collect()
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
        for (wrong, why) in [
            ("approve 01J", "the digest that it decides on is missing"),
            ("approve 01J 0123", "`0123` has 4 digits of the digest, and 12 are needed"),
            ("approve 01J as-we-said-before", "`as-we-said-before` is no digest"),
            ("deny 01J 0123456789ab", "a denial needs a word"),
            ("yes 01J 0123456789ab", "`yes` is none of"),
            ("approve", "`approve` names no request"),
            ("skip", "`skip` names no request"),
            ("skip a b", "and `b` follows it"),
            ("a", "`a` is none of"),
        ] {
            let failure = parse(7, wrong).unwrap_err();
            assert!(failure.message.starts_with("line 7 of the answers: "), "{}", failure.message);
            assert!(failure.message.contains(why), "{wrong}: {}", failure.message);
        }
    }
}
