//! What a frozen file says of each node to whoever does it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::frontmatter;

/// What a node's session is told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Brief {
    pub prompt: String,
    /// The session that the file names for it.
    pub session_key: Option<String>,
}

/// Every node's brief by its id; `None` where the text has no frontmatter that could be read.
#[must_use]
pub fn briefs(text: &str) -> Option<BTreeMap<String, Brief>> {
    let Ok(Value::Object(root)) = frontmatter::read("", text) else { return None };
    let nodes = root.get("nodes").and_then(Value::as_array)?;
    let brief = |node: &Value| {
        let said = |key: &str| node.get(key).and_then(Value::as_str).map(str::to_owned);
        Some((said("id")?, Brief { prompt: said("prompt").unwrap_or_default(), session_key: said("sessionKey") }))
    };
    Some(nodes.iter().filter_map(brief).collect())
}
