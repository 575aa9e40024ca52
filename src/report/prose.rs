//! Markdown that somebody else wrote, as HTML of ours: raw HTML is text, images are named and not loaded, and every link
//! shows where it leads. What is nested too deeply loses its elements and keeps its text.

use pulldown_cmark::{Alignment, CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::markup::Html;

/// How deeply elements may be nested; browsers have bounds of their own, and differ.
const DEEPEST: usize = 24;

/// Puts `markdown` on the page.
pub(super) fn render(html: &mut Html, markdown: &str) {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut prose = Prose { html, open: Vec::new(), in_head: false, columns: Vec::new(), column: 0 };
    for event in Parser::new_ext(markdown, options) {
        prose.event(event);
    }
    while let Some(open) = prose.open.pop() {
        prose.close(&open);
    }
}

/// What one piece of Markdown opened.
struct Opened {
    names: Vec<&'static str>,
    /// Where a link or an image leads; said behind it.
    address: String,
}

struct Prose<'a> {
    html: &'a mut Html,
    open: Vec<Opened>,
    in_head: bool,
    /// How the columns of the table are aligned, and which comes next.
    columns: Vec<Alignment>,
    column: usize,
}

impl Prose<'_> {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(end) => {
                if let Some(open) = self.open.pop() {
                    self.close(&open);
                }
                if end == TagEnd::TableHead {
                    self.in_head = false;
                }
            }
            Event::Code(text) | Event::InlineMath(text) | Event::DisplayMath(text) => self.html.leaf("code", &[], text),
            Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) | Event::FootnoteReference(text) => {
                self.html.text(text);
            }
            Event::SoftBreak => self.html.text("\n"),
            Event::HardBreak => self.html.void("br", &[]),
            Event::Rule => self.html.void("hr", &[]),
            Event::TaskListMarker(is_done) => self.html.text(if is_done { "☑ " } else { "☐ " }),
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        let mut address = String::new();
        let mut names: Vec<&'static str> = match tag {
            Tag::Paragraph => vec!["p"],
            // The page's own headings stand above those of a file.
            Tag::Heading { level: HeadingLevel::H1 | HeadingLevel::H2, .. } => vec!["h4"],
            Tag::Heading { level: HeadingLevel::H3, .. } => vec!["h5"],
            Tag::Heading { .. } => vec!["h6"],
            Tag::BlockQuote(_) => vec!["blockquote"],
            Tag::CodeBlock(CodeBlockKind::Fenced(_) | CodeBlockKind::Indented) => vec!["pre", "code"],
            Tag::HtmlBlock | Tag::MetadataBlock(_) => vec!["pre"],
            Tag::List(None) => vec!["ul"],
            Tag::List(Some(_)) => vec!["ol"],
            Tag::Item => vec!["li"],
            Tag::Table(columns) => {
                self.columns = columns;
                vec!["table"]
            }
            Tag::TableHead => {
                (self.in_head, self.column) = (true, 0);
                vec!["thead", "tr"]
            }
            Tag::TableRow => {
                self.column = 0;
                vec!["tr"]
            }
            Tag::TableCell if self.in_head => vec!["th"],
            Tag::TableCell => vec!["td"],
            Tag::Emphasis => vec!["em"],
            Tag::Strong => vec!["strong"],
            Tag::Strikethrough => vec!["s"],
            Tag::Link { dest_url, .. } => {
                address = dest_url.into_string();
                vec!["a"]
            }
            Tag::Image { dest_url, .. } => {
                address = dest_url.into_string();
                vec!["em"]
            }
            _ => vec!["div"],
        };
        if self.open.len() >= DEEPEST {
            names.clear();
        }
        for name in &names {
            if *name == "a" {
                self.html.open("a", &[("href", &address), ("rel", &"noopener noreferrer nofollow")]);
            } else if matches!(*name, "th" | "td") {
                let align = match self.columns.get(self.column) {
                    Some(Alignment::Right) => "right",
                    Some(Alignment::Center) => "center",
                    _ => "left",
                };
                self.column += 1;
                self.html.open(name, &[("class", &align)]);
            } else {
                self.html.open(name, &[]);
            }
        }
        self.open.push(Opened { names, address });
    }

    fn close(&mut self, opened: &Opened) {
        for name in opened.names.iter().rev() {
            self.html.close(name);
        }
        if !opened.address.is_empty() {
            let is_image = opened.names.first() == Some(&"em");
            let what = if is_image { " (image, not loaded: " } else { " (" };
            self.html.leaf(
                "span",
                &[("class", &"address")],
                format!("{what}{})", super::words::cut(&opened.address, 300)),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(markdown: &str) -> String {
        let mut html = Html::default();
        render(&mut html, markdown);
        html.finish().replace('\n', "")
    }

    #[test]
    fn what_people_write() {
        assert_eq!(
            page("# T\n\na *b* `c` ~~d~~\n\n- [x] e\n"),
            "<h4>T</h4><p>a <em>b</em> <code>c</code> <s>d</s></p><ul><li>☑ e</li></ul>"
        );
        assert_eq!(
            page("| a | b |\n|---|--:|\n| 1 | 2 |"),
            "<table><thead><tr><th class=\"left\">a</th><th class=\"right\">b</th></tr></thead><tr><td class=\"left\">1</td><td class=\"right\">2</td></tr></table>"
        );
        assert_eq!(page("```sh\n<x>\n```"), "<pre><code>&lt;x&gt;</code></pre>");
    }

    #[test]
    fn html_is_text_and_links_say_where_they_lead() {
        assert_eq!(page("<script>x</script>"), "<pre>&lt;script&gt;x&lt;/script&gt;</pre>");
        assert_eq!(page("a <img src=x onerror=y>"), "<p>a &lt;img src=x onerror=y&gt;</p>");
        assert_eq!(
            page("[bank](https://evil.example)"),
            "<p><a href=\"https://evil.example\" rel=\"noopener noreferrer nofollow\">bank</a><span class=\"address\"> (https://evil.example)</span></p>"
        );
        assert_eq!(
            page("[x](javascript:alert)"),
            "<p><a rel=\"noopener noreferrer nofollow\">x</a><span class=\"address\"> (javascript:alert)</span></p>"
        );
        assert_eq!(
            page("![alt](https://t.example/p.png)"),
            "<p><em>alt</em><span class=\"address\"> (image, not loaded: https://t.example/p.png)</span></p>"
        );
    }

    #[test]
    fn depth_is_bounded() {
        let quoted = page(&format!("{} deep", ">".repeat(5000)));
        assert!(quoted.matches("<blockquote>").count() <= DEEPEST && quoted.contains("deep"));
    }
}
