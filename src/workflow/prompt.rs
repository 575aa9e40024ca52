//! A workflow without writing YAML: one prompt, one node.

use std::fmt::Write;

use super::template::{is_literal, literal};
use super::text::is_unsafe;
use crate::run::id::{AgentName, RoleName};

/// The text of a workflow file with the one node `task`, which gives `prompt` to the built-in agent in a container and
/// expects a `report.md`. `inputs` are the names of the files that the run is given, kept as metadata; without a
/// `model` the registry's own is used.
///
/// Whatever `prompt` holds, the text parses, and renders as `prompt` again; only a blank prompt, or one so large that
/// the file would be, is refused when the text is parsed.
#[must_use]
pub fn one_node(prompt: &str, inputs: &[String], model: Option<&str>) -> String {
    let mut text = head("prompt", &title(prompt), prompt);
    text.push_str("    outputs:\n      mode: report\n      requiredFiles: [nodes/task/report.md]\n");
    text.push_str("    container:\n      runtime: builtin\n");
    // Writing to a `String` cannot fail.
    if let Some(model) = model {
        let _ = writeln!(text, "      model: {}", quoted(model));
    }
    if !inputs.is_empty() {
        text.push_str("    metadata:\n      inputs:\n");
        for input in inputs {
            let _ = writeln!(text, "        - {}", quoted(input));
        }
    }
    text.push_str("---\n\nMade from a prompt.\n");
    text
}

/// The text of a workflow file with the one node `task`, which the hired agent `agent` does; its title is the
/// first words of `named`. With `report` it has to leave a `report.md`; without, its result is all. After
/// a failed attempt come up to `retries` more, the first after a minute. As for [`one_node`], whatever `prompt` holds.
#[must_use]
pub fn one_agent(
    agent: &AgentName,
    named: &str,
    prompt: &str,
    inputs: &[String],
    report: bool,
    retries: u32,
) -> String {
    let mut text = head(&quoted(agent.as_str()), &title(named), prompt);
    text.push_str(match report {
        true => "    outputs:\n      mode: report\n      requiredFiles: [nodes/task/report.md]\n",
        false => "    outputs:\n      mode: notify\n      requiredFiles: []\n",
    });
    // Writing to a `String` cannot fail.
    if retries > 0 {
        let _ = writeln!(text, "    retry:\n      limit: {retries}\n      backoff: 1m\n      maxBackoff: 1h");
    }
    let _ = writeln!(text, "    container:\n      runtime: builtin\n      agent: {}", quoted(agent.as_str()));
    if !inputs.is_empty() {
        text.push_str("    metadata:\n      inputs:\n");
        for input in inputs {
            let _ = writeln!(text, "        - {}", quoted(input));
        }
    }
    text.push_str("---\n\nA task for an agent.\n");
    text
}

/// The text of a workflow file with the one node `task`, which an agent of the role `role` does for another; its result is
/// all that is asked for. As for [`one_node`], whatever `task` holds.
#[must_use]
pub fn one_role(role: &RoleName, task: &str) -> String {
    let mut text = head(&quoted(role.as_str()), &title(task), task);
    text.push_str("    outputs:\n      mode: notify\n      requiredFiles: []\n");
    // Writing to a `String` cannot fail.
    let _ = writeln!(text, "    container:\n      runtime: builtin\n      role: {}", quoted(role.as_str()));
    text.push_str("---\n\nA part of another agent's task.\n");
    text
}

/// The text of a workflow file with the one node `task`, which an OpenClaw session does and reports on. As for
/// [`one_node`], whatever `task` holds.
#[must_use]
pub fn one_session(task: &str, named: Option<&str>) -> String {
    let mut text = head("task", &named.map_or_else(|| title(task), title), task);
    text.push_str(
        "    outputs:\n      mode: report\n      requiredFiles: [nodes/task/report.md]\n---\n\nMade from a task.\n",
    );
    text
}

/// The file up to the one node's prompt.
fn head(id: &str, title: &str, prompt: &str) -> String {
    let mut text = format!("---\nworkflowId: {id}\ntitle: {}\n", quoted(title));
    if !is_literal(prompt) {
        // With `params` a prompt is a template, and a template can say any text.
        text.push_str("params: {}\n");
    }
    text.push_str("nodes:\n  - id: task\n    title: Task\n    kind: session_turn\n    prompt: ");
    let prompt = if is_literal(prompt) { prompt.to_owned() } else { literal(prompt) };
    text.push_str(&scalar(&prompt, "      "));
    text
}

/// The first words of a prompt.
fn title(prompt: &str) -> String {
    const LIMIT: usize = 60;
    let clean: String = prompt.chars().map(|c| if is_unsafe(c) { ' ' } else { c }).take(4096).collect();
    let words = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(LIMIT) {
        None if words.is_empty() => "Task".to_owned(),
        None => words,
        Some((end, _)) => format!("{}…", words[..end].trim_end()),
    }
}

/// `text` as a YAML scalar with its line end: a block that people can read where that says exactly the same, else quoted.
fn scalar(text: &str, indent: &str) -> String {
    let body = text.strip_suffix('\n').unwrap_or(text);
    let readable = |line: &str| !line.is_empty() && !line.starts_with([' ', '\t']) && !line.chars().any(is_odd);
    // The first line sets the indentation of a block, and blank lines at its end are cut, so neither is left to it.
    let fits = text.contains('\n')
        && body.lines().next().is_some_and(readable)
        && body.lines().last().is_some_and(readable)
        && !body.ends_with('\n')
        && !body.chars().any(|c| c != '\n' && is_odd(c));
    if !fits {
        return quoted(text) + "\n";
    }
    let mut block = String::from(if text.ends_with('\n') { "|\n" } else { "|-\n" });
    for line in body.split('\n') {
        if !line.is_empty() {
            block.push_str(indent);
            block.push_str(line);
        }
        block.push('\n');
    }
    block
}

/// What a block scalar cannot be trusted to keep.
fn is_odd(c: char) -> bool {
    is_unsafe(c) || !(c.is_alphanumeric() || c.is_ascii_graphic() || c == ' ')
}

/// A double-quoted YAML scalar on one line, in which every doubtful character is escaped.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if !is_odd(c) => quoted.push(c),
            c => {
                let _ = write!(quoted, "\\U{:08x}", u32::from(c));
            }
        }
    }
    quoted.push('"');
    quoted
}
