//! Files that are composed key by key. Nothing reads them back, so that these types exist for their schemas; every file
//! of every run that the tests make is held against them, and none may have a key more or less.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde_json::{Map, Value};

use super::shape::all_required;
use super::{Named, of};
use crate::run::capability::Capability;
use crate::run::definition::{OutputsMode, WaitFor};
use crate::run::event::{DecisionRecord, Presented, Relocked, Resolution};
use crate::run::id::{Digest, NodeId, RequestId, RunId, WorkflowId};
use crate::run::state::{Edited, RequestStatus};
use crate::run::status::{NodeKind, NodeStatus, RunStatus};

pub(super) fn all() -> Vec<Named> {
    vec![
        ("state.json", of::<State>()),
        ("refs.json", of::<Refs>()),
        ("capability.json", of::<Request>()),
        ("result.json", of::<Result>()),
        ("spec.json", of::<Spec>()),
        ("exit.json", of::<Exit>()),
    ]
}

/// A request says how it was relocked only if it was.
fn all_but_relocked(schema: &mut schemars::Schema) {
    all_required(schema);
    if let Some(Value::Array(names)) = schema.get_mut("required") {
        names.retain(|name| name != "relocked");
    }
}

macro_rules! written {
    ($($(#[$doc:meta])* struct $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {
        $(#[derive(JsonSchema)]
        #[schemars(rename_all = "camelCase")]
        #[allow(dead_code)] // read by its schema only
        $(#[$doc])*
        struct $name { $($(#[$field_doc])* $field: $type,)* })*
    };
}

written! {
    #[schemars(transform = all_required)]
    struct State {
        run_id: RunId,
        workflow_id: WorkflowId,
        title: String,
        status: RunStatus,
        source_session_key: String,
        source_agent_id: Option<String>,
        delivery_context: Option<Map<String, Value>>,
        root_session_key: String,
        planner_session_key: String,
        driver_session_key: String,
        cron_job_id: Option<String>,
        updated_at: DateTime<Utc>,
        created_at: DateTime<Utc>,
        nodes: Vec<Node>,
        last_event: String,
        last_progress_message: Option<String>,
        last_progress_message_at: Option<DateTime<Utc>>,
    }

    #[schemars(transform = all_required)]
    struct Node {
        id: NodeId,
        title: String,
        kind: NodeKind,
        needs: Vec<NodeId>,
        outputs_mode: OutputsMode,
        artifact_paths: Vec<String>,
        wait_for: Option<WaitFor>,
        working_memory: Option<WorkingMemory>,
        status: NodeStatus,
        session_key: Option<String>,
        child_session_key: Option<String>,
        run_id: Option<String>,
        notes: Vec<String>,
        started_at: Option<DateTime<Utc>>,
        completed_at: Option<DateTime<Utc>>,
    }

    struct WorkingMemory {
        plan: String,
        findings: String,
        progress: String,
        handoff: Option<String>,
    }

    #[schemars(transform = all_required)]
    struct Refs {
        run_id: RunId,
        source_session_key: String,
        source_agent_id: Option<String>,
        delivery_context: Option<Map<String, Value>>,
        root_session_key: String,
        planner_session_key: String,
        driver_session_key: String,
        cron_job_id: Option<String>,
        driver_run_id: Option<String>,
        driver_requested_event_count: u64,
        driver_requested_activity_count: u64,
        node_sessions: BTreeMap<String, String>,
        child_sessions: BTreeMap<String, String>,
        node_run_ids: BTreeMap<String, String>,
        applied_control_ids: Vec<String>,
        last_progress_event_count: u64,
    }

    #[schemars(transform = all_but_relocked)]
    struct Request {
        id: RequestId,
        capability: Capability,
        status: RequestStatus,
        node: NodeId,
        /// 0 when the workflow itself asks.
        attempt: u32,
        /// Each as `<node>/<attempt>`.
        askers: Vec<String>,
        reason: String,
        at: DateTime<Utc>,
        resolution: Option<Resolution>,
        relocked: Option<Relocked>,
        presented: Option<Presented>,
        edited: Option<Edited>,
        decision: Option<DecisionRecord>,
        problem: String,
        image: Option<String>,
    }

    struct Result {
        run_id: RunId,
        node_id: NodeId,
        status: NodeStatus,
        summary: Option<String>,
        artifacts: Vec<String>,
        session_key: Option<String>,
        child_session_key: Option<String>,
        working_memory: Option<Map<String, Value>>,
        payload: Value,
    }

    #[schemars(transform = all_required)]
    struct Spec {
        name: String,
        image: String,
        argv: Vec<String>,
        env: Vec<(String, String)>,
        user: (u32, u32),
        mounts: Vec<Mount>,
        network: Network,
        digest: Digest,
    }

    #[schemars(transform = all_required)]
    struct Mount {
        /// Relative to the registry, where it lies in there.
        source: String,
        target: String,
        read_only: bool,
    }

    #[schemars(transform = all_required)]
    struct Exit {
        node: NodeId,
        attempt: u32,
        container: String,
        how: How,
        /// Outputs that were asked for and are not there, each with why.
        missing: Vec<String>,
        at: DateTime<Utc>,
    }
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[allow(dead_code)]
enum Network {
    None,
}

#[derive(JsonSchema)]
#[schemars(untagged, rename_all_fields = "camelCase")]
#[allow(dead_code)]
enum How {
    Exited { exit_code: i64, oom: bool, timed_out: bool },
    Gone { gone: bool },
    OverDisk { over_disk: bool, limit: u64 },
    NotStarted { not_started: String },
    Cancelled { cancelled: bool },
    Revoked { revoked: bool },
    Offboarded { offboarded: bool },
}
