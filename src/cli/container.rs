//! `taskforge container …`.

use std::process::ExitCode;
use std::str::FromStr;

use clap::Subcommand;

use crate::engine::{self, Inspection};
use crate::failure::Failure;
use crate::run::id::{NodeId, RunId};

use super::graded;
use super::root::Context;
use super::run_arg::RunArg;

/// Look at the containers of a run
#[derive(Debug, Subcommand)]
pub(crate) enum Container {
    /// Grade the settings in force for an attempt, as the Engine reports them, beside a plain `docker run` of its image
    ///
    /// The grade is 100 less the weight of each setting that is not as it has to be; below 100 the exit code is 1.
    Inspect {
        /// RUN/NODE, or RUN/NODE/NUMBER [default number: that of the attempt that runs]
        attempt: AttemptArg,
    },
}

/// An attempt as a person names it.
#[derive(Debug, Clone)]
pub(crate) struct AttemptArg {
    run: RunArg,
    node: NodeId,
    number: Option<u32>,
}

impl FromStr for AttemptArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split('/');
        let (Some(run), Some(node), number, None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err("an attempt is RUN/NODE or RUN/NODE/NUMBER".to_owned());
        };
        let run = RunId::parse(run).map_err(|error| error.to_string())?.into();
        let node = NodeId::parse(node).map_err(|error| error.to_string())?;
        let number =
            number.map(|number| number.parse().map_err(|_| format!("`{number}` is not a number of an attempt")));
        Ok(Self { run, node, number: number.transpose()? })
    }
}

impl Container {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let Self::Inspect { attempt } = self;
        let registry = context.registry()?;
        let run = attempt.run.find(&registry)?;
        let found = engine::inspect_attempt(&registry, &run, &attempt.node, attempt.number)?;
        context.output.result(&found, || text(&found))?;
        Ok(if found.container.grade == 100 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn text(found: &Inspection) -> String {
    let mut text = graded::settings(&found.container, found.plain.as_ref());
    text.push('\n');
    text.push_str(&graded::grade(&found.container));
    let kept = match found.disk.enforced {
        engine::DiskEnforcement::Soft => {
            "of one file by the kernel, in all softly, by a look each second and at each tick"
        }
        engine::DiskEnforcement::Image => "in all by the kernel, which has an image of that size for it",
    };
    text.push_str(&format!("Disk of the workspace: {} bytes; {kept}.\n", found.disk.limit));
    match &found.plain {
        Some(plain) => text.push_str(&format!("A plain `docker run` of the same image: {} of 100.\n", plain.grade)),
        None => text.push_str("The kill switch is on: nothing is made to compare with.\n"),
    }
    text
}
