//! What this machine's Engine can do for us, and what to run where it cannot. For `doctor`.

use std::path::Path;

use bollard::models::{SystemInfo, SystemVersion};
use serde::Serialize;

use super::engine::{API, Engine};
use super::error::Error;
use super::facts::unenforced;
use super::gate_image::GateImage;
use super::image_ref::ImageRef;
use super::remap::{Remap, remap};
use super::user::Operator;
use crate::run::id::Digest;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    pub name: &'static str,
    pub ok: bool,
    /// What was found.
    pub detail: String,
    /// What mends it, if it is not ok or could be better; commands stand in backticks.
    pub fix: Option<String>,
}

/// Looks at the Engine: two requests, and one for each image. `image` is the configured base image, `runtime` the
/// configured runtime, `binary` what the gate runs; with `lenient` a person has said to go on without limits.
pub async fn probe(
    engine: &Engine,
    image: &ImageRef,
    runtime: Option<&str>,
    binary: Option<&Path>,
    lenient: bool,
) -> Vec<Check> {
    let (version, info) = match describe(engine).await {
        Ok(found) => found,
        Err(error) => return vec![failed("engine", &error)],
    };
    let mut checks = vec![kind(&version, &info), api(&version), namespaces(&info), storage(&info), seccomp(&info)];
    checks.extend(limits(&info, lenient));
    checks.push(runtimes(&info, runtime));
    checks.push(base(engine, image).await);
    if let Some(binary) = binary {
        checks.push(gate(engine, binary).await);
    }
    checks
}

async fn describe(engine: &Engine) -> Result<(SystemVersion, SystemInfo), Error> {
    let version = engine.docker().version().await.map_err(|error| engine.explain("say its version", error))?;
    let info = engine.docker().info().await.map_err(|error| engine.explain("describe itself", error))?;
    Ok((version, info))
}

fn good(name: &'static str, detail: impl Into<String>) -> Check {
    Check { name, ok: true, detail: detail.into(), fix: None }
}

fn bad(name: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Check {
    Check { name, ok: false, detail: detail.into(), fix: Some(fix.into()) }
}

fn failed(name: &'static str, error: &Error) -> Check {
    let fix = error.hints().into_iter().next();
    Check { name, ok: false, detail: error.to_string(), fix }
}

fn kind(version: &SystemVersion, info: &SystemInfo) -> Check {
    let number = version.version.clone().unwrap_or_default();
    let components = version.components.iter().flatten();
    let podman = components.into_iter().any(|component| component.name.to_lowercase().contains("podman"));
    let system = info.operating_system.clone().unwrap_or_default();
    if podman {
        return bad("engine", format!("Podman {number}, which is untested"), "`apt-get install docker.io`");
    }
    if system.contains("Docker Desktop") {
        let detail = format!("Docker Desktop {number}: its containers run in another machine");
        return bad("engine", detail, "use a Docker Engine of this machine: `apt-get install docker.io`");
    }
    let selinux = info.security_options.iter().flatten().any(|option| option.contains("name=selinux"));
    if selinux {
        let fix = "turn `selinux-enabled` off in /etc/docker/daemon.json, or be the first to test it";
        return bad("engine", format!("Docker {number} with SELinux labels, which is untested"), fix);
    }
    good("engine", format!("Docker {number} on {system}"))
}

fn api(version: &SystemVersion) -> Check {
    let parse = |text: &str| {
        let (major, minor) = text.split_once('.')?;
        Some((major.parse::<usize>().ok()?, minor.parse::<usize>().ok()?))
    };
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let (least, most) = (text(&version.min_api_version), text(&version.api_version));
    let needed = (API.major_version, API.minor_version);
    if parse(&most).is_some_and(|most| most >= needed) {
        return good("engine API", format!("{least} to {most}"));
    }
    bad(
        "engine API",
        format!("{most}, and 1.41 is needed"),
        "install Docker 20.10 or newer: `apt-get install docker.io`",
    )
}

fn namespaces(info: &SystemInfo) -> Check {
    let options = info.security_options.as_deref().unwrap_or_default();
    match remap(options, info.docker_root_dir.as_deref().unwrap_or_default()) {
        Ok(None) => good("users", "a container's user is the host's user"),
        Ok(Some(Remap { uid: 0, gid: 0, size })) => {
            good("users", format!("rootless: {size} users, those above 0 of /etc/subuid; 0 is this one"))
        }
        Ok(Some(Remap { uid, gid, size })) => {
            let detail = format!("remapped: {size} users from {uid}:{gid} on");
            if Operator::current().uid == 0 {
                return good("users", detail);
            }
            let fix = "run taskforge as root: nobody else can give files to the users of the mapping";
            bad("users", detail, fix)
        }
        Err(error) => failed("users", &error),
    }
}

fn storage(info: &SystemInfo) -> Check {
    let driver = info.driver.clone().unwrap_or_default();
    match driver.as_str() {
        "vfs" => bad("storage driver", "vfs copies the whole image for each container", "use overlay2 or btrfs"),
        "" => bad("storage driver", "none", "see the Engine's own log"),
        _ => good("storage driver", driver),
    }
}

fn seccomp(info: &SystemInfo) -> Check {
    if info.security_options.iter().flatten().any(|option| option.contains("name=seccomp")) {
        return good("seccomp", "available; ours is sent with every start");
    }
    bad("seccomp", "the Engine cannot filter system calls", "use a kernel and an Engine built with seccomp")
}

fn limits(info: &SystemInfo, lenient: bool) -> Vec<Check> {
    let fix = "the kernel has to offer it: boot with `cgroup_enable=memory swapaccount=1`, or use cgroup version 2";
    let missing = unenforced(info);
    let of = |name, limit| match missing.contains(&limit) {
        false => good(name, "enforced"),
        true if lenient => {
            let detail = "NOT enforced on this machine, which `containers.allowUnenforcedLimits` accepts";
            Check { fix: Some(fix.to_owned()), ..good(name, detail) }
        }
        true => bad(name, "not enforced on this machine", fix),
    };
    vec![
        of("memory limit", "memory"),
        of("swap limit", "swap"),
        of("process limit", "processes"),
        of("processor limit", "processors"),
    ]
}

fn runtimes(info: &SystemInfo, wanted: Option<&str>) -> Check {
    let mut names: Vec<&str> = info.runtimes.iter().flatten().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let default = info.default_runtime.as_deref().unwrap_or("runc");
    match wanted {
        Some(wanted) if !names.contains(&wanted) => {
            let detail = format!("`{wanted}` is configured and not among {}", names.join(", "));
            let fix = "register it in /etc/docker/daemon.json under `runtimes`, or change `containers.runtime`";
            bad("runtime", detail, fix)
        }
        Some(wanted) => good("runtime", format!("{wanted}, as configured")),
        None => good("runtime", format!("{default}, the Engine's default; there are {}", names.join(", "))),
    }
}

async fn base(engine: &Engine, image: &ImageRef) -> Check {
    match engine.image_inspect(image).await {
        Ok(Some(found)) if !found.volumes.is_empty() => {
            let detail = format!("{image} declares volumes, which stay writable: {}", found.volumes.join(" "));
            bad("base image", detail, "use an image without VOLUME")
        }
        Ok(Some(found)) => good("base image", format!("{image}, {} MiB", found.size >> 20)),
        Ok(None) => bad("base image", format!("{image} is not there"), "`taskforge image base` makes it"),
        Err(error) => failed("base image", &error),
    }
}

async fn gate(engine: &Engine, binary: &Path) -> Check {
    let name = std::fs::read(binary)
        .map_err(|source| Error::Io { path: binary.to_path_buf(), doing: "read", source })
        .and_then(|bytes| GateImage::name_of(&Digest::of(&bytes)));
    let name = match name {
        Ok(name) => name,
        Err(error) => return failed("gate image", &error),
    };
    match engine.image_exists(&name).await {
        Ok(true) => good("gate image", name.to_string()),
        Ok(false) => good("gate image", format!("{name} is made at the first start")),
        Err(error) => failed("gate image", &error),
    }
}
