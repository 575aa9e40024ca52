//! `taskforge run logs`.

use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::cli::failure_from::io;
use crate::cli::terminal::plain;
use crate::engine::{Store, streams_cut_off};
use crate::failure::{Failure, Kind};
use crate::run::id::NodeId;

use crate::cli::run_arg::RunArg;

use super::Context;

/// Print what a node's containers printed
#[derive(Debug, Args)]
pub(crate) struct Logs {
    run: RunArg,
    /// One node [default: all, in the workflow's order]
    node: Option<NodeId>,
    /// One attempt [default: all]
    #[arg(long)]
    attempt: Option<u32>,
}

impl Logs {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let run = self.run.find(&registry)?;
        let store = Store::open(&registry, &run)?;
        let state = store.load()?;
        if let Some(node) = &self.node
            && state.node(node).is_none()
        {
            return Err(Failure::new(Kind::NotFound, format!("run `{}` has no node `{node}`", run)));
        }
        let mut values = Vec::new();
        let mut stdout = std::io::stdout().lock();
        for (definition, node) in state.pairs() {
            if self.node.as_ref().is_some_and(|wanted| *wanted != definition.id) {
                continue;
            }
            for attempt in node.attempts.iter().filter(|a| self.attempt.is_none_or(|wanted| wanted == a.number)) {
                let folder = store.layout().attempt(&definition.id, attempt.number);
                for stream in streams_cut_off(&folder) {
                    context.output.warn(&format!(
                        "warning: {stream} of {} attempt {} is kept up to its first 64 MiB only",
                        definition.id, attempt.number
                    ));
                }
                for stream in ["stdout", "stderr"] {
                    let path = folder.join(format!("{stream}.log"));
                    if context.output.is_json() {
                        values.push(
                            json!({"node": definition.id, "attempt": attempt.number, "stream": stream, "path": path}),
                        );
                        continue;
                    }
                    let mut file = match std::fs::File::open(&path) {
                        Ok(file) => file,
                        Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                        Err(error) => return Err(io("read", &path, &error)),
                    };
                    let mut buffer = vec![0; 64 << 10];
                    let mut headed = false;
                    loop {
                        let count = file.read(&mut buffer).map_err(|error| io("read", &path, &error))?;
                        if count == 0 {
                            break;
                        }
                        if !headed {
                            headed = true;
                            let _ = writeln!(stdout, "── {} attempt {} {stream}", definition.id, attempt.number);
                        }
                        let text = plain(&String::from_utf8_lossy(&buffer[..count]));
                        if stdout.write_all(text.as_bytes()).is_err() {
                            return Ok(ExitCode::SUCCESS);
                        }
                    }
                }
            }
        }
        if context.output.is_json() {
            context.output.result(&values, String::new)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
