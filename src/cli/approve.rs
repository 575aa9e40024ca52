//! `taskforge approve`.

use std::process::ExitCode;

use clap::Args;

use crate::failure::Failure;
use crate::run::command::Verdict;

use super::decision::{self, Answer};
use super::root::Context;

/// Show what waits, and approve exactly that
///
/// On a terminal it shows the request, the lock with its hashes, the Dockerfile and the review digest, and asks.
/// Elsewhere it needs `--digest` with what `--show` printed; a prefix of 12 digits is enough.
#[derive(Debug, Args)]
pub(crate) struct Approve {
    /// An id from `taskforge inbox`, the start of one, or RUN/NODE
    #[arg(required = true)]
    ids: Vec<String>,
    /// The review digest you decide on
    #[arg(long, value_name = "DIGEST")]
    digest: Option<String>,
    /// A word for whoever asked, and for the record
    #[arg(long, default_value = "")]
    comment: String,
    /// Write and sign the decision, and change no journal: for a clone of the registry that another machine drives
    ///
    /// Commit `decisions/` then; the machine that drives the run takes it up when it has pulled.
    #[arg(long, conflicts_with = "show")]
    write_only: bool,
    /// Only show
    #[arg(long, visible_alias = "dry-run", conflicts_with_all = ["digest", "comment"])]
    show: bool,
}

impl Approve {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let answer = Answer {
            verdict: Verdict::Approve,
            instead: Vec::new(),
            digest: self.digest,
            comment: self.comment,
            show: self.show,
            write_only: self.write_only,
        };
        decision::run(context, &self.ids, &answer)
    }
}
