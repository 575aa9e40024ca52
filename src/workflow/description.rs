//! What a workflow says about itself below its frontmatter.

use pulldown_cmark::{Event, Parser, Tag, TagEnd};

use super::text::is_unsafe;

/// The first paragraph of `markdown` as one line of text, cut to 500 characters. `None` if there is none.
pub(super) fn first_paragraph(markdown: &str) -> Option<String> {
    const LIMIT: usize = 500;
    let mut inside = false;
    let mut text = String::new();
    for event in Parser::new(markdown) {
        match event {
            Event::Start(Tag::Paragraph) => inside = true,
            Event::End(TagEnd::Paragraph) if !text.trim().is_empty() => break,
            Event::End(TagEnd::Paragraph) => inside = false,
            Event::Text(piece) | Event::Code(piece) if inside => text.push_str(&piece),
            Event::SoftBreak | Event::HardBreak if inside => text.push(' '),
            _ => {}
        }
        if text.len() > 4 * LIMIT {
            break;
        }
    }
    let mut words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.retain(|c| !is_unsafe(c));
    if words.chars().count() > LIMIT {
        words = words.chars().take(LIMIT - 1).chain(['…']).collect();
    }
    (!words.is_empty()).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_first_paragraph() {
        let text = "# Title\n\nProfiles *sales*\ndata with `pandas`,\u{1b} and [asks](x).\n\nSecond.";
        assert_eq!(first_paragraph(text).as_deref(), Some("Profiles sales data with pandas, and asks."));
    }

    #[test]
    fn there_may_be_none_and_it_may_be_long() {
        assert_eq!(first_paragraph("# Only a title\n\n```\ncode\n```\n"), None);
        assert_eq!(first_paragraph(""), None);
        assert_eq!(first_paragraph(&"word ".repeat(10_000)).map(|text| text.chars().count()), Some(500));
    }
}
