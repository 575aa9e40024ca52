//! What was asked of models, and what it took.

use crate::report::markup::Html;
use crate::report::model::Report;
use crate::report::words::{count, cut};

use super::{LINE, left_out, part as section, table};

/// The most rows.
const MOST: usize = 1_000;

pub(super) fn part(html: &mut Html, report: &Report<'_>) {
    if let Err(why) = report.source.traffic {
        return section(html, "models", "Models", |html| {
            html.tag("p", &[("class", &"call s-failed")], |html| {
                html.text("The gate's records cannot be read, so that nothing is said of models here: ");
                html.text(cut(why, LINE));
            });
        });
    }
    if report.usage.is_empty() {
        return;
    }
    section(html, "models", "Models", |html| {
        let columns = ["Node", "Model", "Requests", "Answered", "Failed", "Aborted", "Tokens in", "Tokens out"];
        table(html, "Requests that the gate recorded, and the tokens that the models counted", &columns, |table| {
            for ((node, model), usage) in report.usage.iter().take(MOST) {
                table.row(None, |html, column| match column {
                    0 => html.leaf("code", &[], cut(node, LINE)),
                    1 => html.text(cut(model, LINE)),
                    2 => html.text(count(usage.requests)),
                    3 => html.text(count(usage.answered)),
                    4 => html.text(count(usage.failed)),
                    5 => html.text(count(usage.aborted)),
                    6 => html.text(count(usage.prompt_tokens)),
                    _ => html.text(count(usage.completion_tokens)),
                });
            }
        });
        if report.usage.len() > MOST {
            left_out(html, &format!("{} more rows are left out.", count((report.usage.len() - MOST) as u64)));
        }
        html.leaf("p", &[("class", &"hint")], "No prices are on record, so that the cost is in tokens.");
    });
}
