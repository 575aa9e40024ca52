//! What `approve` and `deny` share: showing, asking, deciding, letting it take effect.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::engine::{self, Hand, Shown, Waiting, Word};
use crate::failure::{Failure, Kind};
use crate::run::capability::Capability;
use crate::run::command::Verdict;
use crate::run::id::Digest;

use super::root::Context;
use super::terminal;

pub(crate) struct Answer {
    pub(crate) verdict: Verdict,
    /// What may be asked for instead.
    pub(crate) instead: Vec<Capability>,
    pub(crate) digest: Option<String>,
    pub(crate) comment: String,
    pub(crate) show: bool,
    /// Only the file and its signature; no journal.
    pub(crate) write_only: bool,
}

/// The least of a digest that a person has to name when nobody can be asked.
const SHORTEST_PREFIX: usize = 12;

pub(crate) fn run(context: &Context<'_>, ids: &[String], answer: &Answer) -> Result<ExitCode, Failure> {
    let registry = context.registry()?;
    if answer.digest.is_some() && ids.len() > 1 {
        return Err(Failure::new(Kind::Usage, "`--digest` names what one request shows; decide the others apart"));
    }
    let hand = Hand::new(&terminal::passphrase);
    let mut results = Vec::new();
    let mut text = String::new();
    for id in ids {
        let waiting = engine::find_waiting(&registry, id)?;
        let shown = engine::show(&registry, &waiting)?;
        let digest = digest_of(&waiting, &shown)?;
        if answer.show {
            results.push(shown_json(&waiting, &shown, &digest));
            text.push_str(&shown_text(&waiting, &shown, &digest));
            continue;
        }
        let (agreed, comment) = agree(context, answer, &waiting, &shown, &digest)?;
        let Some(digest) = agreed else {
            context.output.note("Nothing was decided.");
            return Ok(ExitCode::from(Kind::Refused.exit_code()));
        };
        let word = Word { verdict: answer.verdict, digest: &digest, comment: &comment, instead: &answer.instead };
        if answer.write_only {
            let decided = engine::decide_for_elsewhere(&registry, &waiting, &word, &hand)?;
            let _ = writeln!(
                text,
                "Wrote decisions/{id}.json and its signature: {} {} ({}).",
                decided.verdict,
                waiting.what,
                digest.short(),
                id = decided.id
            );
            let _ = writeln!(
                text,
                "`git add decisions && git commit`; it counts where the run is driven, once it is there."
            );
            results.push(json!({"decision": decided, "tick": null}));
            continue;
        }
        let decided = engine::decide_on(&registry, &waiting, &word, &hand)?;
        // The decision stands in the journal; that the run goes on at once is a courtesy that the next tick would do.
        let ticked = if crate::registry::kill::read(registry.layout())?.is_some() {
            None
        } else {
            Some(engine::tick(&registry, &decided.run))
        };
        let by = decided.key.as_ref().map(|key| format!(", signed by {} with {key}", &decided.by["operator:".len()..]));
        let by = by.unwrap_or_default();
        let _ = writeln!(text, "{} {} ({}{by}).", capitalised(decided.verdict), waiting.what, digest.short());
        match &ticked {
            Some(Ok(ticked)) => {
                for action in &ticked.actions {
                    let _ = writeln!(text, "  {action}");
                }
            }
            Some(Err(error)) => context.output.warn(&format!("warning: the run does not go on yet: {error}")),
            None => {
                context.output.note("The kill switch is on: the run goes on after `taskforge unlock` and a resume.")
            }
        }
        results.push(json!({"decision": decided, "tick": ticked.and_then(Result::ok)}));
    }
    let value = if ids.len() == 1 { results.into_iter().next().unwrap_or(Value::Null) } else { Value::Array(results) };
    context.output.result(&value, || text)?;
    Ok(ExitCode::SUCCESS)
}

/// The digest that the person decides on, with the comment; none if they do not want to.
fn agree(
    context: &Context<'_>,
    answer: &Answer,
    waiting: &Waiting,
    shown: &Shown,
    digest: &Digest,
) -> Result<(Option<Digest>, String), Failure> {
    if let Some(given) = &answer.digest {
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
        return Ok((Some(digest.clone()), answer.comment.clone()));
    }
    if !terminal::is_interactive() || context.output.is_json() {
        let message = "nobody can be asked here: name what you decide on with `--digest`";
        return Err(Failure::new(Kind::Usage, message).hint(format!("`taskforge approve {} --show`", waiting.id)));
    }
    context.output.note(shown_text(waiting, shown, digest));
    let question = match answer.verdict {
        Verdict::Approve => "Approve exactly this? [y/N]",
        Verdict::Deny => "Deny this? [y/N]",
        Verdict::Suggest => "Suggest the alternative instead of this? [y/N]",
    };
    let said = terminal::ask(question).map_err(|error| Failure::new(Kind::Failed, error.to_string()))?;
    let yes = matches!(said.to_lowercase().as_str(), "y" | "yes");
    Ok((yes.then(|| digest.clone()), answer.comment.clone()))
}

fn digest_of(waiting: &Waiting, shown: &Shown) -> Result<Digest, Failure> {
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

fn shown_text(waiting: &Waiting, shown: &Shown, digest: &Digest) -> String {
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
