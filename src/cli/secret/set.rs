//! `taskforge secret set`.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chrono::Utc;
use clap::Args;
use serde_json::json;
use zeroize::Zeroizing;

use crate::engine;
use crate::failure::{Failure, Kind};
use crate::vault::{Identities, Value, Vault};

use super::super::root::Context;
use super::super::terminal;

/// The largest file with a value, in bytes: as many as a value may have, and its newline.
const LARGEST: u64 = (64 << 10) + 2;
/// The largest encrypted file with a value, in bytes.
const LARGEST_SEALED: u64 = 256 << 10;

/// Give a secret a value, from a prompt, standard input or a file
///
/// Never as an argument, which everybody on the machine can see. One newline at the end does not count.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  taskforge secret set github-token\n  taskforge secret set github-token --file token.txt"
)]
pub(crate) struct Set {
    /// `a-z`, `0-9`, `.`, `_` and `-`
    name: String,
    /// A file with the value; `-` is standard input, which is read where it is no terminal
    #[arg(long, value_name = "FILE", conflicts_with = "from_age")]
    file: Option<PathBuf>,
    /// A file that `age` encrypted to the vault's public key
    #[arg(long, value_name = "FILE")]
    from_age: Option<PathBuf>,
}

impl Set {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let name = super::name(&self.name)?;
        let vault = Vault::of(&registry)?;
        let value = match (&self.from_age, &self.file) {
            (Some(path), _) => {
                let identities = Identities::open(&registry, &terminal::passphrase)?;
                vault.decrypt(&path.display().to_string(), &super::read(path, LARGEST_SEALED)?, &identities)?
            }
            (None, Some(path)) => Value::parse(super::read(path, LARGEST)?)?,
            (None, None) if std::io::stdin().is_terminal() => Value::parse(asked(&self.name)?)?,
            (None, None) => Value::parse(super::read(Path::new("-"), LARGEST)?)?,
        };
        let replaced = vault.set(&name, &value, &engine::operator(), Utc::now())?;
        let others: Vec<String> = vault.log()?.recipients.into_iter().skip(1).collect();
        let result = json!({"name": name.as_str(), "replaced": replaced, "alsoFor": others});
        context.output.result(&result, || {
            let what = if replaced { "has another value" } else { "is in the vault" };
            let others: String =
                others.iter().map(|other| format!("It can be read with the key of {other}, too.\n")).collect();
            format!("The secret {name} {what}.\n{others}")
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

fn asked(name: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let nobody =
        || Failure::new(Kind::Usage, "nobody can be asked for the value").hint("pipe it in, or name a `--file`");
    let typed = terminal::secret(&format!("Value of {name} (it is not shown):")).ok_or_else(nobody)?;
    Ok(Zeroizing::new(typed.as_bytes().to_vec()))
}
