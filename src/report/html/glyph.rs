//! Statuses as a shape, a colour and a word: whoever cannot tell one of them has the others.

use crate::report::markup::Html;

/// Draws the shape of `status` (a word of a run's or a node's) in a square of 16 whose corner is at (`x`, `y`).
pub(super) fn shape(html: &mut Html, status: &'static str, x: f64, y: f64) {
    let at = format!("translate({x} {y})");
    let class = format!("glyph s-{status}");
    html.tag("g", &[("class", &class), ("transform", &at)], |html| {
        let mut line = |d: &'static str| html.void("path", &[("class", &"mark"), ("d", &d)]);
        match status {
            // A disc with a tick.
            "completed" => {
                line("M4.5 8.5 7 11l4.5-5.5");
            }
            // A square with a cross.
            "failed" => line("M5 5l6 6M11 5l-6 6"),
            // A disc with a triangle.
            "running" => line("M6.5 4.8v6.4L11.5 8z"),
            // A diamond with two bars.
            "waiting" | "paused" => line("M6.5 5.5v5M9.5 5.5v5"),
            // A ring with a bar.
            "skipped" | "cancelled" => line("M5 8h6"),
            "ready" => line("M8 6.6v2.8"),
            _ => {}
        }
    });
}

/// The outline behind the mark.
pub(super) fn outline(html: &mut Html, status: &'static str, x: f64, y: f64) {
    let class = format!("outline s-{status}");
    let at = format!("translate({x} {y})");
    let d = match status {
        "failed" => {
            "M2.5 1h11A1.5 1.5 0 0 1 15 2.5v11a1.5 1.5 0 0 1-1.5 1.5h-11A1.5 1.5 0 0 1 1 13.5v-11A1.5 1.5 0 0 1 2.5 1z"
        }
        "waiting" | "paused" => "M8 0l8 8-8 8-8-8z",
        _ => "M8 .8a7.2 7.2 0 1 1 0 14.4A7.2 7.2 0 0 1 8 .8z",
    };
    html.void("path", &[("class", &class), ("transform", &at), ("d", &d)]);
}

/// Shape and word.
pub(super) fn badge(html: &mut Html, status: &'static str) {
    let class = format!("badge s-{status}");
    html.tag("span", &[("class", &class)], |html| {
        html.tag(
            "svg",
            &[
                ("class", &"icon"),
                ("viewBox", &"0 0 16 16"),
                ("width", &"16"),
                ("height", &"16"),
                ("aria-hidden", &"true"),
            ],
            |html| {
                outline(html, status, 0.0, 0.0);
                shape(html, status, 0.0, 0.0);
            },
        );
        html.text(status);
    });
}
