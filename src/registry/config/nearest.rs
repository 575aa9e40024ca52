//! "Did you mean": what a wrong key was probably meant to be.

/// serde's message about an unknown key or value, with the nearest of those it expected.
pub(super) fn with_suggestion(message: &str) -> String {
    // serde's words: unknown field `x`, expected one of `a`, `b`; or: expected `a` or `b`; or: expected `a`.
    let mut names = message.split('`').skip(1).step_by(2);
    let unknown = message.starts_with("unknown ").then(|| names.next()).flatten();
    let near = unknown.and_then(|wrong| {
        let scored = names.map(|name| (distance(wrong, name), name));
        scored.filter(|(score, name)| *score <= name.len().div_ceil(3)).min()
    });
    match near {
        Some((_, name)) => format!("{message}; did you mean `{name}`?"),
        None => message.to_owned(),
    }
}

/// Levenshtein's distance, letter case aside.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.to_lowercase(), b.to_lowercase());
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.chars().enumerate() {
            let change = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_is_named() {
        let message = "unknown field `buildTimout`, expected one of `extraCa`, `buildTimeout`, `buildMemory`";
        assert!(with_suggestion(message).ends_with("; did you mean `buildTimeout`?"));
        let far = "unknown field `zzz`, expected `network`";
        assert_eq!(with_suggestion(far), far);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
