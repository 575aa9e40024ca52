//! `taskforge helper add-node`.

use serde_json::{Map, Value, json};

use crate::engine::Store;
use crate::engine::session;
use crate::registry::Registry;
use crate::run::definition::{NodeDefinition, OutputsMode, WaitFor, WaitKind};
use crate::run::id::NodeId;
use crate::run::status::NodeKind;
use crate::workflow::RelativePath;

use super::answer::{Answer, event};
use super::argv::Call;
use super::sentence::Sentence;
use super::{ids, run_id};

pub(super) fn run(call: &Call, registry: &Registry) -> Result<Answer, Sentence> {
    let run = run_id(call)?;
    let state = Store::open(registry, &run)?.load()?;
    let definition = definition(call)?;
    let id = definition.id.clone();
    let before = match call.some("--before") {
        Some(before) => Some(NodeId::parse(before)?),
        // As OpenTask's service does, so that the summary stays last.
        None => state.created.nodes.iter().find(|node| node.kind == NodeKind::Summary).map(|node| node.id.clone()),
    };
    let told = session::add_node(registry, &run, before, definition)?;
    let status = told.state.node(&id).map(|(_, node)| node.status);
    let events: Vec<Value> = told.events.iter().map(event).collect();
    Ok(json!({"ok": true, "events": events, "nodeId": id, "status": status}).into())
}

fn definition(call: &Call) -> Result<NodeDefinition, Sentence> {
    let id = NodeId::parse(call.get("--id").unwrap_or_default())?;
    let title = call.get("--title").unwrap_or_default().trim().to_owned();
    if title.is_empty() {
        return Err(Sentence::new(format!("node {id} requires title")));
    }
    let kind = match call.get("--kind").unwrap_or_default() {
        "session_turn" => NodeKind::SessionTurn,
        "subagent" => NodeKind::Subagent,
        "wait" => NodeKind::Wait,
        "approval" => NodeKind::Approval,
        _ => NodeKind::Summary,
    };
    let prompt = call.get("--prompt").unwrap_or_default().to_owned();
    if prompt.trim().is_empty() && matches!(kind, NodeKind::SessionTurn | NodeKind::Subagent) {
        return Err(Sentence::new(format!("node {id} requires prompt for kind={}", kind.as_str())));
    }
    let path = |flag: &str, given: &str| {
        let parsed = RelativePath::parse(given).map_err(|error| Sentence::new(format!("{flag} {given:?} {error}")))?;
        Ok::<_, Sentence>(parsed.as_str().to_owned())
    };
    let mut artifact_paths =
        call.all("--required-file").map(|file| path("--required-file", file)).collect::<Result<Vec<_>, _>>()?;
    let works = matches!(kind, NodeKind::SessionTurn | NodeKind::Subagent | NodeKind::Summary);
    let outputs_mode = match call.some("--outputs-mode") {
        Some("report") => OutputsMode::Report,
        Some(_) => OutputsMode::Notify,
        None if works || !artifact_paths.is_empty() => OutputsMode::Report,
        None => OutputsMode::Notify,
    };
    if outputs_mode == OutputsMode::Report && artifact_paths.is_empty() {
        artifact_paths.push(format!("nodes/{id}/report.md"));
    }
    let wait_path = call.some("--wait-path").map(|file| path("--wait-path", file)).transpose()?;
    Ok(NodeDefinition {
        title,
        kind,
        needs: ids(call.all("--needs"))?,
        prompt,
        outputs_mode,
        artifact_paths,
        wait_for: wait_for(call, &id, kind, wait_path)?,
        session_key: None,
        retry: None,
        continue_on_failure: false,
        container: None,
        metadata: Map::new(),
        id,
    })
}

fn wait_for(call: &Call, id: &NodeId, kind: NodeKind, path: Option<String>) -> Result<Option<WaitFor>, Sentence> {
    let given = call.some("--wait-for");
    if kind != NodeKind::Wait {
        return match (given, path) {
            (None, None) => Ok(None),
            _ => Err(Sentence::new(format!("node {id} is no wait node: --wait-for and --wait-path are of those"))),
        };
    }
    let kind = match given {
        Some("next_tick") => WaitKind::NextTick,
        Some("file_exists") => WaitKind::FileExists,
        _ => WaitKind::Manual,
    };
    match (kind, &path) {
        (WaitKind::FileExists, None) => {
            Err(Sentence::new(format!("--wait-path is required for --wait-for file_exists of node {id}")))
        }
        (WaitKind::NextTick | WaitKind::Manual, Some(_)) => {
            Err(Sentence::new(format!("--wait-path is of --wait-for file_exists, and node {id} has none")))
        }
        _ => Ok(Some(WaitFor { kind, path })),
    }
}
