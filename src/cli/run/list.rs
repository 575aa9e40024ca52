//! `taskforge run list`.

use std::cmp::Ordering;
use std::process::ExitCode;

use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, NaiveDate, Utc};
use clap::{Args, ValueEnum};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::cli::table::Table;
use crate::engine::{self, Listed};
use crate::failure::{Failure, Kind};
use crate::registry::index::{Ask, Entry};
use crate::run::id::RunId;
use crate::run::status::RunStatus;
use crate::run::time::{isoformat, parse_time};

use super::Context;

/// How many runs a person is shown at once.
const PAGE: usize = 100;

/// List runs, the newest first
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only runs of this status; may be given again, or several with commas
    #[arg(long, value_name = "STATUS", value_delimiter = ',')]
    status: Vec<String>,
    /// Only runs of this workflow
    #[arg(long, value_name = "WORKFLOW")]
    workflow: Option<String>,
    /// Only runs whose id or title holds this, whatever its case
    #[arg(long = "match", value_name = "TEXT")]
    matching: Option<String>,
    /// Only runs that wait for you
    #[arg(long)]
    waiting: bool,
    /// Only runs changed at this time or later: a date, or a time with its zone
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<DateTime<Utc>>,
    /// Only runs changed before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<DateTime<Utc>>,
    /// The order
    #[arg(long, value_name = "KEY", default_value = "updated")]
    sort: Key,
    /// The other way round
    #[arg(long)]
    reverse: bool,
    /// At most so many, 0 for all [default: 100; with --json: all]
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
    /// Leave out so many at the beginning
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    offset: usize,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Key {
    /// The last changed first
    Updated,
    /// The last made first
    Created,
    Id,
    Status,
}

fn time(text: &str) -> Result<DateTime<Utc>, String> {
    let date = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0).map(|time| time.and_utc());
    parse_time(text).or_else(date).ok_or_else(|| "neither 2026-11-20 nor 2026-11-20T11:46:18Z".to_owned())
}

impl List {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let statuses = self.status.iter().map(|text| status(text)).collect::<Result<Vec<_>, _>>()?;
        let listed = engine::list(&context.registry()?, Ask::Shown)?;
        let mut runs = Vec::with_capacity(listed.len());
        let mut unreadable = Vec::new();
        for Listed { run, entry } in &listed {
            match entry {
                Ok(entry) if self.fits(entry, &statuses) => runs.push(entry),
                Ok(_) => {}
                // Nothing is known of it, so that no filter may hide it.
                Err(error) => {
                    context.output.warn(&format!("warning: run {run} cannot be read: {error}"));
                    unreadable.push((run, error.to_string()));
                }
            }
        }
        runs.sort_by(|a, b| self.order(a, b).then_with(|| a.run.cmp(&b.run)));
        let found = runs.len();
        let all = context.output.is_json();
        let limit = self.limit.map_or(if all { usize::MAX } else { PAGE }, |n| if n == 0 { usize::MAX } else { n });
        let shown: Vec<&Entry> = runs.into_iter().skip(self.offset).take(limit).collect();
        let time = time_format()?;
        context.output.result(&Rows { shown: &shown, unreadable: &unreadable }, || {
            let mut table = Table::new(["RUN", "STATUS", "NODES", "WAITS FOR YOU", "UPDATED", "TITLE"]);
            shown.iter().for_each(|entry| table.row(row(entry, &time)));
            for (run, _) in &unreadable {
                let blank = String::new;
                table.row([run.to_string(), "unreadable".to_owned(), blank(), blank(), blank(), blank()]);
            }
            table.or("No runs. `taskforge run start WORKFLOW` starts one.")
        })?;
        let left = found.saturating_sub(self.offset.saturating_add(shown.len()));
        if left > 0 {
            let next = self.offset + shown.len();
            context.output.note(format!("{left} more: add `--offset {next}`, or `--limit 0` for all"));
        }
        Ok(ExitCode::SUCCESS)
    }

    fn fits(&self, entry: &Entry, statuses: &[RunStatus]) -> bool {
        let updated = moment(entry.updated);
        let holds = |text: &String| {
            let text = text.to_lowercase();
            entry.run.as_str().to_lowercase().contains(&text) || entry.title.to_lowercase().contains(&text)
        };
        (statuses.is_empty() || statuses.contains(&entry.status))
            && self.workflow.as_ref().is_none_or(|workflow| *workflow == entry.workflow)
            && self.matching.as_ref().is_none_or(holds)
            && (!self.waiting || entry.waiting > 0)
            && self.since.is_none_or(|since| updated >= since)
            && self.until.is_none_or(|until| updated < until)
    }

    fn order(&self, a: &Entry, b: &Entry) -> Ordering {
        let order = match self.sort {
            Key::Updated => b.updated.cmp(&a.updated),
            Key::Created => b.created.cmp(&a.created),
            Key::Id => a.run.cmp(&b.run),
            Key::Status => a.status.as_str().cmp(b.status.as_str()).then_with(|| b.updated.cmp(&a.updated)),
        };
        if self.reverse { order.reverse() } else { order }
    }
}

fn status(text: &str) -> Result<RunStatus, Failure> {
    serde_json::from_value(json!(text)).map_err(|_| {
        let message = format!("`{text}` is no status of a run");
        Failure::new(Kind::Usage, message).hint("draft, running, paused, completed, failed or cancelled")
    })
}

fn moment((seconds, nanoseconds): (i64, u32)) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, nanoseconds).unwrap_or_default()
}

/// The list as JSON, made only where it is asked for.
struct Rows<'a> {
    shown: &'a [&'a Entry],
    unreadable: &'a [(&'a RunId, String)],
}

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let unreadable = |(run, why): &(&RunId, String)| json!({"run": run, "status": "unreadable", "problem": why});
        serializer
            .collect_seq(self.shown.iter().map(|entry| value(entry)).chain(self.unreadable.iter().map(unreadable)))
    }
}

fn value(entry: &Entry) -> Value {
    json!({
        "run": entry.run, "workflow": entry.workflow, "title": entry.title, "status": entry.status,
        "createdAt": isoformat(moment(entry.created)), "updatedAt": isoformat(moment(entry.updated)),
        "waiting": entry.waiting,
    })
}

/// How times are shown, taken apart once.
fn time_format() -> Result<Vec<Item<'static>>, Failure> {
    let items = StrftimeItems::new("%Y-%m-%d %H:%M:%S").parse();
    items.map_err(|error| Failure::new(Kind::Failed, format!("the form of times is none: {error}")))
}

fn row(entry: &Entry, time: &[Item<'_>]) -> [String; 6] {
    let (done, all) = entry.nodes;
    [
        entry.run.to_string(),
        entry.status.as_str().to_owned(),
        format!("{done}/{all}"),
        if entry.waiting == 0 { String::new() } else { entry.waiting.to_string() },
        moment(entry.updated).format_with_items(time.iter()).to_string(),
        entry.title.clone(),
    ]
}
