//! Texts from anywhere as GitHub's Markdown. They stand in code, always: outside of it a name becomes a mention, a
//! number a reference, an address a link and seven hex digits a commit, and no escape prevents that everywhere.

use std::fmt::Write as _;

use crate::report::words::cut;
use crate::run::visible::{visible, visible_line};

/// `text` on one line as a code span; `–` if it is empty.
pub(super) fn code(text: &str, limit: usize) -> String {
    span(&visible_line(&cut(text, limit), usize::MAX))
}

/// As [`code`], in a table's cell, where a bar would end the cell even inside code.
pub(super) fn cell(text: &str, limit: usize) -> String {
    span(&visible_line(&cut(text, limit), usize::MAX).replace('|', "\\|"))
}

fn span(line: &str) -> String {
    // A code span of blanks would not be one.
    if line.trim().is_empty() {
        return "–".to_owned();
    }
    let fence = "`".repeat(longest_run(line, '`') + 1);
    // Blanks beside the fence are taken off again, so that a backtick at the edge stays a part of the text.
    let needs_blanks = line.starts_with(['`', ' ']) || line.ends_with(['`', ' ']);
    let pad = if needs_blanks { " " } else { "" };
    format!("{fence}{pad}{line}{pad}{fence}")
}

/// `text` as a block of code.
pub(super) fn block(text: &str) -> String {
    let text = visible(text);
    let fence = "`".repeat((longest_run(&text, '`') + 1).max(3));
    format!("{fence}text\n{}\n{fence}\n", text.trim_end_matches('\n'))
}

fn longest_run(text: &str, of: char) -> usize {
    let (mut longest, mut run) = (0, 0);
    for character in text.chars() {
        run = if character == of { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

/// `text` within the quotes of a label of Mermaid: every sign of ASCII that is no letter, digit or blank as its number.
pub(super) fn label(text: &str, limit: usize) -> String {
    let mut label = String::new();
    for character in visible_line(text, limit).chars() {
        if character.is_alphanumeric() || character == ' ' || !character.is_ascii() {
            label.push(character);
        } else {
            let _ = write!(label, "#{};", u32::from(character));
        }
    }
    label
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

    use super::*;

    #[test]
    fn code_spans() {
        assert_eq!(code("plain @all #1", 100), "`plain @all #1`");
        assert_eq!(code("a`b", 100), "``a`b``");
        assert_eq!(code("`x", 100), "`` `x ``");
        assert_eq!((code("", 9), code("  ", 9)), ("–".to_owned(), "–".to_owned()));
        assert_eq!(code("a\nb\u{202e}", 100), "`a\\nb\\u{202e}`");
        assert_eq!(cell("a|b", 100), "`a\\|b`");
        assert_eq!(block("a```b\n"), "````text\na```b\n````\n");
    }

    #[test]
    fn labels() {
        assert_eq!(label("Größe: \"x\"; end", 100), "Größe#58; #34;x#34;#59; end");
        assert_eq!(label("a\"]\nclick n0 \"javascript:x\"", 100).matches(['"', ']', '[', ':', '\n']).count(), 0);
    }

    /// What of `markdown` is neither code nor our own words.
    fn outside(markdown: &str) -> String {
        let mut depth = 0;
        let mut text = String::new();
        for event in Parser::new_ext(markdown, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::CodeBlock(_)) => depth += 1,
                Event::End(TagEnd::CodeBlock) => depth -= 1,
                Event::Text(piece) if depth == 0 => text += &piece,
                Event::Html(piece) | Event::InlineHtml(piece) => text += &format!("<html>{piece}"),
                Event::Start(Tag::Link { .. } | Tag::Image { .. } | Tag::Heading { .. }) => text += "<link>",
                _ => {}
            }
        }
        text
    }

    proptest! {
        #[test]
        fn nothing_gets_out_of_code(text in "([`|\\\\<>@#\\[\\]()!*_~\n\t -]|[a-z]|\\PC){0,40}") {
            let is_blank = |said: &str| said.is_empty() || said == "–";
            let of_code = outside(&format!("x {} y", code(&text, 1000)));
            prop_assert!(matches!(of_code.as_str(), "x  y" | "x – y"), "{of_code}");
            let of_cell = outside(&format!("| a | b |\n|---|---|\n| {} | c |\n", cell(&text, 1000)));
            prop_assert!(matches!(of_cell.as_str(), "abc" | "ab–c"), "{of_cell}");
            prop_assert!(is_blank(&outside(&block(&text))));
            let label = label(&text, 1000);
            prop_assert!(!label.chars().any(|c| c.is_ascii_punctuation() && !matches!(c, '#' | ';')), "{label}");
        }
    }
}
