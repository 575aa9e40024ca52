//! `taskforge keys setup`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use zeroize::Zeroizing;

use crate::engine::{self, SetUp, Wanted};
use crate::failure::{Failure, Kind};

use super::super::root::Context;
use super::super::terminal;

/// Find or make a signing key, allow it here, and sign with it from now on
///
/// Takes the key that you name, that you signed with before, the first of your ssh-agent, or the first of `~/.ssh`; makes an
/// Ed25519 key if none of them could sign here and count. Writes the registry's `allowed_signers` and `signing.toml` in your configuration folder.
#[derive(Debug, Args)]
pub(crate) struct Setup {
    /// A key to use: either file of the pair
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The name to sign as, an address for instance [default: your user's]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Add yourself to an `allowed_signers` that names others already
    #[arg(long)]
    add: bool,
    /// Make a new key without a passphrase: whatever runs as you can then sign with it
    #[arg(long)]
    no_passphrase: bool,
}

impl Setup {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        let registry = context.registry()?;
        let operator = engine::operator();
        let name = self.name.unwrap_or_else(|| operator.trim_start_matches("operator:").to_owned());
        let key = self.key.map(|key| std::path::absolute(&key).unwrap_or(key));
        let wanted = Wanted { key, name, add: self.add };
        let done = engine::set_up(&registry, &wanted, |path| protect(path, self.no_passphrase))?;
        context.output.result(&done, || text(&done))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The passphrase of a new key.
fn protect(path: &Path, none: bool) -> Result<Option<Zeroizing<String>>, Failure> {
    if none {
        return Ok(None);
    }
    let shown = path.display();
    let nobody = || {
        Failure::new(Kind::Usage, format!("there is no key yet, and nobody can be asked for the passphrase of {shown}"))
            .hint("`ssh-add` a key, name one with `--key`, or say `--no-passphrase`")
    };
    let first =
        terminal::secret(&format!("Passphrase for the new key {shown} (empty for none):")).ok_or_else(nobody)?;
    let second = terminal::secret("The same again:").ok_or_else(nobody)?;
    if first != second {
        return Err(Failure::new(Kind::Usage, "the two are not the same; no key was made"));
    }
    Ok((!first.is_empty()).then_some(first))
}

fn text(done: &SetUp) -> String {
    let mut text = String::new();
    let how = match (done.made, done.in_agent) {
        (true, _) => "made just now",
        (false, true) => "held by your ssh-agent",
        (false, false) => "found",
    };
    let _ = writeln!(text, "Key       {} ({how})", done.file.display());
    let _ = writeln!(text, "          {}", done.key);
    let _ = writeln!(text, "Name      {}", done.name);
    let _ = writeln!(text, "Settings  {}", done.settings.display());
    let allowed = done.allowed_signers.display();
    if done.allowed {
        let _ = writeln!(text, "Allowed   {allowed}\n");
        text.push_str("From now on only signed decisions count here. Next:\n");
        text.push_str("  git add allowed_signers && git commit   so that others know whose decisions count\n");
        if !done.required {
            text.push_str("  signatures = \"required\"                  under [decisions] in taskforge.toml: also if that file is gone\n");
        }
        text.push_str("  taskforge approve ID                    signs\n");
    } else {
        let _ =
            writeln!(text, "Allowed   not yet: {allowed} names others. One of them adds this line:\n\n{}\n", done.line);
        text.push_str("(`--add` adds it here.)\n");
    }
    text
}
