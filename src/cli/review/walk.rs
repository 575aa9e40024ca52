//! One request after the other, on a terminal.

use std::process::ExitCode;

use crate::engine::{self, Hand, Shown, Trial, Waiting, Word};
use crate::failure::{Failure, Kind};
use crate::registry::Registry;
use crate::run::command::Verdict;
use crate::run::terms::Terms;

use super::super::decision::{digest_of, shown_text};
use super::super::edited::{self, Edit, Made};
use super::super::root::Context;
use super::super::terminal;

const KEYS: &str = "a  approve exactly this
d  deny it, with a word on why
e  edit the list of what would be granted; it is shown anew
s  leave it for later
q  end here; the rest stays as it is
?  this list";

/// What became of one that was asked about.
enum Next {
    /// Decided, or left for later.
    On,
    /// It has changed, or another list of it was made, and is shown again.
    Again(Option<Box<Trial>>),
    End,
}

pub(super) fn walk(context: &Context<'_>, registry: &Registry, all: Vec<Waiting>) -> Result<ExitCode, Failure> {
    if all.is_empty() {
        context.output.note("Nothing waits for you.");
        return Ok(ExitCode::SUCCESS);
    }
    let hand = Hand::new(&terminal::passphrase);
    let count = all.len();
    let mut decided = 0;
    'all: for (at, waiting) in all.into_iter().enumerate() {
        let mut trial = None;
        loop {
            match one(context, registry, &hand, (&waiting, trial.take()), (at + 1, count), &mut decided) {
                Ok(Next::On) => break,
                Ok(Next::Again(tried)) => trial = tried,
                Ok(Next::End) => break 'all,
                // Of this one only: the others are as good as before.
                Err(failure) => {
                    context.output.failure(&failure);
                    break;
                }
            }
        }
    }
    let rest = engine::inbox(registry)?.waiting.len();
    context.output.note(format!("{decided} decided; {rest} waiting."));
    Ok(ExitCode::SUCCESS)
}

fn one(
    context: &Context<'_>,
    registry: &Registry,
    hand: &Hand<'_>,
    (waiting, trial): (&Waiting, Option<Box<Trial>>),
    (at, count): (usize, usize),
    decided: &mut usize,
) -> Result<Next, Failure> {
    // What one decision brings along may have answered it, or changed what it comes down to.
    let waiting = match engine::find_waiting(registry, waiting.id.as_str()) {
        Ok(waiting) => waiting,
        Err(engine::Error::DecidedBefore { .. } | engine::Error::NothingWaits(_)) => return Ok(Next::On),
        Err(error) => return Err(error.into()),
    };
    let stands = engine::show(registry, &waiting)?;
    let shown = trial.as_ref().map_or_else(|| stands.clone(), |trial| Shown::Capability(trial.review.clone()));
    let digest = digest_of(&waiting, &shown)?;
    context.output.note(format!("\n({at} of {count})\n{}", shown_text(&waiting, &shown, &digest)));
    let (verdict, comment) = loop {
        let Some(key) = ask("Approve this? [a,d,e,s,q,?]")? else { return Ok(Next::End) };
        match key.as_str() {
            "a" => match ask("A word with it, if any:")? {
                Some(comment) => break (Verdict::Approve, comment),
                None => return Ok(Next::End),
            },
            "d" => match ask("Why, and what to do instead:")? {
                Some(comment) if comment.is_empty() => {
                    context.output.note("A denial needs a word; nothing was decided.")
                }
                Some(comment) => break (Verdict::Deny, comment),
                None => return Ok(Next::End),
            },
            "e" => {
                return Ok(match edited::make(registry, &waiting, &Edit::InEditor)? {
                    Made::Tried(tried) => Next::Again(Some(tried)),
                    Made::Same | Made::Nothing => Next::Again(None),
                });
            }
            "s" => return Ok(Next::On),
            "q" => return Ok(Next::End),
            _ => context.output.note(KEYS),
        }
    };
    // A list is made with the word that grants it; who denies denies what was asked for.
    let digest = match (&trial, verdict) {
        (Some(trial), Verdict::Approve) => {
            engine::make_list(registry, trial)?;
            digest
        }
        _ => digest_of(&waiting, &stands)?,
    };
    let terms = Terms::default();
    let word = Word { verdict, digest: &digest, comment: &comment, instead: &[], terms: &terms };
    match engine::decide_on(registry, &waiting, &word, hand) {
        Ok(made) => {
            *decided += 1;
            context.output.note(format!("{} {} ({}).", made.verdict, waiting.what, digest.short()));
        }
        Err(error @ (engine::Error::RuledAnew { .. } | engine::Error::Refused { .. })) => {
            let failure = Failure::from(error);
            let stale = matches!(failure.kind, Kind::Stale | Kind::Refused);
            context.output.failure(&failure);
            // What it was shown beside has changed: the next tick shows it anew.
            if stale && engine::tick(registry, &waiting.run).is_ok() {
                return Ok(Next::Again(None));
            }
            return Ok(Next::On);
        }
        Err(error) => return Err(error.into()),
    }
    if crate::registry::kill::read(registry.layout())?.is_none()
        && let Err(error) = engine::tick(registry, &waiting.run)
    {
        context.output.warn(&format!("warning: the run does not go on yet: {error}"));
    }
    Ok(Next::On)
}

/// The answer to `question`; none at the end of the input.
fn ask(question: &str) -> Result<Option<String>, Failure> {
    terminal::ask_or_end(question).map_err(|error| Failure::new(Kind::Failed, error.to_string()))
}
