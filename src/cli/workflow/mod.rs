//! `taskforge workflow …`.

mod graph;
mod list;
mod show;
mod validate;

use std::process::ExitCode;

use clap::Subcommand;

use crate::failure::{Failure, Kind};
use crate::workflow::{Problems, Workflow as Parsed};

use super::root::Context;

/// Look at workflow files: check, list, show, draw
#[derive(Debug, Subcommand)]
pub(crate) enum Workflow {
    Validate(validate::Validate),
    List(list::List),
    Show(show::Show),
    Graph(graph::Graph),
}

impl Workflow {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        match self {
            Self::Validate(command) => command.run(context),
            Self::List(command) => command.run(context),
            Self::Show(command) => command.run(context),
            Self::Graph(command) => command.run(context),
        }
    }
}

/// The workflow called `name`: a path, or a name below the registry's `workflows/`.
fn read(context: &Context<'_>, name: &str) -> Result<Result<Parsed, Problems>, Failure> {
    let path = if name.contains('/') || std::path::Path::new(name).is_file() {
        std::path::PathBuf::from(name)
    } else {
        crate::engine::find_workflow(&context.registry()?, name)
    };
    let text = crate::workflow::read_text(&path)?;
    Ok(Parsed::parse(&path.display().to_string(), &text))
}

/// The same, where problems end the command.
fn read_valid(context: &Context<'_>, name: &str) -> Result<Parsed, Failure> {
    read(context, name)?.map_err(|problems| Failure::new(Kind::Usage, problems.to_string()))
}
