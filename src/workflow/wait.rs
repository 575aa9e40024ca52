//! `waitFor`: what a wait node waits for.

use serde::Serialize;

use super::check::Check;
use super::fields::Fields;
use super::path::RelativePath;
use super::tree::Yaml;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum WaitFor {
    /// The next tick.
    NextTick,
    /// A person, who approves or skips the node.
    Manual,
    /// A file below the run's folder.
    FileExists { path: RelativePath },
}

impl WaitFor {
    pub(super) fn read(check: &mut Check, yaml: &Yaml, what: &str) -> Option<Self> {
        #[derive(Clone, Copy, PartialEq)]
        enum Type {
            NextTick,
            Manual,
            FileExists,
        }
        const TYPES: [(&str, Type); 3] =
            [("next_tick", Type::NextTick), ("manual", Type::Manual), ("file_exists", Type::FileExists)];
        let fields = Fields::read(check, yaml, what, &["type", "path"])?;
        let path = fields.optional(check, "path", path);
        let kind = fields.required(check, "type").and_then(|yaml| check.word(yaml, &fields.name("type"), &TYPES))?;
        if kind == Type::FileExists {
            if fields.get("path").is_none() {
                fields.missing(check, "path", Some("`file_exists` needs one, relative to the run's folder"));
            }
            return Some(Self::FileExists { path: path? });
        }
        if let Some(entry) = fields.entry("path") {
            let hint = "drop it, or write `type: file_exists`";
            check.problem_with(entry.spot, format!("{what} has a `path`, and its type has none"), hint);
        }
        Some(if kind == Type::Manual { Self::Manual } else { Self::NextTick })
    }
}

pub(super) fn path(check: &mut Check, yaml: &Yaml, what: &str) -> Option<RelativePath> {
    let text = check.text(yaml, what)?;
    check.accept(yaml.spot, what, text, RelativePath::parse(text))
}
