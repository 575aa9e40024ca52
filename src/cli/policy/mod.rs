//! `taskforge policy …`: the written rules that answer requests before a person has to.

mod backtest;
mod check;
mod explain;
mod sign;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::capability::policy::Policies;
use crate::engine;
use crate::failure::{Failure, Kind};
use crate::registry::Registry;

use super::root::Context;

/// The rules that answer requests before a person has to: `policies/*.yaml`
#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    Check(check::Check),
    Explain(explain::Explain),
    Test(test::Test),
    Backtest(backtest::Backtest),
    Sign(sign::Sign),
}

impl Policy {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        match self {
            Self::Check(check) => check.run(context),
            Self::Explain(explain) => explain.run(context),
            Self::Test(test) => test.run(context),
            Self::Backtest(backtest) => backtest.run(context),
            Self::Sign(sign) => sign.run(context),
        }
    }
}

/// Which policies.
#[derive(Debug, Args)]
struct Which {
    /// A file, or a folder of them, instead of the registry's `policies/`
    #[arg(long, value_name = "PATH")]
    policies: Option<PathBuf>,
}

impl Which {
    fn read(&self, registry: &Registry) -> Result<Policies, Failure> {
        match &self.policies {
            Some(path) if !path.exists() => {
                Err(Failure::new(Kind::NotFound, format!("there is nothing at {}", path.display())))
            }
            Some(path) => Ok(engine::policies_in(path)),
            None => Ok(engine::policies(registry)),
        }
    }

    /// Policies that can be read.
    fn sound(&self, registry: &Registry) -> Result<Policies, Failure> {
        let policies = self.read(registry)?;
        match policies.problems() {
            [] => Ok(policies),
            [first, rest @ ..] => {
                let more = if rest.is_empty() { String::new() } else { format!(" (and {} more)", rest.len()) };
                let message = format!("the policies cannot be read: {first}{more}");
                Err(Failure::new(Kind::Usage, message).hint("`taskforge policy check` lists all that is wrong"))
            }
        }
    }
}
