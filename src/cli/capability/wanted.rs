//! Which requests a command is about.

use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Args;

use crate::engine;
use crate::failure::Failure;
use crate::registry::Registry;
use crate::run::capability::CapabilityKind;
use crate::run::id::NodeId;
use crate::run::state::RequestStatus;
use crate::run::{quantity, time};

use super::super::run_arg::RunArg;

/// What a list is narrowed to
#[derive(Debug, Args)]
pub(super) struct Narrowed {
    /// Only of this run
    #[arg(long, value_name = "RUN")]
    run: Option<RunArg>,
    /// Only what this node asked for
    #[arg(long, value_name = "NODE", value_parser = NodeId::parse)]
    node: Option<NodeId>,
    /// Only of these kinds: `pip`, `net`
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = kind)]
    kind: Vec<CapabilityKind>,
    /// Only what stands so: `pending`, `applied`, `denied`, `revoked`, `expired`, …
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = state)]
    state: Vec<RequestStatus>,
    /// Only what was asked for since a time, or within a span: `2026-11-01T00:00:00Z`, `2d`
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<DateTime<Utc>>,
}

impl Narrowed {
    pub(super) fn wanted(self, registry: &Registry) -> Result<engine::WantedRequests, Failure> {
        Ok(engine::WantedRequests {
            run: self.run.map(|run| run.find(registry)).transpose()?,
            node: self.node,
            kinds: self.kind,
            states: self.state,
            since: self.since,
        })
    }

    /// Whether only some are wanted.
    pub(super) const fn is_narrow(&self) -> bool {
        self.run.is_some()
            || self.node.is_some()
            || !self.kind.is_empty()
            || !self.state.is_empty()
            || self.since.is_some()
    }
}

fn kind(text: &str) -> Result<CapabilityKind, String> {
    CapabilityKind::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
        let all: Vec<&str> = CapabilityKind::ALL.into_iter().map(CapabilityKind::as_str).collect();
        format!("is no kind; there are {}", all.join(", "))
    })
}

fn state(text: &str) -> Result<RequestStatus, String> {
    RequestStatus::ALL.into_iter().find(|status| status.as_str() == text).ok_or_else(|| {
        let all: Vec<&str> = RequestStatus::ALL.into_iter().map(RequestStatus::as_str).collect();
        format!("is no state; there are {}", all.join(", "))
    })
}

pub(in crate::cli) fn since(text: &str) -> Result<DateTime<Utc>, String> {
    let ago =
        |span: Duration| chrono::Duration::from_std(span).ok().and_then(|span| Utc::now().checked_sub_signed(span));
    let spanned = quantity::duration(text).ok().and_then(ago);
    time::parse_time(text)
        .or(spanned)
        .ok_or_else(|| "is neither a time (2026-11-01T00:00:00Z) nor a span (2d, 12h)".to_owned())
}
