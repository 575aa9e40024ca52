//! Which part of OpenTask's cron patches is passed on to OpenClaw.

use serde_json::{Map, Value};

use super::error::{Error, Result};

/// `patch` as the gateway takes it.
///
/// # Errors
/// [`Error::Unfit`] for an empty patch, and for a key or a value that is not passed on.
pub(super) fn checked(patch: &Map<String, Value>) -> Result<Map<String, Value>> {
    if patch.is_empty() {
        return Err(Error::Unfit("the patch is empty".to_owned()));
    }
    for (key, value) in patch {
        let good = match key.as_str() {
            "enabled" => value.is_boolean(),
            "name" | "description" | "displayName" => value.as_str().is_some_and(|text| text.len() <= 1024),
            "schedule" => schedule(value),
            _ => {
                return Err(Error::Unfit(format!(
                    "a patch may change name, displayName, description, enabled and schedule, not {key:.40?}"
                )));
            }
        };
        if !good {
            return Err(Error::Unfit(format!("{key} cannot be {:.80}", value.to_string())));
        }
    }
    Ok(patch.clone())
}

/// `at`, `every` and `cron`: the kinds that only say when. `stream` and `on-exit` run a program of their own.
fn schedule(value: &Value) -> bool {
    let Some(fields) = value.as_object() else { return false };
    let names: &[&str] = match fields.get("kind").and_then(Value::as_str) {
        Some("at") => &["at"],
        Some("every") => &["everyMs", "anchorMs"],
        Some("cron") => &["expr", "tz", "staggerMs"],
        _ => return false,
    };
    fields
        .iter()
        .all(|(key, value)| (key == "kind" || names.contains(&key.as_str())) && (value.is_string() || value.is_u64()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn check(patch: &Value) -> std::result::Result<(), String> {
        checked(patch.as_object().unwrap()).map(drop).map_err(|error| error.to_string())
    }

    #[test]
    fn when_and_whether_a_job_runs_may_be_changed() {
        for patch in [
            json!({"enabled": false}),
            json!({"enabled": true, "name": "n", "description": "d", "displayName": "x"}),
            json!({"schedule": {"kind": "cron", "expr": "*/5 * * * *", "tz": "UTC"}}),
            json!({"schedule": {"kind": "every", "everyMs": 60000}}),
            json!({"schedule": {"kind": "at", "at": "2027-01-01T00:00:00Z"}}),
        ] {
            assert_eq!(check(&patch), Ok(()), "{patch}");
        }
    }

    #[test]
    fn what_a_job_does_may_not() {
        for patch in [
            json!({}),
            json!({"enabled": "no"}),
            json!({"payload": {"kind": "command", "argv": ["id"]}}),
            json!({"enabled": true, "sessionTarget": "main"}),
            json!({"delivery": {"mode": "webhook"}}),
            json!({"schedule": "* * * * *"}),
            json!({"schedule": {"kind": "stream", "command": ["id"]}}),
            json!({"schedule": {"kind": "on-exit", "command": "id"}}),
            json!({"schedule": {"kind": "cron", "expr": "* * * * *", "command": "id"}}),
            json!({"schedule": {"kind": "cron", "expr": ["id"]}}),
            json!({"name": "n".repeat(2000)}),
        ] {
            assert!(check(&patch).is_err(), "{patch}");
        }
    }
}
