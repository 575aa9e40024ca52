//! `taskforge approve`.

use std::process::ExitCode;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};

use crate::failure::Failure;
use crate::run::command::Verdict;
use crate::run::{quantity, time};

use super::decision::{self, Answer};
use super::edited::{self, Edit};
use super::root::Context;

/// Show what waits, and approve exactly that
///
/// On a terminal it shows the request, the lock with its hashes, the Dockerfile and the review digest, and asks.
/// Elsewhere it needs `--digest` with what `--show` printed; a prefix of 12 digits is enough. Several ids of one run are
/// approved together or not at all, with one `--digest` for each, in their order.
#[derive(Debug, Args)]
pub(crate) struct Approve {
    /// An id from `taskforge inbox`, the start of one, or RUN/NODE
    #[arg(required = true)]
    ids: Vec<String>,
    /// The review digest you decide on; once for each id
    #[arg(long, value_name = "DIGEST")]
    digest: Vec<String>,
    /// A word for whoever asked, and for the record
    #[arg(long, short = 'm', default_value = "")]
    comment: String,
    /// For how long the grant holds: `2h`, `3d`
    #[arg(long, value_name = "SPAN", value_parser = quantity::duration, conflicts_with = "until")]
    for_time: Option<Duration>,
    /// When the grant ends: `2026-11-30T18:00:00Z`
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<DateTime<Utc>>,
    /// For whom the grant holds
    #[arg(long = "for", value_name = "SCOPE", value_enum, default_value_t = For::Run)]
    scope: For,
    /// Grant this list instead of what was asked for: it is resolved anew and shown under a digest of its own
    ///
    /// Of a request for packages or a tool any list of `pip:`, `apt:` and `npm:`; of another request one of its kind, such
    /// as a smaller budget. Once for each, or several with a comma before each: a comma before anything else belongs to what
    /// stands before it, as in `llm:gemini-*,tokens=5000`. Without `--digest` it is only shown, and nothing changes. The agent
    /// is told what it got, what it did not get, and your comment.
    #[arg(long, value_name = "CAPABILITY")]
    only: Vec<String>,
    /// As `--only`, with the list in your editor ($VISUAL, $EDITOR)
    #[arg(long, conflicts_with = "only")]
    edit: bool,
    /// Write and sign the decision, and change no journal: for a clone of the registry that another machine drives
    ///
    /// Commit `decisions/` then; the machine that drives the run takes it up when it has pulled.
    #[arg(long, conflicts_with = "show")]
    write_only: bool,
    /// Only show; of what was decided already, what was decided on
    #[arg(long, visible_alias = "dry-run", conflicts_with_all = ["digest", "comment"])]
    show: bool,
}

/// For whom a grant holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum For {
    /// The run that asked
    Run,
    /// Also later runs of the same workflow, as long as its definition stays the same
    Workflow,
    /// Also nodes of later runs with the same role
    Role,
}

fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    time::parse_time(text).ok_or_else(|| "is not a time with its zone; write it like 2026-11-30T18:00:00Z".to_owned())
}

impl Approve {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let edit = match (self.edit, self.only.is_empty()) {
            (true, _) => Some(Edit::InEditor),
            (false, false) => Some(Edit::Only(edited::listed(&self.only)?)),
            (false, true) => None,
        };
        let answer = Answer {
            verdict: Verdict::Approve,
            instead: Vec::new(),
            digests: self.digest,
            comment: self.comment,
            show: self.show,
            write_only: self.write_only,
            until: self.until,
            for_time: self.for_time,
            scope: self.scope,
            edit,
        };
        decision::run(context, &self.ids, &answer)
    }
}
