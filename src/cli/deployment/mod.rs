//! `taskforge deployment …`.

mod list;
mod logs;
mod show;
mod start;
mod stop;

use std::process::ExitCode;

use clap::Subcommand;

use super::root::Context;
use crate::engine::DeploymentRow;
use crate::failure::Failure;

/// What agents deployed on ports of this machine, and whether it runs
#[derive(Debug, Subcommand)]
pub(crate) enum Deployment {
    List(list::List),
    Show(show::Show),
    Logs(logs::Logs),
    Stop(stop::Stop),
    Start(start::Start),
}

impl Deployment {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        match self {
            Self::List(command) => command.run(context),
            Self::Show(command) => command.run(context),
            Self::Logs(command) => command.run(context),
            Self::Stop(command) => command.run(context),
            Self::Start(command) => command.run(context),
        }
    }
}

/// What there is to say of how it stands: why it is down, how it failed last and when it is begun again.
fn said(row: &DeploymentRow) -> String {
    let mut said = Vec::new();
    if let Some(down) = &row.down {
        said.push(format!("stopped by {}: {}", down.by, down.reason));
    } else if let Some(last) = row.last.as_ref().filter(|_| row.failures > 0) {
        let detail = if last.end.detail.is_empty() { String::new() } else { format!(": {}", last.end.detail) };
        said.push(format!("start {} {}{detail}", last.number, last.end.outcome.words()));
        said.push(format!("{} in a row", row.failures));
    }
    if let Some(time) = row.not_before {
        said.push(format!("again after {}", crate::run::time::isoformat(time)));
    }
    for outlived in &row.outlived {
        said.push(format!(
            "still has {}, which is {} (request {})",
            outlived.capability, outlived.status, outlived.request
        ));
    }
    said.join(", ")
}

/// A command as one line: each word that a shell would take apart in quotes, for people to read.
fn command_line(words: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+".contains(c);
    let word =
        |word: &String| if !word.is_empty() && word.chars().all(plain) { word.clone() } else { format!("{word:?}") };
    words.iter().map(word).collect::<Vec<_>>().join(" ")
}
