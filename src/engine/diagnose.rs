//! `doctor`: everything that has to be so before a run can work, looked at, with the command that mends it.

use serde::Serialize;

use crate::container::{Engine, ImageRef, probe};
use crate::registry::{Registry, kill};

use super::repair::{self, Depth, Safety};
use super::{Standing, Store, approvers, binary, leaks};

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnosis {
    pub name: String,
    pub grade: Grade,
    /// What was found.
    pub detail: String,
    /// What mends it.
    pub fix: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    Good,
    /// Works, and could be better.
    Note,
    /// Runs cannot work like this.
    Bad,
}

fn good(name: &str, detail: impl Into<String>) -> Diagnosis {
    Diagnosis { name: name.to_owned(), grade: Grade::Good, detail: detail.into(), fix: None }
}

fn bad(name: &str, detail: impl Into<String>, fix: &str) -> Diagnosis {
    let fix = (!fix.is_empty()).then(|| fix.to_owned());
    Diagnosis { name: name.to_owned(), grade: Grade::Bad, detail: detail.into(), fix }
}

fn note(name: &str, detail: impl Into<String>, fix: &str) -> Diagnosis {
    Diagnosis { grade: Grade::Note, ..bad(name, detail, fix) }
}

/// Looks at this machine, and at `registry` if there is one: at the runs that have not ended, or at every byte of `every` run.
#[must_use]
pub fn diagnose(registry: Option<&Registry>, every: bool) -> Vec<Diagnosis> {
    let mut found = vec![static_binary(), kernel()];
    found.extend(engine(registry));
    match registry {
        Some(registry) => {
            found.extend(look_at(registry));
            found.push(runs(registry, every));
            found.extend(unclear(registry));
            found.extend(agents(registry));
        }
        None => found.push(note("registry", "none here", "taskforge init DIR")),
    }
    found
}

fn static_binary() -> Diagnosis {
    let fix = "cargo build --release --target x86_64-unknown-linux-musl";
    match std::fs::read("/proc/self/exe") {
        Ok(bytes) if binary::is_static(&bytes) => good("binary", format!("static, {:.1} MB", bytes.len() as f64 / 1e6)),
        Ok(_) => bad("binary", "linked dynamically: no container could run it", fix),
        Err(error) => bad("binary", format!("cannot be read: {error}"), fix),
    }
}

/// `openat2` came with 5.6, and outputs are copied by it.
fn kernel() -> Diagnosis {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= (5, 6) {
        good("kernel", format!("Linux {release}"))
    } else {
        bad("kernel", format!("Linux {release}; 5.6 is the least"), "")
    }
}

fn engine(registry: Option<&Registry>) -> Vec<Diagnosis> {
    let config = registry.and_then(|registry| registry.config().ok());
    let default = crate::registry::config::Containers::default();
    let containers = config.map_or(&default, |config| &config.containers);
    let image = containers.images.get(&containers.image).unwrap_or(&containers.image);
    let Ok(image) = ImageRef::parse(image) else {
        return vec![bad("base image", format!("`{image}` is not an image reference"), "")];
    };
    let engine = match Engine::connect() {
        Ok(engine) => engine,
        Err(error) => {
            return vec![bad("engine", error.to_string(), &error.hints().first().cloned().unwrap_or_default())];
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return vec![bad("engine", "no runtime for its API", "")] };
    let exe = std::path::Path::new("/proc/self/exe");
    let checks = runtime.block_on(probe(
        &engine,
        &image,
        containers.runtime.as_deref(),
        Some(exe),
        containers.allow_unenforced_limits,
    ));
    checks
        .into_iter()
        .map(|check| Diagnosis {
            name: check.name.to_owned(),
            grade: if !check.ok {
                Grade::Bad
            } else if check.fix.is_some() {
                Grade::Note
            } else {
                Grade::Good
            },
            detail: check.detail,
            fix: check.fix.map(|fix| fix.trim_matches('`').to_owned()),
        })
        .collect()
}

fn look_at(registry: &Registry) -> Vec<Diagnosis> {
    let mut found = Vec::new();
    found.push(match registry.require_local() {
        Ok(()) => good("registry", registry.root().display().to_string()),
        Err(error) => bad("registry", error.to_string(), ""),
    });
    if let Some(original) = registry.original() {
        let detail =
            format!("a copy of {}: its containers are that one's, so nothing is driven here", original.display());
        found.push(bad("registry", detail, &format!("mv {} elsewhere, or work there", original.display())));
    }
    found.push(match registry.config() {
        Ok(config) => good("taskforge.toml", format!("format {}, id {}", config.format, config.id)),
        Err(error) => bad("taskforge.toml", error.to_string(), ""),
    });
    found.extend(modes(registry));
    found.push(disk(registry));
    found.push(match kill::read(registry.layout()) {
        Ok(None) => good("kill switch", "armed, and off"),
        Ok(Some(kill)) => {
            note("kill switch", format!("ON since {}: {}", kill.at, kill.reason), "taskforge unlock --reason …")
        }
        Err(error) => bad("kill switch", error.to_string(), ""),
    });
    if !registry.layout().kill_spare().exists() && !registry.layout().kill_file().exists() {
        found.push(note("kill spare", "not preallocated: a full disk could stop `kill`", "taskforge tick"));
    }
    found.push(decisions(registry));
    match super::verify_lifts(registry, None) {
        Ok(lifts) => found.extend(lifts.problems.into_iter().map(|problem| {
            let what = format!("{} line {}: {}", problem.file, problem.line, problem.what);
            bad("unlock", what, "taskforge audit verify")
        })),
        // What is wrong with the list of who may sign is said of decisions.
        Err(_) if approvers::approvers(registry).is_err() => {}
        Err(error) => found.push(bad("unlock", error.to_string(), "")),
    }
    found.extend(spent(registry));
    found.extend(secrets(registry));
    found.extend(watches(registry));
    found
}

/// How the watches stand, if there are any.
fn watches(registry: &Registry) -> Vec<Diagnosis> {
    let watches = match super::watches(registry) {
        Ok(watches) => watches,
        // What is wrong with the settings is said of them.
        Err(_) if registry.config().is_err() => return Vec::new(),
        Err(error) => return vec![bad("watches", error.to_string(), "")],
    };
    let mut found = Vec::new();
    for one in &watches {
        let detail = || format!("{}: {}", one.name, one.problems.first().map_or("", String::as_str));
        match one.standing {
            Standing::GaveUp => {
                found.push(bad("watch gave up", detail(), &format!("taskforge watch reset {}", one.name)))
            }
            Standing::BacksOff | Standing::Troubled => {
                found.push(note("watch", detail(), &format!("taskforge watch show {}", one.name)));
            }
            Standing::Stuck => found.push(bad("schedule", detail(), &format!("taskforge watch show {}", one.name))),
            Standing::New | Standing::Good | Standing::Over => {}
        }
        if let Some((agent, why)) = super::lacks_agent(registry, one) {
            let detail = format!("{}: {why}", one.name);
            found.push(bad("watch", detail, &format!("taskforge agent hire ROLE --name {agent}")));
        }
    }
    if found.is_empty() && !watches.is_empty() {
        found.push(good("watches", format!("{}, and nothing is wrong with them", watches.len())));
    }
    found
}

/// The vault: whether it can be opened, and whether something of it lies where it should not.
fn secrets(registry: &Registry) -> Vec<Diagnosis> {
    let none = |_: &std::path::Path| None;
    let searched = match leaks::search(registry, &none) {
        Ok(None) => return Vec::new(),
        Ok(Some(searched)) => searched,
        Err(super::Error::Vault(error)) if error.is_locked() => {
            return vec![note("vault", format!("{error}; secrets were not looked for"), "taskforge secret unlock")];
        }
        Err(error) => return vec![bad("vault", error.to_string(), "taskforge secret list")],
    };
    let count = searched.secrets;
    let mut found = vec![good("vault", format!("{count} secret(s), and it opens"))];
    found.extend(searched.leaks.iter().map(|leak| {
        let detail = format!("`{}` lies in {} ({})", leak.secret, leak.place, leak.form);
        bad(
            "leaked secret",
            detail,
            &format!("taskforge secret set {}, with a new value from its service", leak.secret),
        )
    }));
    if searched.leaks.is_empty() {
        let mb = searched.bytes as f64 / 1e6;
        let detail = format!("none in {} places, {mb:.1} MB", searched.places);
        found.push(good("leaked secrets", detail));
    }
    if !searched.left_out.is_empty() {
        let more = match searched.left_out_more {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        let detail = format!("not looked for in {}{more}", searched.left_out.join("; "));
        found.push(note("leak search", detail, ""));
    }
    found
}

/// What is wrong with the files in which gates count a day's budget; nothing while nothing is.
fn spent(registry: &Registry) -> Option<Diagnosis> {
    let folder = registry.layout().spent();
    match crate::gate::damaged_days(&folder) {
        Ok(found) => found.into_iter().next().map(|(day, reason)| {
            let path = folder.join(day);
            let detail = format!("{}: {reason}; models are refused on that day", path.display());
            // Gates that start count their own rows anew.
            bad("day's budget", detail, &format!("mv {} elsewhere, and stop that day's gates", path.display()))
        }),
        Err(error) => Some(bad("day's budget", format!("{}: {error}", folder.display()), "")),
    }
}

/// Whose decisions count.
fn decisions(registry: &Registry) -> Diagnosis {
    match approvers::approvers(registry) {
        Ok(None) => note("decisions", "unproven: whoever runs as this user can decide", "taskforge keys setup"),
        Ok(Some(allowed)) if allowed.entries().is_empty() => {
            bad("decisions", "only signed ones count, and allowed_signers names nobody", "taskforge keys setup")
        }
        Ok(Some(allowed)) => {
            let list =
                approvers::path(registry).map_or_else(|error| error.to_string(), |path| path.display().to_string());
            good("decisions", format!("signed: {} key(s) may, by {list}", allowed.entries().len()))
        }
        Err(error) => bad("decisions", error.to_string(), ""),
    }
}

/// The journals of hired agents, byte by byte: their chain, their end against the head of this machine and what was sealed,
/// their roles and memories. Nothing where nobody was ever hired.
fn agents(registry: &Registry) -> Vec<Diagnosis> {
    let names = match crate::registry::agents::list(registry) {
        Ok(names) => names,
        Err(error) => return vec![bad("agents", error.to_string(), "")],
    };
    let mut found = Vec::new();
    for name in &names {
        let fix = format!("taskforge audit verify --agent {name}");
        match super::verify_agent(registry, name) {
            Ok(report) => match (report.problems.as_slice(), report.warnings.as_slice()) {
                ([], []) => {}
                ([], [first, ..]) => {
                    found.push(note("agent", format!("{name}: {}: {}", first.file, first.what), &fix));
                }
                ([first, others @ ..], _) => {
                    let more = if others.is_empty() { String::new() } else { format!("; and {} more", others.len()) };
                    found.push(bad("agent", format!("{name}: {}: {}{more}", first.file, first.what), &fix));
                }
            },
            Err(error) => found.push(bad("agent", format!("{name}: {error}"), &fix)),
        }
    }
    if found.is_empty() && !names.is_empty() {
        found.push(good("agents", format!("{}, each journal whole", names.len())));
    }
    found
}

/// What agents may have done and nobody knows, run by run: their gates do it no second time, and nobody else is asked.
fn unclear(registry: &Registry) -> Vec<Diagnosis> {
    let mut found = Vec::new();
    for run in repair::runs(registry).unwrap_or_default() {
        // What is wrong with a run is said of it.
        let Ok(state) = Store::open(registry, &run).and_then(|store| store.peek()) else { continue };
        for one in super::unclear_actions(registry, &state).unwrap_or_default() {
            found.push(note("unclear action", format!("{run}: {one}"), &one.fix));
        }
    }
    found
}

/// How many runs have something wrong with their files; `repair` says what.
fn runs(registry: &Registry, every: bool) -> Diagnosis {
    let runs = match repair::runs(registry) {
        Ok(runs) => runs,
        Err(error) => return bad("runs", error.to_string(), ""),
    };
    let depth = if every { Depth::Whole } else { Depth::Quick };
    let (mut looked, mut safe, mut grave) = (0usize, Vec::new(), Vec::new());
    for run in &runs {
        // One that cannot even be read is looked at.
        let ended = || Store::open(registry, run)?.peek().map(|state| state.status.is_terminal());
        if !every && ended().unwrap_or(false) {
            continue;
        }
        looked += 1;
        match repair::examine(registry, run, depth) {
            Ok(found) if found.iter().any(|finding| finding.safety == Safety::Unsafe) => grave.push(run.to_string()),
            Ok(found) if found.iter().any(|finding| finding.safety == Safety::Safe) => safe.push(run.to_string()),
            Ok(_) => {}
            Err(error) => grave.push(format!("{run} ({error})")),
        }
    }
    let which = if every { "runs" } else { "runs that have not ended" };
    let detail = format!("{looked} {which}: {} to be mended, {} not safe to mend", safe.len(), grave.len());
    let named = |runs: &[String]| match runs {
        [] => detail.clone(),
        runs if runs.len() > 3 => format!("{detail} ({}, …)", runs[..3].join(", ")),
        runs => format!("{detail} ({})", runs.join(", ")),
    };
    if !grave.is_empty() {
        bad("runs", named(&grave), "taskforge repair --all --dry-run")
    } else if !safe.is_empty() {
        note("runs", named(&safe), "taskforge repair --all --dry-run")
    } else {
        good("runs", detail)
    }
}

fn modes(registry: &Registry) -> Vec<Diagnosis> {
    use std::os::unix::fs::PermissionsExt as _;
    let local = registry.layout().local();
    match std::fs::metadata(&local) {
        Ok(meta) if meta.permissions().mode() & 0o077 == 0 => vec![good("modes", ".taskforge is the operator's alone")],
        Ok(_) => vec![bad(
            "modes",
            format!("{} can be entered by others", local.display()),
            &format!("chmod 700 {}", local.display()),
        )],
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            vec![note("modes", ".taskforge is not there yet; the next command makes it", "")]
        }
        Err(error) => vec![bad("modes", format!("{}: {error}", local.display()), "")],
    }
}

fn disk(registry: &Registry) -> Diagnosis {
    match rustix::fs::statvfs(registry.root()) {
        Ok(found) => {
            let free = found.f_bavail.saturating_mul(found.f_frsize);
            let detail = format!("{:.1} GB free", free as f64 / 1e9);
            if free < 1 << 30 {
                note("disk", format!("{detail}: less than 1 GiB"), "taskforge run list")
            } else {
                good("disk", detail)
            }
        }
        Err(error) => bad("disk", error.to_string(), ""),
    }
}
