//! The nodes and their attempts as tables: all that the drawings say, in words.

use crate::report::markup::Html;
use crate::report::model::Report;
use crate::report::words::{count, cut, duration, moment};
use crate::run::visible::visible_line;

use super::graph::who;
use super::{LINE, glyph, left_out, part as section, table};

/// The most attempts that are listed.
const MOST_ATTEMPTS: usize = 1_000;

pub(super) fn part(html: &mut Html, report: &Report<'_>) {
    let state = report.state();
    section(html, "nodes", "Nodes", |html| {
        table(
            html,
            "The nodes of the run, in the workflow's order",
            &["Node", "Status", "Done by", "Needs", "Remark"],
            |table| {
                for (n, definition) in state.created.nodes.iter().enumerate() {
                    table.row(Some(format!("n{n}")), |html, column| match column {
                        0 => {
                            html.leaf("span", &[("class", &"title")], cut(&definition.title, LINE));
                            html.text(" ");
                            html.leaf("code", &[], &definition.id);
                        }
                        1 => glyph::badge(html, state.nodes[n].status.as_str()),
                        2 => html.text(who(definition)),
                        3 => needs(html, report, n),
                        _ => match report.remark(n) {
                            remark if remark.is_empty() => {}
                            remark => html.leaf("span", &[("class", &"remark")], cut(&remark, LINE)),
                        },
                    });
                }
            },
        );
        attempts(html, report);
    });
}

fn needs(html: &mut Html, report: &Report<'_>, n: usize) {
    const MOST: usize = 20;
    let needs = &report.needs[n];
    if needs.is_empty() {
        return html.text("–");
    }
    for (place, need) in needs.iter().take(MOST).enumerate() {
        let link = format!("#n{need}");
        html.text(if place > 0 { ", " } else { "" });
        html.leaf("a", &[("href", &link)], &report.state().created.nodes[*need].id);
    }
    if needs.len() > MOST {
        html.text(format!(" and {} more", count((needs.len() - MOST) as u64)));
    }
}

fn attempts(html: &mut Html, report: &Report<'_>) {
    let attempts: Vec<_> = report
        .state()
        .pairs()
        .flat_map(|(definition, node)| node.attempts.iter().map(move |a| (definition, a)))
        .collect();
    if attempts.is_empty() {
        return;
    }
    html.leaf("h3", &[], "Attempts");
    table(html, "Every container of the run", &["Attempt", "Started", "Took", "Outcome", "Image"], |table| {
        for (definition, attempt) in attempts.iter().take(MOST_ATTEMPTS) {
            table.row(None, |html, column| match column {
                0 => {
                    html.leaf("code", &[], &definition.id);
                    html.text(format!(" {}", attempt.number));
                }
                1 => html.leaf("span", &[("class", &"moment")], attempt.started_at.map_or("–".to_owned(), moment)),
                2 => {
                    let took = attempt.started_at.zip(attempt.ended_at).map(|(from, to)| duration(to - from));
                    html.leaf("span", &[("class", &"moment")], took.unwrap_or("–".to_owned()));
                }
                3 => {
                    let Some(end) = &attempt.end else { return html.text("is running") };
                    html.text(end.outcome.words());
                    if let Some(code) = end.exit_code {
                        html.text(format!(", exit {code}"));
                    }
                    if !end.detail.is_empty() {
                        html.leaf("span", &[("class", &"remark")], format!(": {}", cut(&end.detail, LINE)));
                    }
                }
                _ => html.leaf(
                    "code",
                    &[("class", &"digest"), ("title", &attempt.plan.image)],
                    visible_line(&attempt.plan.image, 200),
                ),
            });
        }
    });
    if attempts.len() > MOST_ATTEMPTS {
        left_out(html, &format!("{} more attempts are left out.", count((attempts.len() - MOST_ATTEMPTS) as u64)));
    }
}
