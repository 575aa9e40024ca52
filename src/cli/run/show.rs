//! `taskforge run show`.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::output::{BAD, DIM, GOOD, WAITING};
use crate::cli::run_arg::RunArg;
use crate::cli::set_aside;
use crate::cli::terminal::plain;
use crate::engine::{Store, deployments_of, unclear_actions, waiting_of, waits_for};
use crate::failure::Failure;
use crate::run::state::State;
use crate::run::status::NodeStatus;
use crate::run::time::isoformat;

use super::Context;

/// Show a run: its nodes, attempts, requests, and who is waited for
#[derive(Debug, Args)]
pub(crate) struct Show {
    run: RunArg,
}

impl Show {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let run = self.run.find(&registry)?;
        let store = Store::open(&registry, &run)?;
        let state = store.load()?;
        let waits = waits_for(&state, registry.config().is_ok_and(|config| config.openclaw.cli.is_some()));
        // Records that cannot be read are for `audit verify` to say.
        let unclear = unclear_actions(&registry, &state).unwrap_or_default();
        let mut shown = value(&state, &waits);
        if !unclear.is_empty() {
            shown["unclearActions"] = json!(unclear);
        }
        context.output.result(&shown, || {
            let mut text = text(&state, &waits);
            for one in &unclear {
                let _ = write!(text, "\n{WAITING}Unclear{WAITING:#}: {}\n  {}\n", plain(&one.to_string()), one.fix);
            }
            text
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

fn value(state: &State, waits: &[String]) -> Value {
    let nodes: Vec<Value> = state
        .pairs()
        .map(|(definition, node)| {
            let attempts: Vec<Value> = node
                .attempts
                .iter()
                .map(|attempt| {
                    json!({
                        "attempt": attempt.number,
                        "container": attempt.plan.container,
                        "image": attempt.plan.image,
                        "startedAt": attempt.started_at.map(isoformat),
                        "endedAt": attempt.ended_at.map(isoformat),
                        "outcome": attempt.end.as_ref().map(|end| end.outcome),
                        "exitCode": attempt.end.as_ref().and_then(|end| end.exit_code),
                        "detail": attempt.end.as_ref().map(|end| &end.detail),
                    })
                })
                .collect();
            json!({
                "id": definition.id, "title": definition.title, "kind": definition.kind, "status": node.status,
                "needs": definition.needs, "attempts": attempts, "artifacts": node.artifacts,
                "waitingOn": node.waiting_on, "failure": node.failure, "skipped": node.skipped,
                "decision": node.decision, "result": node.result,
            })
        })
        .collect();
    json!({
        "run": state.run, "status": state.status, "statusReason": state.status_reason,
        "workflow": state.created.workflow_id, "title": state.created.title,
        "registry": state.created.registry,
        "createdAt": isoformat(state.created_at), "updatedAt": isoformat(state.updated_at),
        "imagesBuilt": state.images_built,
        "nodes": nodes, "requests": state.requests, "deployments": deployments_of(state), "waiting": waiting_of(state),
        "rejectedDecisions": state.rejected_and_open().collect::<Vec<_>>(), "waitsFor": waits,
    })
}

fn text(state: &State, waits: &[String]) -> String {
    let mut text = format!("{} · {} · {}", state.run, state.created.title, state.status.as_str());
    if !state.status_reason.is_empty() {
        let _ = write!(text, " ({})", plain(&state.status_reason));
    }
    text.push('\n');
    for (definition, node) in state.pairs() {
        let style = match node.status {
            NodeStatus::Completed => GOOD,
            NodeStatus::Failed => BAD,
            NodeStatus::Waiting => WAITING,
            _ => DIM,
        };
        let _ = writeln!(
            text,
            "\n{style}{:<10}{style:#} {}  {}",
            node.status.as_str(),
            definition.id,
            plain(&definition.title)
        );
        for attempt in &node.attempts {
            let end = match &attempt.end {
                Some(end) if end.detail.is_empty() => end.outcome.words().to_owned(),
                Some(end) => format!("{}: {}", end.outcome.words(), plain(&end.detail)),
                None => "is running".to_owned(),
            };
            let _ = writeln!(text, "           attempt {}  {end}", attempt.number);
        }
        for artifact in &node.artifacts {
            let _ = writeln!(text, "           left {}  {} bytes", artifact.path, artifact.bytes);
        }
        if let Some((_, detail)) = &node.failure {
            let _ = writeln!(text, "           {BAD}{}{BAD:#}", plain(detail));
        }
        if let Some(decision) = &node.decision {
            let _ = writeln!(text, "           decided by {} {}", decision.by, plain(&decision.comment));
        }
    }
    if !state.requests.is_empty() {
        text.push_str("\nAsked for\n");
    }
    for request in &state.requests {
        let _ = writeln!(
            text,
            "  {}  {}  {}  {}",
            request.id,
            request.capability,
            request.status.as_str(),
            plain(&request.problem)
        );
    }
    for rejected in state.rejected_and_open() {
        let _ = writeln!(text, "  {BAD}{}{BAD:#}", plain(&set_aside::line(rejected)));
    }
    if !state.deployments.is_empty() {
        text.push_str("\nDeployed\n");
    }
    for row in deployments_of(state) {
        let _ = writeln!(text, "  {}  {}  {}  {} starts", row.id, row.address, row.status.as_str(), row.starts);
    }
    for who in waits {
        let _ = writeln!(text, "\nWaits for {}", plain(who));
    }
    text
}
