//! When each node ran and waited, drawn.

use crate::report::axis::Axis;
use crate::report::markup::Html;
use crate::report::model::Report;
use crate::report::timeline::{Doing, Span};
use crate::report::words::{count, duration, moment};
use crate::run::event::Outcome;
use crate::run::status::NodeStatus;
use crate::run::visible::visible_line;

use super::{left_out, part as section};

/// The most nodes and, of each, spans that are drawn.
const MOST_LANES: usize = 300;
const MOST_SPANS: usize = 200;

pub(super) fn part(html: &mut Html, report: &Report<'_>) {
    let state = report.state();
    let axis = Axis::new(state.created_at, state.updated_at, &report.busy());
    section(html, "timeline", "Timeline", |html| {
        let caption = format!(
            "{} from {}.{}",
            duration(report.took()),
            moment(state.created_at),
            if axis.cuts().next().is_some() {
                " Shaded: time in which nothing ran, drawn shorter than it was."
            } else {
                ""
            }
        );
        html.leaf("p", &[("class", &"hint")], caption);
        key(html, report);
        html.tag("table", &[("class", &"gantt")], |html| {
            html.leaf("caption", &[("class", &"unseen")], "When each node ran and waited");
            html.tag("thead", &[], |html| {
                html.tag("tr", &[], |html| {
                    html.leaf("th", &[("scope", &"col")], "Node");
                    html.tag("th", &[("scope", &"col"), ("class", &"lane")], |html| scale(html, &axis));
                    html.leaf("th", &[("scope", &"col"), ("class", &"took")], "Ran");
                });
            });
            html.tag("tbody", &[], |html| {
                for (definition, lane) in state.created.nodes.iter().zip(&report.lanes).take(MOST_LANES) {
                    html.tag("tr", &[], |html| {
                        html.leaf("th", &[("scope", &"row")], visible_line(definition.id.as_str(), 60));
                        html.tag("td", &[("class", &"lane")], |html| draw(html, &axis, lane));
                        html.leaf("td", &[("class", &"took")], ran(lane));
                    });
                }
            });
        });
        if report.lanes.len() > MOST_LANES {
            let more = report.lanes.len() - MOST_LANES;
            left_out(html, &format!("{} more nodes are left out of the timeline.", count(more as u64)));
        }
    });
}

fn ran(lane: &[Span]) -> String {
    let work: Vec<_> = lane.iter().filter(|span| span.doing.is_work()).collect();
    if work.is_empty() {
        return "–".to_owned();
    }
    duration(work.iter().map(|span| span.to - span.from).sum())
}

/// What a bar's look says: its class.
fn look(doing: &Doing) -> &'static str {
    match doing {
        Doing::Ready => "ready",
        Doing::Attempt(_, None) | Doing::Session(None) => "running",
        Doing::Attempt(_, Some(Outcome::Succeeded)) | Doing::Session(Some(NodeStatus::Completed)) => "completed",
        Doing::Attempt(_, Some(Outcome::Suspended)) => "suspended",
        Doing::Attempt(..) | Doing::Session(_) => "failed",
        Doing::Waiting(_) => "waiting",
    }
}

/// The looks there are, with their words.
fn key(html: &mut Html, report: &Report<'_>) {
    const WORDS: [(&str, &str); 6] = [
        ("ready", "ready"),
        ("running", "running"),
        ("completed", "succeeded"),
        ("suspended", "suspended for a request"),
        ("failed", "failed"),
        ("waiting", "waiting"),
    ];
    html.tag("p", &[("class", &"legend")], |html| {
        for (class, word) in WORDS {
            if report.lanes.iter().flatten().any(|span| look(&span.doing) == class) {
                html.tag("span", &[("class", &"badge")], |html| {
                    html.tag("svg", &[("width", &22), ("height", &14), ("aria-hidden", &"true")], |html| {
                        bar(html, class, "1", "20", 7);
                    });
                    html.text(word);
                });
            }
        }
    });
}

/// The right end of the axis: what had not ended goes on beyond it.
const END: f64 = 97.0;

/// A place on the axis, or a distance.
fn percent(place: f64) -> String {
    format!("{:.2}%", place / 1000.0 * END)
}

fn bar(html: &mut Html, class: &str, x: &str, width: &str, middle: i32) {
    let (class, thick) = (format!("bar b-{class}"), if matches!(class, "waiting" | "ready") { 6 } else { 14 });
    let y = middle - thick / 2;
    html.void("rect", &[("class", &class), ("x", &x), ("y", &y), ("width", &width), ("height", &thick), ("rx", &2)]);
}

fn scale(html: &mut Html, axis: &Axis) {
    html.tag(
        "svg",
        &[
            ("width", &"100%"),
            ("height", &22),
            ("class", &"scale"),
            ("role", &"img"),
            ("aria-label", &"Time since the start"),
        ],
        |html| {
            for cut in axis.cuts() {
                let x = percent(f64::midpoint(cut.left, cut.right));
                html.leaf(
                    "text",
                    &[("class", &"gap"), ("x", &x), ("y", &15), ("text-anchor", &"middle")],
                    duration(cut.length()),
                );
            }
            let ticks = axis.ticks(110.0);
            for (n, tick) in ticks.iter().enumerate() {
                let x = percent(tick.at);
                let anchor = match tick.at {
                    ..40.0 => "start",
                    960.0.. => "end",
                    _ => "middle",
                };
                // On a narrow page there is room for some of them.
                let is_major = n % 4 == 0 || (n + 1 == ticks.len() && n % 4 > 1);
                let class = if is_major { "tick" } else { "tick minor" };
                html.leaf(
                    "text",
                    &[("class", &class), ("x", &x), ("y", &15), ("text-anchor", &anchor)],
                    duration(tick.after),
                );
            }
        },
    );
}

fn draw(html: &mut Html, axis: &Axis, lane: &[Span]) {
    let words: Vec<String> = lane.iter().take(MOST_SPANS).map(words).collect();
    let label = if words.is_empty() { "did nothing yet".to_owned() } else { words.join("; ") };
    html.tag("svg", &[("width", &"100%"), ("height", &22), ("role", &"img"), ("aria-label", &label)], |html| {
        for tick in axis.ticks(110.0).iter().filter(|tick| tick.at > 0.0) {
            let x = percent(tick.at);
            html.void("line", &[("class", &"grid"), ("x1", &x), ("x2", &x), ("y1", &0), ("y2", &22)]);
        }
        for cut in axis.cuts() {
            let (x, width) = (percent(cut.left), percent(cut.right - cut.left));
            html.tag("rect", &[("class", &"cut"), ("x", &x), ("y", &0), ("width", &width), ("height", &22)], |html| {
                html.leaf("title", &[], format!("{} in which nothing ran", duration(cut.length())));
            });
        }
        for (span, words) in lane.iter().zip(&words) {
            let left = axis.place(span.from);
            let right = if span.is_open { 1000.0 * 100.0 / END } else { axis.place(span.to) };
            html.tag("g", &[], |html| {
                html.leaf("title", &[], words);
                bar(html, look(&span.doing), &percent(left), &percent((right - left).max(0.0)), 11);
            });
        }
    });
    if lane.len() > MOST_SPANS {
        left_out(html, &format!("{} more spans are left out.", count((lane.len() - MOST_SPANS) as u64)));
    }
}

fn words(span: &Span) -> String {
    let still = if span.is_open { ", and had not ended" } else { "" };
    format!("{}, {}{still}", span.doing.words(), duration(span.to - span.from))
}
