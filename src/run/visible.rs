//! Text from agents and tools made safe to show: what a terminal would obey, or an eye would not see, is spelt out.

use std::fmt::Write as _;

/// `text` with every character that is not plainly printable written as an escape such as `\u{202e}`: terminal
/// controls, direction marks, zero-width and blank-looking characters, lone combining marks. Newlines stay; a tab
/// becomes four spaces.
#[must_use]
pub fn visible(text: &str) -> String {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\'' | '"' | '\\' => shown.push(character),
            '\t' => shown.push_str("    "),
            _ if is_blank(character) => shown.extend(character.escape_unicode()),
            _ => shown.extend(character.escape_debug()),
        }
    }
    shown
}

/// A JSON text that says the same, without a character that is not plainly printable: what [`visible`] spells out stands
/// there as an escape of JSON's. Such characters can stand in strings only, where an escape means the same.
#[must_use]
pub fn visible_json(json: String) -> String {
    let plain = |byte: u8| matches!(byte, b' '..=b'~' | b'\n' | b'\r' | b'\t');
    if json.bytes().all(plain) {
        return json;
    }
    let mut shown = String::with_capacity(json.len());
    for character in json.chars() {
        let printable = if character.is_ascii() {
            character != '\u{7f}'
        } else {
            character.escape_debug().len() == 1 && !is_blank(character)
        };
        if printable {
            shown.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            let _ = write!(shown, "\\u{unit:04x}");
        }
    }
    shown
}

/// Letters and signs by category, but drawn as nothing.
const fn is_blank(character: char) -> bool {
    matches!(character, '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{2800}')
}

/// [`visible`] on one line of at most `limit` characters.
#[must_use]
pub fn visible_line(text: &str, limit: usize) -> String {
    let shown = visible(text).replace('\n', "\\n");
    if shown.chars().count() <= limit {
        return shown;
    }
    let mut cut: String = shown.chars().take(limit.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spells_out_what_deceives() {
        assert_eq!(visible("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(visible("a\u{202e}b\u{200b}c\u{9b}d\re"), "a\\u{202e}b\\u{200b}c\\u{9b}d\\re");
        assert_eq!(visible("größe 日本 \"x\" 'y' \\"), "größe 日本 \"x\" 'y' \\");
        assert_eq!(
            visible_json("\"a\\n\u{202e}\u{7f}é\u{e0001}\"".to_owned()),
            "\"a\\n\\u202e\\u007fé\\udb40\\udc01\""
        );
        assert_eq!(visible_line("a\nb", 10), "a\\nb");
        assert_eq!(visible_line("abcdef", 4), "abc…");
    }

    proptest! {
        #[test]
        fn nothing_a_terminal_obeys_is_left(text in "(\\PC|\\p{C}|[\\x00-\\x1f\\x7f-\\x9f]){0,40}") {
            let deceives = |c: char| c.is_control() && c != '\n'
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
            prop_assert!(!visible(&text).chars().any(deceives));
            let value = serde_json::json!({&text: [&text]});
            let json = visible_json(serde_json::to_string_pretty(&value).unwrap());
            prop_assert!(!json.chars().any(deceives));
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), value);
        }
    }
}
