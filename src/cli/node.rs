//! `taskforge node …`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::engine::session;
use crate::failure::{Failure, Kind};
use crate::run::event::Report;
use crate::run::id::NodeId;
use crate::run::projection::result_json;
use crate::run::status::NodeStatus;
use crate::workflow::RelativePath;

use super::json_argument;
use super::root::Context;
use super::run_arg::RunArg;

/// Record what became of a node
#[derive(Debug, Subcommand)]
pub(crate) enum Node {
    Result(NodeResult),
}

/// Record a node's result as `nodes/NODE/result.json`; the node stays where it is
#[derive(Debug, Args)]
pub(crate) struct NodeResult {
    run: RunArg,
    node: NodeId,
    /// pending, ready, running, waiting, completed, failed or skipped
    status: String,
    /// In a few words
    #[arg(long, allow_hyphen_values = true)]
    summary: Option<String>,
    /// Paths below the run's folder, a JSON list
    #[arg(long, value_name = "JSON")]
    artifacts_json: Option<String>,
    /// A JSON object
    #[arg(long, value_name = "JSON")]
    payload_json: Option<String>,
    /// The session that did it
    #[arg(long, value_name = "KEY")]
    session_key: Option<String>,
    /// The subagent's session that did it
    #[arg(long, value_name = "KEY")]
    child_session_key: Option<String>,
}

impl Node {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let Self::Result(args) = self;
        let usage = |message: String| Failure::new(Kind::Usage, message);
        let status: NodeStatus = serde_json::from_value(json!(args.status))
            .map_err(|_| usage(format!("`{}` is no status of a node", args.status)))?;
        let artifacts = json_argument::strings("--artifacts-json", args.artifacts_json.as_deref())?;
        for path in &artifacts {
            RelativePath::parse(path).map_err(|error| usage(format!("--artifacts-json: {path:?}: {error}")))?;
        }
        let payload = json_argument::object("--payload-json", args.payload_json.as_deref())?;
        let report = Report {
            status,
            summary: args.summary,
            artifacts,
            session_key: args.session_key,
            child_session_key: args.child_session_key,
            working_memory: None,
        };
        let registry = context.registry()?;
        let run = args.run.find(&registry)?;
        let state = session::result(&registry, &run, &args.node, report, payload)?.state;
        let result = state.node(&args.node).and_then(|(definition, node)| result_json(&state, definition, node));
        let path = format!("nodes/{}/result.json", args.node);
        context.output.result(&json!({"path": path, "result": result}), || format!("{run}: {path} written."))?;
        Ok(ExitCode::SUCCESS)
    }
}
