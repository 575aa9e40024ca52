//! A run as one page that a person would rather look at: HTML for a browser, Markdown for a pull request. Pure: it is
//! given what was read, does no I/O and looks at no clock, so that the same run gives the same bytes. Everything it is
//! given was written by somebody else; [`markup`] and [`markdown`] are the only ways to a page, and they escape.

mod axis;
mod deliverable;
mod graph;
mod html;
mod journal;
mod markdown;
mod markup;
mod model;
mod picture;
mod prose;
mod timeline;
mod words;

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;

pub use deliverable::Content;
pub use journal::foreign_line;
pub use model::{Proof, Report, Source};

use crate::run::id::RunId;

/// The most deliverables that a page lists; nobody needs to read more.
pub const MOST_FILES: usize = 1_000;

/// The page as HTML: one file, no script, nothing from elsewhere.
#[must_use]
pub fn html(report: &Report<'_>) -> String {
    html::page(report)
}

/// The page as GitHub's Markdown, short enough for the body of a pull request.
#[must_use]
pub fn markdown(report: &Report<'_>) -> String {
    markdown::page(report)
}

/// How an HTML report of `run` begins; what begins so may be replaced by another one.
#[must_use]
pub fn html_head(run: &RunId) -> String {
    format!("<!doctype html>\n<!-- taskforge run report: {run} -->\n")
}

/// How a Markdown report of `run` begins.
#[must_use]
pub fn markdown_head(run: &RunId) -> String {
    format!("<!-- taskforge run report: {run} -->\n")
}
