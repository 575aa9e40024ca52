//! What OpenTask's readers see of a run: `state.json` and `refs.json` in the shape its helper writes, and only with
//! its keys. Our own projection, `taskforge.json`, is the [`State`] itself beside the journal's position.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::definition::{NodeDefinition, OutputsMode, WaitFor};
use super::event::FailureCode;
use super::id::{NodeId, RunId, WorkflowId};
use super::state::{Node, State};
use super::status::{NodeKind, NodeStatus, RunStatus};
use super::time::isoformat;

/// `state.json`, as what it is written from: borrowed, so that a commit builds no tree of it first.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StateFile<'a> {
    run_id: &'a RunId,
    workflow_id: &'a WorkflowId,
    title: &'a str,
    status: RunStatus,
    source_session_key: &'a str,
    source_agent_id: &'a Option<String>,
    delivery_context: &'a Option<Map<String, Value>>,
    root_session_key: &'a str,
    planner_session_key: &'a str,
    driver_session_key: &'a str,
    cron_job_id: &'a Option<String>,
    updated_at: String,
    created_at: String,
    nodes: Vec<NodeFile<'a>>,
    last_event: &'a str,
    last_progress_message: Option<&'a str>,
    last_progress_message_at: Option<String>,
}

/// A node in `state.json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct NodeFile<'a> {
    id: &'a NodeId,
    title: &'a str,
    kind: NodeKind,
    needs: &'a [NodeId],
    outputs_mode: &'static str,
    artifact_paths: &'a [String],
    wait_for: &'a Option<WaitFor>,
    working_memory: Option<WorkingMemory>,
    status: NodeStatus,
    session_key: Option<&'a str>,
    child_session_key: &'a Option<String>,
    run_id: Option<String>,
    notes: Vec<&'a str>,
    started_at: Option<String>,
    completed_at: Option<String>,
}

impl<'a> StateFile<'a> {
    #[must_use]
    pub fn of(state: &'a State) -> Self {
        let sessions = &state.created.sessions;
        Self {
            run_id: &state.run,
            workflow_id: &state.created.workflow_id,
            title: &state.created.title,
            status: state.status,
            source_session_key: &sessions.source,
            source_agent_id: &sessions.source_agent_id,
            delivery_context: &sessions.delivery_context,
            root_session_key: &sessions.root,
            planner_session_key: &sessions.planner,
            driver_session_key: &sessions.driver,
            cron_job_id: &state.cron_job_id,
            updated_at: isoformat(state.updated_at),
            created_at: isoformat(state.created_at),
            nodes: state.pairs().map(|(definition, node)| NodeFile::of(state, definition, node)).collect(),
            last_event: &state.last_event,
            last_progress_message: state.last_progress.as_ref().map(|(message, _)| message.as_str()),
            last_progress_message_at: state.last_progress.as_ref().map(|(_, at)| isoformat(*at)),
        }
    }
}

impl<'a> NodeFile<'a> {
    fn of(state: &State, definition: &'a NodeDefinition, node: &'a Node) -> Self {
        // A list, as OpenTask's readers ask for. What a session says of its failure stands in the event, as with their helper.
        let ours = node.failure.iter().filter(|(code, _)| *code != FailureCode::Session);
        let failure = ours.map(|(_, detail)| detail).filter(|detail| !detail.is_empty());
        Self {
            id: &definition.id,
            title: &definition.title,
            kind: definition.kind,
            needs: &definition.needs,
            outputs_mode: match definition.outputs_mode {
                OutputsMode::Notify => "notify",
                OutputsMode::Report => "report",
            },
            artifact_paths: &definition.artifact_paths,
            wait_for: &definition.wait_for,
            working_memory: WorkingMemory::of(definition),
            status: node.status,
            session_key: session_key(definition, node),
            child_session_key: &node.bound.child_session_key,
            run_id: run_id(state, definition, node),
            notes: node.notes.iter().chain(failure).map(String::as_str).collect(),
            started_at: node.started_at.map(isoformat),
            completed_at: node.completed_at.map(isoformat),
        }
    }
}

/// `state.json`, as a tree.
#[must_use]
pub fn state_json(state: &State) -> Value {
    tree(&StateFile::of(state))
}

/// Nothing here has a key that is no string, or a number that JSON lacks: the only ways this could fail.
fn tree<T: Serialize>(file: &T) -> Value {
    serde_json::to_value(file).unwrap_or_default()
}

/// The run as OpenTask's service and command line print it: the same as [`state_json`], in their order, without nulls.
#[must_use]
pub fn service_json(state: &State) -> Value {
    const RUN: [&str; 17] = [
        "runId",
        "workflowId",
        "title",
        "status",
        "sourceSessionKey",
        "sourceAgentId",
        "deliveryContext",
        "rootSessionKey",
        "plannerSessionKey",
        "driverSessionKey",
        "cronJobId",
        "updatedAt",
        "createdAt",
        "nodes",
        "lastEvent",
        "lastProgressMessage",
        "lastProgressMessageAt",
    ];
    const NODE: [&str; 15] = [
        "id",
        "title",
        "kind",
        "status",
        "needs",
        "outputsMode",
        "sessionKey",
        "childSessionKey",
        "runId",
        "artifactPaths",
        "workingMemory",
        "notes",
        "startedAt",
        "completedAt",
        "waitFor",
    ];
    let mut run = state_json(state);
    if let Some(Value::Array(nodes)) = run.get_mut("nodes") {
        for node in nodes {
            *node = in_order(node, &NODE);
        }
    }
    in_order(&run, &RUN)
}

/// The members of an object in this order, without those that are null.
fn in_order(object: &Value, keys: &[&str]) -> Value {
    let member = |key: &&str| Some(((*key).to_owned(), object.get(*key).filter(|value| !value.is_null())?.clone()));
    Value::Object(keys.iter().filter_map(member).collect())
}

fn session_key<'a>(definition: &'a NodeDefinition, node: &'a Node) -> Option<&'a str> {
    node.bound.session_key.as_deref().or(definition.session_key.as_deref())
}

/// What does the node: the last attempt of its container, or what a session bound.
fn run_id(state: &State, definition: &NodeDefinition, node: &Node) -> Option<String> {
    let attempt = node.attempts.last();
    let attempt = attempt.map(|attempt| format!("{}/{}/{}", state.run, definition.id, attempt.number));
    attempt.or_else(|| node.bound.run_id.clone())
}

/// `nodes/<id>/result.json`; none before there is a result.
#[must_use]
pub fn result_json(state: &State, definition: &NodeDefinition, node: &Node) -> Option<Value> {
    let result = node.result.as_ref()?;
    let Some(report) = &node.report else {
        return Some(json!({
            "runId": state.run,
            "nodeId": definition.id,
            "status": node.status,
            "artifacts": definition.artifact_paths,
            "payload": result,
        }));
    };
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    put("runId", json!(state.run));
    put("nodeId", json!(definition.id));
    put("status", json!(report.status));
    let optional = |value: &Option<String>| value.as_ref().map(|value| json!(value));
    optional(&report.summary).map(|value| put("summary", value));
    put("artifacts", json!(report.artifacts));
    optional(&report.session_key).map(|value| put("sessionKey", value));
    optional(&report.child_session_key).map(|value| put("childSessionKey", value));
    report.working_memory.as_ref().map(|memory| put("workingMemory", json!(memory)));
    put("payload", result.clone());
    Some(Value::Object(object))
}

/// The working memory of a node, as paths below the run's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WorkingMemory {
    plan: String,
    findings: String,
    progress: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    handoff: Option<String>,
}

impl WorkingMemory {
    /// None of a node that nobody works on.
    #[must_use]
    pub fn of(definition: &NodeDefinition) -> Option<Self> {
        let path = |file: &str| format!("nodes/{}/{file}.md", definition.id);
        match definition.kind {
            NodeKind::Wait | NodeKind::Approval => None,
            kind @ (NodeKind::SessionTurn | NodeKind::Subagent | NodeKind::Summary) => Some(Self {
                plan: path("plan"),
                findings: path("findings"),
                progress: path("progress"),
                handoff: (kind == NodeKind::Subagent).then(|| path("handoff")),
            }),
        }
    }

    /// Names and paths, in the order of the file.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let always = [("plan", &self.plan), ("findings", &self.findings), ("progress", &self.progress)];
        always
            .into_iter()
            .chain(self.handoff.as_ref().map(|path| ("handoff", path)))
            .map(|(name, path)| (name, path.as_str()))
    }

    /// Where the brief of a subagent is written.
    #[must_use]
    pub fn handoff(&self) -> Option<&str> {
        self.handoff.as_deref()
    }
}

/// `refs.json`, as what it is written from.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RefsFile<'a> {
    run_id: &'a RunId,
    source_session_key: &'a str,
    source_agent_id: &'a Option<String>,
    delivery_context: &'a Option<Map<String, Value>>,
    root_session_key: &'a str,
    planner_session_key: &'a str,
    driver_session_key: &'a str,
    cron_job_id: &'a Option<String>,
    driver_run_id: &'a Option<String>,
    driver_requested_event_count: u64,
    driver_requested_activity_count: u64,
    node_sessions: InOrder<'a>,
    child_sessions: InOrder<'a>,
    node_run_ids: InOrder<'a>,
    applied_control_ids: &'a [String],
    last_progress_event_count: u64,
}

/// An object of nodes, in the workflow's order.
#[derive(Debug)]
struct InOrder<'a>(Vec<(&'a NodeId, Cow<'a, str>)>);

impl Serialize for InOrder<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(node, value)| (node, value)))
    }
}

impl<'a> RefsFile<'a> {
    #[must_use]
    pub fn of(state: &'a State) -> Self {
        let sessions = &state.created.sessions;
        let counters = state.counters;
        let nodes = |value: &dyn Fn(&'a NodeDefinition, &'a Node) -> Option<Cow<'a, str>>| {
            InOrder(
                state
                    .pairs()
                    .filter_map(|(definition, node)| Some((&definition.id, value(definition, node)?)))
                    .collect(),
            )
        };
        Self {
            run_id: &state.run,
            source_session_key: &sessions.source,
            source_agent_id: &sessions.source_agent_id,
            delivery_context: &sessions.delivery_context,
            root_session_key: &sessions.root,
            planner_session_key: &sessions.planner,
            driver_session_key: &sessions.driver,
            cron_job_id: &state.cron_job_id,
            driver_run_id: &state.driver_run_id,
            driver_requested_event_count: counters.driver_requested_event_count,
            driver_requested_activity_count: counters.driver_requested_activity_count,
            node_sessions: nodes(&|definition, node| session_key(definition, node).map(Cow::Borrowed)),
            child_sessions: nodes(&|_, node| node.bound.child_session_key.as_deref().map(Cow::Borrowed)),
            node_run_ids: nodes(&|definition, node| run_id(state, definition, node).map(Cow::Owned)),
            applied_control_ids: &state.applied_controls,
            last_progress_event_count: counters.last_progress_event_count,
        }
    }
}

/// `refs.json`, as a tree.
#[must_use]
pub fn refs_json(state: &State) -> Value {
    tree(&RefsFile::of(state))
}
