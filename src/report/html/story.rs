//! What agents said, and what happened, line by line.

use crate::report::journal::{Line, Lines, is_said};
use crate::report::markup::Html;
use crate::report::model::Report;
use crate::report::words::{count, moment};
use crate::run::time::parse_time;

use super::{left_out, part as section, table};

/// The most lines of each kind, and characters of one.
const MOST: usize = 400;
const LENGTH: usize = 2_000;

pub(super) fn part(html: &mut Html, report: &Report<'_>) {
    let records = report.source.records;
    let said = Lines::of(records.iter().filter(|record| is_said(record)), MOST, LENGTH);
    let done = Lines::of(records.iter().filter(|record| !is_said(record)), MOST, LENGTH);
    if !said.is_empty() {
        section(html, "messages", "Messages", |html| {
            lines(html, "What agents and sessions said", &["Time", "Who", "Message"], &said, |html, line, column| {
                match column {
                    0 => html.leaf("span", &[("class", &"moment")], time(line)),
                    1 => html.leaf("code", &[], line.node.as_deref().unwrap_or(&line.actor)),
                    _ => html.leaf("span", &[("class", &"remark")], &line.message),
                }
            });
        });
    }
    section(html, "journal", "Journal", |html| {
        html.tag("details", &[], |html| {
            let number = count((done.first.len() + done.left_out + done.last.len()) as u64);
            html.leaf("summary", &[], format!("What happened, and who did it: {number} lines"));
            lines(
                html,
                "The journal without the messages",
                &["Time", "Who", "Event", "In words"],
                &done,
                |html, line, column| match column {
                    0 => html.leaf("span", &[("class", &"moment")], time(line)),
                    1 => html.leaf("code", &[], &line.actor),
                    2 => html.leaf("code", &[], &line.event),
                    _ => html.leaf("span", &[("class", &"remark")], &line.message),
                },
            );
        });
    });
}

fn lines(
    html: &mut Html,
    caption: &str,
    columns: &[&'static str],
    lines: &Lines,
    cell: impl Fn(&mut Html, &Line, usize),
) {
    let rows = |html: &mut Html, lines: &[Line]| {
        if !lines.is_empty() {
            table(html, caption, columns, |table| {
                for line in lines {
                    table.row(None, |html, column| cell(html, line, column));
                }
            });
        }
    };
    rows(html, &lines.first);
    if lines.left_out > 0 {
        left_out(html, &format!("{} lines between are left out.", count(lines.left_out as u64)));
    }
    rows(html, &lines.last);
}

fn time(line: &Line) -> String {
    parse_time(&line.time).map_or_else(String::new, moment)
}
