//! Whether a run's files agree with each other, as OpenTask's helper looks at them: `state.json` against the events,
//! `refs.json` against `state.json`. Pure. What legal steps lead to is right, also where the helper calls it wrong.

mod lifecycle;
mod references;

use chrono::{DateTime, Duration, NaiveDateTime, Utc};
use serde_json::{Map, Value};

use self::lifecycle::Lifecycle;

/// A run's files as read. Nothing in them is trusted.
#[derive(Debug, Clone, Copy)]
pub struct Files<'a> {
    pub state: &'a Map<String, Value>,
    pub refs: &'a Map<String, Value>,
    pub events: &'a [Map<String, Value>],
}

/// What does not agree, in the helper's sentences and its order. `exists` says whether a path below the run's folder is
/// there.
#[must_use]
pub fn issues(files: Files<'_>, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut issues = Vec::new();
    let nodes = nodes(files.state);
    timestamps(files.events, &mut issues);
    let lives = lifecycle::read(&nodes, files.events);
    let journal = lifecycle::Maker::of(files.events);
    for node in &nodes {
        let handoff = node.get("workingMemory").and_then(|memory| memory.get("handoff")).and_then(Value::as_str);
        if let Some(handoff) = handoff.filter(|path| !path.is_empty() && !exists(path)) {
            issues.push(format!("missing handoff file for {}: {handoff}", id(node)));
        }
        let unseen = Lifecycle::default();
        lives.get(id(node)).unwrap_or(&unseen).check(node, journal, &mut issues);
    }
    run(files.state, &nodes, &mut issues);
    references::check(files.refs, &nodes, &mut issues);
    issues
}

/// How many nodes stand at each status, in the order in which nodes go through them.
#[must_use]
pub fn status_counts(state: &Map<String, Value>) -> Map<String, Value> {
    const ALL: [&str; 7] = ["pending", "ready", "running", "waiting", "completed", "failed", "skipped"];
    let nodes = nodes(state);
    let count = |wanted: &str| nodes.iter().filter(|node| status(node) == wanted).count();
    ALL.iter().map(|wanted| ((*wanted).to_owned(), count(wanted).into())).collect()
}

fn nodes(state: &Map<String, Value>) -> Vec<&Map<String, Value>> {
    let nodes = state.get("nodes").and_then(Value::as_array);
    nodes.into_iter().flatten().filter_map(Value::as_object).collect()
}

fn text<'a>(object: &'a Map<String, Value>, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn id(node: &Map<String, Value>) -> &str {
    text(node, "id")
}

fn status(node: &Map<String, Value>) -> &str {
    text(node, "status")
}

fn is_terminal(status: &str) -> bool {
    matches!(status, "completed" | "failed" | "skipped")
}

fn run(state: &Map<String, Value>, nodes: &[&Map<String, Value>], issues: &mut Vec<String>) {
    let run_status = status(state);
    let over = nodes.iter().all(|node| is_terminal(status(node)));
    if over && !matches!(run_status, "completed" | "failed" | "cancelled") {
        issues.push("run has all terminal nodes but state.status is not terminal".to_owned());
    }
    if run_status == "completed" && !over {
        issues.push("run.state is completed but some nodes are not terminal".to_owned());
    }
}

/// Times that cannot be read, and times that go back. Two processes that write at the same moment may have looked at the
/// clock in either order, so that between our lines and those of others a little is nothing.
fn timestamps(events: &[Map<String, Value>], issues: &mut Vec<String>) {
    let a_moment = Duration::seconds(60);
    let mut last: Option<(DateTime<Utc>, bool)> = None;
    for event in events {
        let raw = event.get("timestamp").unwrap_or(&Value::Null);
        let Some(time) = raw.as_str().and_then(time) else {
            let shown = match raw {
                Value::Null => "None".to_owned(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            issues.push(format!("invalid event timestamp: {shown}"));
            continue;
        };
        let ours = event.contains_key("seq");
        if let Some((before, by_us)) = last {
            let allowed = if by_us == ours { Duration::zero() } else { a_moment };
            if time < before && before - time > allowed {
                issues.push("events.jsonl timestamps are not monotonic".to_owned());
            }
        }
        last = Some((time, ours));
    }
}

/// A time in one of the forms that Python's `datetime.fromisoformat` reads; without a zone it is taken for UTC.
fn time(text: &str) -> Option<DateTime<Utc>> {
    if let Some(time) = super::time::parse_time(text) {
        return Some(time);
    }
    let forms = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"];
    let naive = |form: &&str| NaiveDateTime::parse_from_str(text, form).ok();
    forms.iter().find_map(naive).map(|time| time.and_utc())
}

#[cfg(test)]
mod tests;
