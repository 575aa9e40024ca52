//! Python: pip's own resolver as a dry run, with its installation report (format version 1,
//! <https://pip.pypa.io/en/stable/reference/installation-report/>). Wheels only: a source package would run its
//! build script here and again at install.

use serde::Deserialize;

use super::super::error::Error;
use super::super::lock::Lock;
use super::super::output::Output;
use super::super::pins::{PipPin, shown_url};
use super::super::pip_index;
use super::super::sandbox::{Command, Sandbox};
use super::{Cause, Resolution, ResolveOrder, found, refused, unresolvable};
use crate::run::capability::{PipName, PipPackage, PythonVersion};
use crate::run::id::Digest;

/// A report holds every package's whole description.
const REPORT: usize = 64 << 20;
const WORDS: usize = 256 << 10;

const DRY_RUN: [&str; 17] = [
    "python3",
    "-I",
    "-m",
    "pip",
    "install",
    "--dry-run",
    "--ignore-installed",
    "--only-binary=:all:",
    "--report=-",
    "--quiet",
    "--no-input",
    "--no-cache-dir",
    "--disable-pip-version-check",
    "--break-system-packages",
    "--root-user-action=ignore",
    "--retries=1",
    "--timeout=15",
];

#[derive(Deserialize)]
struct Report {
    version: String,
    install: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    download_info: DownloadInfo,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct DownloadInfo {
    url: String,
    archive_info: Option<ArchiveInfo>,
}

#[derive(Deserialize)]
struct ArchiveInfo {
    #[serde(default)]
    hashes: std::collections::BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    version: String,
}

pub(super) async fn resolve(
    sandbox: &Sandbox<'_>,
    order: &ResolveOrder<'_>,
    package: &PipPackage,
    mut env: Vec<(String, String)>,
) -> Result<Resolution, Error> {
    env.push(("HOME".to_owned(), "/tmp".to_owned()));
    env.extend(pip_index::variables(order.pip_index));
    let mut argv: Vec<String> = DRY_RUN.map(str::to_owned).to_vec();
    argv.push("--".to_owned());
    argv.extend(order.approved.pip().iter().map(|pin| format!("{}=={}", pin.name, pin.version)));
    argv.push(package.to_string());
    let output = sandbox.run(Command { argv: &argv, env: env.clone(), keep: REPORT }).await?;
    if output.exit != 0 {
        return explain(sandbox, order, &argv, env, &output).await;
    }
    let pins = read_report(&whole(&output)?)?;
    if !pins.iter().any(|pin| pin.name == package.name().as_str()) {
        return Err(Error::format("pip's report", format!("it does not hold `{}`", package.name())));
    }
    let pins = keep_approved(order.approved, pins);
    let lock = Lock::new(pins, order.approved.apt().to_vec());
    let lock = lock.and_then(|lock| lock.with_npm(order.approved.npm().to_vec()));
    let lock = lock.map_err(|e| Error::format("pip's report", e.to_string()))?;
    if order.approved.pip().is_empty() {
        return found(order.approved, lock, &Lock::default());
    }
    match needs(sandbox, &lock, package, env).await? {
        Ok(needs) => found(order.approved, lock, &needs),
        Err(output) => Ok(refused(cause(&output.stderr.text()), &output)),
    }
}

/// Writes its arguments into the file that the first of them names, one a line.
const WRITE: &str = "import sys; open(sys.argv[1], 'w').write('\\n'.join(sys.argv[2:]))";
const CONSTRAINTS: &str = "/tmp/taskforge-constraints.txt";

/// What of `lock` the package needs if nothing else is asked for: it has no other versions to choose from.
async fn needs(
    sandbox: &Sandbox<'_>,
    lock: &Lock,
    package: &PipPackage,
    env: Vec<(String, String)>,
) -> Result<Result<Lock, Output>, Error> {
    let mut write: Vec<String> = ["python3", "-I", "-c", WRITE, CONSTRAINTS].map(str::to_owned).to_vec();
    write.extend(lock.pip().iter().map(|pin| format!("{}=={}", pin.name, pin.version)));
    sandbox.succeed(Command { argv: &write, env: Vec::new(), keep: WORDS }).await?;
    let mut argv: Vec<String> = DRY_RUN.map(str::to_owned).to_vec();
    argv.extend([format!("--constraint={CONSTRAINTS}"), "--".to_owned(), package.to_string()]);
    let output = sandbox.run(Command { argv: &argv, env, keep: REPORT }).await?;
    if output.exit != 0 {
        return Ok(Err(output));
    }
    let lock = Lock::new(read_report(&whole(&output)?)?, Vec::new());
    lock.map(Ok).map_err(|e| Error::format("pip's report", e.to_string()))
}

fn whole(output: &Output) -> Result<Vec<u8>, Error> {
    let command = || "pip install --dry-run".to_owned();
    output.stdout.whole().ok_or_else(|| Error::TooMuchOutput { command: command(), limit: REPORT as u64 })
}

pub(super) fn read_report(bytes: &[u8]) -> Result<Vec<PipPin>, Error> {
    let wrong = |reason: String| Error::format("pip's report", reason);
    let report: Report = serde_json::from_slice(bytes).map_err(|e| wrong(e.to_string()))?;
    if report.version != "1" {
        return Err(wrong(format!("format {:?} is not known", report.version)));
    }
    report.install.into_iter().map(|item| read_item(item).map_err(wrong)).collect()
}

fn read_item(item: Item) -> Result<PipPin, String> {
    let name = PipName::parse(&item.metadata.name).map_err(|rule| format!("{:?}: {rule}", item.metadata.name))?;
    let digest = item.download_info.archive_info.and_then(|info| info.hashes.get("sha256").cloned());
    let digest = digest.ok_or_else(|| format!("`{name}` has no SHA-256; the index must give one"))?;
    let sha256 = Digest::parse(&digest).map_err(|e| format!("`{name}`: {e}"))?;
    let path = item.download_info.url.split(['?', '#']).next().unwrap_or_default();
    let filename = path.rsplit('/').next().unwrap_or_default();
    Ok(PipPin {
        name: name.to_string(),
        version: item.metadata.version,
        sha256,
        // An index may write a local version's `+` as `%2B`, which is the only escape that a wheel's name needs.
        filename: filename.replace("%2B", "+").replace("%2b", "+"),
        url: shown_url(&item.download_info.url),
    })
}

/// A version that was approved keeps the very file that was approved, should the index offer another one by now.
fn keep_approved(approved: &Lock, pins: Vec<PipPin>) -> Vec<PipPin> {
    let kept = |pin: PipPin| {
        let same = |old: &&PipPin| old.name == pin.name && old.version == pin.version;
        approved.pip().iter().find(same).cloned().unwrap_or(pin)
    };
    pins.into_iter().map(kept).collect()
}

/// pip says the same for a package that does not exist, one without a wheel, and an index that it could not ask.
async fn explain(
    sandbox: &Sandbox<'_>,
    order: &ResolveOrder<'_>,
    tried: &[String],
    env: Vec<(String, String)>,
    output: &Output,
) -> Result<Resolution, Error> {
    let text = output.stderr.text();
    let Some(requirement) = missing(&text) else {
        return Ok(match cause(&text) {
            Cause::Unreachable => unreachable(&text, order),
            cause => refused(cause, output),
        });
    };
    if cause(&text) == Cause::Unreachable {
        return Ok(unreachable(&text, order));
    }
    let (name, version) = requirement;
    // Only so loud does pip say that a page could not be had.
    let argv =
        ["python3", "-I", "-m", "pip", "index", "versions", "-vv", "--disable-pip-version-check", "--no-input", "--"];
    let mut argv: Vec<String> = argv.map(str::to_owned).to_vec();
    argv.push(name.to_string());
    let known = sandbox.run(Command { argv: &argv, env: env.clone(), keep: WORDS }).await?;
    if let Some(why) = unanswered(&known) {
        return Ok(unreachable(&format!("WARNING: {why}"), order));
    }
    let versions = known_versions(&known.stdout.text());
    let wanted = version.as_deref().and_then(|v| PythonVersion::parse(v).ok());
    let offered = versions.iter().any(|text| {
        wanted.as_ref().is_none_or(|wanted| PythonVersion::parse(text).is_ok_and(|version| version.matches(wanted)))
    });
    if known.exit == 0 && offered {
        // Of a file whose name and content differ, pip tells only who lets it talk.
        let argv: Vec<String> = tried.iter().filter(|word| *word != "--quiet").cloned().collect();
        let told = sandbox.run(Command { argv: &argv, env, keep: WORDS }).await?.stdout.text();
        if let Some(discarded) = told.lines().find(|line| line.trim_start().starts_with("Discarding ")) {
            let why: String = discarded.trim().chars().take(600).collect();
            return Ok(unresolvable(Cause::Other, format!("what the index offers is not what it says it is: {why}")));
        }
        let which = version.map_or_else(|| format!("`{name}`"), |v| format!("`{name}=={v}`"));
        return Ok(unresolvable(
            Cause::NoBinary,
            format!(
                "{which} has no wheel for the Python and platform of the base image; source packages are not built \
                 ({})",
                output.words()
            ),
        ));
    }
    Ok(refused(Cause::DoesNotExist, output))
}

/// What pip says of a page that it could not have, other than that there is none.
fn unanswered(output: &Output) -> Option<String> {
    let text = output.stdout.text() + "\n" + &output.stderr.text();
    let mut lines = text.lines().map(str::trim);
    lines.find(|l| l.starts_with("Could not fetch URL ") && !l.contains(": 404 ")).map(str::to_owned)
}

fn unreachable(text: &str, order: &ResolveOrder<'_>) -> Resolution {
    let why = text.lines().rev().find_map(|l| l.strip_prefix("WARNING: ")).unwrap_or("no answer");
    let credentials = order.pip_index.and_then(|url| Some(url.split_once("://")?.1.split_once('@')?.0));
    let why = credentials.map_or_else(|| why.to_owned(), |secret| why.replace(secret, "****"));
    let why: String = why.chars().take(600).collect();
    unresolvable(Cause::Unreachable, format!("the Python package index could not be asked: {why}"))
}

pub(super) fn cause(text: &str) -> Cause {
    let has = |words: &[&str]| words.iter().any(|w| text.contains(w));
    if has(&[
        "Retrying (Retry(",
        "Could not fetch URL",
        "Connection to ",
        "HTTP error 5",
        "HTTP error 401",
        "HTTP error 403",
    ]) {
        Cause::Unreachable
    } else if has(&["conflicting dependencies", "ResolutionImpossible"]) {
        Cause::Conflict
    } else if has(&["No matching distribution found"]) {
        Cause::DoesNotExist
    } else if has(&["requires a different Python", "is not a supported wheel"]) {
        Cause::NoBinary
    } else {
        Cause::Other
    }
}

/// The requirement that pip found nothing for: its name, and its version if it asks for exactly one.
pub(super) fn missing(text: &str) -> Option<(PipName, Option<String>)> {
    let line = text.lines().find_map(|l| l.split_once("No matching distribution found for ").map(|(_, rest)| rest))?;
    let end = line.find(|c: char| !c.is_ascii_alphanumeric() && !"._-".contains(c)).unwrap_or(line.len());
    let name = PipName::parse(&line[..end]).ok()?;
    let version = line[end..].split_once("==").map(|(_, rest)| {
        let end = rest.find(|c: char| c.is_whitespace() || ",;(".contains(c)).unwrap_or(rest.len());
        rest[..end].to_owned()
    });
    Some((name, version))
}

/// `Available versions: 1.1, 1.0` of `pip index versions`.
fn known_versions(text: &str) -> Vec<String> {
    let line = text.lines().find_map(|l| l.strip_prefix("Available versions: "));
    line.map(|l| l.split(", ").map(str::to_owned).collect()).unwrap_or_default()
}
