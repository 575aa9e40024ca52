//! Decisions whose files could not count, as a person is told of them.

use crate::run::id::RunId;
use crate::run::state::RejectedDecision;

use super::root::Context;

/// One line on what stands aside, and why.
pub(crate) fn line(rejected: &RejectedDecision) -> String {
    let RejectedDecision { request, file, reason, .. } = rejected;
    format!("a decision on {request} does not count: {reason} (it stands aside as decisions/{file})")
}

pub(crate) fn warn(context: &Context<'_>, run: &RunId, rejected: &[RejectedDecision]) {
    for one in rejected {
        context.output.warn(&format!("warning: run {run}: {}", line(one)));
    }
}
