//! `taskforge llm show`.

use serde_json::{Value, json};

use super::{outcome, record};
use crate::cli::output::{BOLD, DIM};
use crate::cli::root::Context;
use crate::cli::run_arg::RunArg;
use crate::cli::terminal::plain;
use crate::failure::{Failure, Kind};
use crate::gate::Error;
use crate::gate::records::{self, Bodies, Record};
use crate::registry::queries;

/// A body, or why it is not here.
enum Words {
    Text(String),
    Gone,
    None,
}

impl Words {
    fn of(record: Option<&Record>, bodies: &Bodies) -> Result<Self, Failure> {
        let Some(body) = record.and_then(Record::body) else { return Ok(Self::None) };
        match bodies.load(&body) {
            Ok(bytes) => Ok(Self::Text(String::from_utf8_lossy(&bytes).into_owned())),
            Err(Error::BodyMissing { .. }) => Ok(Self::Gone),
            Err(error) => Err(error.into()),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Text(text) => text.as_str().into(),
            Self::Gone | Self::None => Value::Null,
        }
    }

    /// For people: JSON with a line for each member.
    fn shown(&self) -> String {
        match self {
            Self::Text(text) => match serde_json::from_str::<Value>(text) {
                Ok(value) => format!("{value:#}"),
                Err(_) => text.clone(),
            },
            Self::Gone => "(redacted)".to_owned(),
            Self::None => "(none)".to_owned(),
        }
    }
}

pub(super) fn run(context: &Context<'_>, run: &RunArg, seq: u64) -> Result<(), Failure> {
    let registry = context.registry()?;
    let run = run.find(&registry)?;
    queries::read_run(&registry, &run)?;
    let layout = registry.layout().run(&run);
    let traffic = records::read(&layout.traffic(), &run)?;
    let (request, end) = traffic.exchange(seq).ok_or_else(|| {
        Failure::new(Kind::NotFound, format!("run `{run}` has no request {seq}"))
            .hint(format!("`taskforge llm log {run}` lists them"))
    })?;
    let bodies = Bodies::of(&layout.gate());
    let (asked, answered) = (Words::of(Some(request), &bodies)?, Words::of(end, &bodies)?);
    let value = json!({
        "run": run, "request": record(request), "outcome": end.map(record),
        "requestBody": asked.json(), "outcomeBody": answered.json(),
    });
    context.output.result(&value, || {
        let field =
            |key: &str| request.fields.get(key).map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned));
        let mut text = format!("{BOLD}request {seq}{BOLD:#} {DIM}{}{DIM:#}\n", request.time);
        for key in ["model", "provider", "upstreamModel", "wire", "try", "retryOf"] {
            if let Some(value) = field(key) {
                text.push_str(&format!("{key}: {}\n", plain(&value).replace('\n', " ")));
            }
        }
        text.push_str(&format!("\n{}\n", plain(&asked.shown())));
        let time = end.map_or("", |end| end.time.as_str());
        text.push_str(&format!("\n{BOLD}{}{BOLD:#} {DIM}{time}{DIM:#}\n", plain(&outcome(end))));
        if let Some(message) = end.and_then(|end| end.text("message")) {
            text.push_str(&format!("{}\n", plain(message)));
        }
        text.push_str(&format!("\n{}\n", plain(&answered.shown())));
        text
    })
}
