//! The page: its frame, its parts in order, and what they share.

mod decisions;
mod files;
mod gantt;
mod glyph;
mod graph;
mod models;
mod nodes;
mod proof;
mod story;
mod summary;

use std::fmt::Display;

use super::markup::Html;
use super::model::Report;
use super::words::cut;

/// Nothing but styles of the page itself, and images that are part of it: what no browser has to be trusted with.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

/// The longest title, reason or comment that is shown.
const LINE: usize = 2_000;

pub(super) fn page(report: &Report<'_>) -> String {
    let state = report.state();
    let mut html = Html::starting(super::html_head(&state.run));
    html.tag("html", &[("lang", &"en")], |html| {
        html.tag("head", &[], |html| {
            html.void("meta", &[("charset", &"utf-8")]);
            html.void("meta", &[("http-equiv", &"Content-Security-Policy"), ("content", &POLICY)]);
            html.void("meta", &[("name", &"viewport"), ("content", &"width=device-width, initial-scale=1")]);
            html.void("meta", &[("name", &"color-scheme"), ("content", &"light dark")]);
            html.void("meta", &[("name", &"referrer"), ("content", &"no-referrer")]);
            html.void("meta", &[("name", &"robots"), ("content", &"noindex")]);
            html.leaf(
                "title",
                &[],
                format!("{} · {} · {}", state.run, state.status.as_str(), cut(&state.created.title, 200)),
            );
            html.style(include_str!("style.css"));
        });
        html.tag("body", &[], |html| {
            html.tag("main", &[], |html| {
                summary::part(html, report);
                graph::part(html, report);
                gantt::part(html, report);
                nodes::part(html, report);
                decisions::part(html, report);
                files::part(html, report);
                models::part(html, report);
                story::part(html, report);
                proof::part(html, report);
            });
            html.tag("footer", &[], |html| {
                html.text(format!("Written by taskforge {} from the journal of run ", report.source.version));
                html.leaf("code", &[], &state.run);
                html.text(". It shows the run as it stood; the journal is the truth.");
            });
        });
    });
    html.finish()
}

/// A part of the page with a heading that can be linked to.
fn part(html: &mut Html, id: &'static str, title: &str, inner: impl FnOnce(&mut Html)) {
    let heading = format!("{id}-heading");
    html.tag("section", &[("id", &id), ("aria-labelledby", &heading)], |html| {
        html.leaf("h2", &[("id", &heading)], title);
        inner(html);
    });
}

/// A table whose rows become cards on a narrow page: each cell knows the heading of its column.
struct Table<'a> {
    html: &'a mut Html,
    columns: &'a [&'static str],
}

/// Adds a table with `columns`; `rows` adds rows.
fn table(html: &mut Html, caption: &str, columns: &[&'static str], rows: impl FnOnce(&mut Table<'_>)) {
    // The roles are those that the elements have, said again: as cards they would lose them.
    html.tag("table", &[("role", &"table")], |html| {
        html.leaf("caption", &[], caption);
        html.tag("thead", &[("role", &"rowgroup")], |html| {
            html.tag("tr", &[("role", &"row")], |html| {
                for column in columns {
                    html.leaf("th", &[("scope", &"col"), ("role", &"columnheader")], column);
                }
            });
        });
        html.tag("tbody", &[("role", &"rowgroup")], |html| rows(&mut Table { html, columns }));
    });
}

impl Table<'_> {
    /// A row; `cell` fills the column of the number it is given, the first of them the row's heading.
    fn row(&mut self, id: Option<String>, cell: impl Fn(&mut Html, usize)) {
        let columns = self.columns;
        let inner = |html: &mut Html| {
            for (n, column) in columns.iter().enumerate() {
                let (name, role): (_, &dyn Display) = if n == 0 { ("th", &"rowheader") } else { ("td", &"cell") };
                let mut attributes: Vec<(&'static str, &dyn Display)> = vec![("role", role), ("data-label", column)];
                if n == 0 {
                    attributes.push(("scope", &"row"));
                }
                html.tag(name, &attributes, |html| cell(html, n));
            }
        };
        match id {
            Some(id) => self.html.tag("tr", &[("role", &"row"), ("id", &id)], inner),
            None => self.html.tag("tr", &[("role", &"row")], inner),
        }
    }
}

/// Says that something was left out of a list.
fn left_out(html: &mut Html, what: &str) {
    html.leaf("p", &[("class", &"left-out")], what);
}

/// A text in which commands stand in backticks.
fn with_commands(html: &mut Html, text: &str) {
    for (n, piece) in text.split('`').enumerate() {
        if n % 2 == 1 && !piece.is_empty() {
            html.leaf("code", &[("class", &"command")], piece);
        } else {
            html.text(piece);
        }
    }
}

/// A digest: its beginning to be read, all of it on demand and to be copied.
fn digest(html: &mut Html, digest: &crate::run::id::Digest) {
    html.leaf("code", &[("class", &"digest"), ("title", &digest)], digest);
}
