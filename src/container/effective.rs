//! What a container is in effect, as the Engine says, graded against what its role promises. Nothing here trusts the
//! spec: a container that someone made by hand under our name shows what it is.

use std::path::{Path, PathBuf};

use bollard::models::{
    ContainerConfig, ContainerInspectResponse, HostConfig, HostConfigCgroupnsModeEnum, MountPoint,
    RestartPolicyNameEnum,
};
use serde::Serialize;

use super::body::LOOPBACK;
use super::engine::Engine;
use super::error::Error;
use super::grade::Graded;
use super::labels::{Labels, ROLE};
use super::mount::Mount;
use super::resources::Resources;
use super::role::Role;
use super::seccomp;
use crate::run::id::Digest;

/// What a container of ours was to be given.
#[derive(Debug, Clone, Default)]
pub struct Promised {
    /// Folders that the attempt was granted.
    pub mounts: Vec<Mount>,
    /// Its limits, where they are known: without them any limit is one.
    pub resources: Option<Resources>,
}

/// What only the caller knows of how a container has to be.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// The Engine's name of the runtime: what the configuration says, or else the Engine's default.
    pub runtime: String,
    /// What is never mounted is told by where the registry lies.
    pub registry_root: PathBuf,
    /// Nor is anything that the Engine's socket lies in.
    pub socket: PathBuf,
    pub promised: Promised,
    /// The limits that the Engine does not keep, by their names in [`super::Facts`].
    pub unenforced: Vec<&'static str>,
}

/// One row of the box.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    pub setting: &'static str,
    pub expected: String,
    pub actual: String,
    pub ok: bool,
}

impl Engine {
    /// The graded container `name`; `None` if there is none. `runtime` is what the configuration names.
    ///
    /// # Errors
    /// The Engine cannot be reached, or fails.
    pub async fn effective(
        &self,
        name: &str,
        runtime: Option<&str>,
        registry_root: &Path,
        promised: &Promised,
    ) -> Result<Option<Graded>, Error> {
        let Some(found) = self.inspect_raw(name).await? else { return Ok(None) };
        // Only agents are given the configured runtime.
        let configured = runtime.filter(|_| matches!(role_of(&found), None | Some(Role::Agent | Role::Probe)));
        let facts = self.facts().await?;
        let runtime = configured.map_or(facts.default_runtime, str::to_owned);
        let expected = Expected {
            runtime,
            registry_root: registry_root.to_owned(),
            socket: self.socket().to_owned(),
            promised: promised.clone(),
            unenforced: facts.unenforced,
        };
        Ok(Some(graded_container(&found, &expected)))
    }
}

fn role_of(found: &ContainerInspectResponse) -> Option<Role> {
    let labels = found.config.as_ref()?.labels.as_ref()?;
    labels.get(ROLE).and_then(|text| Role::parse(text))
}

fn graded_container(found: &ContainerInspectResponse, expected: &Expected) -> Graded {
    let name = found.name.clone().unwrap_or_default().trim_start_matches('/').to_owned();
    let image = found.config.as_ref().and_then(|config| config.image.clone()).unwrap_or_default();
    Graded::of(name, image, role_of(found), effective(found, expected))
}

/// Compares what the Engine says. A container without a role of ours is taken for an agent's.
#[must_use]
pub fn effective(found: &ContainerInspectResponse, expected: &Expected) -> Vec<Row> {
    let config = found.config.clone().unwrap_or_default();
    let labels = config.labels.clone().unwrap_or_default();
    let role = role_of(found).unwrap_or(Role::Agent);
    let host = found.host_config.clone().unwrap_or_default();
    let mut rows = vec![
        row("labels", "complete", if Labels::read(|key| labels.get(key)).is_some() { "complete" } else { "missing" }),
        network(role, &host),
        ports(role, &host),
        user(role, &config.user.clone().unwrap_or_default()),
        row("other groups", "", host.group_add.clone().unwrap_or_default().join(" ")),
        row("read-only root", yes(role.is_sealed()), yes(host.readonly_rootfs == Some(true))),
    ];
    rows.extend(privileges(role, &host));
    rows.push(masked(&host));
    rows.extend(namespaces(role, &host));
    rows.extend(limits(&host, expected));
    rows.push(tmpfs(role, &host));
    rows.extend(mounts(role, found.mounts.as_deref().unwrap_or_default(), expected));
    rows.extend(life(&host));
    rows.extend(processes(role, &config));
    rows.push(row("runtime", expected.runtime.clone(), host.runtime.unwrap_or_default()));
    rows
}

fn row(setting: &'static str, expected: impl Into<String>, actual: impl Into<String>) -> Row {
    let (expected, actual) = (expected.into(), actual.into());
    Row { setting, ok: expected == actual, expected, actual }
}

fn graded(setting: &'static str, expected: &str, actual: impl Into<String>, ok: bool) -> Row {
    Row { setting, expected: expected.to_owned(), actual: actual.into(), ok }
}

const fn yes(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

fn network(role: Role, host: &HostConfig) -> Row {
    let actual = host.network_mode.clone().unwrap_or_default();
    let expected = match role {
        Role::Agent | Role::Build | Role::Probe => "none",
        Role::Gate => "host or bridge",
        Role::Resolve | Role::Fetch => "bridge or none",
    };
    let ok = expected.split(" or ").any(|mode| mode == actual);
    graded("network", expected, actual, ok)
}

fn user(role: Role, user: &str) -> Row {
    let (uid, gid) = user.split_once(':').unwrap_or((user, ""));
    let above_zero = |text: &str| text.parse::<u32>().is_ok_and(|id| id > 0);
    let actual = if user.is_empty() { "root (none set)" } else { user };
    if role.is_sealed() {
        return graded("user", "not root", actual, above_zero(uid) && above_zero(gid));
    }
    graded("user", "any", actual, true)
}

fn privileges(role: Role, host: &HostConfig) -> Vec<Row> {
    let mut added = host.cap_add.clone().unwrap_or_default();
    // Newer Engines write the kernel's prefix.
    for name in &mut added {
        *name = name.trim_start_matches("CAP_").to_owned();
    }
    added.sort();
    let dropped = host.cap_drop.clone().unwrap_or_default();
    let options = host.security_opt.clone().unwrap_or_default();
    let no_new = options.iter().any(|option| {
        matches!(option.as_str(), "no-new-privileges" | "no-new-privileges=true" | "no-new-privileges:true")
    });
    let seccomp = options.iter().find_map(|option| option.strip_prefix("seccomp="));
    let seccomp = match seccomp {
        None => "the Engine's default".to_owned(),
        Some("unconfined") => "unconfined".to_owned(),
        Some(profile) => Digest::of(profile.as_bytes()).short().to_owned(),
    };
    let devices = host.devices.as_ref().map_or(0, Vec::len)
        + host.device_requests.as_ref().map_or(0, Vec::len)
        + host.device_cgroup_rules.as_ref().map_or(0, Vec::len);
    vec![
        row("capabilities dropped", "ALL", dropped.join(" ")),
        row("capabilities added", role.capabilities().join(" "), added.join(" ")),
        row("no new privileges", "yes", yes(no_new)),
        row("seccomp profile", seccomp::profile_digest().short(), seccomp),
        row("privileged", "no", yes(host.privileged != Some(false))),
        row("devices", "0", devices.to_string()),
    ]
}

fn namespaces(role: Role, host: &HostConfig) -> Vec<Row> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let own = |setting, value: &Option<String>| {
        let value = text(value);
        graded(
            setting,
            "its own",
            if value.is_empty() { "its own".to_owned() } else { value.clone() },
            value.is_empty(),
        )
    };
    vec![
        own("processes", &host.pid_mode),
        own("host name", &host.uts_mode),
        own("users", &host.userns_mode),
        row("shared memory", role.ipc(), text(&host.ipc_mode)),
        row(
            "control groups",
            "private",
            if host.cgroupns_mode == Some(HostConfigCgroupnsModeEnum::PRIVATE) { "private" } else { "the host's" },
        ),
    ]
}

/// What a container was given, and where the Engine keeps nothing of it, that. Where it is known what it was to be given,
/// another limit is none.
fn limits(host: &HostConfig, expected: &Expected) -> Vec<Row> {
    let kept = |row: Row, limits: &[&str]| match limits.iter().any(|limit| expected.unenforced.contains(limit)) {
        true => Row { actual: "not enforced by the Engine".to_owned(), ok: false, ..row },
        false => row,
    };
    let promised = expected.promised.resources.as_ref();
    let limit = |setting, value: Option<i64>, promised: Option<i64>| {
        let value = value.unwrap_or(0);
        let actual = if value > 0 { value.to_string() } else { "none".to_owned() };
        match promised {
            Some(promised) => row(setting, promised.to_string(), actual),
            None => graded(setting, "a limit", actual, value > 0),
        }
    };
    let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let ulimit = |setting: &'static str, name: &str, promised: Option<u64>| {
        let found = host.ulimits.iter().flatten().find(|limit| limit.name.as_deref() == Some(name));
        limit(setting, found.and_then(|limit| limit.hard), promised.map(signed))
    };
    let core = host.ulimits.iter().flatten().find(|limit| limit.name.as_deref() == Some("core"));
    let core = core.and_then(|limit| limit.hard).map_or("none".to_owned(), |hard| hard.to_string());
    let bytes = |value: Option<i64>| value.unwrap_or(0).to_string();
    let memory_and_swap = row("memory and swap (bytes)", bytes(host.memory), bytes(host.memory_swap));
    let of_memory = promised.map(|resources| signed(resources.memory));
    vec![
        kept(limit("processors (billionths)", host.nano_cpus, promised.map(Resources::nano_cpus)), &["processors"]),
        kept(limit("memory (bytes)", host.memory, of_memory), &["memory"]),
        kept(memory_and_swap, &["memory", "swap"]),
        kept(
            limit("processes and threads", host.pids_limit, promised.map(|resources| i64::from(resources.pids))),
            &["processes"],
        ),
        ulimit("open files", "nofile", promised.map(|resources| resources.files)),
        ulimit("file size (bytes)", "fsize", promised.map(|resources| resources.file_size)),
        row("core dump (bytes)", "0", core),
    ]
}

fn tmpfs(role: Role, host: &HostConfig) -> Row {
    let found = host.tmpfs.clone().unwrap_or_default();
    let weak: Vec<&str> = found
        .iter()
        .filter(|(_, options)| {
            let has = |word: &str| options.split(',').any(|option| option == word || option.starts_with(word));
            let exec = !has("noexec") && role.is_sealed();
            exec || !has("nosuid") || !has("nodev") || !has("size=")
        })
        .map(|(target, _)| target.as_str())
        .collect();
    let actual = if weak.is_empty() { "sized, nosuid, nodev".to_owned() } else { weak.join(" ") };
    graded("tmpfs", "sized, nosuid, nodev", actual, weak.is_empty())
}

fn mounts(role: Role, found: &[MountPoint], expected: &Expected) -> Vec<Row> {
    let mut rows = Vec::new();
    let of_type = |wanted: &'static str| found.iter().filter(move |mount| mount.typ.as_deref() == Some(wanted));
    let volumes: Vec<String> = of_type("volume").filter_map(|mount| mount.destination.clone()).collect();
    rows.push(row("volumes of the image", "", volumes.join(" ")));
    let binds: Vec<Mount> = of_type("bind").map(as_mount).collect();
    let is_granted = |mount: &Mount| {
        let same = |granted: &&Mount| granted.source == mount.source && granted.target == mount.target;
        expected.promised.mounts.iter().find(same).is_some_and(|granted| mount.read_only || !granted.read_only)
    };
    let writable: Vec<&str> =
        binds.iter().filter(|mount| !mount.read_only).map(|mount| mount.target.as_str()).collect();
    let own = |target: &str| match target {
        "/workspace" | "/gate" | "/out" => true,
        // What all gates of a registry count together.
        "/spent" => role == Role::Gate,
        _ => false,
    };
    let ok = binds.iter().filter(|mount| !mount.read_only).all(|mount| own(&mount.target) || is_granted(mount));
    rows.push(graded("writable mounts", "the container's own folder, and what was granted", writable.join(" "), ok));
    // The same rules by which a start is refused.
    let forbidden: Vec<String> = binds
        .iter()
        .filter(|mount| {
            let refused = mount.check(role, &expected.registry_root).is_err();
            // Where granted folders are, nothing else is.
            let unasked = mount.target.starts_with("/mnt/") && !is_granted(mount);
            refused || unasked || expected.socket.starts_with(&mount.source)
        })
        .map(|mount| mount.source.display().to_string())
        .collect();
    rows.push(row("mounts of the system", "", forbidden.join(" ")));
    rows
}

fn as_mount(found: &MountPoint) -> Mount {
    Mount {
        source: PathBuf::from(found.source.clone().unwrap_or_default()),
        target: found.destination.clone().unwrap_or_default(),
        read_only: found.rw == Some(false),
        alone: false,
    }
}

fn ports(role: Role, host: &HostConfig) -> Row {
    let bound = host.port_bindings.iter().flatten();
    let mut ports: Vec<String> = bound
        .flat_map(|(port, at)| {
            let hosts = at.iter().flatten().map(|at| at.host_ip.clone().unwrap_or_default());
            // Without an address it is every address of the host.
            hosts.map(move |ip| if ip == LOOPBACK { format!("{ip}:{port}") } else { format!("{ip}:{port} to all") })
        })
        .collect();
    if host.publish_all_ports == Some(true) {
        ports.push("all that the image exposes".to_owned());
    }
    ports.sort();
    // That of a deployment, whose own network is a bridge.
    let of_gate = role == Role::Gate && host.network_mode.as_deref() == Some("bridge");
    let ok = match ports.as_slice() {
        [] => true,
        [one] => of_gate && one.starts_with(LOOPBACK) && one.ends_with("/tcp"),
        _ => false,
    };
    let expected = if of_gate { "none, or one of 127.0.0.1" } else { "" };
    graded("published ports", expected, ports.join(" "), ok)
}

/// Files of `/proc` and `/sys` that show or change the whole machine, which the Engine hides unless told otherwise.
fn masked(host: &HostConfig) -> Row {
    let hidden = |paths: &Option<Vec<String>>, one: &str| paths.iter().flatten().any(|path| path == one);
    let ok = hidden(&host.masked_paths, "/proc/kcore") && hidden(&host.readonly_paths, "/proc/sys");
    graded("masked kernel files", "hidden", if ok { "hidden" } else { "open" }, ok)
}

fn life(host: &HostConfig) -> Vec<Row> {
    let log = host.log_config.clone().unwrap_or_default();
    let bounded = log.config.as_ref().is_some_and(|config| config.contains_key("max-size"));
    let restart = host.restart_policy.as_ref().and_then(|policy| policy.name);
    let restarts = !matches!(restart, None | Some(RestartPolicyNameEnum::NO | RestartPolicyNameEnum::EMPTY));
    vec![row("log rotation", "yes", yes(bounded)), row("restarts by itself", "no", yes(restarts))]
}

/// What runs in it besides the command: nothing, and an agent's first process is the shim.
fn processes(role: Role, config: &ContainerConfig) -> Vec<Row> {
    let test = config.healthcheck.as_ref().and_then(|check| check.test.clone()).unwrap_or_default();
    let off = matches!(test.first().map(String::as_str), Some("NONE"));
    let first = config.entrypoint.iter().flatten().chain(config.cmd.iter().flatten()).next().cloned();
    let first = first.unwrap_or_else(|| "none".to_owned());
    let first = match role {
        Role::Agent => row("first process", "/taskforge/bin/taskforge", first),
        _ => graded("first process", "any", first, true),
    };
    let check = if off { "off".to_owned() } else { format!("the image's own: {}", test.join(" ")) };
    vec![graded("health check", "off", check, off), first]
}
