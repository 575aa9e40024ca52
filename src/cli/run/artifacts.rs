//! `taskforge run artifacts`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::cli::run_arg::RunArg;
use crate::cli::table::Table;
use crate::engine::Store;
use crate::failure::Failure;

use super::Context;

/// List the files that a run's nodes left
#[derive(Debug, Args)]
pub(crate) struct Artifacts {
    run: RunArg,
}

impl Artifacts {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let run = self.run.find(&registry)?;
        let store = Store::open(&registry, &run)?;
        let state = store.load()?;
        let root = store.layout().root().to_owned();
        let files: Vec<_> = state.pairs().flat_map(|(d, n)| n.artifacts.iter().map(move |a| (&d.id, a))).collect();
        let values: Vec<_> = files
            .iter()
            .map(|(node, a)| json!({"node": node, "path": root.join(&a.path), "sha256": a.sha256, "bytes": a.bytes}))
            .collect();
        context.output.result(&values, || {
            let mut table = Table::new(["NODE", "BYTES", "SHA-256", "FILE"]);
            for (node, artifact) in &files {
                let path = root.join(&artifact.path).display().to_string();
                let digest = artifact.sha256.short().to_owned();
                table.row([node.to_string(), artifact.bytes.to_string(), digest, path]);
            }
            table.or("No files yet.")
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
