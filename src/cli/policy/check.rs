//! `taskforge policy check`.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::Which;
use crate::cli::root::Context;
use crate::cli::terminal::plain;
use crate::failure::{Failure, Kind};

/// Check the rules: what is wrong with them, and what is likely not meant
///
/// While a file cannot be read, everything that is asked for is denied. Rules that contradict each other, say the same
/// twice or never decide are told, too, as are files that look like rules and are not read, and where approvers are configured
/// those that none of them signed; the exit code is 2 for the former and 1 for the latter.
#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    which: Which,
}

impl Check {
    pub(super) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let policies = self.which.read(&registry)?;
        let (problems, mut doubts) = (policies.problems(), policies.doubts());
        doubts.extend(self.which.not_in_force(&registry)?);
        let value = json!({
            "rules": policies.rules().len(), "problems": problems, "doubts": doubts, "digest": policies.digest(),
        });
        context.output.result(&value, || {
            let mut text = String::new();
            for problem in problems {
                let _ = writeln!(text, "error: {}", plain(&problem.to_string()));
            }
            for doubt in &doubts {
                let _ = writeln!(text, "warning: {}", plain(&doubt.to_string()));
            }
            let rules = policies.rules().len();
            let _ = match problems.len() {
                0 => writeln!(text, "{rules} {} can be read.", if rules == 1 { "rule" } else { "rules" }),
                _ => writeln!(text, "Until this is mended, every request is denied."),
            };
            text
        })?;
        Ok(match (problems.is_empty(), doubts.is_empty()) {
            (false, _) => ExitCode::from(Kind::Usage.exit_code()),
            (true, false) => ExitCode::from(Kind::Failed.exit_code()),
            (true, true) => ExitCode::SUCCESS,
        })
    }
}
