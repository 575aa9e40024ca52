//! `taskforge capability show`.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;

use crate::engine;
use crate::failure::Failure;
use crate::run::time::isoformat;

use super::super::root::Context;
use super::super::terminal::plain;

/// Show one request: what was asked, why, how it stands, and what was decided with which words
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The request's id, or the start of one
    request: String,
}

impl Show {
    pub(super) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let asked = engine::shown_request(&registry, &self.request)?;
        context.output.result(&asked, || {
            let mut text = String::new();
            let mut line = |name: &str, value: &str| {
                let _ = writeln!(text, "{name:<10}{}", plain(value).replace('\n', "\n          "));
            };
            line("Request", asked.id.as_str());
            line("Asked", &asked.capability.to_string());
            let askers: Vec<&str> = asked.askers.iter().map(|node| node.as_str()).collect();
            line("For", &format!("run {}, node {}", asked.run, askers.join(", ")));
            line("At", &asked.at);
            line("Why", if asked.reason.trim().is_empty() { "(no reason given)" } else { &asked.reason });
            line("Status", asked.status.as_str());
            if !asked.problem.is_empty() {
                line("", &asked.problem);
            }
            if let Some(list) = &asked.list {
                line("Edited", &list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
            }
            if let Some(review) = &asked.review {
                line("Review", review);
            }
            if let Some(by) = &asked.by {
                line("Decided", &format!("by {by}, {}", asked.decided_at.as_deref().unwrap_or("at an unknown time")));
            }
            if let Some(comment) = asked.comment.as_ref().filter(|comment| !comment.is_empty()) {
                line("Comment", comment);
            }
            if let Some(scope) = asked.scope.as_ref().filter(|scope| !scope.is_run()) {
                line("Holds for", &scope.to_string());
            }
            if let Some(until) = asked.until {
                line("Until", &isoformat(until));
            }
            text
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
