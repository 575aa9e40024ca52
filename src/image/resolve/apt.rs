//! Debian: apt's own resolver against fresh lists, printing what it would download. Packages are taken by their
//! exact names only: apt itself would read an unknown name with a dot in it as a regular expression and select
//! hundreds.

use super::super::error::Error;
use super::super::lock::Lock;
use super::super::output::Output;
use super::super::pins::{AptPin, shown_url};
use super::super::sandbox::{Command, Sandbox, apt_ca};
use super::{Cause, Resolution, ResolveOrder, found, refused, unresolvable};
use crate::run::capability::AptPackage;
use crate::run::id::Digest;

const KEEP: usize = 8 << 20;

fn argv(words: &[&str]) -> Vec<String> {
    words.iter().map(|w| (*w).to_owned()).collect()
}

pub(super) async fn resolve(
    sandbox: &Sandbox<'_>,
    order: &ResolveOrder<'_>,
    package: &AptPackage,
    mut env: Vec<(String, String)>,
) -> Result<Resolution, Error> {
    env.push(("DEBIAN_FRONTEND".to_owned(), "noninteractive".to_owned()));
    let run = async |argv: &[String]| sandbox.run(Command { argv, env: env.clone(), keep: KEEP }).await;

    let mut update = argv(&["apt-get", "update", "-qq", "-o", "Acquire::Languages=none", "-o", "Acquire::Retries=1"]);
    // Without this, apt goes on with old or missing lists and exits 0.
    update.extend(argv(&["-o", "APT::Update::Error-Mode=any"]));
    update.extend(apt_ca(order.ca));
    let updated = run(&update).await?;
    if updated.exit != 0 {
        let words = updated.words();
        return Ok(unresolvable(Cause::Unreachable, format!("the package lists could not be fetched: {words}")));
    }

    let mut show = argv(&["apt-cache", "show", "--no-all-versions", "--"]);
    show.push(package.name().to_owned());
    let shown = run(&show).await?;
    let exact = format!("Package: {}", package.name());
    if shown.exit != 0 || !shown.stdout.text().lines().any(|l| l == exact) {
        let reason = format!("package `{}` does not exist in the base image's package sources", package.name());
        return Ok(unresolvable(Cause::DoesNotExist, reason));
    }

    let fixed = ["apt-get", "install", "--print-uris", "-qq", "--yes", "--no-install-recommends"];
    let mut alone = argv(&fixed);
    alone.extend(argv(&["--no-remove", "-o", "Acquire::ForceHash=SHA256", "--"]));
    let mut install = alone.clone();
    install.extend(order.approved.apt().iter().map(|pin| format!("{}={}", pin.name, pin.version)));
    install.push(package.to_string());
    let output = run(&install).await?;
    if output.exit != 0 {
        return Ok(refused(cause(&output), &output));
    }
    let pins = uris(&output)?;
    if !pins.iter().any(|pin| pin.name == package.name()) {
        let reason = format!("`{}` is already in the base image; nothing needs to be granted", package.name());
        return Ok(unresolvable(Cause::AlreadyThere, reason));
    }
    if let Some(changed) = order.approved.apt().iter().find(|old| !pins.iter().any(|new| same(old, new))) {
        let reason = format!("`{}={}`, approved before, would change", changed.name, changed.version);
        return Ok(unresolvable(Cause::Conflict, reason));
    }
    let lock = Lock::new(order.approved.pip().to_vec(), pins);
    let lock = lock.and_then(|lock| lock.with_npm(order.approved.npm().to_vec()));
    let lock = lock.map_err(|e| Error::format("apt's answer", e.to_string()))?;
    if order.approved.apt().is_empty() {
        return found(order.approved, lock, &Lock::default());
    }
    // What of it the package needs if nothing else is asked for.
    alone.push(package.to_string());
    let output = run(&alone).await?;
    if output.exit != 0 {
        return Ok(refused(cause(&output), &output));
    }
    let needs = Lock::new(Vec::new(), uris(&output)?).map_err(|e| Error::format("apt's answer", e.to_string()))?;
    found(order.approved, lock, &needs)
}

fn uris(output: &Output) -> Result<Vec<AptPin>, Error> {
    let command = || "apt-get install --print-uris".to_owned();
    let lines = output.stdout.whole();
    let lines = lines.ok_or_else(|| Error::TooMuchOutput { command: command(), limit: KEEP as u64 })?;
    read_uris(&String::from_utf8_lossy(&lines))
}

fn same(old: &AptPin, new: &AptPin) -> bool {
    (&old.name, &old.version, &old.arch, &old.sha256) == (&new.name, &new.version, &new.arch, &new.sha256)
}

fn cause(output: &Output) -> Cause {
    let text = output.stderr.text();
    let has = |words: &[&str]| words.iter().any(|w| text.contains(w));
    if has(&["Unable to locate package", "was not found", "has no installation candidate"]) {
        Cause::DoesNotExist
    } else if has(&["unmet dependencies", "held broken packages", "need to be removed", "Conflicts", "were downgraded"])
    {
        Cause::Conflict
    } else {
        Cause::Other
    }
}

/// Reads lines of `'URL' name_version_arch.deb size SHA256:digest`, as `apt-get --print-uris` writes them.
pub(super) fn read_uris(text: &str) -> Result<Vec<AptPin>, Error> {
    let lines = text.lines().filter(|l| !l.trim().is_empty());
    lines.map(|l| read_uri(l).ok_or_else(|| Error::format("apt's answer", format!("line {l:?}")))).collect()
}

fn read_uri(line: &str) -> Option<AptPin> {
    let (url, rest) = line.strip_prefix('\'')?.split_once("' ")?;
    let mut fields = rest.split(' ');
    let (filename, size, digest) = (fields.next()?, fields.next()?, fields.next()?);
    if fields.next().is_some() {
        return None;
    }
    let mut parts = filename.strip_suffix(".deb")?.split('_');
    let (name, version, arch) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    Some(AptPin {
        name: name.to_owned(),
        // apt escapes `:`, `_` and `%`; the latter two stand in no version.
        version: version.replace("%3a", ":"),
        arch: arch.to_owned(),
        sha256: Digest::parse(digest.strip_prefix("SHA256:")?).ok()?,
        size: size.parse().ok()?,
        filename: filename.to_owned(),
        url: shown_url(url),
    })
}
