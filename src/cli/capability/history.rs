//! `taskforge capability history`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::engine::{self, Step};
use crate::failure::Failure;
use crate::run::capability::Capability;
use crate::run::id::RequestId;

use super::super::root::Context;
use super::super::table::Table;
use super::super::terminal::plain;
use super::wanted::Narrowed;

/// Show all that happened to requests, in the order in which it was journaled
#[derive(Debug, Args)]
pub(crate) struct History {
    /// The id of one request, or the start of one
    request: Option<String>,
    #[command(flatten)]
    narrowed: Narrowed,
}

impl History {
    pub(super) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let mut steps = Vec::new();
        if let Some(request) = &self.request {
            let (run, request) = engine::any_request(&registry, request)?;
            steps.extend(engine::request_history(&registry, &run, &[request.id])?);
        } else {
            let engine::Asked { requests, unreadable } = engine::asked(&registry, &self.narrowed.wanted(&registry)?)?;
            for (run, reason) in &unreadable {
                context.output.warn(&format!("warning: run {run} cannot be read: {reason}"));
            }
            // The requests of a run lie beside each other.
            for of_run in requests.chunk_by(|a, b| a.run == b.run) {
                let ids: Vec<RequestId> = of_run.iter().map(|asked| asked.id.clone()).collect();
                if let Some(first) = of_run.first() {
                    steps.extend(engine::request_history(&registry, &first.run, &ids)?);
                }
            }
        }
        context.output.result(&json!({"steps": steps}), || {
            let mut table = Table::new(["AT", "RUN", "REQUEST", "WHAT", "BY", "HAPPENED", "ON", "WORDS"]);
            for step in &steps {
                let (run, request, what) =
                    (step.run.to_string(), step.request.to_string(), step.capability.to_string());
                let happened = match step.event.as_str() {
                    "input.rejected" => "decision rejected".to_owned(),
                    event => event.trim_start_matches("capability.").to_owned(),
                };
                let on = step.digest.as_ref().map_or("-", |digest| digest.get(..12).unwrap_or(digest)).to_owned();
                let words = plain(&words(step)).replace('\n', " ");
                table.row([step.at.clone(), run, request, what, plain(&step.by), happened, on, words]);
            }
            table.or("Nothing was asked for.\n")
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What was said, with the capabilities that were named.
fn words(step: &Step) -> String {
    let named = |list: &[Capability]| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let list = step.list.as_ref().map(|list| format!("as {}", named(list)));
    let instead = if step.instead.is_empty() { None } else { Some(format!("instead {}", named(&step.instead))) };
    let said = Some(step.comment.clone()).filter(|said| !said.is_empty());
    [list, instead, said].into_iter().flatten().collect::<Vec<_>>().join(": ")
}
