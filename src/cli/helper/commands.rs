//! Commands that a session can run as they stand, as lists of arguments: none needs a shell, and all begin with `helper`,
//! so that an allowlist which permits only that lets them pass.

use serde_json::{Value, json};

use crate::registry::Registry;

/// `taskforge helper WORDS… --registry-root ROOT`.
pub(super) fn helper(registry: &Registry, words: &[&str]) -> Value {
    let root = registry.root().display().to_string();
    let all = ["taskforge", "helper"].into_iter().chain(words.iter().copied());
    let all: Vec<&str> = all.chain(["--registry-root", root.as_str()]).collect();
    json!(all)
}
