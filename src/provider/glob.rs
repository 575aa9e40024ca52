//! Globs of the model table: only `*` is special.

/// Whether `text` matches `pattern`, in which `*` stands for any run of characters and everything else for itself.
#[must_use]
pub fn glob_matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        // The earliest place is the best one: it leaves the most text for the parts that follow.
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.is_empty()
}

/// Whether some text matches both.
#[must_use]
pub(crate) fn globs_overlap(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    // Whether what is left of both from here on has a text in common; from the ends on.
    let mut after = vec![false; other.len() + 1];
    for i in (0..=one.len()).rev() {
        let mut row = vec![false; other.len() + 1];
        for j in (0..=other.len()).rev() {
            row[j] = match (one.get(i), other.get(j)) {
                (None, None) => true,
                (Some(b'*'), next) => after[j] || (next.is_some() && row[j + 1]),
                (next, Some(b'*')) => row[j + 1] || (next.is_some() && after[j]),
                (Some(a), Some(b)) => a == b && after[j + 1],
                _ => false,
            };
        }
        after = row;
    }
    after[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_star_is_special() {
        for (pattern, text, expected) in [
            ("recorded", "recorded", true),
            ("recorded", "recorded2", false),
            ("*", "", true),
            ("*", "anything", true),
            ("gpt-*", "gpt-4o", true),
            ("gpt-*", "xgpt-4o", false),
            ("*-mini", "gpt-4o-mini", true),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("?", "x", false),
            ("[a]", "[a]", true),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(glob_matches(pattern, text), expected, "{pattern:?} on {text:?}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_plain_recursion(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
            fn plain(pattern: &[u8], text: &[u8]) -> bool {
                match (pattern.first(), text.first()) {
                    (None, None) => true,
                    (Some(b'*'), _) => {
                        plain(&pattern[1..], text) || (!text.is_empty() && plain(pattern, &text[1..]))
                    }
                    (Some(p), Some(t)) if p == t => plain(&pattern[1..], &text[1..]),
                    _ => false,
                }
            }
            prop_assert_eq!(glob_matches(&pattern, &text), plain(pattern.as_bytes(), text.as_bytes()));
        }
    }

    #[test]
    fn globs_overlap_where_one_text_matches_both() {
        for (one, other, expected) in [
            ("", "", true),
            ("a", "a", true),
            ("a", "b", false),
            ("*", "", true),
            ("gpt-*", "gpt-4", true),
            ("gpt-*", "*-mini", true),
            ("gpt-*", "claude-*", false),
            ("*a", "*b", false),
            ("a*b*c", "*x*", true),
            ("a*", "a", true),
            ("ab", "a*c", false),
        ] {
            assert_eq!((globs_overlap(one, other), globs_overlap(other, one)), (expected, expected), "{one} {other}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_text_of_both_makes_them_overlap(one in "[ab*]{0,6}", other in "[ab*]{0,6}", text in "[ab]{0,8}") {
            if glob_matches(&one, &text) && glob_matches(&other, &text) {
                proptest::prop_assert!(globs_overlap(&one, &other));
            }
        }
    }
}
