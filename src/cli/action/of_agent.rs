//! What gates did for one agent, over all its runs.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Wanted, acts};
use crate::cli::root::Context;
use crate::cli::table::Table;
use crate::cli::terminal::plain;
use crate::engine::{AgentStore, Store};
use crate::failure::Failure;
use crate::gate::records;
use crate::registry::{Registry, queries};
use crate::run::id::{AgentName, NodeId, RunId};
use crate::run::state::State;

/// One of them, as JSON and as cells.
struct Line {
    time: String,
    value: Value,
    cells: [String; 8],
}

/// Shows what `agent` asked for, the newest last, as far as it is `wanted`. A run that cannot be read is named, and holds up none of the others.
///
/// # Errors
/// When there is no such agent, or the runs cannot be listed.
pub(crate) fn run(context: &Context<'_>, agent: &AgentName, wanted: &Wanted) -> Result<(), Failure> {
    let registry = context.registry()?;
    AgentStore::open(&registry, agent)?;
    let (mut lines, mut unread) = (Vec::new(), Vec::new());
    for run in queries::list_runs(&registry)? {
        match of_run(&registry, &run, agent, wanted) {
            Ok(more) => lines.extend(more),
            Err(why) => unread.push(json!({"run": run, "why": why})),
        }
    }
    lines.sort_by(|one, other| one.time.cmp(&other.time));
    let lines = wanted.tail(&lines);
    let values: Vec<&Value> = lines.iter().map(|line| &line.value).collect();
    context.output.result(&json!({"agent": agent, "actions": values, "unread": unread}), || {
        let mut table = Table::new(["TIME", "RUN", "SEQ", "ACTION", "TARGET", "BY", "STANDING", ""]);
        for line in lines {
            table.row(line.cells.each_ref().map(|cell| plain(cell)));
        }
        let mut text = table.or("No actions.\n");
        for one in &unread {
            let (run, why) = (one["run"].as_str().unwrap_or_default(), one["why"].as_str().unwrap_or_default());
            text.push_str(&format!("{run} cannot be read: {}\n", plain(why)));
        }
        text
    })
}

/// The agent's own run and node that a run does a part of the work of, however many there are between; none where it works
/// for nobody, or for somebody else.
fn works_for(registry: &Registry, state: &State, agent: &AgentName) -> Option<(RunId, NodeId)> {
    let mut parent = state.created.parent.clone()?;
    loop {
        // What is gone or cannot be read is named for itself.
        let theirs = Store::open(registry, &parent.run).and_then(|store| store.peek()).ok()?;
        let (definition, _) = theirs.node(&parent.node)?;
        if definition.agent() == Some(agent) {
            return Some((parent.run, parent.node));
        }
        parent = theirs.created.parent?;
    }
}

fn of_run(registry: &Registry, run: &RunId, agent: &AgentName, wanted: &Wanted) -> Result<Vec<Line>, String> {
    let state = Store::open(registry, run).and_then(|store| store.peek()).map_err(|error| error.to_string())?;
    let own = state.created.nodes.iter().filter(|node| node.agent() == Some(agent));
    let mut nodes: BTreeSet<&str> = own.map(|node| node.id.as_str()).collect();
    let mut above = None;
    if nodes.is_empty() {
        above = works_for(registry, &state, agent);
        if above.is_some() {
            nodes = state.created.nodes.iter().map(|node| node.id.as_str()).collect();
        }
    }
    let path = registry.layout().run(run).traffic();
    // A run whose gate was never up has no records.
    if nodes.is_empty() || !path.exists() {
        return Ok(Vec::new());
    }
    let traffic = records::read(&path, run).map_err(|error| error.to_string())?;
    let own = acts(&traffic, &state.settled).into_iter().filter(|act| {
        let record = act.record;
        record.node.as_deref().is_some_and(|node| nodes.contains(node)) && wanted.fits(act)
    });
    let line = |act: super::Act<'_>| {
        let record = act.record;
        let text = |key: &str| record.text(key).unwrap_or("-").to_owned();
        let mut value = act.json();
        value["run"] = json!(run);
        let mut by = text("by");
        if let Some((run, node)) = &above {
            value["for"] = json!({"agent": agent, "run": run, "node": node});
            by = format!("{by}, for {agent}");
        }
        let time = record.time.get(..19).unwrap_or_default().to_owned();
        let (seq, standing) = (record.seq.to_string(), act.standing().to_owned());
        let cells = [time, run.to_string(), seq, text("action"), text("target"), by, standing, act.why()];
        Line { time: record.time.clone(), value, cells }
    };
    Ok(own.map(line).collect())
}
