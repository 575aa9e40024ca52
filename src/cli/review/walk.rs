//! One request after the other, on a terminal.

use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::ValueEnum as _;

use crate::engine::{self, Hand, Shown, Trial, Waiting, Word};
use crate::failure::{Failure, Kind};
use crate::registry::Registry;
use crate::run::capability::Capability;
use crate::run::command::Verdict;
use crate::run::terms::Terms;
use crate::run::{quantity, time};

use super::super::approve::For;
use super::super::decision::{Answer, digest_of, shown_text};
use super::super::edited::{self, Edit, Made};
use super::super::root::Context;
use super::super::terminal;

const KEYS: &str = "a  approve exactly this
d  deny it, with a word on why
i  answer with what may be asked for instead
e  edit the list of what would be granted; it is shown anew
t  grant it for a time only, or until one
f  say for whom: this run, its workflow or its role
k  go back to the one before
s  leave it for later
q  end here; the rest stays as it is
?  this list";

/// What became of one that was asked about.
enum Next {
    /// Decided, or left for later.
    On,
    /// It has changed, or another list of it was made, and is shown again.
    Again(Option<Box<Trial>>),
    Back,
    End,
}

/// The bounds that somebody gave a grant before the word on it.
#[derive(Default)]
struct Bounds {
    until: Option<DateTime<Utc>>,
    for_time: Option<std::time::Duration>,
    scope: Option<For>,
}

impl Bounds {
    fn terms(&self, registry: &Registry, waiting: &Waiting) -> Result<Terms, Failure> {
        let scope = self.scope.unwrap_or(For::Run);
        let answer = Answer { until: self.until, for_time: self.for_time, scope, ..Answer::of(Verdict::Approve) };
        answer.terms(registry, waiting)
    }

    /// Takes in how long a grant holds: a span or a time; nothing for as long as usual.
    fn hold(&mut self, text: &str) -> Result<(), Failure> {
        (self.until, self.for_time) = match (time::parse_time(text), quantity::duration(text)) {
            _ if text.is_empty() => (None, None),
            (Some(until), _) => (Some(until), None),
            (None, Ok(span)) => (None, Some(span)),
            (None, Err(_)) => {
                let message = format!("`{text}` is neither a span nor a time with its zone");
                return Err(Failure::new(Kind::Usage, message).hint("`2h`, `3d`, `2026-11-30T18:00:00Z`"));
            }
        };
        Ok(())
    }

    /// Takes in for whom a grant holds, if that can be said of `waiting`.
    fn reach(&mut self, registry: &Registry, waiting: &Waiting, text: &str) -> Result<(), Failure> {
        let scope = For::from_str(text, true)
            .map_err(|_| Failure::new(Kind::Usage, format!("`{text}` is none of run, workflow and role")))?;
        let bounds = Self { scope: Some(scope), until: self.until, for_time: self.for_time };
        bounds.terms(registry, waiting)?;
        *self = bounds;
        Ok(())
    }
}

pub(super) fn walk(context: &Context<'_>, registry: &Registry, all: Vec<Waiting>) -> Result<ExitCode, Failure> {
    if all.is_empty() {
        context.output.note("Nothing waits for you.");
        return Ok(ExitCode::SUCCESS);
    }
    let hand = Hand::new(&terminal::passphrase);
    let (mut decided, mut at) = (0, 0);
    let (mut trial, mut bounds) = (None, Bounds::default());
    while let Some(waiting) = all.get(at) {
        let place = (at + 1, all.len());
        let next = one(context, registry, &hand, (waiting, trial.take(), &mut bounds), place, &mut decided);
        match next {
            Ok(Next::Again(tried)) => {
                trial = tried;
                continue;
            }
            Ok(Next::On) => at += 1,
            Ok(Next::End) => break,
            Ok(Next::Back) => {
                let waits = |before: &usize| engine::find_waiting(registry, all[*before].id.as_str()).is_ok();
                match (0..at).rev().find(waits) {
                    Some(before) => at = before,
                    None => context.output.note("None before it waits."),
                }
            }
            // Of this one only: the others are as good as before.
            Err(failure) => {
                context.output.failure(&failure);
                at += 1;
            }
        }
        bounds = Bounds::default();
    }
    let rest = engine::inbox(registry)?.waiting.len();
    context.output.note(format!("{decided} decided; {rest} waiting."));
    Ok(ExitCode::SUCCESS)
}

fn one(
    context: &Context<'_>,
    registry: &Registry,
    hand: &Hand<'_>,
    (waiting, trial, bounds): (&Waiting, Option<Box<Trial>>, &mut Bounds),
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
    let (verdict, instead, comment) = loop {
        let terms = bounds.terms(registry, &waiting)?;
        let bounded = if terms.are_usual() { String::new() } else { format!(", for {terms}") };
        let Some(key) = ask(&format!("Approve this{bounded}? [a,d,i,e,t,f,k,s,q,?]"))? else { return Ok(Next::End) };
        let taken = match key.as_str() {
            "a" => match ask("A word with it, if any:")? {
                Some(comment) => break (Verdict::Approve, Vec::new(), comment),
                None => return Ok(Next::End),
            },
            "d" => match ask("Why, and what to do instead:")? {
                Some(comment) if comment.is_empty() => {
                    context.output.note("A denial needs a word; nothing was decided.");
                    Ok(())
                }
                Some(comment) => break (Verdict::Deny, Vec::new(), comment),
                None => return Ok(Next::End),
            },
            "i" => {
                let Some(text) = ask("What may be asked for instead:")? else { return Ok(Next::End) };
                match alternatives(&text) {
                    Ok(instead) => match ask("A word with it, if any:")? {
                        Some(comment) => break (Verdict::Suggest, instead, comment),
                        None => return Ok(Next::End),
                    },
                    Err(failure) => Err(failure),
                }
            }
            "e" => {
                return Ok(match edited::make(registry, &waiting, &Edit::InEditor)? {
                    Made::Tried(tried) => Next::Again(Some(tried)),
                    Made::Same | Made::Nothing => Next::Again(None),
                });
            }
            "t" => match ask("For how long (2h, 3d), or until when; nothing for as long as usual:")? {
                Some(text) => bounds.hold(&text),
                None => return Ok(Next::End),
            },
            "f" => match ask("For whom (run, workflow, role):")? {
                Some(text) => bounds.reach(registry, &waiting, &text),
                None => return Ok(Next::End),
            },
            "k" => return Ok(Next::Back),
            "s" => return Ok(Next::On),
            "q" => return Ok(Next::End),
            _ => {
                context.output.note(KEYS);
                Ok(())
            }
        };
        // What was mistyped decides nothing, and is asked again.
        if let Err(failure) = taken {
            context.output.failure(&failure);
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
    let terms = if verdict == Verdict::Approve { bounds.terms(registry, &waiting)? } else { Terms::default() };
    let word = Word { verdict, digest: &digest, comment: &comment, instead: &instead, terms: &terms };
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

/// Capabilities as somebody types several: with spaces between them.
fn alternatives(text: &str) -> Result<Vec<Capability>, Failure> {
    let wrong = |word: &str, why: String| Failure::new(Kind::Usage, format!("`{word}`: {why}"));
    let read = |word| Capability::parse(word).map_err(|error| wrong(word, error.to_string()));
    let instead: Vec<Capability> = text.split_whitespace().map(read).collect::<Result<_, _>>()?;
    match instead.is_empty() {
        true => Err(Failure::new(Kind::Usage, "an alternative names what may be asked for; nothing was decided")),
        false => Ok(instead),
    }
}

/// The answer to `question`; none at the end of the input.
fn ask(question: &str) -> Result<Option<String>, Failure> {
    terminal::ask_or_end(question).map_err(|error| Failure::new(Kind::Failed, error.to_string()))
}
