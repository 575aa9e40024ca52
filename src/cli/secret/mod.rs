//! `taskforge secret …`.

mod import;
mod init;
mod list;
mod lock;
mod rm;
mod rotate;
mod set;
mod show_metadata;
mod unlock;

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;
use zeroize::Zeroizing;

use crate::failure::{Failure, Kind};
use crate::vault::{Metadata, SecretName, VaultError};

use super::root::Context;
use super::terminal;

/// The vault: what agents use without ever seeing it
#[derive(Debug, Subcommand)]
pub(crate) enum Secret {
    Init(init::Init),
    Set(set::Set),
    Import(import::Import),
    List(list::List),
    ShowMetadata(show_metadata::ShowMetadata),
    Rotate(rotate::Rotate),
    Rm(rm::Rm),
    Unlock(unlock::Unlock),
    Lock(lock::Lock),
}

impl Secret {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        match self {
            Self::Init(command) => command.run(context),
            Self::Set(command) => command.run(context),
            Self::Import(command) => command.run(context),
            Self::List(command) => command.run(context),
            Self::ShowMetadata(command) => command.run(context),
            Self::Rotate(command) => command.run(context),
            Self::Rm(command) => command.run(context),
            Self::Unlock(command) => command.run(context),
            Self::Lock(command) => command.run(context),
        }
    }
}

fn name(text: &str) -> Result<SecretName, Failure> {
    Ok(SecretName::parse(text).map_err(|rule| VaultError::Name { text: text.to_owned(), rule })?)
}

/// All of a file, or of standard input for `-`, up to `limit` bytes; wiped when it is dropped.
fn read(path: &Path, limit: u64) -> Result<Zeroizing<Vec<u8>>, Failure> {
    use std::io::Read as _;
    let failed = |error| super::failure_from::io("read", path, &error);
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(limit).unwrap_or(0) + 1));
    let read = match path.as_os_str() == "-" {
        true => std::io::stdin().lock().take(limit + 1).read_to_end(&mut bytes),
        false => std::fs::File::open(path).map_err(failed)?.take(limit + 1).read_to_end(&mut bytes),
    };
    read.map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(Failure::new(Kind::Usage, format!("{} has more than {limit} bytes", path.display())));
    }
    Ok(bytes)
}

/// A new passphrase, asked for twice; none if it is empty.
fn new_passphrase(path: &Path) -> Result<Option<Zeroizing<String>>, Failure> {
    let nobody = || {
        let message = format!("nobody can be asked for the passphrase of {}", path.display());
        Failure::new(Kind::Usage, message).hint("run it on a terminal, or say `--no-passphrase`")
    };
    let question = format!("Passphrase for the new identity {} (empty for none):", path.display());
    let first = terminal::secret(&question).ok_or_else(nobody)?;
    let second = terminal::secret("The same again:").ok_or_else(nobody)?;
    if first != second {
        return Err(Failure::new(Kind::Usage, "the two are not the same; nothing was made"));
    }
    Ok((!first.is_empty()).then_some(first))
}

fn describe(secret: &Metadata) -> String {
    let mut text = String::new();
    let time = |time: chrono::DateTime<chrono::Utc>| time.format("%Y-%m-%d %H:%M:%SZ").to_string();
    let _ = writeln!(text, "Name       {}", secret.name);
    let _ = writeln!(text, "Created    {} by {}", time(secret.created), terminal::plain(&secret.created_by));
    let _ = writeln!(text, "Changed    {} by {}", time(secret.changed), terminal::plain(&secret.changed_by));
    let _ = writeln!(text, "Versions   {}", secret.versions);
    let _ = writeln!(text, "Encrypted  {}", time(secret.encrypted));
    let _ = writeln!(text, "File       sha256:{}", secret.sha256);
    text
}
