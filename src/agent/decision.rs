//! How a request for a capability stands, read from the gate's answers, and what the model is told about it. What it
//! is told holds no id and no time, so that a recorded conversation fits whenever the decision was made.

use serde_json::{Map, Value, json};

/// The state of a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Standing {
    Pending,
    /// Allowed; what the model is told.
    Approved(Value),
    /// Denied, failed, not resolvable, expired; what the model is told.
    Refused(Value),
}

/// Reads `{"status":…,"answer":{…}}`.
///
/// # Errors
/// A sentence, if it has no status.
pub(crate) fn standing(reply: &Value) -> Result<Standing, String> {
    let status = reply.get("status").and_then(Value::as_str).ok_or("it has no `status`")?;
    let answer = reply.get("answer").unwrap_or(&Value::Null);
    let mut told = Map::new();
    match status {
        "pending" | "requested" => return Ok(Standing::Pending),
        "approved" | "applied" => {
            told.insert("status".into(), "approved".into());
            told.insert("granted".into(), answer.get("granted").cloned().unwrap_or_else(|| json!([])));
        }
        other => {
            told.insert("status".into(), other.into());
        }
    }
    for name in ["withheld", "comment", "alternative", "published"] {
        match answer.get(name) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) if text.is_empty() => {}
            Some(value) => {
                told.insert(name.into(), value.clone());
            }
        }
    }
    for name in ["listen", "path"] {
        if let Some(place) = reply.get(name).and_then(Value::as_str) {
            told.insert(name.into(), place.into());
        }
    }
    let approved = matches!(status, "approved" | "applied");
    Ok(if approved { Standing::Approved(told.into()) } else { Standing::Refused(told.into()) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn tells_what_was_decided_and_nothing_else() {
        let reply = json!({"id": "01J", "status": "applied", "answer":
            {"comment": "", "by": "operator:ada", "granted": ["pip:pygal==3.0.5"]}});
        let Standing::Approved(told) = standing(&reply).unwrap() else { panic!() };
        assert_eq!(told.to_string(), r#"{"status":"approved","granted":["pip:pygal==3.0.5"]}"#);

        let reply = json!({"status": "denied", "answer": {"by": "x", "comment": "use the csv module"}});
        let Standing::Refused(told) = standing(&reply).unwrap() else { panic!() };
        assert_eq!(told.to_string(), r#"{"status":"denied","comment":"use the csv module"}"#);
        assert_eq!(standing(&json!({"status": "pending", "answer": null})).unwrap(), Standing::Pending);
        assert!(standing(&json!({"status": 3})).is_err());
        assert!(standing(&json!([])).is_err());
    }
}
