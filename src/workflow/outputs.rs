//! `outputs`: the files that a node leaves behind.

use std::collections::BTreeMap;

use serde::Serialize;

use super::check::Check;
use super::fields::Fields;
use super::path::RelativePath;
use super::problem::Spot;
use super::tree::Yaml;
use super::wait::path;
use crate::run::id::NodeId;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outputs {
    pub mode: OutputsMode,
    /// What the node must leave, relative to the run's folder: `path` and `requiredFiles` of the file, sorted, each
    /// once. A report node that names none has `nodes/<id>/report.md`. Of a container node each stands below
    /// `nodes/<id>/`, and is what the container wrote below `/workspace`.
    pub artifact_paths: Vec<RelativePath>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputsMode {
    /// Nothing is left but the event.
    Notify,
    /// Files are left.
    Report,
}

/// The most files that a node may declare.
const FILE_COUNT: usize = 100;

/// `outputs` as the file has it, before what depends on the rest of the node is known.
#[derive(Default)]
pub(super) struct Declared {
    mode: Option<OutputsMode>,
    files: BTreeMap<RelativePath, Spot>,
}

impl Declared {
    pub(super) fn read(check: &mut Check, yaml: &Yaml, what: &str) -> Option<Self> {
        const MODES: [(&str, OutputsMode); 2] = [("notify", OutputsMode::Notify), ("report", OutputsMode::Report)];
        let fields = Fields::read(check, yaml, what, &["mode", "path", "requiredFiles"])?;
        let mode = fields.optional(check, "mode", |check, yaml, what| check.word(yaml, what, &MODES));
        let mut files = BTreeMap::new();
        if let Some(main) = fields.optional(check, "path", path)
            && let Some(yaml) = fields.get("path")
        {
            files.insert(main, yaml.spot);
        }
        let mut list = fields.optional(check, "requiredFiles", Check::list).unwrap_or_default();
        if let Some((kept, [surplus, ..])) = list.split_at_checked(FILE_COUNT) {
            check.problem(surplus.spot, format!("{what} has more than {FILE_COUNT} files"));
            list = kept;
        }
        let item_name = format!("a file in {}", fields.name("requiredFiles"));
        for item in list {
            if let Some(file) = path(check, item, &item_name) {
                files.entry(file).or_insert(item.spot);
            }
        }
        Some(Self { mode, files })
    }

    /// The outputs of node `id`. `works` says whether the node's kind does work of which a report can be expected.
    pub(super) fn complete(self, check: &mut Check, id: &NodeId, works: bool, in_container: bool) -> Outputs {
        for (file, spot) in &self.files {
            if in_container {
                below_the_node(check, id, file, *spot);
            }
            if let Some(folder) = self.files.keys().find(|other| other.holds(file)) {
                check.problem(*spot, format!("output `{file}` of node `{id}` stands below its output `{folder}`"));
            }
        }
        let worked = works || !self.files.is_empty();
        let mode = self.mode.unwrap_or(if worked { OutputsMode::Report } else { OutputsMode::Notify });
        let mut artifact_paths: Vec<RelativePath> = self.files.into_keys().collect();
        if mode == OutputsMode::Report && artifact_paths.is_empty() {
            artifact_paths.extend(RelativePath::parse(&format!("nodes/{id}/report.md")));
        }
        Outputs { mode, artifact_paths }
    }
}

fn below_the_node(check: &mut Check, id: &NodeId, file: &RelativePath, spot: Spot) {
    let Some(inner) = file.as_str().strip_prefix(&format!("nodes/{id}/")) else {
        let hint = format!("what the container writes as /workspace/report.md is `nodes/{id}/report.md`");
        let message = format!("output `{file}` of the container node `{id}` must stand below `nodes/{id}/`");
        check.problem_with(spot, message, hint);
        return;
    };
    // The registry keeps its own files there; an output of that name would replace them.
    let first = inner.split('/').next().unwrap_or(inner);
    if matches!(first, "attempts" | "workspace" | "result.json") {
        check.problem(spot, format!("output `{file}` of node `{id}` has the name of a file that taskforge keeps"));
    }
}
