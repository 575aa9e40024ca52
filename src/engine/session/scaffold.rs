//! Making a run that sessions do: the folder, the lock of the workflow, the journal, in OpenTask's shape.

use std::path::PathBuf;

use chrono::Utc;

use crate::registry::{Registry, RunLayout, create, kill};
use crate::run::apply::fold;
use crate::run::command::Command;
use crate::run::decide::decide;
use crate::run::definition::{Created, FORMAT, Limits, NodeDefinition, Sessions};
use crate::run::event::{Event, ReadyReason};
use crate::run::id::{Digest, RunId, WorkflowId};
use crate::run::projection::WorkingMemory;
use crate::run::state::State;

use super::super::error::Error;
use super::super::listing;
use super::super::project;
use super::super::store::{Store, Told};
use super::super::{actor, approvers};

/// A run to be made.
#[derive(Debug, Clone)]
pub struct Scaffold {
    pub run: RunId,
    /// Relative to the registry, as the journal names it.
    pub workflow_path: String,
    /// What becomes `workflow.lock.md`.
    pub text: String,
    pub workflow_id: WorkflowId,
    pub title: String,
    /// Without cycles, and with every need among them: the caller has checked.
    pub nodes: Vec<NodeDefinition>,
    pub sessions: Sessions,
}

/// Makes the run; on disk when it returns. It exists whole or not at all.
///
/// # Errors
/// When the id is taken, a node has a container, or a file cannot be written; nothing is then left behind.
pub fn scaffold(registry: &Registry, wanted: Scaffold) -> Result<Told, Error> {
    kill::refuse_if_killed(registry.layout())?;
    if let Some(node) = wanted.nodes.iter().find(|node| node.container.is_some()) {
        let message = format!("node {} has a container: `taskforge run start` makes such a run", node.id);
        return Err(Error::Usage(message));
    }
    make_root(registry)?;
    let run = wanted.run.clone();
    let mut staged = create::stage_run(registry, &run)?;
    staged.write_file("workflow.lock.md", wanted.text.as_bytes())?;
    staged.write_file("control.jsonl", b"")?;
    staged.make_folder("nodes")?;
    for node in &wanted.nodes {
        staged.make_folder(&format!("nodes/{}", node.id))?;
        if let Some(path) = handoff_path(node) {
            staged.write_file(&path, handoff(node).as_bytes())?;
        }
    }
    let bare = registry.is_bare();
    let created = Created {
        parent: None,
        format: FORMAT,
        registry: if bare { String::new() } else { registry.id()? },
        signed: approvers::are_configured(registry)?,
        workflow_id: wanted.workflow_id,
        title: wanted.title,
        workflow_path: wanted.workflow_path,
        workflow_digest: Digest::of(wanted.text.as_bytes()),
        binary: None,
        users: None,
        nodes: wanted.nodes,
        inputs: Vec::new(),
        params: std::collections::BTreeMap::new(),
        limits: Limits { attempts: 5, suspensions: 20 },
        concurrency: 4,
        sessions: wanted.sessions,
    };
    let now = Utc::now();
    let refused = |refusal| Error::Refused { run: run.clone(), refusal };
    let unfit = |source| Error::Fold { run: run.clone(), source };
    let mut state = State::begin(run.clone(), created.clone(), now);
    let mut events = vec![Event::RunCreated(Box::new(created.clone()))];
    // In the workflow's order, as OpenTask's helper journals them; what follows beyond that is left to a tick in a
    // registry of its own, and follows at once in ours.
    for node in created.nodes.iter().filter(|node| node.needs.is_empty()) {
        let event = Event::NodeReady { node: node.id.clone(), why: ReadyReason::NeedsMet, not_before: None };
        state.apply(&event, now).map_err(unfit)?;
        events.push(event);
    }
    if !bare {
        events.extend(decide(&state, Command::Settle, now).map_err(refused)?);
    }
    let drafts = events.iter().map(|event| event.to_draft_of(&run)).collect();
    let records = staged.begin_journal(drafts, &actor::session(&created.sessions), now)?;
    let state = fold(&records).map_err(unfit)?;
    let head = staged.head().cloned();
    if let Some(head) = &head {
        let layout = RunLayout::new(PathBuf::new());
        let files = project::all(&layout, &state, head)?;
        staged.keep(project::digests(&layout, &files));
        for (path, text) in files {
            staged.write_file(&path.display().to_string(), text.as_bytes())?;
        }
    }
    staged.publish()?;
    if let Some(head) = head {
        listing::note(registry, &state, head.at);
    }
    Ok(Told { state, events: records })
}

/// OpenTask's helper makes the registry's folder where there is none.
fn make_root(registry: &Registry) -> Result<(), Error> {
    let root = registry.root();
    std::fs::create_dir_all(root).map_err(|source| Error::Io { action: "create", path: root.to_owned(), source })
}

/// The file in which a node's handoff is written, relative to the run, and what stands there at first.
pub(crate) fn handoff_of(node: &NodeDefinition) -> Option<(String, String)> {
    handoff_path(node).map(|path| (path, handoff(node)))
}

fn handoff_path(node: &NodeDefinition) -> Option<String> {
    WorkingMemory::of(node)?.handoff().map(str::to_owned)
}

/// What OpenTask's helper writes there, for the session that dispatches the node to fill in.
fn handoff(node: &NodeDefinition) -> String {
    format!(
        "# {} handoff\n\nThe parent orchestrator can place the concrete child brief for this node here before dispatch.\n",
        node.title
    )
}

/// The folder of a node that is about to be added, and its handoff file.
pub(super) fn prepare_node(store: &Store<'_>, node: &NodeDefinition) -> Result<(), Error> {
    let folder = store.layout().node(&node.id);
    let io = |action, path: &std::path::Path| {
        let path = path.to_owned();
        move |source| Error::Io { action, path, source }
    };
    std::fs::create_dir_all(&folder).map_err(io("create", &folder))?;
    // The folder's own name, or what is synced inside it may go with it.
    crate::registry::project::sync_folder(&store.layout().nodes())?;
    if let Some(path) = handoff_path(node) {
        let path = store.layout().root().join(path);
        match crate::registry::project::write_durable_new(&path, handoff(node).as_bytes()) {
            Err(error) if error.io_kind() != Some(std::io::ErrorKind::AlreadyExists) => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}
