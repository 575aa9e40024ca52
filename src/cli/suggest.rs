//! `taskforge suggest`.

use std::process::ExitCode;

use clap::Args;

use crate::failure::Failure;
use crate::run::capability::Capability;
use crate::run::command::Verdict;

use super::decision::{self, Answer};
use super::root::Context;

/// Answer a request with what may be asked for instead
///
/// The request is over then: the agent is told the alternative and the comment, and asks for it if it fits. That is a
/// request of its own, which is resolved, shown and decided like any other.
#[derive(Debug, Args)]
pub(crate) struct Suggest {
    /// An id from `taskforge inbox`, the start of one, or RUN/NODE
    id: String,
    /// What to ask for instead: `pip:polars`, `net:api.github.com:443`
    #[arg(required = true, value_name = "CAPABILITY")]
    instead: Vec<Capability>,
    /// The review digest you decide on
    #[arg(long, value_name = "DIGEST")]
    digest: Option<String>,
    /// Why, in words for the agent
    #[arg(long, short = 'm', default_value = "")]
    comment: String,
    /// Write and sign the decision, and change no journal: for a clone of the registry that another machine drives
    #[arg(long)]
    write_only: bool,
}

impl Suggest {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let answer = Answer {
            instead: self.instead,
            digests: self.digest.into_iter().collect(),
            comment: self.comment,
            write_only: self.write_only,
            ..Answer::of(Verdict::Suggest)
        };
        decision::run(context, &[self.id], &answer)
    }
}
