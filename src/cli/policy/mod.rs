//! `taskforge policy …`: the written rules that answer requests before a person has to.

mod backtest;
mod check;
mod explain;
mod sign;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::capability::policy::{Policies, PolicyProblem};
use crate::engine;
use crate::failure::{Failure, Kind};
use crate::registry::{Registry, policies as files};

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

    /// Files that look like rules and are not read, and those that count for less because nobody signed them.
    fn not_in_force(&self, registry: &Registry) -> Result<Vec<PolicyProblem>, Failure> {
        let folder = self.policies.clone().unwrap_or_else(|| registry.layout().policies());
        let unread = if folder.is_dir() { files::unread(&folder)? } else { Vec::new() };
        let unread =
            unread.into_iter().map(|(name, why)| PolicyProblem::new(&name, 0, format!("is not read: it {why}")));
        // A proposed file is signed once it lies where it counts; what cannot be read is told as a problem of its own.
        let unsigned = match self.policies {
            Some(_) => Vec::new(),
            None => engine::unsigned_policies(registry).unwrap_or_default(),
        };
        let unsigned = unsigned.into_iter().map(|(name, why)| {
            let holds = "what it allows is asked about, what it denies or asks about holds";
            PolicyProblem::new(&name, 0, format!("{why}: {holds}; `taskforge policy sign` signs it"))
        });
        Ok(unread.chain(unsigned).collect())
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
