//! Commands that a session can run as they stand: none needs a pipe, a redirection or standard input, and all begin with
//! `taskforge helper`, so that an allowlist which permits only that lets them pass.

use serde_json::Value;

use crate::registry::Registry;

/// `taskforge helper WORDS… --registry-root ROOT` on one line, words in quotes where a shell would split them.
pub(super) fn helper(registry: &Registry, words: &[&str]) -> Value {
    let root = registry.root().display().to_string();
    let all =
        ["taskforge", "helper"].into_iter().chain(words.iter().copied()).chain(["--registry-root", root.as_str()]);
    let quoted: Vec<String> = all.map(quoted).collect();
    Value::String(quoted.join(" "))
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '@' | '%' | '+' | '=' | ':' | ',' | '.' | '/' | '-');
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_shell_reads_the_same_words() {
        assert_eq!(quoted("agent:main:session:x"), "agent:main:session:x");
        assert_eq!(quoted("/home/ada's registry"), "'/home/ada'\\''s registry'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("$(x)"), "'$(x)'");
    }
}
