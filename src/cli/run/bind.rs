//! `taskforge run bind`.

use std::process::ExitCode;

use clap::Args;

use crate::cli::json_argument;
use crate::cli::run_arg::RunArg;
use crate::engine::session;
use crate::failure::Failure;
use crate::run::projection::service_json;

use super::Context;

/// Put other OpenClaw sessions behind a run
#[derive(Debug, Args)]
pub(crate) struct Bind {
    run: RunArg,
    /// The session that asked for the run
    #[arg(long, value_name = "KEY")]
    source_session_key: Option<String>,
    /// Its agent
    #[arg(long, value_name = "AGENT")]
    source_agent_id: Option<String>,
    /// Where OpenClaw delivers messages, a JSON object
    #[arg(long, value_name = "JSON")]
    delivery_context_json: Option<String>,
    /// The session that drives the run
    #[arg(long, value_name = "KEY")]
    root_session_key: Option<String>,
}

impl Bind {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let run = self.run.find(&registry)?;
        let delivery = self.delivery_context_json.as_deref();
        let delivery = delivery.map(|text| json_argument::object("--delivery-context-json", Some(text))).transpose()?;
        let told = session::rebind(&registry, &run, |sessions| {
            if let Some(source) = self.source_session_key {
                sessions.source = source;
            }
            if let Some(root) = self.root_session_key {
                // The planner and the driver stand where the root stood, unless they are sessions of their own.
                for key in [&mut sessions.planner, &mut sessions.driver] {
                    if *key == sessions.root {
                        key.clone_from(&root);
                    }
                }
                sessions.root = root;
            }
            sessions.source_agent_id = self.source_agent_id.or(sessions.source_agent_id.take());
            sessions.delivery_context = delivery.or(sessions.delivery_context.take());
        })?;
        context.output.result(&service_json(&told.state), || format!("{}: bound.", told.state.run))?;
        Ok(ExitCode::SUCCESS)
    }
}
