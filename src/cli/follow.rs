//! Following a run on a terminal: what happens is printed as it is journaled.

use std::io::Write as _;
use std::process::ExitCode;

use crate::engine::{self, Ending, Until};
use crate::failure::{Failure, Kind};
use crate::registry::Registry;
use crate::run::id::RunId;
use crate::run::record::Record;

use super::output::{BAD, DIM, GOOD, WAITING};
use super::root::Context;
use super::terminal::plain;

/// Follows a run and ticks it whenever something can be done; prints the events after number `after`.
pub(crate) fn drive(
    context: &Context<'_>,
    registry: &Registry,
    run: &RunId,
    until: Until,
    after: u64,
) -> Result<ExitCode, Failure> {
    finish(context, run, engine::follow(registry, run, until, true, &mut |record| print(context, record, after))?)
}

/// Follows a run that something else ticks, as [`drive`] does.
pub(crate) fn watch(
    context: &Context<'_>,
    registry: &Registry,
    run: &RunId,
    until: Until,
    after: u64,
) -> Result<ExitCode, Failure> {
    finish(context, run, engine::follow(registry, run, until, false, &mut |record| print(context, record, after))?)
}

fn print(context: &Context<'_>, record: &Record, after: u64) {
    if record.seq <= after {
        return;
    }
    if context.output.is_json() {
        println!("{}", serde_json::to_string(record).unwrap_or_default());
        return;
    }
    let style = match record.event.as_str() {
        "node.completed" | "run.completed" | "capability.applied" => GOOD,
        "node.failed" | "run.failed" | "capability.failed" | "capability.unresolvable" => BAD,
        "node.waiting" | "capability.resolved" => WAITING,
        _ => anstyle::Style::new(),
    };
    let time = record.timestamp.get(11..19).unwrap_or_default();
    let message = plain(record.message.as_deref().unwrap_or(&record.event)).replace('\n', " ");
    // What is followed is the command's result, and goes where results go; a reader that has gone away is no failure.
    let _ = writeln!(anstream::stdout().lock(), "{DIM}{time}{DIM:#}  {style}{message}{style:#}");
}

fn finish(context: &Context<'_>, run: &RunId, ending: Ending) -> Result<ExitCode, Failure> {
    match ending {
        Ending::Completed => Ok(ExitCode::SUCCESS),
        Ending::Failed => Err(Failure::new(Kind::Failed, format!("run `{run}` failed"))
            .hint(format!("`taskforge run show {run}` says why; `taskforge run retry {run} NODE` tries again"))),
        Ending::Cancelled => Err(Failure::new(Kind::Failed, format!("run `{run}` was cancelled"))),
        Ending::Waits(items) => {
            for item in &items {
                context.output.note(format!(
                    "{WAITING}waits for you{WAITING:#}  {}  ({}): `taskforge approve {}`",
                    plain(&item.what),
                    item.by,
                    item.id
                ));
            }
            Ok(ExitCode::from(Kind::Waiting.exit_code()))
        }
        Ending::Stuck(reason) => {
            context.output.note(format!("{WAITING}waits{WAITING:#}  {}", plain(&reason)));
            Ok(ExitCode::from(Kind::Waiting.exit_code()))
        }
    }
}
