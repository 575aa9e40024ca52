//! A whole workflow file, read.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::check::Check;
use super::driver::{Defaults, Driver};
use super::error::Error;
use super::fields::Fields;
use super::node::{Draft, Node};
use super::params::{self, Param};
use super::problem::{Problem, Problems, Spot};
use super::schedule::Schedule;
use super::tree::Yaml;
use super::{description, frontmatter, needs, read, tree};
use crate::run::id::WorkflowId;

/// The most nodes of a workflow.
pub const NODE_LIMIT: usize = 1000;

/// A workflow without a problem. Serialised as `workflow show --json` prints it: the file's keys, durations in
/// milliseconds, sizes in bytes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Workflow {
    #[serde(rename = "workflowId")]
    pub id: WorkflowId,
    pub title: String,
    /// The first paragraph of the Markdown below the frontmatter, as text.
    pub description: Option<String>,
    pub defaults: Defaults,
    pub driver: Driver,
    /// `None` if the file has no `params`: then its prompts are literal text.
    pub params: Option<BTreeMap<String, Param>>,
    pub schedule: Option<Schedule>,
    /// The most nodes that are worked on at a time.
    pub concurrency: Option<u32>,
    /// In the order of the file; never empty, and without circles.
    pub nodes: Vec<Node>,
}

impl Workflow {
    /// Parses the text of a workflow file. `file_label` is what messages call it.
    ///
    /// # Errors
    /// Every problem of the file at once; only a file whose YAML cannot be read at all has just one.
    pub fn parse(file_label: &str, text: &str) -> Result<Self, Problems> {
        let text = frontmatter::normalised(text);
        let (workflow, mut problems) = parse(&text);
        match workflow {
            Some(workflow) if problems.is_empty() => Ok(workflow),
            _ => {
                if problems.is_empty() {
                    let spot = Spot { line: 1, column: 1 };
                    problems.push(Problem::new(spot, "the workflow is incomplete", None));
                }
                Err(Problems::new(file_label, problems, &text))
            }
        }
    }

    /// Reads a workflow file: a regular file, no symbolic link, at most [`FILE_LIMIT`](super::FILE_LIMIT) bytes of
    /// UTF-8.
    ///
    /// # Errors
    /// [`Error`] says why the file cannot be read, or what is wrong with it.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = read::read_text(path)?;
        Ok(Self::parse(&path.display().to_string(), &text)?)
    }

    /// The node of this id.
    #[must_use]
    pub fn node(&self, id: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id.as_str() == id)
    }
}

fn parse(text: &str) -> (Option<Workflow>, Vec<Problem>) {
    let frontmatter = match frontmatter::split(text) {
        Ok(frontmatter) => frontmatter,
        Err(problem) => return (None, vec![problem]),
    };
    let root = match tree::parse(frontmatter.yaml, frontmatter.lines_before) {
        Ok(root) => root,
        Err(problem) => return (None, vec![problem]),
    };
    let mut check = Check::default();
    let workflow = workflow(&mut check, &root, frontmatter.body);
    (workflow, check.into_problems())
}

fn workflow(check: &mut Check, root: &Yaml, body: &str) -> Option<Workflow> {
    const KEYS: [&str; 8] = ["workflowId", "title", "defaults", "driver", "params", "schedule", "concurrency", "nodes"];
    if root.value == tree::Value::Null {
        check.problem_with(root.spot, "the frontmatter is empty", "it needs `workflowId`, `title` and `nodes`");
        return None;
    }
    let fields = Fields::read(check, root, "the workflow", &KEYS)?;
    let id = fields.required(check, "workflowId").and_then(|yaml| {
        let text = check.text(yaml, "`workflowId`")?.trim();
        match WorkflowId::parse(text) {
            Ok(id) => Some(id),
            Err(why) => {
                check.problem(yaml.spot, why.to_string());
                None
            }
        }
    });
    let title = fields.required(check, "title").and_then(|yaml| check.line(yaml, "`title`"));
    let defaults = fields.get("defaults").and_then(|yaml| Defaults::read(check, yaml)).unwrap_or_default();
    let driver = fields.get("driver").and_then(|yaml| Driver::read(check, yaml)).unwrap_or_default();
    let params = fields.get("params").map(|yaml| params::read(check, yaml));
    let schedule = fields.get("schedule").and_then(|yaml| Schedule::read(check, yaml));
    let concurrency = fields.get("concurrency").and_then(|yaml| {
        let number = check.integer(yaml, "`concurrency`", 1..=1000)?;
        u32::try_from(number).ok()
    });
    let nodes = fields.required(check, "nodes").and_then(|yaml| nodes(check, yaml, params.as_ref()));
    Some(Workflow {
        id: id?,
        title: title?,
        description: description::first_paragraph(body),
        defaults,
        driver,
        params,
        schedule,
        concurrency,
        nodes: nodes?,
    })
}

fn nodes(check: &mut Check, yaml: &Yaml, params: Option<&BTreeMap<String, Param>>) -> Option<Vec<Node>> {
    let mut items = check.list(yaml, "`nodes`")?;
    if items.is_empty() {
        check.problem_with(yaml.spot, "`nodes` is empty", "a workflow needs at least one node");
    }
    if let Some((kept, [surplus, ..])) = items.split_at_checked(NODE_LIMIT) {
        let message = format!("there are {} nodes, and a workflow has at most {NODE_LIMIT}", items.len());
        check.problem(surplus.spot, message);
        items = kept;
    }
    let drafts: Vec<Draft<'_>> =
        items.iter().enumerate().map(|(index, item)| Draft::read(check, item, index + 1, params)).collect();
    needs::check(check, &drafts);
    drafts.into_iter().map(|draft| draft.node).collect()
}
