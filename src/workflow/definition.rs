//! A workflow as OpenTask's `workflow validate` prints it: its keys, in its order, its defaults filled in.

use serde_json::{Map, Value, json};

use super::{Kind, Node, OutputsMode, WaitFor, Workflow};

/// OpenTask's own defaults, as its documentation of the format has them.
const AGENT: &str = "opentask";
const TIMEOUT_MS: u128 = 30_000;
const DRIVER_CRON: &str = "*/2 * * * *";
const DRIVER_TIMEOUT_MS: u128 = 45_000;
const DRIVER_SESSION: &str = "session:workflow:{run_id}:driver";
const PLANNER_SESSION: &str = "session:workflow:{run_id}:planner";

impl Workflow {
    /// The definition in OpenTask's shape. What only we know (containers, retries, parameters) is not in it.
    #[must_use]
    pub fn to_opentask(&self) -> Value {
        let defaults = object([
            ("agentId", Some(json!(self.defaults.agent_id.as_deref().unwrap_or(AGENT)))),
            ("model", self.defaults.model.as_ref().map(|model| json!(model))),
            ("thinking", self.defaults.thinking.as_ref().map(|thinking| json!(thinking))),
            ("timeoutMs", Some(json!(self.defaults.timeout.map_or(TIMEOUT_MS, |timeout| timeout.as_millis())))),
        ]);
        let driver = &self.driver;
        let template = |set: &Option<String>, default: &str| Some(json!(set.as_deref().unwrap_or(default)));
        let driver = object([
            ("cron", template(&driver.cron, DRIVER_CRON)),
            ("timeoutMs", Some(json!(driver.timeout.map_or(DRIVER_TIMEOUT_MS, |timeout| timeout.as_millis())))),
            ("wakeMode", Some(driver.wake_mode.map_or(json!("now"), |mode| json!(mode)))),
            ("sessionKeyTemplate", template(&driver.session_key_template, DRIVER_SESSION)),
            ("plannerSessionKeyTemplate", template(&driver.planner_session_key_template, PLANNER_SESSION)),
        ]);
        object([
            ("workflowId", Some(json!(self.id))),
            ("title", Some(json!(self.title))),
            ("defaults", Some(defaults)),
            ("driver", Some(driver)),
            ("nodes", Some(self.nodes.iter().map(node).collect())),
        ])
    }
}

fn node(node: &Node) -> Value {
    let mode = match node.outputs.mode {
        OutputsMode::Notify => "notify",
        OutputsMode::Report => "report",
    };
    let wait_for = node.wait_for.as_ref().filter(|_| node.kind == Kind::Wait).map(|wait| match wait {
        WaitFor::NextTick => json!({"type": "next_tick"}),
        WaitFor::Manual => json!({"type": "manual"}),
        WaitFor::FileExists { path } => json!({"type": "file_exists", "path": path}),
    });
    object([
        ("id", Some(json!(node.id))),
        ("title", Some(json!(node.title))),
        ("kind", Some(json!(node.kind))),
        ("needs", Some(json!(node.needs))),
        ("prompt", Some(json!(node.prompt.as_deref().unwrap_or_default()))),
        ("outputs", Some(json!({"mode": mode, "requiredFiles": node.outputs.artifact_paths}))),
        ("timeoutMs", node.timeout.map(|timeout| json!(timeout.as_millis()))),
        ("sessionKey", node.session_key.as_ref().map(|key| json!(key))),
        ("waitFor", wait_for),
        ("metadata", Some(json!(node.metadata))),
    ])
}

/// The members that are there, in order: OpenTask leaves nulls out.
fn object<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let members = members.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Value::Object(members.collect::<Map<_, _>>())
}
