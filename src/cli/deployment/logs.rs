//! `taskforge deployment logs`.

use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::Context;
use crate::cli::failure_from::io;
use crate::cli::terminal::plain;
use crate::engine::{self, Store};
use crate::failure::{Failure, Kind};

/// Print what a deployment printed, up to the last tick
#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// Its id, the start of one, or its port of 127.0.0.1
    deployment: String,
    /// One of its starts; the last ten are kept [default: the newest]
    #[arg(long, value_name = "NUMBER")]
    start: Option<u32>,
}

impl Logs {
    pub(super) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let row = engine::find_deployment(&registry, &self.deployment)?;
        let number = self.start.unwrap_or(row.starts);
        if number == 0 || number > row.starts {
            return Err(Failure::new(Kind::NotFound, format!("deployment {} has no start {number}", row.id)));
        }
        let folder = Store::open(&registry, &row.run)?.layout().deployment_start(&row.id, number);
        let streams = ["stdout", "stderr"].map(|stream| (stream, folder.join(format!("{stream}.log"))));
        // Of which stream not all is there is said beside it, and not only within it.
        for stream in engine::streams_cut_off(&folder) {
            context.output.warn(&format!("warning: {stream} of start {number} is kept up to its first 64 MiB only"));
        }
        if streams.iter().all(|(_, path)| !path.exists()) {
            let kept = if number < row.starts { "are kept no more" } else { "are not there" };
            context.output.warn(&format!("warning: the logs of start {number} {kept}"));
        }
        if context.output.is_json() {
            let values = streams.map(|(stream, path)| json!({"start": number, "stream": stream, "path": path}));
            context.output.result(&values, String::new)?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut stdout = std::io::stdout().lock();
        for (stream, path) in streams {
            let mut file = match std::fs::File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(io("read", &path, &error)),
            };
            let (mut buffer, mut headed) = (vec![0; 64 << 10], false);
            loop {
                let count = file.read(&mut buffer).map_err(|error| io("read", &path, &error))?;
                if count == 0 {
                    break;
                }
                if !std::mem::replace(&mut headed, true) {
                    let _ = writeln!(stdout, "── start {number} {stream}");
                }
                let text = plain(&String::from_utf8_lossy(&buffer[..count]));
                if stdout.write_all(text.as_bytes()).is_err() {
                    return Ok(ExitCode::SUCCESS);
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
