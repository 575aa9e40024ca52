//! Globs of models, as the model table and policies have them: only `*` is special.

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

/// Whether there is a text that both `one` and `other` fit; in both `*` is any run of characters, and everything else
/// itself. In time and space of the product of their lengths at most.
#[must_use]
pub(crate) fn globs_overlap(one: &str, other: &str) -> bool {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    // `after[j]`: whether the rest of `one` from here and the rest of `other` from `j` fit one text.
    let mut after = vec![false; other.len() + 1];
    for i in (0..=one.len()).rev() {
        let mut here = vec![false; other.len() + 1];
        for j in (0..=other.len()).rev() {
            here[j] = match (one.get(i), other.get(j)) {
                (None, None) => true,
                // A star stands for nothing, or for one character more of what the other one has.
                (Some('*'), None) => after[j],
                (Some('*'), Some(_)) => after[j] || here[j + 1],
                (None, Some('*')) => here[j + 1],
                (Some(_), Some('*')) => here[j + 1] || after[j],
                (Some(a), Some(b)) => a == b && after[j + 1],
                (Some(_), None) | (None, Some(_)) => false,
            };
        }
        after = here;
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
    fn what_may_mean_the_same_overlaps() {
        for (one, other, expected) in [
            ("gemini-2*", "gemini-*", true),
            ("gemini-2*", "*-pro", true),
            ("gpt-4o", "gpt-*", true),
            ("gpt-4o", "gpt-5*", false),
            ("*", "", true),
            ("", "a", false),
            ("a*b", "a*c", false),
            ("a*", "*b", true),
            ("", "", true),
            ("a", "a", true),
            ("a", "b", false),
            ("gpt-*", "gpt-4", true),
            ("gpt-*", "*-mini", true),
            ("gpt-*", "claude-*", false),
            ("*a", "*b", false),
            ("a*b*c", "*x*", true),
            ("a*", "a", true),
            ("ab", "a*c", false),
        ] {
            assert_eq!(globs_overlap(one, other), expected, "{one} {other}");
            assert_eq!(globs_overlap(other, one), expected, "{other} {one}");
        }
    }

    proptest! {
        #[test]
        fn a_text_is_a_glob_that_fits_itself_alone(glob in "[ab*]{0,8}", text in "[ab]{0,8}") {
            prop_assert_eq!(globs_overlap(&glob, &text), glob_matches(&glob, &text));
        }

        #[test]
        fn a_text_that_both_fit_is_an_overlap(one in "[ab*]{0,6}", other in "[ab*]{0,6}", text in "[ab]{0,8}") {
            if glob_matches(&one, &text) && glob_matches(&other, &text) {
                prop_assert!(globs_overlap(&one, &other));
            }
        }

        #[test]
        fn an_overlap_is_found_among_short_texts(one in "[ab*]{0,4}", other in "[ab*]{0,4}") {
            // What both fit, they fit in a text no longer than the two together.
            let texts = (0..=8_u32).flat_map(|n| (0..1_u32 << n).map(move |bits| {
                (0..n).map(|k| if bits >> k & 1 == 1 { 'a' } else { 'b' }).collect::<String>()
            }));
            let found = texts.into_iter().any(|text| glob_matches(&one, &text) && glob_matches(&other, &text));
            prop_assert_eq!(globs_overlap(&one, &other), found);
        }
    }
}
