//! `state.json` and `refs.json` as another program left them, in whichever of its two forms: the helper writes nulls,
//! the service leaves them out.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::run::adoption::{Bound, Counters};
use crate::run::definition::{NodeDefinition, OutputsMode, Sessions, WaitFor, WaitKind};
use crate::run::id::NodeId;
use crate::run::status::{NodeKind, NodeStatus, RunStatus};
use crate::run::time::parse_time;
use crate::workflow::RelativePath;

/// The most nodes that are read.
const MOST_NODES: usize = crate::run::session::MOST_NODES;

/// A run as its two files show it. Equal when they say the same, whatever their key order, nulls and `updatedAt`.
#[derive(Debug, Clone, PartialEq)]
pub struct SeenRun {
    pub workflow_id: String,
    pub title: String,
    pub status: RunStatus,
    pub sessions: Sessions,
    pub cron_job_id: Option<String>,
    pub driver_run_id: Option<String>,
    pub created_at: Option<DateTime<Utc>>,
    pub nodes: Vec<SeenNode>,
    pub progress: Option<(String, DateTime<Utc>)>,
    pub counters: Counters,
    pub applied_controls: Vec<String>,
}

/// A node as they show it.
#[derive(Debug, Clone, PartialEq)]
pub struct SeenNode {
    /// Never with a container: only we start those.
    pub definition: NodeDefinition,
    pub status: NodeStatus,
    pub bound: Bound,
    pub notes: Vec<String>,
    pub started_at: Option<DateTime<Utc>>,
    pub completed_at: Option<DateTime<Utc>>,
}

impl SeenRun {
    /// Reads the two files.
    ///
    /// # Errors
    /// What is wrong, for a person: a value that no version of OpenTask writes.
    pub fn read(state: &Value, refs: &Value) -> Result<Self, String> {
        let state = state.as_object().ok_or("state.json is not a JSON object")?;
        let empty = Map::new();
        let refs = refs.as_object().unwrap_or(&empty);
        let text = |key: &str| either(state, refs, key).unwrap_or_default();
        let status = known(state.get("status"), "status")?;
        let nodes = state.get("nodes").and_then(Value::as_array).ok_or("state.json has no list `nodes`")?;
        if nodes.len() > MOST_NODES {
            return Err(format!("state.json has {} nodes, and {MOST_NODES} are the most", nodes.len()));
        }
        let nodes = nodes.iter().map(|node| SeenNode::read(node, refs)).collect::<Result<Vec<_>, _>>()?;
        // Any of the four stands for those that are missing, as for OpenTask's readers.
        let keys = ["rootSessionKey", "driverSessionKey", "plannerSessionKey", "sourceSessionKey"].map(text);
        let any = keys.iter().find(|key| !key.is_empty()).cloned().unwrap_or_default();
        let [root, driver, planner, source] = keys.map(|key| if key.is_empty() { any.clone() } else { key });
        let count = |key: &str| refs.get(key).and_then(Value::as_u64).unwrap_or(0);
        let progress = optional(state, "lastProgressMessage").zip(time(state, "lastProgressMessageAt"));
        let controls = refs.get("appliedControlIds").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let source_agent_id = either(state, refs, "sourceAgentId");
        let delivery = state.get("deliveryContext").or_else(|| refs.get("deliveryContext"));
        Ok(Self {
            workflow_id: text("workflowId"),
            title: text("title"),
            status,
            sessions: Sessions {
                source,
                source_agent_id,
                root,
                planner,
                driver,
                delivery_context: delivery.and_then(Value::as_object).cloned(),
            },
            cron_job_id: either(state, refs, "cronJobId"),
            driver_run_id: optional(refs, "driverRunId"),
            created_at: time(state, "createdAt"),
            nodes,
            progress,
            counters: Counters {
                driver_requested_event_count: count("driverRequestedEventCount"),
                driver_requested_activity_count: count("driverRequestedActivityCount"),
                last_progress_event_count: count("lastProgressEventCount"),
            },
            applied_controls: controls.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        })
    }

    /// The node of this id.
    #[must_use]
    pub fn node(&self, id: &NodeId) -> Option<&SeenNode> {
        self.nodes.iter().find(|node| node.definition.id == *id)
    }
}

impl SeenNode {
    fn read(node: &Value, refs: &Map<String, Value>) -> Result<Self, String> {
        let node = node.as_object().ok_or("a node in state.json is not a JSON object")?;
        let id = optional(node, "id").ok_or("a node in state.json has no `id`")?;
        let id = NodeId::parse(&id).map_err(|error| format!("node {id:?} in state.json: {error}"))?;
        let about = |what: String| format!("node {id} in state.json: {what}");
        let kind: NodeKind = known(node.get("kind"), "kind").map_err(about)?;
        let status = match node.get("status") {
            None | Some(Value::Null) => NodeStatus::Pending,
            status => known(status, "status").map_err(about)?,
        };
        let needs = strings(node, "needs")
            .map(|need| NodeId::parse(need).map_err(|error| about(format!("need {need:?}: {error}"))))
            .collect::<Result<Vec<_>, _>>()?;
        // A path that leaves the run is nobody's output.
        let artifact_paths: Vec<String> = strings(node, "artifactPaths")
            .filter(|path| RelativePath::parse(path).is_ok())
            .map(str::to_owned)
            .collect();
        let outputs_mode = match node.get("outputsMode").and_then(Value::as_str) {
            Some("notify") => OutputsMode::Notify,
            Some("report") => OutputsMode::Report,
            _ if !artifact_paths.is_empty() || works(kind) => OutputsMode::Report,
            _ => OutputsMode::Notify,
        };
        let from_refs = |map: &str| refs.get(map).and_then(Value::as_object).and_then(|map| optional(map, id.as_str()));
        let bound = Bound {
            session_key: optional(node, "sessionKey").or_else(|| from_refs("nodeSessions")),
            child_session_key: optional(node, "childSessionKey").or_else(|| from_refs("childSessions")),
            run_id: optional(node, "runId").or_else(|| from_refs("nodeRunIds")),
        };
        Ok(Self {
            definition: NodeDefinition {
                title: optional(node, "title").unwrap_or_else(|| id.to_string()),
                id,
                kind,
                needs,
                prompt: String::new(),
                outputs_mode,
                artifact_paths,
                wait_for: wait_for(kind, node.get("waitFor")),
                session_key: None,
                retry: None,
                continue_on_failure: false,
                container: None,
                metadata: Map::new(),
            },
            status,
            bound,
            // One remark may stand there without its list.
            notes: optional(node, "notes")
                .map_or_else(|| strings(node, "notes").map(str::to_owned).collect(), |note| vec![note]),
            started_at: time(node, "startedAt"),
            completed_at: time(node, "completedAt"),
        })
    }
}

const fn works(kind: NodeKind) -> bool {
    matches!(kind, NodeKind::SessionTurn | NodeKind::Subagent | NodeKind::Summary)
}

/// OpenTask's helper writes a bare word, or nothing at all, where its service wants an object.
fn wait_for(kind: NodeKind, value: Option<&Value>) -> Option<WaitFor> {
    if kind != NodeKind::Wait {
        return None;
    }
    let word = |text: &str| serde_json::from_value::<WaitKind>(Value::String(text.trim().to_owned())).ok();
    let manual = WaitFor { kind: WaitKind::Manual, path: None };
    let found = match value {
        Some(Value::String(text)) => word(text).map(|kind| WaitFor { kind, path: None }),
        Some(object @ Value::Object(_)) => serde_json::from_value::<WaitFor>(object.clone()).ok(),
        _ => None,
    };
    // A file that is nowhere to be looked for never comes: a person says when.
    let sound = |wait: &WaitFor| match (&wait.kind, &wait.path) {
        (WaitKind::FileExists, Some(path)) => RelativePath::parse(path).is_ok(),
        (WaitKind::FileExists, None) => false,
        _ => true,
    };
    Some(found.filter(sound).unwrap_or(manual))
}

fn known<T: serde::de::DeserializeOwned>(value: Option<&Value>, key: &str) -> Result<T, String> {
    let value = value.cloned().unwrap_or(Value::Null);
    serde_json::from_value(value.clone()).map_err(|_| format!("`{key}` is {value}, which is none that is known"))
}

/// Text that is there and not blank, as OpenTask's readers strip it.
fn optional(map: &Map<String, Value>, key: &str) -> Option<String> {
    map.get(key).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn either(first: &Map<String, Value>, second: &Map<String, Value>, key: &str) -> Option<String> {
    optional(first, key).or_else(|| optional(second, key))
}

fn time(map: &Map<String, Value>, key: &str) -> Option<DateTime<Utc>> {
    map.get(key).and_then(Value::as_str).and_then(parse_time)
}

fn strings<'a>(map: &'a Map<String, Value>, key: &str) -> impl Iterator<Item = &'a str> {
    map.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default().iter().filter_map(Value::as_str)
}
