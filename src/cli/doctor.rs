//! `taskforge doctor`.

use std::process::ExitCode;

use clap::Args;

use crate::container::Facts;
use crate::engine::{self, Grades};
use crate::failure::Failure;
use crate::registry::Registry;

use super::graded;
use super::output::{BAD, GOOD, WAITING};
use super::root::Context;

/// Say what this machine and this registry lack, and the command that mends it
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Look at every run and at each file whose digest a journal names [default: at the runs that have not ended]
    #[arg(long)]
    runs: bool,
    /// Grade every container of this registry, and say how the Engine is set up, instead
    #[arg(long, conflicts_with = "runs")]
    containers: bool,
}

impl Doctor {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        // Without a registry the machine can still be looked at.
        let registry = context.registry().ok();
        if self.containers {
            return containers(context, registry.as_ref());
        }
        let checks = engine::diagnose(registry.as_ref(), self.runs);
        let sick = checks.iter().any(|check| check.grade == engine::Grade::Bad);
        context.output.result(&checks, || {
            let mut text = String::new();
            for check in &checks {
                let (style, word) = match check.grade {
                    engine::Grade::Good => (GOOD, "ok"),
                    engine::Grade::Note => (WAITING, "note"),
                    engine::Grade::Bad => (BAD, "bad"),
                };
                text.push_str(&format!("{style}{word:<5}{style:#} {:<18} {}\n", check.name, check.detail));
                if let Some(fix) = &check.fix {
                    text.push_str(&format!("      {:<18} `{fix}`\n", ""));
                }
            }
            text
        })?;
        Ok(if sick { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

fn containers(context: &Context<'_>, registry: Option<&Registry>) -> Result<ExitCode, Failure> {
    let found = engine::grades(registry)?;
    context.output.result(&found, || {
        let mut text = facts(&found.engine, &found);
        text.push_str(&graded::list(&found.containers));
        if let Some(plain) = &found.plain {
            text.push_str(&format!("\nA plain `docker run` of {}:\n", plain.image));
            text.push_str(&graded::grade(plain));
        }
        text
    })?;
    Ok(if found.are_full() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn facts(engine: &Facts, found: &Grades) -> String {
    let users = match engine.remap {
        Some(remap) if engine.rootless => format!("the Engine's own: {} from its user on", remap.size),
        Some(remap) => format!("remapped: root in a container is {}:{} on the host", remap.uid, remap.gid),
        None if engine.user_namespaces => "remapped, nobody knows to whom (starts are refused)".to_owned(),
        None => "the host's".to_owned(),
    };
    let rootless = match engine.remap {
        _ if !engine.rootless => "no",
        Some(_) => "yes",
        None => "yes, of another user than this one (starts are refused)",
    };
    let limits = match (engine.unenforced.as_slice(), found.lenient) {
        ([], _) => "enforced".to_owned(),
        (missing, true) => format!("NOT enforced, which taskforge.toml accepts: {}", missing.join(", ")),
        (missing, false) => format!("NOT enforced: {}", missing.join(", ")),
    };
    let runtime = match &found.runtime {
        Some(runtime) if found.runtime_present => format!("{runtime}, as configured"),
        Some(runtime) => format!("{runtime} is configured and ABSENT: starts are refused"),
        None => format!("{}, the Engine's default", engine.default_runtime),
    };
    let workspaces = match found.disk {
        None => "no registry to look at",
        Some(engine::DiskEnforcement::Soft) => {
            "folders: their limits are soft, kept by a look each second and at each tick"
        }
        Some(engine::DiskEnforcement::Image) => "images of a fixed size, kept by the kernel",
    };
    let filters = [("seccomp", engine.seccomp), ("AppArmor", engine.apparmor), ("SELinux", engine.selinux)];
    let filters: Vec<&str> = filters.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect();
    let lines = [
        ("Engine", engine.version.clone()),
        ("users", users),
        ("rootless", rootless.to_owned()),
        ("runtime", runtime),
        ("runtimes", engine.runtimes.join(", ")),
        ("filters", filters.join(", ")),
        ("control groups", format!("version {}", engine.cgroup_version)),
        ("limits", limits),
        ("workspaces", workspaces.to_owned()),
    ];
    let mut text: String = lines.iter().map(|(name, value)| format!("{name:<15} {value}\n")).collect();
    text.push('\n');
    text
}
