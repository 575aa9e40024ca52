//! What was decided on, shown again as it was shown then, with its digest reckoned anew.

use std::fmt::Write as _;

use serde_json::json;

use crate::engine::AsDecided;
use crate::failure::Failure;

use super::root::Context;
use super::terminal::plain;

pub(crate) fn show(context: &Context<'_>, decided: &AsDecided) -> Result<(), Failure> {
    let AsDecided { run, request, status, decision, review, .. } = decided;
    let value = json!({
        "run": run, "request": request, "status": status, "decision": decision, "review": review,
        "digest": review.digest(), "asDecided": decided.is_the_same(),
    });
    context.output.result(&value, || {
        let mut text = review.render();
        let _ = writeln!(text, "\n{}", verdict(decided));
        let _ = writeln!(text, "{}", plain(&told(decided)));
        text
    })
}

/// Who decided what, on which digest.
pub(crate) fn told(decided: &AsDecided) -> String {
    let decision = &decided.decision;
    let signed = decision.key.as_ref().map(|key| format!(", signed with {key}")).unwrap_or_default();
    format!("Decided   by {}, {}{signed}", decision.by, decision.at)
}

/// Whether what can be shown today is what was decided on.
pub(crate) fn verdict(decided: &AsDecided) -> String {
    let then = &decided.decision.digest;
    match decided.is_the_same() {
        true => format!("Decided on exactly this: {then}"),
        false => format!("Decided on another text than this one, by its digest: {then}"),
    }
}
