//! Whether two globs fit one text.

/// Whether there is a text that both `one` and `other` fit; in both `*` is any run of characters, and everything else
/// itself. In time and space of the product of their lengths at most.
pub(super) fn overlap(one: &str, other: &str) -> bool {
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
    use crate::provider::glob_matches;
    use proptest::prelude::*;

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
        ] {
            assert_eq!(overlap(one, other), expected, "{one} {other}");
            assert_eq!(overlap(other, one), expected, "{other} {one}");
        }
    }

    proptest! {
        #[test]
        fn a_text_is_a_glob_that_fits_itself_alone(glob in "[ab*]{0,8}", text in "[ab]{0,8}") {
            prop_assert_eq!(overlap(&glob, &text), glob_matches(&glob, &text));
        }

        #[test]
        fn a_text_that_both_fit_is_an_overlap(one in "[ab*]{0,6}", other in "[ab*]{0,6}", text in "[ab]{0,8}") {
            if glob_matches(&one, &text) && glob_matches(&other, &text) {
                prop_assert!(overlap(&one, &other));
            }
        }

        #[test]
        fn an_overlap_is_found_among_short_texts(one in "[ab*]{0,4}", other in "[ab*]{0,4}") {
            // What both fit, they fit in a text no longer than the two together.
            let texts = (0..=8_u32).flat_map(|n| (0..1_u32 << n).map(move |bits| {
                (0..n).map(|k| if bits >> k & 1 == 1 { 'a' } else { 'b' }).collect::<String>()
            }));
            let found = texts.into_iter().any(|text| glob_matches(&one, &text) && glob_matches(&other, &text));
            prop_assert_eq!(overlap(&one, &other), found);
        }
    }
}
