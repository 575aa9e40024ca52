//! The nodes and what they need, drawn.

use crate::report::graph::{Edge, HEIGHT, Layout, WIDTH, layout};
use crate::report::markup::Html;
use crate::report::model::Report;
use crate::report::words::counted;
use crate::run::definition::NodeDefinition;
use crate::run::status::NodeStatus;
use crate::run::visible::visible_line;

use super::{glyph, left_out, part as section};

/// More than this, and a drawing tells nothing.
const MOST_NODES: usize = 1_000;
const MOST_EDGES: usize = 5_000;

pub(super) fn part(html: &mut Html, report: &Report<'_>) {
    let edges: usize = report.needs.iter().map(Vec::len).sum();
    let nodes = report.needs.len();
    section(html, "graph", "Nodes and what they need", |html| {
        if nodes > MOST_NODES || edges > MOST_EDGES {
            let what = format!(
                "{} with {} are too many to be drawn; the table of nodes has them.",
                counted(nodes, "node", "nodes"),
                counted(edges, "need", "needs")
            );
            return left_out(html, &what);
        }
        legend(html, report);
        html.tag(
            "div",
            &[("class", &"scroll"), ("tabindex", &"0"), ("role", &"region"), ("aria-label", &"Graph of the nodes")],
            |html| {
                draw(html, report, &layout(&report.needs));
            },
        );
    });
}

/// The statuses there are, and how many nodes have each.
fn legend(html: &mut Html, report: &Report<'_>) {
    use NodeStatus::{Completed, Failed, Pending, Ready, Running, Skipped, Waiting};
    html.tag("p", &[("class", &"legend")], |html| {
        for status in [Completed, Running, Waiting, Ready, Pending, Failed, Skipped] {
            let number = report.nodes_that_are(status);
            if number > 0 {
                glyph::badge(html, status.as_str());
                html.leaf("span", &[("class", &"number")], format!("{number} "));
            }
        }
    });
}

fn draw(html: &mut Html, report: &Report<'_>, drawn: &Layout) {
    let view = format!("0 0 {} {}", drawn.width, drawn.height);
    html.tag(
        "svg",
        &[
            ("class", &"graph"),
            ("viewBox", &view),
            ("width", &drawn.width),
            ("height", &drawn.height),
            ("role", &"group"),
            ("aria-labelledby", &"graph-title graph-desc"),
        ],
        |html| {
            html.leaf("title", &[("id", &"graph-title")], "The nodes of the run and what they need");
            html.leaf(
                "desc",
                &[("id", &"graph-desc")],
                "Each node stands below the nodes it needs. The table of nodes says the same in words.",
            );
            for edge in &drawn.edges {
                draw_edge(html, report, edge);
            }
            for (n, (left, top)) in drawn.nodes.iter().enumerate() {
                draw_node(html, report, n, *left, *top);
            }
        },
    );
}

/// A smooth line through the points, and a head.
fn draw_edge(html: &mut Html, report: &Report<'_>, edge: &Edge) {
    let mut d = String::new();
    let (mut x, mut y) = edge.points[0];
    d += &format!("M{x} {y}");
    let (end_x, end_y) = edge.points[edge.points.len() - 1];
    let tip = end_y - 6.0;
    for (n, (next_x, next_y)) in edge.points.iter().enumerate().skip(1) {
        let next_y = if n + 1 == edge.points.len() { tip } else { *next_y };
        if (x - next_x).abs() < 0.5 {
            d += &format!("V{next_y}");
        } else {
            let middle = f64::midpoint(y, next_y);
            d += &format!("C{x} {middle} {next_x} {middle} {next_x} {next_y}");
        }
        (x, y) = (*next_x, next_y);
    }
    let went = report.state().nodes[edge.from].status;
    let class = format!("edge s-{}", went.as_str());
    html.void("path", &[("class", &class), ("d", &d)]);
    let head = format!("M{} {}h8L{end_x} {end_y}z", end_x - 4.0, end_y - 7.0);
    html.void("path", &[("class", &"head"), ("d", &head)]);
}

fn draw_node(html: &mut Html, report: &Report<'_>, n: usize, left: f64, top: f64) {
    let (definition, node) = (&report.state().created.nodes[n], &report.state().nodes[n]);
    let status = node.status.as_str();
    let link = format!("#n{n}");
    html.tag("a", &[("href", &link)], |html| {
        // A drawing of its own cuts off what is too wide, whatever the font.
        html.tag(
            "svg",
            &[("x", &left), ("y", &top), ("width", &WIDTH), ("height", &HEIGHT), ("class", &"node")],
            |html| {
                html.leaf(
                    "title",
                    &[],
                    visible_line(&format!("{}: {} ({status})", definition.id, definition.title), 300),
                );
                let class = format!("box s-{status}");
                let (width, height) = (WIDTH - 2.0, HEIGHT - 2.0);
                html.void(
                    "rect",
                    &[("class", &class), ("x", &1), ("y", &1), ("width", &width), ("height", &height), ("rx", &8)],
                );
                glyph::outline(html, status, 12.0, 11.0);
                glyph::shape(html, status, 12.0, 11.0);
                let lines = wrap(&definition.title);
                for (line, y) in lines.iter().zip([24, 42]) {
                    let x = if y == 24 { 36 } else { 12 };
                    html.leaf("text", &[("class", &"name"), ("x", &x), ("y", &y)], line);
                }
                let said = format!("{status} · {}", who(definition));
                html.leaf(
                    "text",
                    &[("class", &"small"), ("x", &12), ("y", &(if lines.len() > 1 { 63 } else { 52 }))],
                    said,
                );
            },
        );
    });
}

/// Who does a node, in a word.
pub(super) fn who(definition: &NodeDefinition) -> &'static str {
    use crate::run::status::NodeKind;
    match (definition.kind, &definition.container) {
        (NodeKind::Wait, _) => "wait",
        (NodeKind::Approval, _) => "approval",
        (_, Some(_)) => "container",
        (NodeKind::Subagent, None) => "subagent",
        (NodeKind::Summary, None) => "summary",
        (NodeKind::SessionTurn, None) => "session",
    }
}

/// How many letters of the usual width fit beside the glyph, and below it.
const ROOM: [usize; 2] = [18, 21];

/// `title` on two lines at most, broken between words where there are any, and cut where it is longer.
fn wrap(title: &str) -> Vec<String> {
    let line = visible_line(title, 200);
    let line = line.trim();
    if fits(line, ROOM[0]) {
        return vec![line.to_owned()];
    }
    let mut breaks = line.char_indices().filter(|(_, c)| *c == ' ').map(|(at, _)| at);
    // Whole words if they fill half of the line, else as much as there is room for.
    let first = breaks.rfind(|at| fits(&line[..*at], ROOM[0])).filter(|at| !fits(&line[..*at], ROOM[0] / 2));
    let first = first.unwrap_or_else(|| {
        let ends = line.char_indices().map(|(at, c)| at + c.len_utf8());
        ends.take_while(|at| fits(&line[..*at], ROOM[0])).last().unwrap_or(line.len())
    });
    let rest = line[first..].trim_start();
    if fits(rest, ROOM[1]) {
        return vec![line[..first].to_owned(), rest.to_owned()];
    }
    let ends = rest.char_indices().map(|(at, c)| at + c.len_utf8());
    let end = ends.take_while(|at| fits(&rest[..*at], ROOM[1] - 1)).last().unwrap_or(0);
    vec![line[..first].to_owned(), format!("{}…", rest[..end].trim_end())]
}

/// Whether `text` takes no more than the room of `most` letters; those of East Asia and pictures take that of two.
fn fits(text: &str, most: usize) -> bool {
    let wide = |c: char| u32::from(c) >= 0x1100 && !(0x1e00..=0x2fff).contains(&u32::from(c));
    text.chars().map(|c| if wide(c) { 2 } else { 1 }).sum::<usize>() <= most
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn titles_are_broken_between_words() {
        assert_eq!(wrap("Short"), ["Short"]);
        assert_eq!(wrap("Translate into German"), ["Translate into", "German"]);
        assert_eq!(
            wrap("Run the acceptance tests on the release branch"),
            ["Run the acceptance", "tests on the release…"]
        );
        assert_eq!(wrap("Rindfleischetikettierungs"), ["Rindfleischetikett", "ierungs"]);
        assert_eq!(wrap("日本語のタイトルはここまで長い"), ["日本語のタイトルは", "ここまで長い"]);
        assert_eq!(wrap(""), [""]);
    }

    proptest! {
        #[test]
        fn titles_fit_their_box(title in "(\\PC| |[a-z]){0,60}") {
            let lines = wrap(&title);
            prop_assert!(lines.len() <= 2 && lines.iter().zip(ROOM).all(|(line, room)| fits(line, room)), "{lines:?}");
        }
    }
}
