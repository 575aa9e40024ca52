//! `taskforge helper next`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::engine::Store;
use crate::registry::{Registry, RunLayout, kill, project::read_file};
use crate::run::agenda::{Doer, doer, is_to_be_dispatched, waits_for};
use crate::run::definition::NodeDefinition;
use crate::run::event::WaitingOn;
use crate::run::projection::WorkingMemory;
use crate::run::state::{Node, State};
use crate::run::status::{NodeKind, NodeStatus, RunStatus};
use crate::run::time::isoformat;
use crate::workflow::{FILE_LIMIT, opentask::Brief, opentask::briefs};

use super::answer::Answer;
use super::argv::Call;
use super::commands::helper;
use super::run_id;
use super::sentence::Sentence;

pub(super) fn run(call: &Call, registry: &Registry) -> Result<Answer, Sentence> {
    let store = Store::open(registry, &run_id(call)?)?;
    let state = store.load()?;
    let layout = store.layout();
    let killed = kill::read(registry.layout())?;
    let frozen = read_file(&layout.workflow(), FILE_LIMIT)?.unwrap_or_default();
    let briefs = briefs(&String::from_utf8_lossy(&frozen)).unwrap_or_default();
    let view = View { registry, state: &state, layout: &layout, briefs: &briefs };
    let of = |wanted: &dyn Fn(&NodeDefinition, &Node) -> bool, show: &dyn Fn(&NodeDefinition, &Node) -> Value| {
        let nodes = state.pairs().filter(|(definition, node)| wanted(definition, node));
        nodes.map(|(definition, node)| show(definition, node)).collect::<Vec<_>>()
    };
    let dispatch = match killed {
        Some(_) => Vec::new(),
        None => of(&|definition, node| is_to_be_dispatched(&state, definition, node), &|definition, node| {
            view.brief(definition, node)
        }),
    };
    let running = of(&|_, node| node.status == NodeStatus::Running, &|definition, node| view.running(definition, node));
    let waiting = of(&|definition, node| waits_for(&state, definition, node).is_some(), &|definition, node| {
        view.waiting(definition, node)
    });
    let failed = of(&|_, node| node.status == NodeStatus::Failed, &|definition, node| view.failed(definition, node));
    let say = match &killed {
        Some(kill) => format!(
            "The kill switch is on since {}: {}. Dispatch nothing; only a person lifts it.",
            kill.at, kill.reason
        ),
        None => say(&state, dispatch.len(), running.len(), &waiting),
    };
    let over = state.status.is_terminal();
    Ok(json!({
        "ok": true,
        "runId": state.run,
        "runStatus": state.status,
        "say": say,
        "runPath": layout.root().display().to_string(),
        "dispatch": dispatch,
        "running": running,
        "waiting": waiting,
        "failed": failed,
        "done": over,
        "continue": if over { Value::Null } else { helper(registry, &["next", state.run.as_str()]) },
    })
    .into())
}

struct View<'a> {
    registry: &'a Registry,
    state: &'a State,
    layout: &'a RunLayout,
    briefs: &'a BTreeMap<String, Brief>,
}

impl View<'_> {
    /// Everything that whoever does the node needs to know.
    fn brief(&self, definition: &NodeDefinition, node: &Node) -> Value {
        let file = |path: &str| self.layout.root().join(path).display().to_string();
        let doer = doer(self.state, definition);
        let frozen = self.briefs.get(definition.id.as_str());
        let prompt = match definition.prompt.as_str() {
            "" => frozen.map_or("", |brief| brief.prompt.as_str()),
            own => own,
        };
        let memory = WorkingMemory::of(definition);
        let memory: Map<String, Value> = memory
            .iter()
            .flat_map(WorkingMemory::files)
            .map(|(name, path)| (name.to_owned(), Value::String(file(path))))
            .collect();
        let write: Vec<Value> =
            definition.artifact_paths.iter().map(|path| json!({"artifact": path, "file": file(path)})).collect();
        json!({
            "nodeId": definition.id,
            "title": definition.title,
            "kind": definition.kind,
            "executor": doer.as_str(),
            "prompt": prompt,
            "needs": self.needs(definition),
            "write": write,
            "workingMemory": memory,
            "sessionKey": self.session_key(definition, node),
            "commands": self.commands(definition, node, doer),
        })
    }

    fn needs(&self, definition: &NodeDefinition) -> Vec<Value> {
        let folder = std::fs::File::open(self.layout.root()).ok();
        let is_there = |path: &str| {
            let path = std::path::Path::new(path);
            folder.as_ref().is_some_and(|folder| crate::registry::beneath::open(folder, path).is_ok())
        };
        let need = |id| {
            let (definition, node) = self.state.node(id)?;
            let result = format!("nodes/{}/result.json", definition.id);
            let files = definition.artifact_paths.iter().chain([&result]).filter(|path| is_there(path));
            let files: Vec<String> = files.map(|path| self.layout.root().join(path).display().to_string()).collect();
            Some(json!({"nodeId": id, "title": definition.title, "status": node.status, "files": files}))
        };
        definition.needs.iter().filter_map(need).collect()
    }

    /// The session that does the node: the bound one, the one that the workflow names, or OpenTask's template.
    fn session_key(&self, definition: &NodeDefinition, node: &Node) -> String {
        let sessions = &self.state.created.sessions;
        let of_key = |key: &str| key.strip_prefix("agent:").and_then(|rest| rest.split(':').next()).map(str::to_owned);
        let agent = sessions.source_agent_id.clone().or_else(|| of_key(&sessions.driver));
        let agent = agent.filter(|agent| !agent.is_empty()).unwrap_or_else(|| "main".to_owned());
        let named = node.bound.session_key.as_ref().or(definition.session_key.as_ref());
        let named =
            named.or_else(|| self.briefs.get(definition.id.as_str()).and_then(|brief| brief.session_key.as_ref()));
        match named {
            Some(key) if key.starts_with("agent:") => key.clone(),
            Some(key) => format!("agent:{agent}:{key}"),
            None => format!("agent:{agent}:session:workflow:{}:node:{}", self.state.run, definition.id),
        }
    }

    /// What to run, in this order. `CHILD_SESSION_KEY`, `SUMMARY` and `WHY` are to be filled in.
    fn commands(&self, definition: &NodeDefinition, node: &Node, doer: Doer) -> Value {
        let (run, id) = (self.state.run.as_str(), definition.id.as_str());
        let key = self.session_key(definition, node);
        let (kind, value) = match doer {
            Doer::Subagent => ("child-session", "CHILD_SESSION_KEY"),
            _ => ("node-session", key.as_str()),
        };
        let mut commands = Map::new();
        let mut put = |name: &str, words: &[&str]| commands.insert(name.to_owned(), helper(self.registry, words));
        put("bind", &["bind", run, kind, "--node-id", id, "--value", value]);
        put("started", &["transition-node", run, id, "running"]);
        put("result", &["result", run, id, "--status", "completed", "--summary", "SUMMARY"]);
        put("completed", &["transition-node", run, id, "completed"]);
        put("failed", &["transition-node", run, id, "failed", "--message", "WHY"]);
        Value::Object(commands)
    }

    fn running(&self, definition: &NodeDefinition, node: &Node) -> Value {
        let doer = doer(self.state, definition);
        let mut shown = json!({
            "nodeId": definition.id,
            "title": definition.title,
            "executor": doer.as_str(),
            "since": node.started_at.map(isoformat),
        });
        if doer.is_session() {
            shown["sessionKey"] = json!(node.bound.session_key);
            shown["childSessionKey"] = json!(node.bound.child_session_key);
            let mut commands = self.commands(definition, node, doer);
            if let Some(commands) = commands.as_object_mut() {
                commands.retain(|name, _| !matches!(name.as_str(), "bind" | "started"));
            }
            shown["commands"] = commands;
        }
        shown
    }

    /// What is wrong with a node, and the command that has it done once more, with all that was skipped for it.
    fn failed(&self, definition: &NodeDefinition, node: &Node) -> Value {
        let (run, id) = (self.state.run.as_str(), definition.id.as_str());
        let mut shown = json!({
            "nodeId": definition.id,
            "title": definition.title,
            "why": node.failure.as_ref().map(|(_, detail)| detail),
        });
        if doer(self.state, definition).is_session() {
            shown["commands"] = json!({"again": helper(self.registry, &["transition-node", run, id, "ready"])});
        }
        shown
    }

    fn waiting(&self, definition: &NodeDefinition, node: &Node) -> Value {
        let (run, id) = (self.state.run.as_str(), definition.id.as_str());
        let doer = doer(self.state, definition);
        let mut shown = json!({
            "nodeId": definition.id,
            "title": definition.title,
            "kind": definition.kind,
            "executor": doer.as_str(),
            "for": waits_for(self.state, definition, node),
        });
        match &node.waiting_on {
            Some(WaitingOn::Approval(request)) if doer == Doer::Person => {
                shown["requests"] = json!([request]);
                shown["person"] = json!(format!("taskforge approve {request} --show"));
            }
            Some(WaitingOn::Requests(requests)) => {
                shown["requests"] = json!(requests);
                shown["person"] = json!("taskforge inbox");
            }
            // Whoever drives the run says when it is over.
            _ if definition.container.is_none() && definition.kind != NodeKind::Approval || doer == Doer::Driver => {
                let mut commands = Map::new();
                let mut put = |to: &str| {
                    commands.insert(to.to_owned(), helper(self.registry, &["transition-node", run, id, to]));
                };
                match node.status {
                    NodeStatus::Ready => put("waiting"),
                    _ => ["completed", "failed", "skipped"].into_iter().for_each(put),
                }
                shown["commands"] = Value::Object(commands);
            }
            _ => {}
        }
        shown
    }
}

/// What to do, in a sentence.
fn say(state: &State, dispatch: usize, running: usize, waiting: &[Value]) -> String {
    let nodes = |count: usize| if count == 1 { "1 node".to_owned() } else { format!("{count} nodes") };
    match state.status {
        RunStatus::Completed | RunStatus::Failed | RunStatus::Cancelled => {
            return format!("Run {} is {}: there is nothing more to do.", state.run, state.status.as_str());
        }
        RunStatus::Paused | RunStatus::Draft => {
            let why = if state.status_reason.is_empty() { "" } else { ": " };
            let status = state.status.as_str();
            return format!(
                "Run {} is {status}{why}{}. Dispatch nothing; only a person resumes it.",
                state.run, state.status_reason
            );
        }
        RunStatus::Running => {}
    }
    let mut parts = Vec::new();
    if dispatch > 0 {
        parts.push(format!("dispatch {} now", nodes(dispatch)));
    }
    if running > 0 {
        parts.push(format!("{} running", nodes(running)));
    }
    if let [one] = waiting {
        let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
        parts.push(format!("node {} waits for {}", text("nodeId"), text("for")));
    } else if !waiting.is_empty() {
        parts.push(format!("{} waiting", nodes(waiting.len())));
    }
    if parts.is_empty() {
        parts.push("nothing is ready".to_owned());
    }
    format!("Run {}: {}.", state.run, parts.join(", "))
}
