//! What the nodes left.

use crate::report::MOST_FILES as MOST;
use crate::report::deliverable::{Content, Deliverable};
use crate::report::markup::Html;
use crate::report::model::Report;
use crate::report::words::{count, cut, size};
use crate::report::{picture, prose};

use super::{LINE, digest, left_out, part as section, table};

pub(super) fn part(html: &mut Html, report: &Report<'_>) {
    let files = &report.deliverables;
    let inputs = &report.state().created.inputs;
    if files.is_empty() && inputs.is_empty() {
        return;
    }
    section(html, "deliverables", "Deliverables", |html| {
        if !files.is_empty() {
            table(
                html,
                "Files that nodes left, with what the journal says of them",
                &["File", "Node", "Size", "SHA-256", "Here"],
                |table| {
                    for (n, file) in files.iter().take(MOST).enumerate() {
                        table.row(None, |html, column| match column {
                            0 => html.leaf("code", &[], cut(file.name(), LINE)),
                            1 => html.leaf("code", &[], file.node),
                            2 => html.text(size(file.artifact.bytes)),
                            3 => digest(html, &file.artifact.sha256),
                            _ => match file.content {
                                Some(Content::Text(_) | Content::Picture(..)) => {
                                    let link = format!("#f{n}");
                                    html.leaf("a", &[("href", &link)], "shown below");
                                }
                                Some(other) => html.text(other.excuse()),
                                None => html.text("not looked at"),
                            },
                        });
                    }
                },
            );
        }
        if files.len() > MOST {
            left_out(html, &format!("{} more files are left out.", count((files.len() - MOST) as u64)));
        }
        for (n, file) in files.iter().take(MOST).enumerate() {
            show(html, file, &format!("f{n}"));
        }
        if !inputs.is_empty() {
            html.leaf("h3", &[], "Inputs");
            table(html, "Files that were given to the run", &["File", "Size", "SHA-256"], |table| {
                for input in inputs.iter().take(MOST) {
                    table.row(None, |html, column| match column {
                        0 => html.leaf("code", &[], cut(&input.path, LINE)),
                        1 => html.text(size(input.bytes)),
                        _ => digest(html, &input.sha256),
                    });
                }
            });
        }
    });
}

fn show(html: &mut Html, file: &Deliverable<'_>, id: &str) {
    let Some(content @ (Content::Text(_) | Content::Picture(..))) = file.content else { return };
    // What people read is open; data are there for whoever asks.
    let is_open = file.is_markdown() || matches!(content, Content::Picture(..));
    let attributes: &[(&'static str, &dyn std::fmt::Display)] = &[("class", &"file"), ("id", &id), ("open", &"")];
    html.tag("details", &attributes[..if is_open { 3 } else { 2 }], |html| {
        html.tag("summary", &[], |html| {
            html.leaf("code", &[], cut(file.name(), LINE));
            html.text(" of ");
            html.leaf("code", &[], file.node);
        });
        match content {
            Content::Picture(format, bytes) => {
                let address = picture::address(*format, bytes);
                let alt = format!("The picture {}", cut(file.name(), 200));
                html.void("img", &[("src", &address), ("alt", &alt)]);
            }
            Content::Text(text) if file.is_markdown() => {
                html.tag("div", &[("class", &"prose")], |html| prose::render(html, text));
            }
            Content::Text(text) => html.tag("pre", &[("tabindex", &"0")], |html| html.leaf("code", &[], text)),
            _ => {}
        }
    });
}
