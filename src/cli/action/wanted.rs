//! Which of what was asked for is shown.

use chrono::{DateTime, Utc};
use clap::Args;

use super::Act;
use crate::cli::capability::since;
use crate::run::time::parse_time;

/// Narrows a list down. What is said twice over has to hold at once; `--denied` and `--unclear` together show both.
#[derive(Debug, Default, Args)]
pub(crate) struct Wanted {
    /// Only of this action, such as github.pr.comment
    #[arg(long)]
    action: Option<String>,
    /// Only what was denied
    #[arg(long)]
    denied: bool,
    /// Only what may have been done, and nothing says whether
    #[arg(long)]
    unclear: bool,
    /// Only what was asked for since a time, or within a span: `2026-11-01T00:00:00Z`, `2d`
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<DateTime<Utc>>,
    /// Only the last so many
    #[arg(long, value_name = "N")]
    last: Option<usize>,
}

impl Wanted {
    pub(super) fn fits(&self, act: &Act<'_>) -> bool {
        let standing = act.standing();
        let stands = match (self.denied, self.unclear) {
            (false, false) => true,
            (denied, unclear) => {
                (denied && standing == "denied") || (unclear && act.changes() && matches!(standing, "open" | "unclear"))
            }
        };
        let named = self.action.as_deref().is_none_or(|action| act.record.text("action") == Some(action));
        // What bears no time is shown rather than hidden.
        let late = |since: DateTime<Utc>| parse_time(&act.record.time).is_none_or(|time| time >= since);
        stands && named && self.since.is_none_or(late)
    }

    /// The last so many of `all`.
    pub(super) fn tail<'a, T>(&self, all: &'a [T]) -> &'a [T] {
        &all[self.last.map_or(0, |last| all.len().saturating_sub(last))..]
    }
}
