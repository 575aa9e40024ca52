//! The report as GitHub shows it in a pull request: what counts at a glance, the rest folded away, all of it within the
//! size that GitHub takes.

mod escape;

use std::fmt::Write as _;

use super::deliverable::Content;
use super::journal::{Lines, is_said};
use super::model::{Report, Standing};
use super::words::{count, counted, duration, moment, size};
use crate::run::status::{NodeStatus, RunStatus};
use crate::run::time::parse_time;

use escape::{block, cell, code, label};

/// GitHub's limit for a body is 65,536 characters; a person may want to add some.
const MOST: usize = 60_000;

/// Mermaid's limits on GitHub are 500 edges and 50,000 characters.
const MOST_NODES: usize = 150;
const MOST_EDGES: usize = 400;

/// The most rows of a table.
const MOST_ROWS: usize = 100;

/// The longest text of one cell.
const CELL: usize = 200;

pub(super) fn page(report: &Report<'_>) -> String {
    let state = report.state();
    let mut page = super::markdown_head(&state.run);
    let _ = writeln!(page, "## {} {}\n", sign_of_run(state.status), code(&state.created.title, CELL));
    page += &summary(report);
    page += &waits(report);
    let parts = [
        graph(report),
        nodes(report),
        decisions(report),
        deliverables(report),
        models(report),
        messages(report),
        proof(report),
    ];
    let mut missing = Vec::new();
    for (title, text) in parts.into_iter().flatten() {
        // `<details>` needs an empty line before Markdown.
        let part = match title {
            "" => text,
            title => format!("<details><summary>{title}</summary>\n\n{text}\n</details>\n\n"),
        };
        if page.chars().count() + part.chars().count() > MOST {
            missing.push(if title.is_empty() { "the graph" } else { title });
        } else {
            page += &part;
        }
    }
    if !missing.is_empty() {
        let _ = writeln!(page, "_Left out, since a pull request takes no more: {}._\n", missing.join(", "));
    }
    let _ = writeln!(page, "<sub>Written by taskforge {} from the run's journal.</sub>", report.source.version);
    page
}

const fn sign_of_run(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Completed => "✅",
        RunStatus::Failed => "❌",
        RunStatus::Cancelled => "⛔",
        RunStatus::Paused => "⏸️",
        RunStatus::Running => "🔵",
        RunStatus::Draft => "⚪",
    }
}

const fn sign(status: NodeStatus) -> &'static str {
    match status {
        NodeStatus::Completed => "✅",
        NodeStatus::Failed => "❌",
        NodeStatus::Running => "🔵",
        NodeStatus::Waiting => "🟡",
        NodeStatus::Ready => "⚪",
        NodeStatus::Pending => "▫️",
        NodeStatus::Skipped => "➖",
    }
}

fn summary(report: &Report<'_>) -> String {
    let state = report.state();
    let mut text = "| | |\n|---|---|\n".to_owned();
    let mut row = |name: &str, value: String| {
        let _ = writeln!(text, "| {name} | {value} |");
    };
    row("Run", cell(state.run.as_str(), CELL));
    row("Workflow", cell(state.created.workflow_id.as_str(), CELL));
    let reason =
        if state.status_reason.is_empty() { String::new() } else { format!(": {}", cell(&state.status_reason, CELL)) };
    row("Status", format!("**{}**{reason}", state.status.as_str()));
    row("Nodes", format!("{} of {} completed", report.nodes_that_are(NodeStatus::Completed), state.nodes.len()));
    row("Time", format!("{} to {}, {}", moment(state.created_at), moment(state.updated_at), duration(report.took())));
    let usage = report.usage_of_all();
    if usage.requests > 0 {
        row(
            "Models",
            format!(
                "{} requests, {} tokens in, {} out",
                count(usage.requests),
                count(usage.prompt_tokens),
                count(usage.completion_tokens)
            ),
        );
    }
    row("Journal", cell(report.source.proof.head.digest.as_str(), CELL));
    text.push('\n');
    text
}

fn waits(report: &Report<'_>) -> String {
    const MOST: usize = 10;
    let waits = report.source.waits_for;
    if waits.is_empty() {
        return String::new();
    }
    let mut text = "**It waits for**\n\n".to_owned();
    for line in waits.iter().take(MOST) {
        // Commands, which stand in backticks, are to be copied.
        let pieces = line.split('`').filter(|piece| !piece.trim().is_empty());
        let pieces: Vec<String> = pieces.take(9).map(|piece| code(piece.trim(), 2 * CELL)).collect();
        let _ = writeln!(text, "- {}", pieces.join(" "));
    }
    if waits.len() > MOST {
        let _ = writeln!(text, "- and {}", counted(waits.len() - MOST, "thing more", "things more"));
    }
    text.push('\n');
    text
}

/// A part: its title, empty if it is not folded away, and its text.
type Part = Option<(&'static str, String)>;

fn graph(report: &Report<'_>) -> Part {
    let state = report.state();
    let edges: usize = report.needs.iter().map(Vec::len).sum();
    if state.nodes.len() > MOST_NODES || edges > MOST_EDGES {
        let what = format!(
            "_{} with {} are too many to be drawn here._\n\n",
            counted(state.nodes.len(), "node", "nodes"),
            counted(edges, "need", "needs")
        );
        return Some(("", what));
    }
    let mut text = "```mermaid\nflowchart TD\n".to_owned();
    for (n, (definition, node)) in state.pairs().enumerate() {
        let status = node.status.as_str();
        let _ = writeln!(
            text,
            "  n{n}[\"{} {}<br/>{status}\"]:::{status}",
            sign(node.status),
            label(&definition.title, 60)
        );
    }
    for (n, needs) in report.needs.iter().enumerate() {
        for need in needs {
            let _ = writeln!(text, "  n{need} --> n{n}");
        }
    }
    for (status, colour) in [
        ("completed", "#1a7f4b"),
        ("failed", "#c0322b"),
        ("running", "#1f6fd0"),
        ("waiting", "#b98900"),
        ("ready", "#0f7490"),
        ("pending", "#8b939e"),
        ("skipped", "#8b939e"),
    ] {
        let dashes = if matches!(status, "pending" | "skipped") { ",stroke-dasharray:4" } else { "" };
        let _ = writeln!(text, "  classDef {status} stroke:{colour},stroke-width:2px{dashes}");
    }
    text += "```\n\n";
    Some(("", text))
}

fn nodes(report: &Report<'_>) -> Part {
    let state = report.state();
    let mut text = "| Node | Title | Status | Attempts | Remark |\n|---|---|---|--:|---|\n".to_owned();
    for (n, (definition, node)) in state.pairs().enumerate().take(MOST_ROWS) {
        let _ = writeln!(
            text,
            "| {} | {} | {} {} | {} | {} |",
            cell(definition.id.as_str(), CELL),
            cell(&definition.title, CELL),
            sign(node.status),
            node.status.as_str(),
            node.attempts.len(),
            cell(&report.remark(n), CELL),
        );
    }
    text += &more(state.nodes.len(), "nodes");
    Some(("Nodes", text))
}

fn more(all: usize, what: &str) -> String {
    match all.checked_sub(MOST_ROWS) {
        None | Some(0) => String::new(),
        Some(more) => format!("\n_{} more {what} are left out._\n", count(more as u64)),
    }
}

fn decisions(report: &Report<'_>) -> Part {
    let state = report.state();
    if state.requests.is_empty() && report.approvals.is_empty() {
        return None;
    }
    let mut text =
        "| What | Asked by | Status | Decided by | When | Digest | Comment |\n|---|---|---|---|---|---|---|\n"
            .to_owned();
    let mut row = |what: String, asked: String, status: &str, decision: Option<&crate::run::event::DecisionRecord>| {
        let of = |pick: fn(&crate::run::event::DecisionRecord) -> String| decision.map_or("–".to_owned(), pick);
        let _ = writeln!(
            text,
            "| {what} | {asked} | {status} | {} | {} | {} | {} |",
            of(|d| cell(&d.by, CELL)),
            of(|d| parse_time(&d.at).map_or_else(|| cell(&d.at, 60), moment)),
            of(|d| cell(d.digest.short(), CELL)),
            of(|d| cell(&d.comment, CELL)),
        );
    };
    for request in state.requests.iter().take(MOST_ROWS) {
        let asked = if request.attempt == 0 { "the workflow".to_owned() } else { cell(request.node.as_str(), CELL) };
        let address = state.deployment(&request.id).map(|deployment| format!(" at 127.0.0.1:{}", deployment.port));
        let what = format!("{}{}", request.capability, address.unwrap_or_default());
        row(cell(&what, CELL), asked, request.status.as_str(), request.decision.as_ref());
    }
    for approval in report.approvals.iter().take(MOST_ROWS) {
        let what = cell(&state.created.nodes[approval.node].title, CELL);
        let decision = match approval.standing {
            Standing::Approved(record) => Some(record),
            // What the journal has of a refusal stands among the nodes' remarks.
            Standing::Waits(_) | Standing::Denied(_) => None,
        };
        row(what, "the workflow".to_owned(), approval.standing.word(), decision);
    }
    text += &more(state.requests.len(), "requests");
    Some(("Requests and decisions", text))
}

fn deliverables(report: &Report<'_>) -> Part {
    /// The most of one file, in characters.
    const LONGEST: usize = 4_000;
    if report.deliverables.is_empty() {
        return None;
    }
    let mut text = "| File | Node | Size | SHA-256 |\n|---|---|--:|---|\n".to_owned();
    for file in report.deliverables.iter().take(MOST_ROWS) {
        let (name, node) = (cell(file.name(), CELL), cell(file.node.as_str(), CELL));
        let digest = cell(file.artifact.sha256.as_str(), CELL);
        let _ = writeln!(text, "| {name} | {node} | {} | {digest} |", size(file.artifact.bytes));
    }
    text += &more(report.deliverables.len(), "files");
    for file in report.deliverables.iter().take(5) {
        if let Some(Content::Text(content)) = file.content {
            let _ = writeln!(text, "\n{} of {}\n", code(file.name(), CELL), code(file.node.as_str(), CELL));
            text += &block(&super::words::cut(content, LONGEST));
        }
    }
    Some(("Deliverables", text))
}

fn models(report: &Report<'_>) -> Part {
    if let Err(why) = report.source.traffic {
        return Some(("Models", format!("The gate's records cannot be read: {}\n", code(why, 2 * CELL))));
    }
    if report.usage.is_empty() {
        return None;
    }
    let mut text =
        "| Node | Model | Requests | Failed | Tokens in | Tokens out |\n|---|---|--:|--:|--:|--:|\n".to_owned();
    for ((node, model), usage) in report.usage.iter().take(MOST_ROWS) {
        let (node, model) = (cell(node, CELL), cell(model, CELL));
        let numbers = [usage.requests, usage.failed, usage.prompt_tokens, usage.completion_tokens].map(count);
        let _ = writeln!(text, "| {node} | {model} | {} |", numbers.join(" | "));
    }
    text += &more(report.usage.len(), "rows");
    Some(("Models", text))
}

fn messages(report: &Report<'_>) -> Part {
    let said = Lines::of(report.source.records.iter().filter(|record| is_said(record)), 50, CELL);
    if said.is_empty() {
        return None;
    }
    let mut text = "| Time | Who | Message |\n|---|---|---|\n".to_owned();
    let mut rows = |lines: &[super::journal::Line]| {
        for line in lines {
            let time = parse_time(&line.time).map_or_else(String::new, moment);
            let who = cell(line.node.as_deref().unwrap_or(&line.actor), CELL);
            let _ = writeln!(text, "| {time} | {who} | {} |", cell(&line.message, CELL));
        }
    };
    rows(&said.first);
    rows(&said.last);
    if said.left_out > 0 {
        let _ = writeln!(text, "\n_{} messages in the middle are left out._", count(said.left_out as u64));
    }
    Some(("Messages", text))
}

fn proof(report: &Report<'_>) -> Part {
    let (state, proof) = (report.state(), report.source.proof);
    let mut text = format!(
        "Journal: {} bytes, {} lines, {} of other programs, head {}\n\n",
        count(proof.head.at),
        count(proof.lines),
        count(proof.foreign),
        code(proof.head.digest.as_str(), CELL)
    );
    if let Ok(traffic) = report.source.traffic
        && traffic.bytes > 0
    {
        let _ = writeln!(
            text,
            "Gate's records: {} bytes, head {}\n",
            count(traffic.bytes),
            code(traffic.head.as_str(), CELL)
        );
    }
    let _ = writeln!(text, "Workflow: {}\n", code(state.created.workflow_digest.as_str(), CELL));
    let _ = writeln!(text, "{} checks all of it.", code(&format!("taskforge audit verify {}", state.run), 2 * CELL));
    for finding in proof.findings.iter().take(5) {
        let _ = writeln!(text, "\n⚠️ {}", code(finding, CELL));
    }
    Some(("Proof", text))
}
