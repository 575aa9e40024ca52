//! The frontmatter as JSON in which every plain value is text: the helper knows no numbers, so that `title: 2026` and
//! `needs: [1]` are texts here as well.

use serde_json::{Map, Value as Json};

use super::error::SpecError;
use crate::workflow::frontmatter::{normalised, split};
use crate::workflow::problem::Problem;
use crate::workflow::tree::{self, Value, Yaml};

/// Reads the frontmatter of `text`; `label` is what complaints call the file.
pub(super) fn read(label: &str, text: &str) -> Result<Json, SpecError> {
    let text = normalised(text);
    let cut = split(&text).map_err(|problem| {
        // The one that is told apart: the fence opens and never closes.
        let opens = text.lines().find(|line| !line.trim().is_empty()).is_some_and(|line| line.trim_end() == "---");
        drop(problem);
        if opens { SpecError::NotClosed(label.to_owned()) } else { SpecError::NoFrontmatter(label.to_owned()) }
    })?;
    let at = |line: usize, column: usize, message: &str| SpecError::Yaml(format!("{label}:{line}:{column}: {message}"));
    let said = |problem: Problem| at(problem.line, problem.column, &problem.message);
    let root = tree::parse(cut.yaml, cut.lines_before).map_err(said)?;
    let lines: Vec<&str> = text.split('\n').collect();
    let twice = |key: &str, yaml: &Yaml| at(yaml.spot.line, yaml.spot.column, &format!("{key:?} stands here twice"));
    texts(&root, &lines, &twice)
}

/// `DEPTH` of the parser bounds the recursion.
fn texts(yaml: &Yaml, lines: &[&str], twice: &dyn Fn(&str, &Yaml) -> SpecError) -> Result<Json, SpecError> {
    Ok(match &yaml.value {
        Value::Null => Json::Null,
        Value::Text(text) => Json::String(text.clone()),
        Value::Boolean(_) | Value::Number(_) => Json::String(as_written(yaml, lines)),
        Value::List(items) => items.iter().map(|item| texts(item, lines, twice)).collect::<Result<Vec<_>, _>>()?.into(),
        Value::Map(entries) => {
            let mut map = Map::new();
            for entry in entries {
                if map.insert(entry.key.clone(), texts(&entry.value, lines, twice)?).is_some() {
                    return Err(twice(&entry.key, &entry.value));
                }
            }
            map.into()
        }
    })
}

/// A number or a boolean by the letters that stand for it in the file: `1.50` is no `1.5` when it is a title.
fn as_written(yaml: &Yaml, lines: &[&str]) -> String {
    let value = yaml.value.to_json();
    let line = yaml.spot.line.checked_sub(1).and_then(|index| lines.get(index)).copied().unwrap_or_default();
    let ends = |c: char| c.is_whitespace() || matches!(c, ',' | ']' | '}' | '#');
    let written: String = line.chars().skip(yaml.spot.column.saturating_sub(1)).take_while(|c| !ends(*c)).collect();
    // An alias stands for what is written elsewhere.
    if written.is_empty() || written.starts_with(['*', '&', '!']) { value.to_string() } else { written }
}
