//! The nodes of a workflow as a drawing.

use std::collections::HashMap;
use std::fmt::Write;

use super::node::Kind;
use super::workflow::Workflow;

/// A Mermaid flowchart, top down. Ids and titles are the author's, so every character of them that could mean
/// something to Mermaid, Markdown or HTML is written as an entity.
#[must_use]
pub fn mermaid(workflow: &Workflow) -> String {
    let mut drawing = String::from("flowchart TD\n");
    let places: HashMap<&str, usize> =
        workflow.nodes.iter().enumerate().map(|(index, node)| (node.id.as_str(), index)).collect();
    for (index, node) in workflow.nodes.iter().enumerate() {
        let (open, close) = match node.kind {
            Kind::SessionTurn => ("[", "]"),
            Kind::Subagent => ("[[", "]]"),
            Kind::Wait => ("([", "])"),
            Kind::Approval => ("{{", "}}"),
            Kind::Summary => ("[/", "/]"),
        };
        let class = if node.container.is_some() { ":::container" } else { "" };
        let (id, title) = (escaped(node.id.as_str()), escaped(&node.title));
        // Writing to a `String` cannot fail.
        let _ = writeln!(drawing, "    n{index}{open}\"{id}<br/>{title}\"{close}{class}");
    }
    for (index, node) in workflow.nodes.iter().enumerate() {
        for need in node.needs.iter().filter_map(|need| places.get(need.as_str())) {
            let _ = writeln!(drawing, "    n{need} --> n{index}");
        }
    }
    if workflow.nodes.iter().any(|node| node.container.is_some()) {
        drawing.push_str("    classDef container stroke-width:3px\n");
    }
    drawing
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_alphanumeric() || matches!(c, ' ' | '.' | ',' | '-' | '/' | '?' | '!') {
            safe.push(c);
        } else {
            let _ = write!(safe, "#{};", u32::from(c));
        }
    }
    safe
}
