//! Text that people will look at: what may stand in it, and how a stranger's text is quoted in a message.

/// Whether `c` can act on a terminal or reorder what stands around it, instead of being seen.
pub(crate) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Bidirectional marks, embeddings, overrides and isolates.
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Line and paragraph separators, the byte order mark, tags, and what has no look of its own.
            | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{200b}' | '\u{2060}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// Whether there is nothing to be read in `text`: only space, and what has no look of its own.
pub(crate) fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || is_unsafe(c))
}

/// `text` in backticks for a message: cut to 60 characters, and what [`is_unsafe`] or would end the quote escaped.
pub(crate) fn shown(text: &str) -> String {
    const LIMIT: usize = 60;
    let mut quoted = String::from("`");
    for (index, c) in text.chars().enumerate() {
        if index == LIMIT {
            quoted.push('…');
            break;
        }
        if is_unsafe(c) {
            quoted.extend(c.escape_default());
        } else {
            quoted.push(if c == '`' { '\'' } else { c });
        }
    }
    quoted.push('`');
    quoted
}

/// Items as people list them: "`a`, `b` or `c`".
pub(crate) fn alternatives(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [only] => format!("`{only}`"),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(|name| format!("`{name}`")).collect();
            format!("{} or `{last}`", first.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_text_cannot_act() {
        assert_eq!(shown("a\u{1b}[2Jb\u{202e}`c"), "`a\\u{1b}[2Jb\\u{202e}'c`");
        assert_eq!(shown(&"x".repeat(70)), format!("`{}…`", "x".repeat(60)));
    }

    #[test]
    fn what_cannot_be_seen_is_blank() {
        for text in ["", " ", "\t\n", "\u{2028}", "\u{a0}\u{feff}\u{200b}"] {
            assert!(is_blank(text), "{text:?}");
        }
        assert!(!is_blank("\u{200b}a"));
    }

    #[test]
    fn alternatives_read_well() {
        assert_eq!(alternatives(&["a"]), "`a`");
        assert_eq!(alternatives(&["a", "b", "c"]), "`a`, `b` or `c`");
    }
}
