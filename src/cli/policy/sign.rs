//! `taskforge policy sign`.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::cli::root::Context;
use crate::cli::terminal::{self, plain};
use crate::engine::{self, Hand};
use crate::failure::Failure;

/// Sign the rules, where approvers are configured: an unsigned file allows nothing there
///
/// The signature lies beside the file, as NAME.yaml.sig, for the namespace taskforge-policy@ID of this registry. A file
/// that changes has to be signed again.
#[derive(Debug, Args)]
pub(crate) struct Sign {
    /// Their names below `policies/` [default: all that need it]
    files: Vec<String>,
}

impl Sign {
    pub(super) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let signed = engine::sign_policies(&registry, &self.files, &Hand::new(&terminal::passphrase))?;
        context.output.result(&json!({"signed": signed}), || {
            let mut text = String::new();
            for file in &signed {
                let how = if file.now { "Signed" } else { "Signed already:" };
                let _ = writeln!(text, "{how} policies/{} by {}", plain(&file.file), plain(&file.by));
            }
            if signed.is_empty() { "There are no rules to sign.\n".to_owned() } else { text }
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
