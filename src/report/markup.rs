//! HTML that cannot be unescaped. Names of elements and attributes are literals of this program; whatever else goes in
//! is made visible ([`visible`]) and escaped here, and nothing gets past it: there is no way to add raw text.

use std::fmt::{Display, Write as _};

use crate::run::visible::visible;

use super::picture::is_picture;

/// Attributes of one element. The values may come from anywhere.
pub(super) type Attributes<'a> = &'a [(&'static str, &'a dyn Display)];

/// A page, or a part of one.
#[derive(Debug, Default)]
pub(super) struct Html {
    text: String,
}

impl Html {
    /// A page that starts with `head`, which is not escaped: the doctype, and a comment that a parsed id closes.
    pub(super) fn starting(head: String) -> Self {
        Self { text: head }
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    /// An element with what `inner` puts into it.
    pub(super) fn tag(&mut self, name: &'static str, attributes: Attributes<'_>, inner: impl FnOnce(&mut Self)) {
        self.open(name, attributes);
        inner(self);
        self.close(name);
    }

    /// An element that holds a text.
    pub(super) fn leaf(&mut self, name: &'static str, attributes: Attributes<'_>, text: impl Display) {
        self.tag(name, attributes, |html| html.text(text));
    }

    /// An element that has no end: `<meta>`, or an empty one of SVG.
    pub(super) fn void(&mut self, name: &'static str, attributes: Attributes<'_>) {
        self.open(name, attributes);
        if !matches!(name, "meta" | "br" | "hr" | "img") {
            self.close(name);
        }
    }

    /// Starts an element for a caller that walks through a stream of beginnings and ends.
    pub(super) fn open(&mut self, name: &'static str, attributes: Attributes<'_>) {
        self.text.push('<');
        self.text.push_str(name);
        for (key, value) in attributes {
            let value = value.to_string();
            // An address that could do something is left out, wherever it comes from.
            if (*key == "href" && !is_harmless(&value)) || (*key == "src" && !is_picture(&value)) {
                continue;
            }
            let _ = write!(self.text, " {key}=\"");
            self.escape(&value);
            self.text.push('"');
        }
        self.text.push('>');
    }

    pub(super) fn close(&mut self, name: &'static str) {
        let _ = write!(self.text, "</{name}>");
        if matches!(
            name,
            "p" | "tr"
                | "li"
                | "section"
                | "table"
                | "svg"
                | "details"
                | "g"
                | "div"
                | "dd"
                | "pre"
                | "h1"
                | "h2"
                | "h3"
                | "title"
                | "summary"
        ) {
            self.text.push('\n');
        }
    }

    /// A text from anywhere.
    pub(super) fn text(&mut self, text: impl Display) {
        self.escape(&text.to_string());
    }

    /// The style sheet: a literal, since what stands in `<style>` is not escaped.
    pub(super) fn style(&mut self, sheet: &'static str) {
        self.text.push_str("<style>\n");
        self.text.push_str(sheet);
        self.text.push_str("</style>\n");
    }

    fn escape(&mut self, text: &str) {
        for character in visible(text).chars() {
            match character {
                '&' => self.text.push_str("&amp;"),
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                '"' => self.text.push_str("&quot;"),
                '\'' => self.text.push_str("&#39;"),
                _ => self.text.push(character),
            }
        }
    }
}

/// Whether following `address` can do no more than open a page: a place in this one, or one of the web.
pub(super) fn is_harmless(address: &str) -> bool {
    let lower = address.get(..8).unwrap_or(address).to_ascii_lowercase();
    let scheme = address.starts_with('#') || lower.starts_with("https://") || lower.starts_with("http://");
    scheme && !address.chars().any(|c| c.is_control() || c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_of_markup() {
        let mut html = Html::default();
        html.tag("p", &[("class", &"\"><script>")], |html| html.text("<b>&'\u{202e}\u{0}"));
        assert_eq!(html.finish(), "<p class=\"&quot;&gt;&lt;script&gt;\">&lt;b&gt;&amp;&#39;\\u{202e}\\0</p>\n");
    }

    #[test]
    fn addresses_that_do_something_are_left_out() {
        for bad in [
            "javascript:alert(1)",
            "JaVaScRiPt:x",
            " https://a",
            "data:text/html,x",
            "vbscript:x",
            "//host",
            "x",
            "https://a\tb",
            "ftp://x",
            "",
        ] {
            let mut html = Html::default();
            html.leaf("a", &[("href", &bad)], "x");
            assert_eq!(html.finish(), "<a>x</a>", "{bad:?}");
        }
        for good in ["#n1", "https://example.org/a?b=c", "HTTP://example.org"] {
            assert!(is_harmless(good), "{good}");
        }
    }
}
