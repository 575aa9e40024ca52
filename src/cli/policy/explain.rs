//! `taskforge policy explain`.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::Which;
use crate::capability::policy::Asked;
use crate::cli::root::Context;
use crate::cli::terminal::plain;
use crate::failure::{Failure, Kind};
use crate::run::capability::Capability;

/// Explain what would become of a request: the rule that decides, and the others that fit
///
/// A package is looked at by itself: what it brings along is known once it is resolved, and can be denied by a rule then.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// As an agent would ask for it: `pip:pandas==2.2.3`, `net:api.github.com:443`
    capability: String,
    /// The role of the agent that asks
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// The workflow whose node asks
    #[arg(long, value_name = "NAME", default_value = "")]
    workflow: String,
    #[command(flatten)]
    which: Which,
}

impl Explain {
    pub(super) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let capability =
            Capability::parse(&self.capability).map_err(|error| Failure::new(Kind::Usage, error.to_string()))?;
        let registry = context.registry()?;
        let policies = self.which.read(&registry)?;
        let asked = Asked::alone(&capability, &self.workflow, self.role.as_deref());
        let ruling = policies.rule_on(&asked);
        let fitting = if policies.problems().is_empty() { policies.fitting(&asked) } else { Vec::new() };
        let value = json!({
            "capability": capability, "workflow": self.workflow, "role": self.role, "ruling": ruling, "fits": fitting,
        });
        context.output.result(&value, || {
            let mut text = format!("{capability}: {}\n", plain(&ruling.to_string()));
            for rule in fitting.iter().skip(1) {
                let because =
                    if rule.because.is_empty() { String::new() } else { format!(": {}", plain(&rule.because)) };
                let _ = writeln!(text, "  fits, too: {} by {}{because}", rule.effect, rule.place);
            }
            text
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
