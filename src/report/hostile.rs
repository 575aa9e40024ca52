//! Any text in any place: the pages stay what they are. HTML is read back with a tokenizer that follows the standard, and
//! has no element and no attribute but those of this program.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::cell::Cell;

use html5gum::{DefaultEmitter, Token, Tokenizer};
use proptest::prelude::*;
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use super::tests::Story;

const ELEMENTS: &[&str] = &[
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "main",
    "footer",
    "header",
    "section",
    "article",
    "aside",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "p",
    "ul",
    "ol",
    "li",
    "dl",
    "dt",
    "dd",
    "div",
    "span",
    "code",
    "pre",
    "blockquote",
    "em",
    "strong",
    "s",
    "a",
    "br",
    "hr",
    "time",
    "table",
    "caption",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "details",
    "summary",
    "img",
    "svg",
    "desc",
    "g",
    "path",
    "rect",
    "text",
    "line",
];

const ATTRIBUTES: &[&str] = &[
    "lang",
    "charset",
    "http-equiv",
    "content",
    "name",
    "id",
    "class",
    "role",
    "title",
    "scope",
    "datetime",
    "href",
    "rel",
    "tabindex",
    "open",
    "viewbox",
    "width",
    "height",
    "x",
    "y",
    "x1",
    "x2",
    "y1",
    "y2",
    "rx",
    "d",
    "transform",
    "text-anchor",
    "data-label",
    "src",
    "alt",
    "aria-label",
    "aria-labelledby",
    "aria-hidden",
];

/// Reads `page` as a browser would, and checks every token: once as if everything were markup, once with texts that end
/// with their element only (`<title>`, `<style>`), since which it is depends on what stands around it.
fn check(page: &str) {
    for switches in [false, true] {
        let mut emitter = DefaultEmitter::default();
        emitter.naively_switch_states(switches);
        check_tokens(Tokenizer::new_with_emitter(page, emitter));
    }
}

fn check_tokens(tokens: impl Iterator<Item = Result<Token, std::convert::Infallible>>) {
    let mut open: Vec<String> = Vec::new();
    let mut ids = std::collections::BTreeSet::new();
    for token in tokens {
        match token.unwrap() {
            Token::StartTag(tag) => {
                let name = String::from_utf8(tag.name.to_vec()).unwrap();
                assert!(ELEMENTS.contains(&name.as_str()), "<{name}>");
                for (key, value) in &tag.attributes {
                    let (key, value) =
                        (String::from_utf8(key.to_vec()).unwrap(), String::from_utf8_lossy(value).into_owned());
                    assert!(ATTRIBUTES.contains(&key.as_str()), "<{name} {key}>");
                    let leads_away =
                        value.starts_with("http://") || value.starts_with("https://") || value.starts_with("HTTP");
                    assert!(key != "href" || value.starts_with('#') || leads_away, "{value}");
                    assert!(key != "src" || value.starts_with("data:image/"), "{value}");
                    assert!(key != "id" || ids.insert(value.clone()), "two things are called {value}");
                }
                if !matches!(name.as_str(), "meta" | "br" | "hr" | "img") {
                    open.push(name);
                }
            }
            Token::EndTag(tag) => {
                let name = String::from_utf8(tag.name.to_vec()).unwrap();
                assert_eq!(open.pop().as_deref(), Some(name.as_str()), "elements cross");
            }
            Token::String(text) => {
                let text = String::from_utf8_lossy(&text);
                let deceives = |c: char| {
                    c.is_control() && c != '\n'
                        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
                };
                assert!(!text.chars().any(deceives), "{text:?}");
            }
            Token::Comment(text) => assert_eq!(text.to_vec(), b" taskforge run report: demo-1 "),
            Token::Doctype(_) => {}
            Token::Error(error) => panic!("{error:?}"),
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

/// Checks that GitHub's Markdown has only the elements that we write: no link, no image, no HTML but ours.
fn check_markdown(page: &str) {
    let (mut is_code, mut is_graph) = (false, false);
    for event in Parser::new_ext(page, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH) {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(of))) if &*of == "mermaid" => {
                (is_code, is_graph) = (true, true)
            }
            Event::Start(Tag::CodeBlock(_)) => (is_code, is_graph) = (true, false),
            Event::Text(text) if is_code && is_graph => text.lines().for_each(check_graph),
            Event::End(TagEnd::CodeBlock) => is_code = false,
            Event::Html(html) | Event::InlineHtml(html) => {
                let html = html.trim();
                let is_ours = html.is_empty()
                    || ["</details>", "<sub>", "</sub>", "<!-- taskforge run report: demo-1 -->"].contains(&html)
                    || (html.starts_with("<details><summary>") && html.ends_with("</summary>"));
                assert!(is_ours, "{html}");
            }
            Event::Start(Tag::Link { .. } | Tag::Image { .. } | Tag::BlockQuote(_) | Tag::FootnoteDefinition(_)) => {
                panic!("{event:?}")
            }
            // Names that would call somebody, and numbers that would lead somewhere.
            Event::Text(text) => assert!(is_code || !text.contains('@') && !text.contains("://"), "{text}"),
            _ => {}
        }
    }
}

/// A line of Mermaid is a node, an edge or a class of ours, and a label has nothing that could end it.
fn check_graph(line: &str) {
    let is_ours = line == "flowchart TD" || line.starts_with("  classDef ") || line.contains(" --> ");
    if !is_ours || line.contains('"') {
        let (name, rest) = line.split_once("[\"").expect(line);
        let (label, class) = rest.split_once("\"]:::").expect(line);
        let (title, status) = label.split_once("<br/>").expect(line);
        assert!(name.trim_start().starts_with('n') && status == class, "{line}");
        assert!(!title.chars().any(|c| c.is_ascii_punctuation() && !matches!(c, '#' | ';')), "{line}");
    }
}

#[test]
fn the_plain_page_is_sound() {
    let story = Story::whole(&str::to_owned);
    check(&super::html(&story.report()));
}

#[test]
fn the_page_loads_nothing_and_runs_nothing() {
    let page = super::html(&Story::whole(&str::to_owned).report());
    assert!(page.contains("Content-Security-Policy") && page.contains("default-src &#39;none&#39;"));
    let sheet = page.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
    for word in ["@import", "url(", "<", "expression", "http"] {
        assert!(!sheet.contains(word), "{word}");
    }
}

#[test]
fn what_is_known_to_do_harm() {
    for text in [
        "</title><script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' onmouseover='alert(1)",
        "</style><script>alert(1)</script>",
        "--><script>alert(1)</script>",
        "]]></svg><script>alert(1)</script>",
        "<svg/onload=alert(1)>",
        "[x](javascript:alert(1))",
        "<javascript:alert(1)>",
        "```\n</details><script>alert(1)</script>\n```",
        "| a | b |\n|---|---|\n| </td><script> | @everyone #1 |",
        "\u{202e}gnp.exe\u{0}\u{1b}[2J",
        "`@everyone` #1 deadbeef https://evil.example www.evil.example $`x`$",
        "\"]\n  click n0 \"javascript:alert(1)\"\n  x[\"",
        "&lt;script&gt; &#60;script&#62;",
    ] {
        let story = Story::whole(&|_| text.to_owned());
        check(&super::html(&story.report()));
        let markdown = super::markdown(&story.report());
        check_markdown(&markdown);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn any_text_in_any_place(texts in prop::collection::vec("([<>&\"'`|\\\\@#\\[\\]()!*_~:/\n\t -]|[a-z]|\\PC|\\p{C}|<script>|</|-->|javascript:|\\[a\\]\\(|```|\n> ){0,30}", 1..8)) {
        let next = Cell::new(0);
        let story = Story::whole(&|_| {
            let n = next.get();
            next.set(n + 1);
            texts[n % texts.len()].clone()
        });
        check(&super::html(&story.report()));
        check_markdown(&super::markdown(&story.report()));
    }
}
