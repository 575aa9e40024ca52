//! What `approve` and `deny` share: showing, asking, deciding, letting it take effect.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, Utc};
use serde_json::{Value, json};

use crate::engine::{self, Hand, Shown, Trial, Waiting, Word};
use crate::failure::{Failure, Kind};
use crate::registry::Registry;
use crate::run::capability::Capability;
use crate::run::command::Verdict;
use crate::run::id::{Digest, RequestId};
use crate::run::terms::{Scope, Terms};

use super::approve::For;
use super::decided;
use super::edited::{self, Edit, Made};
use super::root::Context;
use super::set_aside;
use super::terminal;

pub(crate) struct Answer {
    pub(crate) verdict: Verdict,
    /// What may be asked for instead.
    pub(crate) instead: Vec<Capability>,
    /// One for each id, or none.
    pub(crate) digests: Vec<String>,
    pub(crate) comment: String,
    pub(crate) show: bool,
    /// Only the file and its signature; no journal.
    pub(crate) write_only: bool,
    /// When a grant ends: at a time, or after one.
    pub(crate) until: Option<DateTime<Utc>>,
    pub(crate) for_time: Option<Duration>,
    pub(crate) scope: For,
    /// Another list of what was asked for.
    pub(crate) edit: Option<Edit>,
}

impl Answer {
    /// One with nothing said beyond the verdict.
    pub(crate) fn of(verdict: Verdict) -> Self {
        Self {
            verdict,
            instead: Vec::new(),
            digests: Vec::new(),
            comment: String::new(),
            show: false,
            write_only: false,
            until: None,
            for_time: None,
            scope: For::Run,
            edit: None,
        }
    }

    /// The bounds of what is granted; `waiting` says whose workflow and role are meant.
    pub(crate) fn terms(&self, registry: &Registry, waiting: &Waiting) -> Result<Terms, Failure> {
        let after = |span| chrono::Duration::from_std(span).ok().and_then(|span| Utc::now().checked_add_signed(span));
        // To the second, as people say it and as the gate keeps it.
        let until = self.until.or_else(|| self.for_time.and_then(after)).map(|until| until.trunc_subsecs(0));
        let scope = match self.scope {
            For::Run => Scope::Run,
            For::Workflow => engine::workflow_scope(registry, waiting)?,
            For::Role => engine::role_scope(registry, waiting)?,
        };
        Ok(Terms { until, scope })
    }
}

/// One thing that is decided on.
struct Item {
    waiting: Waiting,
    shown: Shown,
    digest: Digest,
    terms: Terms,
    /// A list that is tried, and made the request's own with the word on it.
    trial: Option<Box<Trial>>,
}

/// The least of a digest that a person has to name when nobody can be asked.
pub(crate) const SHORTEST_PREFIX: usize = 12;

pub(crate) fn run(context: &Context<'_>, ids: &[String], answer: &Answer) -> Result<ExitCode, Failure> {
    let registry = context.registry()?;
    if !answer.digests.is_empty() && answer.digests.len() != ids.len() {
        let message = format!("there are {} ids and {} digests", ids.len(), answer.digests.len());
        return Err(Failure::new(Kind::Usage, message).hint("`--digest` once for each id, in their order"));
    }
    if answer.edit.is_some() && ids.len() > 1 {
        return Err(Failure::new(Kind::Usage, "a list is of one request: edit the others apart"));
    }
    if answer.edit.is_some() && answer.write_only {
        let message = "a list is resolved where the run is driven, and cannot be made for another machine";
        return Err(Failure::new(Kind::Usage, message).hint(
            "have it made there with `approve --only`, or name what may be asked for instead: `taskforge suggest ID … --write-only`",
        ));
    }
    let mut items: Vec<Item> = Vec::new();
    for id in ids {
        let waiting = match engine::find_waiting(&registry, id) {
            Err(error @ (engine::Error::DecidedBefore { .. } | engine::Error::NothingWaits(_)))
                if answer.show && answer.edit.is_none() && ids.len() == 1 =>
            {
                let decided = engine::as_decided(&registry, id)?.ok_or(error)?;
                decided::show(context, &decided)?;
                return Ok(ExitCode::SUCCESS);
            }
            found => found?,
        };
        let trial = match answer.edit.as_ref().map(|edit| edited::make(&registry, &waiting, edit)).transpose()? {
            Some(Made::Nothing) => return Ok(nothing(context)),
            Some(Made::Tried(trial)) => Some(trial),
            Some(Made::Same) | None => None,
        };
        if items.iter().any(|item| item.waiting.id == waiting.id) {
            return Err(Failure::new(Kind::Usage, format!("request {} is named twice", waiting.id)));
        }
        let shown = match &trial {
            Some(trial) => Shown::Capability(trial.review.clone()),
            None if answer.write_only => engine::show_as_journaled(&registry, &waiting)?,
            None => engine::show(&registry, &waiting)?,
        };
        let digest = digest_of(&waiting, &shown)?;
        let terms = answer.terms(&registry, &waiting)?;
        items.push(Item { waiting, shown, digest, terms, trial });
    }
    let can_ask = terminal::is_interactive() && !context.output.is_json();
    // A list that was just made has a digest that nobody could name yet.
    if answer.show || (answer.edit.is_some() && answer.digests.is_empty() && !can_ask) {
        return show(context, &items);
    }
    for (at, item) in items.iter().enumerate() {
        if !agree(context, answer, answer.digests.get(at), item)? {
            return Ok(nothing(context));
        }
    }
    let hand = Hand::new(&terminal::passphrase);
    let mut said = Said::default();
    let outcome = if answer.write_only {
        items.iter().try_for_each(|item| write_only(&registry, answer, item, &hand, &mut said))
    } else {
        let mut rest = items.as_slice();
        let mut outcome = Ok(());
        while let (Some(first), Ok(())) = (rest.first(), &outcome) {
            // Of one run together; a run has nothing to do with another.
            let together = rest.iter().take_while(|item| item.waiting.run == first.waiting.run).count();
            outcome = decide(context, &registry, answer, &rest[..together], &hand, &mut said);
            rest = &rest[together..];
        }
        outcome
    };
    if let Err(failure) = outcome {
        return Err(said.so_far(failure, &items));
    }
    let Said { results, text, .. } = said;
    let value = if ids.len() == 1 { results.into_iter().next().unwrap_or(Value::Null) } else { Value::Array(results) };
    context.output.result(&value, || text)?;
    Ok(ExitCode::SUCCESS)
}

fn nothing(context: &Context<'_>) -> ExitCode {
    context.output.note("Nothing was decided.");
    ExitCode::from(Kind::Refused.exit_code())
}

/// What has been done of a command, as it is told.
#[derive(Default)]
struct Said {
    results: Vec<Value>,
    text: String,
    done: Vec<RequestId>,
}

impl Said {
    /// A failure that says which of several were decided before it.
    fn so_far(self, failure: Failure, items: &[Item]) -> Failure {
        if items.len() == 1 {
            return failure;
        }
        let named = |ids: Vec<&RequestId>| ids.iter().map(|id| id.as_str()).collect::<Vec<_>>().join(", ");
        let open: Vec<&RequestId> =
            items.iter().map(|item| &item.waiting.id).filter(|id| !self.done.contains(id)).collect();
        let done = if self.done.is_empty() { "none".to_owned() } else { named(self.done.iter().collect()) };
        failure.hint(format!("decided: {done}; not decided: {}", named(open)))
    }
}

fn show(context: &Context<'_>, items: &[Item]) -> Result<ExitCode, Failure> {
    let values: Vec<Value> = items.iter().map(|item| shown_json(&item.waiting, &item.shown, &item.digest)).collect();
    let value = if items.len() == 1 { values.into_iter().next().unwrap_or(Value::Null) } else { Value::Array(values) };
    context.output.result(&value, || {
        items.iter().map(|item| shown_text(&item.waiting, &item.shown, &item.digest)).collect::<String>()
    })?;
    Ok(ExitCode::SUCCESS)
}

fn word<'a>(answer: &'a Answer, item: &'a Item) -> Word<'a> {
    Word {
        verdict: answer.verdict,
        digest: &item.digest,
        comment: &answer.comment,
        instead: &answer.instead,
        terms: &item.terms,
    }
}

fn write_only(
    registry: &Registry,
    answer: &Answer,
    item: &Item,
    hand: &Hand<'_>,
    said: &mut Said,
) -> Result<(), Failure> {
    let decided = engine::decide_for_elsewhere(registry, &item.waiting, &word(answer, item), hand)?;
    let (id, what, short) = (&decided.id, &item.waiting.what, item.digest.short());
    let _ = writeln!(said.text, "Wrote decisions/{id}.json and its signature: {} {what} ({short}).", decided.verdict);
    let _ =
        writeln!(said.text, "`git add decisions && git commit`; it counts where the run is driven, once it is there.");
    said.done.push(decided.id.clone());
    said.results.push(json!({"decision": decided, "tick": null}));
    Ok(())
}

/// Decides on items of one run together, and lets the run go on.
fn decide(
    context: &Context<'_>,
    registry: &Registry,
    answer: &Answer,
    items: &[Item],
    hand: &Hand<'_>,
    said: &mut Said,
) -> Result<(), Failure> {
    for trial in items.iter().filter_map(|item| item.trial.as_ref()) {
        engine::make_list(registry, trial)?;
    }
    let words: Vec<Word<'_>> = items.iter().map(|item| word(answer, item)).collect();
    let pairs: Vec<(&Waiting, &Word<'_>)> = items.iter().map(|item| &item.waiting).zip(&words).collect();
    let all = engine::decide_all(registry, &pairs, hand)?;
    let Some(run) = all.first().map(|decided| decided.run.clone()) else { return Ok(()) };
    said.done.extend(all.iter().map(|decided| decided.id.clone()));
    // The decision stands in the journal; that the run goes on at once is a courtesy that the next tick would do.
    let ticked = if crate::registry::kill::read(registry.layout())?.is_some() {
        None
    } else {
        Some(engine::tick(registry, &run))
    };
    for (item, decided) in items.iter().zip(&all) {
        let by = decided.key.as_ref().map(|key| format!(", signed by {} with {key}", &decided.by["operator:".len()..]));
        let by = by.unwrap_or_default();
        let bounds = if item.terms.are_usual() { String::new() } else { format!(", for {}", item.terms) };
        let (verdict, what, short) = (capitalised(decided.verdict), &item.waiting.what, item.digest.short());
        let _ = writeln!(said.text, "{verdict} {what} ({short}{by}){bounds}.");
    }
    match &ticked {
        Some(Ok(ticked)) => {
            for action in &ticked.actions {
                let _ = writeln!(said.text, "  {action}");
            }
            set_aside::warn(context, &ticked.run, &ticked.rejected);
        }
        Some(Err(error)) => context.output.warn(&format!("warning: the run does not go on yet: {error}")),
        None => context.output.note("The kill switch is on: the run goes on after `taskforge unlock` and a resume."),
    }
    let ticked = ticked.and_then(Result::ok);
    said.results.extend(all.iter().map(|decided| json!({"decision": decided, "tick": ticked})));
    Ok(())
}

/// Whether the person decides on exactly this.
fn agree(context: &Context<'_>, answer: &Answer, given: Option<&String>, item: &Item) -> Result<bool, Failure> {
    let Item { waiting, shown, digest, terms, .. } = item;
    if let Some(given) = given {
        let long_enough = given.len() >= SHORTEST_PREFIX;
        if !long_enough || !digest.as_str().starts_with(given.as_str()) {
            let message = if long_enough {
                format!("what you decided on ({given}) is not what stands there now ({})", digest.short())
            } else {
                format!("`--digest` needs at least {SHORTEST_PREFIX} digits")
            };
            let kind = if long_enough { Kind::Stale } else { Kind::Usage };
            return Err(Failure::new(kind, message).hint(format!("`taskforge approve {} --show`", waiting.id)));
        }
        return Ok(true);
    }
    if !terminal::is_interactive() || context.output.is_json() {
        let message = "nobody can be asked here: name what you decide on with `--digest`";
        return Err(Failure::new(Kind::Usage, message).hint(format!("`taskforge approve {} --show`", waiting.id)));
    }
    context.output.note(shown_text(waiting, shown, digest));
    if !terms.are_usual() {
        context.output.note(format!("For {terms}."));
    }
    let question = match answer.verdict {
        Verdict::Approve => "Approve exactly this? [y/N]",
        Verdict::Deny => "Deny this? [y/N]",
        Verdict::Suggest => "Suggest the alternative instead of this? [y/N]",
    };
    let said = terminal::ask(question).map_err(|error| Failure::new(Kind::Failed, error.to_string()))?;
    Ok(matches!(said.to_lowercase().as_str(), "y" | "yes"))
}

pub(crate) fn digest_of(waiting: &Waiting, shown: &Shown) -> Result<Digest, Failure> {
    match shown {
        Shown::Capability(review) => Ok(review.digest()),
        Shown::Approval { .. } => {
            waiting.digest.clone().ok_or_else(|| Failure::new(Kind::Failed, "the approval has no digest"))
        }
    }
}

fn shown_json(waiting: &Waiting, shown: &Shown, digest: &Digest) -> Value {
    match shown {
        Shown::Capability(review) => json!({"digest": digest, "waiting": waiting, "review": review}),
        Shown::Approval { artifacts, prompt } => {
            json!({"digest": digest, "waiting": waiting, "prompt": prompt, "artifacts": artifacts})
        }
    }
}

pub(crate) fn shown_text(waiting: &Waiting, shown: &Shown, digest: &Digest) -> String {
    match shown {
        Shown::Capability(review) => review.render(),
        Shown::Approval { artifacts, prompt } => {
            let mut text = format!("Approval {} · run {} · node {}\n", waiting.what, waiting.run, waiting.node);
            if !prompt.is_empty() {
                let _ = writeln!(text, "\n{}", terminal::plain(prompt.trim_end()));
            }
            text.push_str("\nWhat it is about\n");
            for artifact in artifacts {
                let path = format!("runs/{}/{}", waiting.run, artifact.path);
                let _ = writeln!(text, "  {path}  {} bytes  sha256 {}", artifact.bytes, artifact.sha256.short());
            }
            let _ = writeln!(text, "\nReview digest  {digest}");
            text
        }
    }
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().collect::<String>() + letters.as_str()).unwrap_or_default()
}
