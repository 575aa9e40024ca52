//! OpenSSH's pattern lists (`match_pattern_list` of its match.c): `*`, `?`, commas, and `!` before what is taken out.

/// Whether `text` is in the list: some pattern fits, and none that is negated does. Letters count as they are.
pub(super) fn matches_list(text: &str, list: &str) -> bool {
    let mut found = false;
    for pattern in list.split(',') {
        match pattern.strip_prefix('!') {
            Some(negated) if matches(text.as_bytes(), negated.as_bytes()) => return false,
            Some(_) => {}
            None => found |= matches(text.as_bytes(), pattern.as_bytes()),
        }
    }
    found
}

/// Linear in memory and at worst quadratic in time: the last `*` is the only place to go back to.
fn matches(text: &[u8], pattern: &[u8]) -> bool {
    let (mut at, mut of) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while at < text.len() {
        match pattern.get(of) {
            Some(b'*') => {
                back = Some((of + 1, at));
                of += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[at] => (at, of) = (at + 1, of + 1),
            _ => match back {
                Some((after, from)) => {
                    back = Some((after, from + 1));
                    (at, of) = (from + 1, after);
                }
                None => return false,
            },
        }
    }
    pattern[of..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_as_openssh_reads_them() {
        for (text, list, fits) in [
            ("ada@x.org", "ada@x.org", true),
            ("ada@x.org", "*@x.org", true),
            ("ada@x.org", "bob@x.org,ada@*", true),
            ("ada@x.org", "*@x.org,!ada@x.org", false),
            ("ada@x.org", "!ada@x.org,*@x.org", false),
            ("ada@x.org", "!bob@x.org", false),
            ("ada@x.org", "Ada@x.org", false),
            ("ada@x.org", "ad?@x.org", true),
            ("ada", "ad??", false),
            ("", "*", true),
            ("ada", "", false),
            ("aaab", "*a*b", true),
            ("aaac", "*a*b", false),
        ] {
            assert_eq!(matches_list(text, list), fits, "{text} in {list}");
        }
        assert!(!matches_list(&"a".repeat(20_000), &"*a".repeat(300).replace("*a*a", "*aab*")), "in bounded time");
    }
}
