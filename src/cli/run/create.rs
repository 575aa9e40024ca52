//! `taskforge run create`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgGroup, Args};

use crate::cli::json_argument;
use crate::engine::session::{self, Source};
use crate::failure::{Failure, Kind};
use crate::run::id::RunId;
use crate::run::projection::service_json;

use super::Context;

/// Make a run whose nodes OpenClaw sessions do, as OpenTask's command line does
///
/// Nothing is started: the session that drives the run takes it from `taskforge helper next RUN`, and `taskforge tick`
/// wakes it where taskforge.toml names OpenClaw's command line. With `--json` the run in OpenTask's shape.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("definition").required(true))]
pub(crate) struct Create {
    /// A name below `workflows/`, or a path
    #[arg(long, value_name = "WORKFLOW", group = "definition")]
    workflow_path: Option<String>,
    /// The text of a workflow
    #[arg(long, value_name = "TEXT", group = "definition", allow_hyphen_values = true)]
    workflow_markdown: Option<String>,
    /// A file with the text of a workflow
    #[arg(long, value_name = "FILE", group = "definition")]
    workflow_markdown_file: Option<PathBuf>,
    /// A task in words, for one session
    #[arg(long, value_name = "TASK", group = "definition", allow_hyphen_values = true)]
    task_text: Option<String>,
    /// In place of the workflow's title
    #[arg(long)]
    title: Option<String>,
    /// The run's id [default: <workflow>-<n>]
    #[arg(long, value_name = "ID")]
    run_id: Option<RunId>,
    /// The session that asks for the run
    #[arg(long, value_name = "KEY")]
    source_session_key: Option<String>,
    /// Its agent [default: as the key says]
    #[arg(long, value_name = "AGENT")]
    source_agent_id: Option<String>,
    /// Where OpenClaw delivers messages, a JSON object
    #[arg(long, value_name = "JSON")]
    delivery_context_json: Option<String>,
    /// The session that drives the run [default: the source]
    #[arg(long, value_name = "KEY")]
    root_session_key: Option<String>,
}

impl Create {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let source = match (self.workflow_path, self.workflow_markdown, self.workflow_markdown_file, self.task_text) {
            (Some(name), ..) => Source::File(name),
            (_, Some(text), ..) => Source::Markdown(text),
            (_, _, Some(file), _) => Source::Markdown(read(&file)?),
            (.., Some(task)) => Source::Task(task),
            _ => return Err(Failure::new(Kind::Usage, "name a workflow or a task")),
        };
        let delivery = self.delivery_context_json.as_deref();
        let delivery_context =
            delivery.map(|text| json_argument::object("--delivery-context-json", Some(text))).transpose()?;
        let told = session::create(
            &registry,
            &session::Create {
                source,
                title: self.title,
                run: self.run_id,
                source_session: self.source_session_key,
                source_agent: self.source_agent_id,
                root_session: self.root_session_key,
                delivery_context,
            },
        )?;
        let run = &told.state.run;
        context.output.result(&service_json(&told.state), || {
            format!("Run {run} is made.\n`taskforge helper next {run}` says what a session has to do.")
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    Ok(crate::workflow::read_text(path)?)
}
