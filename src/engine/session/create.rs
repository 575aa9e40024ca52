//! Making a run of a workflow whose nodes sessions do, as OpenTask's `run create` does: from a file, from text, or from
//! a task in a sentence.

use serde_json::{Map, Value};

use crate::registry::Registry;
use crate::run::definition::Sessions;
use crate::run::id::RunId;
use crate::workflow::{self, Workflow};

use super::super::error::Error;
use super::super::start::{find_workflow, next_id, node_definition};
use super::super::store::Told;
use super::scaffold::{Scaffold, scaffold};

/// Where the definition comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A name below `workflows/`, or a path.
    File(String),
    /// The text of a workflow file.
    Markdown(String),
    /// What to do, for one session.
    Task(String),
}

/// A run to be made.
#[derive(Debug, Clone)]
pub struct Create {
    pub source: Source,
    /// In place of the workflow's.
    pub title: Option<String>,
    /// Chosen from the workflow's id if absent.
    pub run: Option<RunId>,
    /// The session that asks for the run.
    pub source_session: Option<String>,
    pub source_agent: Option<String>,
    pub root_session: Option<String>,
    pub delivery_context: Option<Map<String, Value>>,
}

/// Makes the run.
///
/// # Errors
/// When the workflow has problems or containers, the id is taken, or a file cannot be written; nothing is then left.
pub fn create(registry: &Registry, wanted: &Create) -> Result<Told, Error> {
    registry.require_local()?;
    let (label, text) = match &wanted.source {
        Source::File(name) => {
            let path = find_workflow(registry, name);
            let label = path.strip_prefix(registry.root()).unwrap_or(&path).display().to_string();
            (label, workflow::read_text(&path).map_err(Error::WorkflowFile)?)
        }
        Source::Markdown(text) => ("workflow.lock.md".to_owned(), text.clone()),
        Source::Task(task) => ("task".to_owned(), workflow::prompt::one_session(task, wanted.title.as_deref())),
    };
    let parsed = Workflow::parse(&label, &text).map_err(Error::Workflow)?;
    let config = registry.config()?;
    let nodes = parsed
        .nodes
        .iter()
        .map(|node| node_definition(registry, config, &parsed, node))
        .collect::<Result<Vec<_>, _>>()?;
    let mut number = 1;
    loop {
        let run = match &wanted.run {
            Some(run) => run.clone(),
            None => next_id(registry, &parsed, &mut number)?,
        };
        let made = scaffold(
            registry,
            Scaffold {
                sessions: sessions(wanted, &parsed, &run),
                run,
                workflow_path: label.clone(),
                text: text.clone(),
                workflow_id: parsed.id.clone(),
                title: wanted.title.clone().unwrap_or_else(|| parsed.title.clone()),
                nodes: nodes.clone(),
            },
        );
        match made {
            // Somebody else took the number that was free a moment ago.
            Err(Error::Registry(crate::registry::Error::RunExists { .. }))
                if wanted.run.is_none() && number < 100_000 =>
            {
                number += 1;
            }
            other => return other,
        }
    }
}

/// The sessions behind the run: those that are named, and for the others what the workflow's templates say.
fn sessions(wanted: &Create, workflow: &Workflow, run: &RunId) -> Sessions {
    let agent = wanted.source_agent.clone().or_else(|| workflow.defaults.agent_id.clone());
    let agent = agent.unwrap_or_else(|| "main".to_owned());
    let rendered = |template: Option<&String>, default: &str| {
        let key = template.map_or(default, String::as_str).replace("{run_id}", run.as_str());
        if key.starts_with("agent:") { key } else { format!("agent:{agent}:{key}") }
    };
    let driver = rendered(workflow.driver.session_key_template.as_ref(), "session:workflow:{run_id}:driver");
    let planner = rendered(workflow.driver.planner_session_key_template.as_ref(), "session:workflow:{run_id}:planner");
    let source = wanted.source_session.clone();
    let root = wanted.root_session.clone().or_else(|| source.clone());
    let of_key = |key: &str| key.strip_prefix("agent:").and_then(|rest| rest.split(':').next()).map(str::to_owned);
    Sessions {
        source_agent_id: wanted.source_agent.clone().or_else(|| source.as_deref().and_then(of_key)),
        source: source.or_else(|| root.clone()).unwrap_or_else(|| driver.clone()),
        planner: root.clone().unwrap_or(planner),
        driver: root.clone().unwrap_or_else(|| driver.clone()),
        root: root.unwrap_or(driver),
        delivery_context: wanted.delivery_context.clone(),
    }
}
