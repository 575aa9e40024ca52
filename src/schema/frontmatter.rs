//! The frontmatter of a workflow. Its parser reads a tree and complains with line and column, so that there is no type
//! to derive from; a test holds the keys of these against those that the parser names.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::{Map, Value};

use super::names::{Size, Span};
use super::of;
use crate::run::capability::Capability;
use crate::run::definition::{OutputsMode, WaitKind};
use crate::run::id::{AgentName, NodeId, RoleName, WorkflowId};
use crate::run::status::NodeKind;

pub(super) fn schema() -> Value {
    of::<Workflow>()
}

read! {
    struct Workflow {
        workflow_id: WorkflowId,
        title: String,
        defaults: Option<Defaults>,
        driver: Option<Driver>,
        params: Option<BTreeMap<String, Param>>,
        schedule: Option<Schedule>,
        #[schemars(range(min = 1, max = 1000))]
        concurrency: Option<u32>,
        #[schemars(length(min = 1, max = 1000))]
        nodes: Vec<Node>,
    }

    struct Defaults {
        agent_id: Option<String>,
        model: Option<String>,
        thinking: Option<String>,
        timeout_ms: Option<u64>,
    }

    struct Driver {
        cron: Option<String>,
        timeout_ms: Option<u64>,
        wake_mode: Option<WakeMode>,
        session_key_template: Option<String>,
        planner_session_key_template: Option<String>,
    }

    struct Param {
        #[schemars(rename = "type")]
        kind: ParamType,
        default: Option<ParamValue>,
        description: Option<String>,
        #[schemars(rename = "enum")]
        choices: Option<Vec<ParamValue>>,
    }

    struct Schedule {
        cron: String,
        timezone: Option<String>,
        overlap: Option<Overlap>,
        catchup: Option<bool>,
    }

    struct Node {
        id: NodeId,
        title: String,
        kind: NodeKind,
        needs: Option<Vec<NodeId>>,
        prompt: Option<String>,
        outputs: Option<Outputs>,
        timeout_ms: Option<u64>,
        session_key: Option<String>,
        wait_for: Option<WaitFor>,
        metadata: Option<Map<String, Value>>,
        retry: Option<Retry>,
        continue_on: Option<Vec<Ending>>,
        when: Option<String>,
        timeout: Option<Span>,
        container: Option<Container>,
    }

    struct Outputs {
        mode: Option<OutputsMode>,
        path: Option<String>,
        #[schemars(length(max = 100))]
        required_files: Option<Vec<String>>,
    }

    struct WaitFor {
        #[schemars(rename = "type")]
        kind: WaitKind,
        path: Option<String>,
    }

    struct Retry {
        #[schemars(range(max = 100))]
        limit: u32,
        backoff: Option<Span>,
        max_backoff: Option<Span>,
        on: Option<Vec<ExitCode>>,
    }

    struct Container {
        image: Option<String>,
        runtime: Option<Runtime>,
        command: Option<Vec<String>>,
        role: Option<RoleName>,
        agent: Option<AgentName>,
        model: Option<String>,
        capabilities: Option<Vec<Capability>>,
        deploy: Option<Deploy>,
        resources: Option<Resources>,
        #[schemars(range(min = 1, max = 10_000))]
        iterations: Option<u32>,
    }

    struct Deploy {
        #[schemars(range(min = 1))]
        port: u16,
        #[schemars(length(min = 1))]
        command: Vec<String>,
        folder: Option<String>,
    }

    struct Resources {
        #[schemars(range(min = 0.01, max = 1024.0))]
        cpus: Option<f64>,
        memory: Option<Size>,
        #[schemars(range(min = 1, max = 4_194_304))]
        pids: Option<u32>,
        disk: Option<Size>,
        wall: Option<Span>,
    }
}

/// An exit code after which another attempt is made.
#[derive(JsonSchema)]
#[schemars(transparent)]
#[allow(dead_code)]
struct ExitCode(#[schemars(range(min = 1, max = 255))] u8);

macro_rules! words {
    ($($name:ident: $case:literal { $($word:ident),* })*) => {
        $(#[derive(JsonSchema)]
        #[schemars(rename_all = $case)]
        #[allow(dead_code)]
        enum $name { $($word),* })*
    };
}

words! {
    WakeMode: "kebab-case" { Now, NextHeartbeat }
    ParamType: "lowercase" { String, Integer, Number, Boolean }
    Overlap: "lowercase" { Skip, Queue, Replace }
    Ending: "lowercase" { Failed, Skipped }
    Runtime: "lowercase" { Builtin, Command, Openclaw }
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[allow(dead_code)]
enum ParamValue {
    String(String),
    Number(f64),
    Boolean(bool),
}
