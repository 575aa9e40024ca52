//! `taskforge policy test`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::Which;
use crate::capability::policy::Expectations;
use crate::cli::root::Context;
use crate::cli::terminal::plain;
use crate::failure::{Failure, Kind};
use crate::registry::policies as files;

/// Test the rules against files of expected answers
///
/// A file holds `format: 1` and `expect:`, a list of `{capability, effect}` with `workflow` and `role` where they matter.
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Files of expected answers [default: `policies/*.test.yaml`]
    files: Vec<PathBuf>,
    #[command(flatten)]
    which: Which,
}

impl Test {
    pub(super) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let policies = self.which.sound(&registry)?;
        let found = if self.files.is_empty() {
            files::expected(&registry.layout().policies())?
        } else {
            self.files.iter().map(|path| files::one(path)).collect::<Result<_, _>>()?
        };
        if found.is_empty() {
            return Err(Failure::new(Kind::NotFound, "there are no expected answers")
                .hint("write some into `policies/NAME.test.yaml`; docs/policies.md shows how"));
        }
        let (mut count, mut empty) = (0, Vec::new());
        let mut missed = Vec::new();
        for (name, bytes) in &found {
            let expected = Expectations::parse(name, bytes).map_err(|problems| {
                let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
                Failure::new(Kind::Usage, lines.join("\n"))
            })?;
            count += expected.all.len();
            if expected.all.is_empty() {
                empty.push(plain(name));
            }
            missed.extend(expected.missed(&policies));
        }
        if !empty.is_empty() {
            context.output.warn(&format!("warning: nothing is expected in {}: it tests nothing", empty.join(", ")));
        }
        if count == 0 {
            return Err(Failure::new(Kind::Failed, "nothing was tested: no file expects anything")
                .hint("write some into `policies/NAME.test.yaml`; docs/policies.md shows how"));
        }
        context.output.result(&json!({"expected": count, "missed": missed}), || {
            let mut text = String::new();
            for missed in &missed {
                let expected = &missed.expected;
                let _ = writeln!(
                    text,
                    "{}:{}: {} should be {}, and is {}",
                    plain(&missed.file),
                    expected.line,
                    expected.capability,
                    expected.effect,
                    plain(&missed.found.to_string())
                );
            }
            let _ = writeln!(text, "{} of {count} as expected.", count - missed.len());
            text
        })?;
        Ok(if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(Kind::Failed.exit_code()) })
    }
}
