//! A run that another program made, taken over as it stands.

use super::seen::{SeenNode, SeenRun};
use crate::run::adoption::{AdoptedNode, AdoptedStatus, Adoption};
use crate::run::definition::{Created, FORMAT, Limits};
use crate::run::id::{Digest, WorkflowId};
use crate::run::status::NodeStatus;

/// The adoption that begins our part of the run's journal. `registry` is the registry's id, empty in a bare one;
/// `workflow` the digest of `workflow.lock.md` as it is.
///
/// # Errors
/// What is wrong with the run, for a person.
pub fn begin(seen: &SeenRun, registry: String, workflow: Digest) -> Result<Adoption, String> {
    let workflow_id = WorkflowId::parse(&seen.workflow_id)
        .map_err(|error| format!("workflowId {:?} in state.json: {error}", seen.workflow_id))?;
    for (index, node) in seen.nodes.iter().enumerate() {
        let id = &node.definition.id;
        if seen.nodes[..index].iter().any(|other| other.definition.id == *id) {
            return Err(format!("state.json has node {id} twice"));
        }
        if let Some(need) = node.definition.needs.iter().find(|need| seen.node(need).is_none()) {
            return Err(format!("node {id} in state.json needs {need}, which is not there"));
        }
    }
    let created = Created {
        parent: None,
        format: FORMAT,
        registry,
        signed: false,
        workflow_id,
        title: seen.title.clone(),
        workflow_path: "workflow.lock.md".to_owned(),
        workflow_digest: workflow,
        binary: None,
        users: None,
        nodes: seen.nodes.iter().map(|node| node.definition.clone()).collect(),
        inputs: Vec::new(),
        params: std::collections::BTreeMap::new(),
        limits: Limits { attempts: 5, suspensions: 20 },
        concurrency: 4,
        sessions: seen.sessions.clone(),
    };
    Ok(Adoption {
        created: Some(Box::new(created)),
        created_at: seen.created_at,
        status: Some(seen.status),
        nodes: seen.nodes.iter().map(adopted).collect(),
        cron_job_id: seen.cron_job_id.clone(),
        driver_run_id: seen.driver_run_id.clone(),
        counters: Some(seen.counters),
        progress: seen.progress.clone(),
        applied_controls: seen.applied_controls.clone(),
        ..Adoption::default()
    })
}

fn adopted(node: &SeenNode) -> AdoptedNode {
    let moved = node.status != NodeStatus::Pending;
    AdoptedNode {
        node: node.definition.id.clone(),
        status: moved.then_some(AdoptedStatus {
            to: node.status,
            started_at: node.started_at,
            completed_at: node.completed_at,
        }),
        bound: Some(node.bound.clone()),
        notes: Some(node.notes.clone()),
    }
}
