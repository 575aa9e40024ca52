//! `taskforge capability show`.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;

use crate::engine::{self, TakenBack};
use crate::failure::Failure;
use crate::run::time::isoformat;

use super::super::root::Context;
use super::super::set_aside;
use super::super::terminal::plain;

/// Show one request: what was asked, why, how it stands, and what was decided with which words
///
/// Of one that was decided it ends with what was decided on, as it was shown then: the packages with their digests, the image, what the
/// policies said, the files and the command of a deployment; and its digest, reckoned anew.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The request's id, or the start of one
    request: String,
}

impl Show {
    pub(super) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let explained = engine::explained(&registry, &self.request)?;
        let asked = &explained.asked;
        context.output.result(&explained, || {
            let mut text = String::new();
            let mut line = |name: &str, value: &str| {
                let _ = writeln!(text, "{name:<10}{}", plain(value).replace('\n', "\n          "));
            };
            line("Request", asked.id.as_str());
            line("Asked", &asked.what);
            let askers: Vec<&str> = asked.askers.iter().map(|node| node.as_str()).collect();
            line("For", &format!("run {}, node {}", asked.run, askers.join(", ")));
            line("At", &asked.at);
            line("Why", if asked.reason.trim().is_empty() { "(no reason given)" } else { &asked.reason });
            line("Status", asked.status.as_str());
            if !asked.problem.is_empty() && explained.revoked.is_none() {
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
            if !asked.instead.is_empty() {
                line("Instead", &asked.instead.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
            }
            if let Some(key) = explained.decision.as_ref().and_then(|decision| decision.key.as_ref()) {
                line("Signed", &format!("with {key}"));
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
            if let Some(image) = &explained.image {
                line("Image", image);
            }
            if let Some(address) = &explained.address {
                line("Address", address);
            }
            if let Some(TakenBack { by, at, reason }) = &explained.revoked {
                line("Revoked", &format!("by {by}, {}", at.map_or_else(|| "at an unknown time".to_owned(), isoformat)));
                line("", reason);
            }
            for rejected in &explained.rejected {
                line("Rejected", &format!("{}, {}", set_aside::line(rejected), isoformat(rejected.at)));
            }
            if let (Some(review), Some(decision)) = (&explained.presentation, &explained.decision) {
                let what = match explained.as_decided {
                    Some(true) => "What was decided on".to_owned(),
                    _ => format!("What is known of it now; what was decided on had the digest {}", decision.digest),
                };
                let _ = write!(text, "\n{what}\n\n{}", review.render());
            }
            text
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
