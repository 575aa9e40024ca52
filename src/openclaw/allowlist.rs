//! The entry in OpenClaw's exec approvals that lets an agent run `taskforge helper`, and the entries that would let it
//! run more of us. Pure: the document comes from `openclaw approvals get` and goes back by `openclaw approvals set`.

use std::path::Path;

use serde_json::{Map, Value, json};

/// An argument pattern that only the verbs of the skill match. The arguments are joined by spaces before it is tried.
pub const ARGUMENTS: &str = "^helper( |$)";

/// The verbs that no agent may reach, each with what reaching it would mean.
const FORBIDDEN: &[&str] =
    &["approve", "deny", "unlock", "kill", "control", "run", "tick", "schedule", "openclaw", "event", "node", "init"];

/// The document with our entry for `binary` in `agent`'s list; everything that was there stays. `None` if it stands.
#[must_use]
pub fn merged(document: &Value, agent: &str, binary: &Path) -> Option<Value> {
    if has_entry(document, agent, binary) {
        return None;
    }
    let mut document = document.as_object().cloned().unwrap_or_default();
    document.entry("version").or_insert_with(|| json!(1));
    let of = |value: Option<&Value>| value.and_then(Value::as_object).cloned().unwrap_or_default();
    let mut agents: Map<String, Value> = of(document.get("agents"));
    let mut own = of(agents.get(agent));
    let mut list = own.get("allowlist").and_then(Value::as_array).cloned().unwrap_or_default();
    list.push(json!({"pattern": binary.to_string_lossy(), "argPattern": ARGUMENTS}));
    own.insert("allowlist".to_owned(), Value::Array(list));
    agents.insert(agent.to_owned(), Value::Object(own));
    document.insert("agents".to_owned(), Value::Object(agents));
    Some(Value::Object(document))
}

/// Whether our entry stands in `agent`'s list.
#[must_use]
pub fn has_entry(document: &Value, agent: &str, binary: &Path) -> bool {
    entries(document, agent)
        .any(|entry| entry["pattern"] == *binary.to_string_lossy() && entry["argPattern"] == ARGUMENTS)
}

/// An entry by which an agent could run more of us than `helper`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Danger {
    pub pattern: String,
    /// Why: which verb, or that one cannot tell.
    pub why: String,
}

/// The entries of `agent` and of every agent that may match `binary` with other verbs.
#[must_use]
pub fn dangers(document: &Value, agent: &str, binary: &Path) -> Vec<Danger> {
    let mut found = Vec::new();
    for entry in entries(document, agent).chain(entries(document, "*")) {
        let pattern = entry.as_str().or_else(|| entry["pattern"].as_str()).unwrap_or_default();
        if !may_match(pattern, binary) {
            continue;
        }
        let why = match entry["argPattern"].as_str() {
            None => Some("any arguments, so `approve` and `unlock` too".to_owned()),
            // An approved command in full; whoever approved it saw it.
            Some(exact) if exact.starts_with("sha256:argv:") => None,
            Some(pattern) => match verbs(pattern) {
                Some(verbs) => verbs
                    .iter()
                    .find(|verb| FORBIDDEN.contains(&verb.as_str()))
                    .map(|verb| format!("`{verb}` with any arguments")),
                None => {
                    Some(format!("arguments {pattern:.80?}, of which one cannot tell that it leaves out `approve`"))
                }
            },
        };
        found.extend(why.map(|why| Danger { pattern: pattern.to_owned(), why }));
    }
    found
}

fn entries<'a>(document: &'a Value, agent: &str) -> impl Iterator<Item = &'a Value> {
    document["agents"][agent]["allowlist"].as_array().into_iter().flatten()
}

/// The first words that `^(a|b)( |$)` and its like let pass; `None` for any other pattern.
fn verbs(pattern: &str) -> Option<Vec<String>> {
    let rest = pattern.strip_prefix('^')?;
    let words = [r"( |$)", r"(?: |$)", r"(\s|$)", "$"].iter().find_map(|end| rest.strip_suffix(end))?;
    let inner = words.strip_prefix("(?:").or_else(|| words.strip_prefix('('));
    let words = match inner {
        Some(inner) => inner.strip_suffix(')')?,
        None => words,
    };
    let words: Vec<String> = words.split('|').map(str::to_owned).collect();
    let alternatives = inner.is_some() || words.len() == 1;
    let plain = |word: &String| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    (alternatives && words.iter().all(plain)).then_some(words)
}

/// Whether a glob may match the binary, by its path, by where that leads, or by its bare name: OpenClaw follows links in
/// both. Where in doubt it may.
fn may_match(pattern: &str, binary: &Path) -> bool {
    let pattern = pattern.trim();
    let real = binary.canonicalize().ok();
    let leads_there = || Path::new(pattern).canonicalize().ok().is_some_and(|path| Some(path) == real);
    [Some(binary), real.as_deref()].into_iter().flatten().any(|binary| matches(pattern, binary))
        || (pattern.starts_with('/') && leads_there())
}

fn matches(pattern: &str, binary: &Path) -> bool {
    let path = binary.to_string_lossy();
    let name = binary.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    if pattern.starts_with("~/") {
        return glob(pattern.trim_start_matches('~').as_bytes(), path.as_bytes()) || ends_alike(pattern, &name);
    }
    let subject = if pattern.contains('/') { &path } else { &name };
    pattern.contains(['[', '{']) && ends_alike(pattern, &name) || glob(pattern.as_bytes(), subject.as_bytes())
}

fn ends_alike(pattern: &str, name: &str) -> bool {
    let last = pattern.rsplit('/').next().unwrap_or_default();
    last.contains(['[', '{']) || glob(last.as_bytes(), name.as_bytes())
}

/// `*` and `?` over any characters: wider than the glob that it stands for, never narrower.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut from, mut star) = (0, 0, None);
    while from < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, from));
                at += 1;
            }
            Some(byte) if *byte == b'?' || byte.eq_ignore_ascii_case(&text[from]) => {
                at += 1;
                from += 1;
            }
            _ => match &mut star {
                Some((star, back)) => {
                    *back += 1;
                    (at, from) = (*star + 1, *back);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const BINARY: &str = "/usr/local/bin/taskforge";

    fn add(document: &Value) -> Option<Value> {
        merged(document, "main", Path::new(BINARY))
    }

    #[test]
    fn nothing_that_was_there_is_dropped() {
        let document = json!({
            "version": 1, "socket": {"path": "/s", "token": "t"}, "defaults": {"security": "allowlist"}, "new": [1],
            "agents": {
                "*": {"allowlist": [{"pattern": "jq"}]},
                "main": {"mcpTools": {"x": 1}, "allowlist": [{"pattern": "/bin/ls", "id": "1", "lastUsedAt": 5}]},
            },
        });
        let merged = add(&document).unwrap();
        assert_eq!(merged["agents"]["main"]["allowlist"][1], json!({"pattern": BINARY, "argPattern": ARGUMENTS}));
        assert_eq!(add(&merged), None, "it stands");
        let mut without = merged;
        without["agents"]["main"]["allowlist"].as_array_mut().unwrap().pop();
        assert_eq!(without, document);
        let fresh =
            json!({"version": 1, "agents": {"main": {"allowlist": [{"pattern": BINARY, "argPattern": ARGUMENTS}]}}});
        assert_eq!(add(&json!({})), Some(fresh.clone()));
        assert_eq!(add(&Value::Null), Some(fresh.clone()));
        assert_eq!(add(&json!({"version": 1, "agents": {"main": {"allowlist": 5}}})), Some(fresh));
    }

    #[test]
    fn links_hide_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let [real, named, other] = ["tf-1.0", "taskforge", "other"].map(|name| folder.path().join(name));
        std::fs::write(&real, "").unwrap();
        std::os::unix::fs::symlink(&real, &named).unwrap();
        std::os::unix::fs::symlink(&real, &other).unwrap();
        for pattern in [&real, &named, &other, &folder.path().join("tf-*")] {
            let document = json!({"agents": {"main": {"allowlist": [{"pattern": pattern}]}}});
            assert_eq!(dangers(&document, "main", &named).len(), 1, "{pattern:?}");
        }
        let document = json!({"agents": {"main": {"allowlist": [{"pattern": folder.path().join("none")}]}}});
        assert!(dangers(&document, "main", &named).is_empty());
    }

    #[test]
    fn an_entry_that_lets_more_pass_is_found() {
        let dangerous = |entry: Value| {
            let document = json!({"agents": {"main": {"allowlist": [entry.clone()]}}});
            let everybody = json!({"agents": {"*": {"allowlist": [entry]}}});
            let found = dangers(&document, "main", Path::new(BINARY));
            assert_eq!(found, dangers(&everybody, "main", Path::new(BINARY)));
            assert!(dangers(&document, "other", Path::new(BINARY)).is_empty());
            !found.is_empty()
        };
        for pattern in [
            BINARY,
            "taskforge",
            "*",
            "/usr/local/bin/*",
            "/usr/**/taskforge",
            "/**",
            "task?orge",
            "~/**",
            "~/bin/taskforge",
            "/usr/local/bin/{jq,taskforge}",
            "TASKFORGE",
        ] {
            assert!(dangerous(json!({"pattern": pattern})), "{pattern}");
            assert!(!dangerous(json!({"pattern": pattern, "argPattern": ARGUMENTS})), "{pattern}");
        }
        assert!(dangerous(json!(BINARY)), "the old form of an entry");
        for pattern in ["jq", "/usr/bin/*", "/usr/local/bin/other", "/usr/local/bin/taskforge-x", ""] {
            assert!(!dangerous(json!({"pattern": pattern})), "{pattern}");
        }
        for arguments in [
            "",
            ".*",
            "^helper",
            "helper",
            "^(helper|approve)( |$)",
            "^approve( |$)",
            "^unlock$",
            "^helper|approve( |$)",
            "^(helper|.*)( |$)",
            "^helper( |$)|^approve",
            "(^helper( |$))",
        ] {
            assert!(dangerous(json!({"pattern": BINARY, "argPattern": arguments})), "{arguments}");
        }
        for arguments in ["^helper( |$)", "^(helper|inbox)( |$)", "^(?:helper)(?: |$)", "^doctor$", "sha256:argv:00"] {
            assert!(!dangerous(json!({"pattern": BINARY, "argPattern": arguments})), "{arguments}");
        }
    }
}
