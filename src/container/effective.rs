//! What a container is in effect, as the Engine says, graded against what its role promises. Nothing here trusts the
//! spec: a container that someone made by hand under our name shows what it is.

use bollard::models::{
    ContainerInspectResponse, HostConfig, HostConfigCgroupnsModeEnum, MountPoint, RestartPolicyNameEnum,
};
use serde::Serialize;

use super::engine::Engine;
use super::error::Error;
use super::labels::{Labels, ROLE};
use super::role::Role;
use super::seccomp;
use crate::run::id::Digest;

/// One row of the box.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    pub setting: &'static str,
    pub expected: String,
    pub actual: String,
    pub ok: bool,
}

impl Engine {
    /// The graded rows of a container; `None` if there is none.
    ///
    /// # Errors
    /// The Engine cannot be reached, or fails.
    pub async fn effective(&self, name: &str) -> Result<Option<Vec<Row>>, Error> {
        Ok(self.inspect_raw(name).await?.map(|found| effective(&found)))
    }
}

/// Grades what the Engine says. A container without a role of ours is graded as an agent's.
#[must_use]
pub fn effective(found: &ContainerInspectResponse) -> Vec<Row> {
    let config = found.config.clone().unwrap_or_default();
    let labels = config.labels.unwrap_or_default();
    let role = labels.get(ROLE).and_then(|text| Role::parse(text));
    let graded = role.unwrap_or(Role::Agent);
    let host = found.host_config.clone().unwrap_or_default();
    let mut rows = vec![
        row("labels", "complete", if Labels::read(|key| labels.get(key)).is_some() { "complete" } else { "missing" }),
        network(graded, &host),
        user(graded, &config.user.unwrap_or_default()),
        row("read-only root", yes(graded.is_sealed()), yes(host.readonly_rootfs == Some(true))),
    ];
    rows.extend(privileges(graded, &host));
    rows.extend(namespaces(graded, &host));
    rows.extend(limits(&host));
    rows.push(tmpfs(graded, &host));
    rows.extend(mounts(found.mounts.as_deref().unwrap_or_default()));
    rows.extend(life(&host));
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

fn limits(host: &HostConfig) -> Vec<Row> {
    let above_zero = |setting, value: Option<i64>| {
        let value = value.unwrap_or(0);
        graded(setting, "a limit", if value > 0 { value.to_string() } else { "none".to_owned() }, value > 0)
    };
    let ulimit = |setting: &'static str, name: &str| {
        let found = host.ulimits.iter().flatten().find(|limit| limit.name.as_deref() == Some(name));
        above_zero(setting, found.and_then(|limit| limit.hard))
    };
    let core = host.ulimits.iter().flatten().find(|limit| limit.name.as_deref() == Some("core"));
    let core = core.and_then(|limit| limit.hard).map_or("none".to_owned(), |hard| hard.to_string());
    vec![
        above_zero("processors (billionths)", host.nano_cpus),
        above_zero("memory (bytes)", host.memory),
        row("memory and swap (bytes)", host.memory.unwrap_or(0).to_string(), host.memory_swap.unwrap_or(0).to_string()),
        above_zero("processes and threads", host.pids_limit),
        ulimit("open files", "nofile"),
        ulimit("file size (bytes)", "fsize"),
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

fn mounts(found: &[MountPoint]) -> Vec<Row> {
    let mut rows = Vec::new();
    let volumes: Vec<String> = found
        .iter()
        .filter(|mount| mount.typ.as_deref() == Some("volume"))
        .filter_map(|mount| mount.destination.clone())
        .collect();
    rows.push(row("volumes of the image", "", volumes.join(" ")));
    let writable: Vec<String> = found
        .iter()
        .filter(|mount| mount.typ.as_deref() == Some("bind") && mount.rw == Some(true))
        .filter_map(|mount| mount.destination.clone())
        .collect();
    let ok = writable.iter().all(|target| matches!(target.as_str(), "/workspace" | "/gate" | "/out"));
    rows.push(graded("writable mounts", "the container's own folder", writable.join(" "), ok));
    let sockets: Vec<String> = found
        .iter()
        .filter_map(|mount| mount.source.clone())
        .filter(|source| source == "/" || source == "/etc" || source.ends_with(".sock"))
        .collect();
    rows.push(row("mounts of the system or a socket", "", sockets.join(" ")));
    rows
}

fn life(host: &HostConfig) -> Vec<Row> {
    let log = host.log_config.clone().unwrap_or_default();
    let bounded = log.config.as_ref().is_some_and(|config| config.contains_key("max-size"));
    let restart = host.restart_policy.as_ref().and_then(|policy| policy.name);
    let restarts = !matches!(restart, None | Some(RestartPolicyNameEnum::NO | RestartPolicyNameEnum::EMPTY));
    vec![
        row("log rotation", "yes", yes(bounded)),
        row("restarts by itself", "no", yes(restarts)),
        row("runtime", host.runtime.clone().unwrap_or_default(), host.runtime.clone().unwrap_or_default()),
    ]
}
