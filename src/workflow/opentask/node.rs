//! One node.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::error::SpecError;
use super::path;
use super::spec::{Origin, known};
use crate::run::definition::{NodeDefinition, OutputsMode, WaitFor, WaitKind};
use crate::run::id::NodeId;
use crate::run::status::NodeKind;

const KINDS: [(&str, NodeKind); 5] = [
    ("session_turn", NodeKind::SessionTurn),
    ("subagent", NodeKind::Subagent),
    ("wait", NodeKind::Wait),
    ("approval", NodeKind::Approval),
    ("summary", NodeKind::Summary),
];

/// A node as far as the helper looks at it.
#[derive(Debug)]
pub(super) struct Raw<'a> {
    pub(super) id: &'a str,
    pub(super) needs: Vec<String>,
    title: &'a str,
    kind: NodeKind,
    mode: OutputsMode,
    paths: Vec<String>,
    object: &'a Map<String, Value>,
}

/// A text that is not blank.
pub(super) fn text(value: &Value) -> Option<&str> {
    // A folded scalar of YAML ends in a newline that nobody meant.
    value.as_str().map(|text| text.trim_end_matches('\n')).filter(|text| !text.trim().is_empty())
}

/// A value that Python takes for something: absent, null, empty and zero are nothing.
fn something(value: Option<&Value>) -> Option<&Value> {
    value.filter(|value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) => true,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
    })
}

/// A list of texts; empty if it is nothing.
fn list(
    value: Option<&Value>,
    origin: Origin<'_>,
    wrong: SpecError,
    item: SpecError,
) -> Result<Vec<String>, SpecError> {
    match something(value) {
        None => Ok(Vec::new()),
        Some(Value::Array(items)) => {
            items.iter().map(|value| value.as_str().map(str::to_owned).ok_or_else(|| item.clone())).collect()
        }
        Some(Value::String(text)) if matches!(origin, Origin::Frontmatter) => Err(SpecError::ListSyntax(text.clone())),
        Some(_) => Err(wrong),
    }
}

impl<'a> Raw<'a> {
    /// Everything that the helper checks of a node, in its order.
    pub(super) fn read(
        item: &'a Value,
        position: usize,
        origin: Origin<'_>,
        seen: &mut HashSet<&'a str>,
    ) -> Result<Self, SpecError> {
        let Value::Object(object) = item else { return Err(SpecError::NodeNotAnObject(position)) };
        let id = object.get("id").and_then(text).ok_or(SpecError::NoNodeId)?;
        let node = || id.to_owned();
        if !seen.insert(id) {
            return Err(SpecError::Duplicate(node()));
        }
        let title = object.get("title").and_then(text).ok_or_else(|| SpecError::NoNodeTitle(node()))?;
        let kind = object.get("kind").unwrap_or(&Value::Null);
        let Some((_, kind)) = KINDS.iter().find(|(word, _)| kind.as_str() == Some(word)) else {
            return Err(SpecError::Kind { node: node(), kind: shown(kind) });
        };
        let needs = list(object.get("needs"), origin, SpecError::Needs(node()), SpecError::NeedsItem(node()))?;
        let empty = Map::new();
        let outputs = match something(object.get("outputs")) {
            None => &empty,
            Some(Value::Object(outputs)) => outputs,
            Some(_) => return Err(SpecError::OutputsMode(node())),
        };
        let mode = match outputs.get("mode").and_then(Value::as_str) {
            Some("notify") => OutputsMode::Notify,
            Some("report") => OutputsMode::Report,
            _ => return Err(SpecError::OutputsMode(node())),
        };
        let own = something(object.get("artifactPaths"));
        let files = own.or_else(|| something(outputs.get("requiredFiles")));
        let files = list(files, origin, SpecError::ArtifactPaths(node()), SpecError::PathItem(node()))?;
        let mut paths = files.iter().map(|file| path::relative(file)).collect::<Result<Vec<_>, _>>()?;
        if own.is_none()
            && let Some(main) = something(outputs.get("path"))
        {
            let main = path::relative(main.as_str().ok_or_else(|| SpecError::PathItem(node()))?)?;
            if !paths.contains(&main) {
                paths.push(main);
            }
        }
        if mode == OutputsMode::Report && paths.is_empty() {
            paths.push(format!("nodes/{id}/report.md"));
        }
        Ok(Self { id, needs, title, kind: *kind, mode, paths, object })
    }

    /// The node, with all checked that the helper passes over.
    pub(super) fn definition(&self, origin: Origin<'_>) -> Result<NodeDefinition, SpecError> {
        const KEYS: [&str; 12] = [
            "id",
            "title",
            "kind",
            "needs",
            "prompt",
            "outputs",
            "timeoutMs",
            "sessionKey",
            "waitFor",
            "metadata",
            "artifactPaths",
            "continueOn",
        ];
        let id = NodeId::parse(self.id)?;
        // Null as well: whoever wrote it had a container in mind.
        if self.object.contains_key("container") {
            return Err(SpecError::Container(self.id.to_owned()));
        }
        known(&format!("node {}", self.id), self.object, &["when"], &KEYS)?;
        if let Some(Value::Object(outputs)) = self.object.get("outputs") {
            let what = format!("outputs of node {}", self.id);
            known(&what, outputs, &[], &["mode", "path", "requiredFiles", "artifactPaths"])?;
        }
        let needs = self.needs.iter().map(|need| NodeId::parse(need)).collect::<Result<Vec<_>, _>>()?;
        let artifact_paths =
            self.paths.iter().map(|file| path::strict(self.id, file)).collect::<Result<Vec<_>, _>>()?;
        let endings = self.object.get("continueOn").and_then(Value::as_array);
        Ok(NodeDefinition {
            id,
            title: self.title.to_owned(),
            kind: self.kind,
            needs,
            prompt: self.prompt(origin)?,
            outputs_mode: self.mode,
            artifact_paths,
            wait_for: self.wait_for()?,
            session_key: None,
            retry: None,
            continue_on_failure: endings.is_some_and(|endings| endings.iter().any(|ending| ending == "failed")),
            container: None,
            metadata: Map::new(),
        })
    }

    /// The prompt that the frozen file does not hold: the one that JSON gives.
    fn prompt(&self, origin: Origin<'_>) -> Result<String, SpecError> {
        let given = self.object.get("prompt").and_then(Value::as_str);
        let beside = match origin {
            Origin::Json(Some(briefs)) => briefs.get(self.id).map(|brief| brief.prompt.as_str()),
            _ => None,
        };
        let is_text = matches!(origin, Origin::Json(None)) && given.is_none();
        let works = matches!(self.kind, NodeKind::SessionTurn | NodeKind::Subagent);
        let says = given.or(beside).is_some_and(|prompt| !prompt.trim().is_empty());
        if works && !says && !is_text {
            return Err(SpecError::NoPrompt { node: self.id.to_owned(), kind: self.kind.as_str() });
        }
        Ok(match origin {
            Origin::Json(_) => given.unwrap_or_default().to_owned(),
            Origin::Frontmatter => String::new(),
        })
    }

    fn wait_for(&self) -> Result<Option<WaitFor>, SpecError> {
        let wrong = || SpecError::WaitFor(self.id.to_owned());
        let kind = |word: &str| match word {
            "next_tick" => Ok(WaitKind::NextTick),
            "manual" => Ok(WaitKind::Manual),
            "file_exists" => Ok(WaitKind::FileExists),
            _ => Err(wrong()),
        };
        let wait = match self.object.get("waitFor") {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(word)) => WaitFor { kind: kind(word)?, path: None },
            Some(Value::Object(wait)) => {
                if wait.keys().any(|key| key != "type" && key != "path") {
                    return Err(wrong());
                }
                let kind = match wait.get("type") {
                    None => WaitKind::Manual,
                    Some(word) => kind(word.as_str().ok_or_else(wrong)?)?,
                };
                let path = match wait.get("path") {
                    None | Some(Value::Null) => None,
                    Some(file) => {
                        let file = path::relative(file.as_str().ok_or_else(wrong)?)?;
                        Some(path::strict(self.id, &file)?)
                    }
                };
                WaitFor { kind, path }
            }
            Some(_) => return Err(wrong()),
        };
        if wait.kind == WaitKind::FileExists && wait.path.is_none() {
            return Err(SpecError::NoWaitPath(self.id.to_owned()));
        }
        Ok(Some(wait))
    }
}

/// A value as Python's `str` writes it, as far as a person could have meant it for a kind.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
