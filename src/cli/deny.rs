//! `taskforge deny`.

use std::process::ExitCode;

use clap::Args;

use crate::failure::Failure;
use crate::run::command::Verdict;

use super::decision::{self, Answer};
use super::root::Context;
use super::words::words;

/// Deny what waits; the comment is the answer that the agent gets
#[derive(Debug, Args)]
pub(crate) struct Deny {
    /// An id from `taskforge inbox`, the start of one, or RUN/NODE
    #[arg(required = true)]
    ids: Vec<String>,
    /// The review digest you decide on; once for each id
    #[arg(long, value_name = "DIGEST")]
    digest: Vec<String>,
    /// Why, and what to do instead
    #[arg(long, short = 'm', value_parser = words)]
    comment: String,
    /// Write and sign the decision, and change no journal: for a clone of the registry that another machine drives
    #[arg(long)]
    write_only: bool,
}

impl Deny {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let answer = Answer {
            digests: self.digest.into_iter().collect(),
            comment: self.comment,
            write_only: self.write_only,
            ..Answer::of(Verdict::Deny)
        };
        decision::run(context, &self.ids, &answer)
    }
}
