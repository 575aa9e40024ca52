//! Which exchanges are meant.

use std::collections::BTreeMap;

use clap::Args;

use crate::cli::root::Context;
use crate::cli::run_arg::RunArg;
use crate::engine::{AgentStore, Store};
use crate::failure::{Failure, Kind};
use crate::gate::records::{self, Record, Traffic};
use crate::provider::glob_matches;
use crate::registry::{Registry, queries};
use crate::run::id::{AgentName, RunId};

/// Which exchanges are meant: all of the registry's, unless something narrows them.
#[derive(Debug, Args)]
pub(crate) struct Select {
    /// One run [default: all]
    run: Option<RunArg>,
    /// The same, for those who would rather name it
    #[arg(long = "run", value_name = "RUN", conflicts_with = "run")]
    of: Option<RunArg>,
    /// Only this node's
    #[arg(long, value_name = "NODE", value_parser = node)]
    node: Option<String>,
    /// Only this agent's, over all runs. A node that is nobody's who was hired is the agent of its name, as `agent:NODE` in the
    /// journal
    #[arg(long, value_name = "NAME", value_parser = node)]
    agent: Option<String>,
    /// Only of models that match, such as `claude-*`
    #[arg(long, value_name = "GLOB")]
    model: Option<String>,
    /// Only of this day in UTC, as 2026-01-31, or month, as 2026-01
    #[arg(long)]
    day: Option<String>,
}

/// An agent's name in the journal is its node's behind `agent:`.
fn node(text: &str) -> Result<String, std::convert::Infallible> {
    Ok(text.strip_prefix("agent:").unwrap_or(text).to_owned())
}

/// The records of some runs.
pub(super) struct Found<'s> {
    select: &'s Select,
    runs: Vec<(RunId, Traffic)>,
    /// Who was hired for the nodes of a run, where agents are told apart.
    hired: BTreeMap<RunId, BTreeMap<String, String>>,
}

/// A request and its outcome.
pub(super) struct Exchange<'f> {
    pub(super) run: &'f RunId,
    /// The hired agent's name, or the node's.
    pub(super) agent: Option<&'f str>,
    pub(super) request: &'f Record,
    pub(super) end: Option<&'f Record>,
}

impl Select {
    /// Whether one run is meant.
    pub(super) const fn is_of_one_run(&self) -> bool {
        self.run.is_some() || self.of.is_some()
    }

    /// Reads the records of the runs that are meant; with `agents`, also who was hired for which node.
    pub(super) fn find(&self, context: &Context<'_>, agents: bool) -> Result<Found<'_>, Failure> {
        if let Some(day) = self.day.as_ref().filter(|day| !is_day_or_month(day)) {
            return Err(Failure::new(Kind::Usage, format!("`{day}` is no day")).hint("write it as 2026-01-31"));
        }
        let registry = context.registry()?;
        let runs = match self.run.as_ref().or(self.of.as_ref()) {
            Some(run) => {
                let run = run.find(&registry)?;
                // Says it where there is no such run.
                queries::read_run(&registry, &run)?;
                vec![run]
            }
            None => queries::list_runs(&registry)?,
        };
        let mut read = Vec::with_capacity(runs.len());
        let mut hired = BTreeMap::new();
        for run in runs {
            let traffic = records::read(&registry.layout().run(&run).traffic(), &run)?;
            // Without a request there is nobody whose it is.
            if (agents || self.agent.is_some()) && !traffic.records.is_empty() {
                hired.insert(run.clone(), hired_for(&registry, &run)?);
            }
            read.push((run, traffic));
        }
        let found = Found { select: self, runs: read, hired };
        match &self.agent {
            Some(agent) if !found.knows(agent) && !is_agent(&registry, agent) => Err(Failure::new(
                Kind::NotFound,
                format!("there is no agent `{agent}`, and no node of that name asked a model"),
            )
            .hint("`taskforge agent list` shows who was hired")),
            _ => Ok(found),
        }
    }
}

/// Who was hired for which node of a run.
fn hired_for(registry: &Registry, run: &RunId) -> Result<BTreeMap<String, String>, Failure> {
    let state = Store::open(registry, run)?.peek()?;
    let nodes = state.created.nodes.iter();
    Ok(nodes.filter_map(|node| Some((node.id.to_string(), node.agent()?.to_string()))).collect())
}

fn is_agent(registry: &Registry, name: &str) -> bool {
    AgentName::parse(name).is_ok_and(|name| AgentStore::open(registry, &name).is_ok())
}

/// Whether `text` is a day of the calendar as 2026-01-31, or a month as 2026-01.
fn is_day_or_month(text: &str) -> bool {
    let day = if text.len() == 7 { format!("{text}-01") } else { text.to_owned() };
    // Read and written again: chrono takes `2026-1-3`, too.
    day.parse::<chrono::NaiveDate>().is_ok_and(|date| date.to_string() == day)
}

impl Found<'_> {
    /// The exchanges that are meant, in the order of runs and requests.
    pub(super) fn exchanges(&self) -> Vec<Exchange<'_>> {
        let all = self.runs.iter().flat_map(|(run, traffic)| {
            let hired = self.hired.get(run);
            traffic.exchanges().into_iter().map(move |(request, end)| {
                let node = request.node.as_deref();
                let agent = node.and_then(|node| hired?.get(node)).map(String::as_str).or(node);
                Exchange { run, agent, request, end }
            })
        });
        all.filter(|exchange| self.select.takes(exchange)).collect()
    }

    /// Whether somebody of this name asked a model.
    fn knows(&self, agent: &str) -> bool {
        let hired = self.hired.values().any(|nodes| nodes.values().any(|name| name == agent));
        let node = || {
            let mut records = self.runs.iter().flat_map(|(_, traffic)| &traffic.records);
            records.any(|record| record.node.as_deref() == Some(agent))
        };
        hired || node()
    }
}

impl Select {
    fn takes(&self, exchange: &Exchange<'_>) -> bool {
        let request = exchange.request;
        let node = self.node.as_ref().is_none_or(|node| request.node.as_ref() == Some(node));
        let agent = self.agent.as_ref().is_none_or(|agent| exchange.agent == Some(agent));
        let model =
            self.model.as_ref().is_none_or(|glob| glob_matches(glob, request.text("model").unwrap_or_default()));
        let day = self.day.as_ref().is_none_or(|day| request.time.starts_with(day.as_str()));
        node && agent && model && day
    }
}
