//! The top of the page: what the run is, how it stands, and who has to do something.

use crate::report::markup::Html;
use crate::report::model::{Report, Standing};
use crate::report::words::{count, counted, cut, duration, moment};
use crate::run::status::{NodeStatus, RunStatus};
use crate::run::time::isoformat;

use super::{LINE, glyph, with_commands};

/// The most lines of what is waited for.
const MOST_WAITS: usize = 10;

/// The most failed nodes whose command is spelt out.
const MOST_FAILED: usize = 5;

pub(super) fn part(html: &mut Html, report: &Report<'_>) {
    let state = report.state();
    let class = format!("top s-{}", state.status.as_str());
    html.tag("header", &[("class", &class)], |html| {
        html.tag("p", &[("class", &"over")], |html| {
            html.text("Run ");
            html.leaf("code", &[], &state.run);
            html.text(" of workflow ");
            html.leaf("code", &[], &state.created.workflow_id);
        });
        html.leaf("h1", &[], cut(&state.created.title, LINE));
        html.tag("p", &[("class", &"standing")], |html| {
            glyph::badge(html, state.status.as_str());
            if !state.status_reason.is_empty() {
                html.text(" ");
                html.leaf("span", &[("class", &"reason")], cut(&state.status_reason, LINE));
            }
        });
        html.tag("dl", &[("class", &"facts")], |html| {
            for (name, value) in facts(report) {
                html.tag("div", &[], |html| {
                    html.leaf("dt", &[], name);
                    html.leaf("dd", &[], value);
                });
            }
        });
        html.tag("p", &[("class", &"when")], |html| {
            html.text("Started ");
            html.leaf("time", &[("datetime", &isoformat(state.created_at))], moment(state.created_at));
            html.text(if state.status.is_terminal() { ", ended " } else { ", last heard of " });
            html.leaf("time", &[("datetime", &isoformat(state.updated_at))], moment(state.updated_at));
        });
    });
    waits(html, report);
}

fn facts(report: &Report<'_>) -> Vec<(&'static str, String)> {
    let state = report.state();
    let done = report.nodes_that_are(NodeStatus::Completed);
    let mut nodes = format!("{} of {} completed", count(done as u64), count(state.nodes.len() as u64));
    for status in [NodeStatus::Failed, NodeStatus::Skipped] {
        let number = report.nodes_that_are(status);
        if number > 0 {
            nodes += &format!(", {} {}", count(number as u64), status.as_str());
        }
    }
    let attempts: usize = state.nodes.iter().map(|node| node.attempts.len()).sum();
    let mut facts =
        vec![(if state.status.is_terminal() { "Took" } else { "So far" }, duration(report.took())), ("Nodes", nodes)];
    if attempts > 0 {
        facts.push(("Containers", counted(attempts, "attempt", "attempts")));
    }
    let requests = state.requests.iter().filter(|request| request.decision.is_some()).count();
    let decided = report.approvals.iter().filter(|approval| !matches!(approval.standing, Standing::Waits(_))).count();
    let decided = requests + decided;
    if decided > 0 {
        facts.push(("Decisions", counted(decided, "by a person", "by people")));
    }
    if !report.deliverables.is_empty() {
        facts.push(("Deliverables", counted(report.deliverables.len(), "file", "files")));
    }
    let usage = report.usage_of_all();
    if usage.requests > 0 {
        let tokens = usage.prompt_tokens.saturating_add(usage.completion_tokens);
        let requests = usize::try_from(usage.requests).unwrap_or(usize::MAX);
        facts.push(("Models", format!("{}, {} tokens", counted(requests, "request", "requests"), count(tokens))));
    }
    facts
}

fn waits(html: &mut Html, report: &Report<'_>) {
    let state = report.state();
    let mut lines: Vec<String> = report.source.waits_for.iter().take(MOST_WAITS).map(|line| cut(line, LINE)).collect();
    let more = report.source.waits_for.len().saturating_sub(MOST_WAITS);
    if more > 0 {
        lines.push(format!("{more} more, which `taskforge run show {}` lists", state.run));
    }
    let (class, heading) = match (state.status, lines.is_empty()) {
        (RunStatus::Failed, _) => {
            let failed = state.pairs().filter(|(_, node)| node.status == NodeStatus::Failed);
            let failed: Vec<_> = failed.map(|(definition, _)| &definition.id).collect();
            lines.extend(failed.iter().take(MOST_FAILED).map(|id| format!("`taskforge run retry {} {id}`", state.run)));
            if failed.len() > MOST_FAILED {
                lines.push(format!("and the same for {} more nodes", failed.len() - MOST_FAILED));
            }
            ("call s-failed", "It failed. After the cause is mended, it goes on with")
        }
        (_, false) => ("call s-waiting", "It waits for"),
        (status, true) if status.is_terminal() => return,
        _ => {
            lines.push(format!("nobody: `taskforge run watch {} --drive` takes it on", state.run));
            ("call s-running", "It waits for")
        }
    };
    html.tag("aside", &[("class", &class), ("aria-label", &"What is waited for")], |html| {
        html.leaf("h2", &[], heading);
        html.tag("ul", &[], |html| {
            for line in &lines {
                html.tag("li", &[], |html| with_commands(html, line));
            }
        });
    });
}
