//! `taskforge init`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::failure::Failure;
use crate::registry::config::TEMPLATE;
use crate::registry::{InitOptions, Registry};

use super::root::Context;

/// Workflows that a new registry begins with.
macro_rules! starters {
    ($($name:literal),*) => { &[$(($name, include_str!(concat!("../../workflows/", $name)))),*] };
}
const STARTERS: &[(&str, &str)] =
    starters!("csv-check.task.md", "review.task.md", "sales-report.task.md", "sales-report.replay.jsonl");

/// Make a registry: a folder for workflows, runs and decisions, ready for git
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The folder; made if it is not there
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Leave out the starter workflows
    #[arg(long)]
    bare: bool,
}

impl Init {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let folder = context.registry_flag().map_or(self.folder, std::path::Path::to_owned);
        let workflows = if self.bare { &[][..] } else { STARTERS };
        let registry = Registry::init(
            &folder,
            &InitOptions {
                workflows: workflows.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect(),
                config: self.bare.then(|| TEMPLATE.replace("model = \"recorded\"", "model = \"llama3.2\"")),
            },
        )?;
        let root = registry.root().display().to_string();
        let value = json!({"registry": root, "id": registry.id()?});
        context.output.result(&value, || {
            format!(
                "Made a registry in {root}.\n\n\
                 Next:\n  cd {root} && git init -q && git add -A   # review everything in git\n  \
                 taskforge doctor                              # what this machine still lacks\n  \
                 taskforge workflow list"
            )
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
