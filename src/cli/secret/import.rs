//! `taskforge secret import`.

use std::path::PathBuf;
use std::process::ExitCode;

use chrono::Utc;
use clap::Args;
use serde_json::json;
use zeroize::Zeroizing;

use crate::engine;
use crate::failure::{Failure, Kind};
use crate::vault::{SecretName, Value, Vault, dotenv};

use super::super::root::Context;

/// Take the settings of a `.env` file into the vault
///
/// The file is data: nothing in it is expanded or executed, and a line that other readers would expand is refused. `GITHUB_TOKEN`
/// becomes the secret `github-token`. All of it is taken, or nothing.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  taskforge secret import .env --only GITHUB_TOKEN")]
pub(crate) struct Import {
    /// The file; `-` is standard input
    file: PathBuf,
    /// Take these variables alone
    #[arg(long, value_name = "VARIABLE")]
    only: Vec<String>,
    /// Let secrets that are there already have other values
    #[arg(long)]
    replace: bool,
}

impl Import {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let vault = Vault::of(&registry)?;
        let settings = dotenv::parse(&super::read(&self.file, dotenv::LARGEST)?)?;
        if let Some(missing) = self.only.iter().find(|only| settings.iter().all(|(name, _)| name != *only)) {
            return Err(Failure::new(Kind::NotFound, format!("{} has no variable `{missing}`", self.file.display())));
        }
        let mut values: Vec<(SecretName, Value)> = Vec::new();
        let wanted = settings.iter().filter(|(name, _)| self.only.is_empty() || self.only.contains(name));
        for (variable, text) in wanted {
            let name = super::name(&dotenv::secret_name(variable))?;
            let value = Value::parse(Zeroizing::new(text.as_bytes().to_vec()))
                .map_err(|error| Failure::new(Kind::Usage, format!("`{variable}`: {error}")))?;
            if values.iter().any(|(other, _)| *other == name) {
                return Err(Failure::new(Kind::Conflict, format!("two variables would be the secret `{name}`")));
            }
            values.push((name, value));
        }
        let known = vault.log()?.secrets;
        if let Some((name, _)) = values.iter().find(|(name, _)| !self.replace && known.contains_key(name.as_str())) {
            return Err(Failure::new(Kind::Conflict, format!("there is a secret `{name}` already; nothing was taken"))
                .hint("`--replace` gives it the file's value"));
        }
        let replaced = vault.set_all(&values, &engine::operator(), Utc::now())?;
        let names: Vec<&str> = values.iter().map(|(name, _)| name.as_str()).collect();
        let replaced: Vec<&str> = replaced.iter().map(SecretName::as_str).collect();
        context.output.result(&json!({"secrets": names, "replaced": replaced}), || {
            let mut text: String = names.iter().map(|name| format!("{name}\n")).collect();
            text += &format!("{} taken. The file still holds them in the clear: remove it.\n", names.len());
            text
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
