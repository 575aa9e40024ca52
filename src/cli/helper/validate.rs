//! `taskforge helper validate`.

use serde_json::json;

use crate::engine::session;
use crate::registry::Registry;

use super::answer::Answer;
use super::argv::Call;
use super::run_id;
use super::sentence::Sentence;

pub(super) fn run(call: &Call, registry: &Registry) -> Result<Answer, Sentence> {
    let found = session::validate(registry, &run_id(call)?)?;
    let ok = found.issues.is_empty();
    let value = match found.run {
        None => json!({"ok": ok, "issues": found.issues}),
        Some(run) => json!({
            "ok": ok,
            "issues": found.issues,
            "runId": run.run_id,
            "runStatus": run.run_status,
            "statusCounts": run.status_counts,
            "eventCount": run.event_count,
        }),
    };
    Ok(Answer { value, ok })
}
