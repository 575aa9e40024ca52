//! `taskforge helper scaffold`.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::engine::session::{self, Scaffold};
use crate::registry::Registry;
use crate::run::definition::Sessions;
use crate::run::id::RunId;
use crate::workflow::{self, opentask};

use super::answer::Answer;
use super::argv::Call;
use super::sentence::Sentence;
use super::value;

pub(super) fn run(call: &Call, registry: &Registry, here: &Path) -> Result<Answer, Sentence> {
    let (path, relative) = locate(registry, call.get("--workflow-path").unwrap_or_default())?;
    let text = read(&path)?;
    let spec = match call.some("--spec-file") {
        None => opentask::from_frontmatter(&path.display().to_string(), &text)?,
        Some(file) => opentask::from_json(&read(&here.join(file))?, &text)?,
    };
    let run = RunId::parse(call.get("--run-id").unwrap_or_default())?;
    if registry.layout().run(&run).root().symlink_metadata().is_ok() {
        return Err(Sentence::new(format!("run already exists: {run}")));
    }
    let told = session::scaffold(
        registry,
        Scaffold {
            run,
            workflow_path: relative.clone(),
            text,
            workflow_id: spec.workflow_id,
            title: spec.title,
            nodes: spec.nodes,
            sessions: sessions(call)?,
        },
    )?;
    let ready = told.events.iter().filter(|record| record.event == "node.ready");
    let ready: Vec<&str> = ready.filter_map(|record| record.node_id.as_deref()).collect();
    Ok(json!({
        "ok": true,
        "runId": told.state.run,
        "registryRoot": registry.root().display().to_string(),
        "workflowPath": relative,
        "runPath": format!("runs/{}", told.state.run),
        "readyNodes": ready,
    })
    .into())
}

/// The workflow's file, without symlinks, and its path as the journal names it. It lies in the registry, whatever links
/// lead to it: what is frozen with a run is what its reviewers see.
fn locate(registry: &Registry, given: &str) -> Result<(PathBuf, String), Sentence> {
    let root = registry.root();
    let absolute = Path::new(given).is_absolute();
    let (wanted, relative) = if absolute {
        (PathBuf::from(given), None)
    } else {
        let relative = opentask::relative_path(given)?;
        (root.join(&relative), Some(relative))
    };
    let outside = || Sentence::new(format!("workflow must lie in the registry {}: {given}", root.display()));
    let Ok(found) = wanted.canonicalize() else {
        if absolute && wanted.strip_prefix(root).is_err() {
            return Err(outside());
        }
        return Err(Sentence::new(format!("workflow not found: {}", wanted.display())));
    };
    let inside = found.strip_prefix(root).map_err(|_| outside())?;
    let relative = relative.unwrap_or_else(|| inside.display().to_string());
    Ok((found, relative))
}

/// A text file with `\n` at its line ends, as the helper reads it and freezes it.
fn read(path: &Path) -> Result<String, Sentence> {
    let text = workflow::read_text(path).map_err(|error| match error {
        workflow::Error::Unreadable { path, source } => {
            Sentence::new(format!("cannot read {}: {source}", path.display()))
        }
        other => Sentence::new(other.to_string()),
    })?;
    Ok(if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text })
}

fn sessions(call: &Call) -> Result<Sessions, Sentence> {
    let source = call.get("--source-session-key").unwrap_or_default().to_owned();
    let or = |flag: &str, other: &str| call.some(flag).unwrap_or(other).to_owned();
    let root = or("--root-session-key", &source);
    if source.trim().is_empty() && root.trim().is_empty() {
        return Err(Sentence::new("--source-session-key must not be empty"));
    }
    let of_key = source.strip_prefix("agent:").and_then(|rest| rest.split(':').next());
    Ok(Sessions {
        source_agent_id: call.some("--source-agent-id").or(of_key).map(str::to_owned),
        planner: or("--planner-session-key", &root),
        driver: or("--driver-session-key", &root),
        delivery_context: value::optional_object("--delivery-context-json", call.get("--delivery-context-json"))?,
        root,
        source,
    })
}
