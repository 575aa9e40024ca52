//! `taskforge agent chat`.

use std::io::{BufRead as _, Write as _};
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::Context;
use crate::cli::output::{DIM, WAITING};
use crate::cli::terminal::{is_interactive, plain};
use crate::engine::{self, Ending, Store, Until};
use crate::failure::{Failure, Kind};
use crate::registry::Registry;
use crate::run::id::{AgentName, RunId};

/// The most of what was said before that an exchange is told of, in bytes.
const MOST_BEFORE: usize = 16 * 1024;
/// The longest line that is taken for one exchange, in bytes.
const LONGEST: usize = 64 * 1024;

/// Talk to an agent: each line is an exchange, and each exchange a run
///
/// Reads lines from standard input until its end. With `--json` one object is printed for each exchange.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  taskforge agent chat ada")]
pub(crate) struct Chat {
    agent: AgentName,
}

impl Chat {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        engine::AgentStore::open(&registry, &self.agent)?.load()?;
        let mut before = String::new();
        let mut line = String::new();
        loop {
            if is_interactive() {
                let _ = write!(std::io::stderr(), "> ").and_then(|()| std::io::stderr().flush());
            }
            line.clear();
            let read = std::io::stdin().lock().read_line(&mut line);
            let read =
                read.map_err(|error| Failure::new(Kind::Usage, format!("standard input cannot be read: {error}")))?;
            if read == 0 {
                return Ok(ExitCode::SUCCESS);
            }
            let said = line.trim();
            if said.is_empty() {
                continue;
            }
            if said.len() > LONGEST {
                return Err(Failure::new(Kind::Usage, format!("a line has more than {LONGEST} bytes")));
            }
            let (run, answer) = self.exchange(context, &registry, &before, said)?;
            print(context, &run, said, &answer)?;
            before.push_str(&format!("Person: {said}\nYou: {answer}\n"));
            let surplus = before.len().saturating_sub(MOST_BEFORE);
            let cut = (surplus..=before.len()).find(|at| before.is_char_boundary(*at)).unwrap_or(0);
            before.drain(..cut);
        }
    }

    /// One run: what was said, and the agent's answer.
    fn exchange(
        &self,
        context: &Context<'_>,
        registry: &Registry,
        before: &str,
        said: &str,
    ) -> Result<(RunId, String), Failure> {
        let mut text = String::from("You talk to a person. Answer with the summary that you finish with.\n");
        if !before.is_empty() {
            text.push_str(&format!("\nWhat was said so far:\n{before}"));
        }
        text.push_str(&format!("\nThe person says:\n{said}\n"));
        let task = engine::Task { agent: self.agent.clone(), text, title: Some(said.to_owned()), retries: 0 };
        let start = engine::Start {
            text: Some((format!("agent:{}", self.agent), engine::exchange_text(&task))),
            ..engine::Start::default()
        };
        let run = engine::start(registry, &start)?.run;
        loop {
            let ending = engine::follow(registry, &run, Until::Blocked, true, &mut |record| {
                let message = plain(record.message.as_deref().unwrap_or(&record.event)).replace('\n', " ");
                context.output.note(format!("{DIM}{message}{DIM:#}"));
            })?;
            match ending {
                Ending::Completed => return Ok((run.clone(), answer(registry, &run)?)),
                Ending::Waits(items) if is_interactive() && !context.output.is_json() => {
                    for item in &items {
                        context.output.note(format!(
                            "{WAITING}waits for you{WAITING:#}  {}: `taskforge approve {}` elsewhere, then Enter",
                            plain(&item.what),
                            item.id
                        ));
                    }
                    let mut nothing = String::new();
                    let _ = std::io::stdin().lock().read_line(&mut nothing);
                }
                Ending::Waits(items) => {
                    let ids: Vec<&str> = items.iter().map(|item| item.id.as_str()).collect();
                    return Err(Failure::new(Kind::Waiting, format!("run `{run}` waits for a decision"))
                        .hint(format!("`taskforge approve {}`", ids.join("`, `taskforge approve "))));
                }
                Ending::Stuck(reason) => return Err(Failure::new(Kind::Waiting, reason)),
                Ending::Failed | Ending::Cancelled => {
                    return Err(Failure::new(Kind::Failed, format!("run `{run}` failed"))
                        .hint(format!("`taskforge run show {run}` says why")));
                }
            }
        }
    }
}

/// What the agent finished with.
fn answer(registry: &Registry, run: &RunId) -> Result<String, Failure> {
    let state = Store::open(registry, run)?.load()?;
    let result = state.nodes.first().and_then(|node| node.result.as_ref());
    Ok(result.and_then(|result| result.get("summary")).and_then(Value::as_str).unwrap_or_default().to_owned())
}

fn print(context: &Context<'_>, run: &RunId, said: &str, answer: &str) -> Result<(), Failure> {
    if context.output.is_json() {
        let line = json!({"run": run, "said": said, "answer": answer});
        return writeln!(std::io::stdout(), "{line}")
            .map_err(|error| Failure::new(Kind::Failed, format!("cannot write the answer: {error}")));
    }
    context.output.result(&Value::Null, || plain(answer))
}
