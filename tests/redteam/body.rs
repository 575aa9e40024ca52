//! What a container is made with: ours, ours without some rows, and one without any.

use std::collections::HashMap;
use std::path::Path;

use bollard::models::{
    ContainerCreateBody, DeviceMapping, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig, Mount, MountType,
    RestartPolicy, RestartPolicyNameEnum,
};

use crate::cage::Cage;
use crate::product::{BASE, Product};
use crate::rows::Row;
use crate::victim::Victim;

/// Where in a container the workspace is.
const WORKSPACE: &str = "/workspace";

fn bind(source: &Path, target: &str) -> Mount {
    Mount {
        source: Some(source.display().to_string()),
        target: Some(target.to_owned()),
        typ: Some(MountType::BIND),
        read_only: Some(false),
        ..Mount::default()
    }
}

/// Exactly what the product gave its agent, but for the workspace, the command and the words it is told.
pub fn ours(product: &Product, workspace: &Path) -> ContainerCreateBody {
    let config = product.found.config.clone().unwrap();
    let mut host = product.found.host_config.clone().unwrap();
    for mount in host.mounts.iter_mut().flatten() {
        if mount.target.as_deref() == Some(WORKSPACE) {
            mount.source = Some(workspace.display().to_string());
        }
    }
    ContainerCreateBody {
        image: config.image,
        user: config.user,
        env: config.env,
        working_dir: config.working_dir,
        healthcheck: config.healthcheck,
        network_disabled: config.network_disabled,
        hostname: config.hostname,
        host_config: Some(host),
        ..ContainerCreateBody::default()
    }
}

/// Takes one row away, and nothing else.
pub fn take(row: Row, body: &mut ContainerCreateBody, cage: &Cage, victim: &Victim, device: Option<&str>) {
    let host = body.host_config.as_mut().unwrap();
    let limit = |host: &mut HostConfig, name: &str| {
        host.ulimits.as_mut().unwrap().retain(|limit| limit.name.as_deref() != Some(name));
    };
    let options = |host: &mut HostConfig, from: &str, to: &str| {
        for options in host.tmpfs.as_mut().unwrap().values_mut() {
            let kept: Vec<&str> = options.split(',').filter(|option| !option.starts_with(from)).collect();
            *options = [kept, vec![to]].concat().join(",");
        }
    };
    match row {
        Row::Network => {
            body.network_disabled = Some(false);
            body.hostname = None;
            host.network_mode = Some(format!("container:{}", cage.home));
        }
        Row::User => body.user = Some("0:0".to_owned()),
        Row::Groups => host.group_add = Some(vec!["0".to_owned(), "6".to_owned()]),
        Row::ReadOnlyRoot => host.readonly_rootfs = Some(false),
        Row::Capabilities => {
            host.cap_drop = None;
            host.cap_add = Some(known_capabilities());
        }
        Row::NoNewPrivileges => host.security_opt.as_mut().unwrap().retain(|option| option.starts_with("seccomp")),
        Row::Seccomp => {
            host.security_opt.as_mut().unwrap().retain(|option| !option.starts_with("seccomp"));
            host.security_opt.as_mut().unwrap().push("seccomp=unconfined".to_owned());
        }
        Row::Masked => {
            host.masked_paths = Some(Vec::new());
            host.readonly_paths = Some(Vec::new());
        }
        Row::Devices => host.devices = Some(device.into_iter().map(mapping).collect()),
        Row::Processes => host.pid_mode = Some(format!("container:{}", victim.id)),
        Row::SharedMemory => host.ipc_mode = Some(format!("container:{}", victim.id)),
        Row::HostName => {
            body.hostname = None;
            host.uts_mode = Some("host".to_owned());
        }
        Row::ControlGroups => host.cgroupns_mode = Some(HostConfigCgroupnsModeEnum::HOST),
        Row::Memory => (host.memory, host.memory_swap) = (Some(0), Some(0)),
        Row::Swap => host.memory_swap = Some(-1),
        Row::Processors => host.nano_cpus = Some(0),
        // Kept by the product's ticks, not by the Engine: `Product::outlives` is told.
        Row::WallClock => {}
        // Every container that is made here has the attacker for PID 1: `Product::fills` is what has the shim.
        Row::Init => {}
        Row::Pids => host.pids_limit = Some(-1),
        Row::OpenFiles => limit(host, "nofile"),
        Row::FileSize => limit(host, "fsize"),
        Row::CoreDumps => limit(host, "core"),
        Row::TmpfsSize => options(host, "size=", "size=512m"),
        Row::TmpfsNoexec => options(host, "noexec", "exec"),
        Row::ShmSize => host.shm_size = Some(512 << 20),
        Row::LogRotation => {
            host.log_config = Some(HostConfigLogConfig { typ: Some("json-file".to_owned()), config: None })
        }
        Row::Restarts => host.restart_policy = Some(always()),
        Row::ReadOnlyInputs => {
            for mount in host.mounts.iter_mut().flatten() {
                let target = mount.target.clone().unwrap_or_default();
                mount.read_only = Some(mount.read_only == Some(true) && !target.starts_with("/inputs"));
            }
        }
        // Stand-ins that are root's: the product goes on with its own.
        Row::ReadOnlyShim => writable(host, "/taskforge/bin/taskforge", ".taskforge/bin/taskforge"),
        Row::ReadOnlySocket => writable(host, "/taskforge/gate", ".taskforge/gate"),
        Row::NoSocket => {
            host.mounts.as_mut().unwrap().push(bind(&cage.host.join("docker.sock"), "/var/run/docker.sock"));
        }
        Row::NoRegistry => host.mounts.as_mut().unwrap().push(bind(&cage.host.join("registry"), "/host/registry")),
        Row::NoSecret => body.env.as_mut().unwrap().push(format!("PROVIDER_KEY={}", victim.secret)),
    }
}

/// Makes the mount at `target` one of what lies at `path` in the workspace, to be written to.
fn writable(host: &mut HostConfig, target: &str, path: &str) {
    let mounts = host.mounts.as_mut().unwrap();
    let at = |mounts: &[Mount], target: &str| mounts.iter().position(|mount| mount.target.as_deref() == Some(target));
    let workspace = mounts[at(mounts, WORKSPACE).unwrap()].source.clone().unwrap();
    let place = at(mounts, target).unwrap();
    mounts[place] = bind(&Path::new(&workspace).join(path), target);
}

fn mapping(path: &str) -> DeviceMapping {
    DeviceMapping {
        path_on_host: Some(path.to_owned()),
        path_in_container: Some("/dev/target".to_owned()),
        cgroup_permissions: Some("rwm".to_owned()),
    }
}

fn always() -> RestartPolicy {
    RestartPolicy { name: Some(RestartPolicyNameEnum::ALWAYS), maximum_retry_count: None }
}

/// A container as people make them who want no trouble: root, on the network, with the host's files and sockets, every
/// capability, no filter and no limit. `private` keeps to itself what could not be cleaned up after a flood.
pub fn control(
    cage: &Cage,
    victim: &Victim,
    workspace: &Path,
    device: Option<&str>,
    private: bool,
) -> ContainerCreateBody {
    let with = |what: &str| (!private).then(|| format!("{what}:{}", victim.id));
    let host = HostConfig {
        network_mode: Some(format!("container:{}", cage.home)),
        pid_mode: with("container"),
        ipc_mode: with("container"),
        // Read only: nobody here may give the host another name.
        uts_mode: Some("host".to_owned()),
        cap_add: Some(known_capabilities()),
        security_opt: Some(vec!["seccomp=unconfined".to_owned()]),
        masked_paths: Some(Vec::new()),
        readonly_paths: Some(Vec::new()),
        cgroupns_mode: Some(HostConfigCgroupnsModeEnum::HOST),
        device_cgroup_rules: Some(vec!["a *:* rwm".to_owned()]),
        devices: Some(device.into_iter().map(mapping).collect()),
        restart_policy: Some(always()),
        shm_size: private.then_some(512 << 20),
        mounts: Some(vec![
            bind(workspace, WORKSPACE),
            bind(&cage.host, "/host"),
            bind(&cage.host.join("docker.sock"), "/var/run/docker.sock"),
            bind(&cage.host.join("naive"), "/naive"),
            bind(&workspace.join(".inputs"), "/inputs"),
            bind(&workspace.join(".taskforge"), "/taskforge"),
        ]),
        ..HostConfig::default()
    };
    ContainerCreateBody {
        image: Some(BASE.to_owned()),
        env: Some(vec![format!("PROVIDER_KEY={}", victim.secret)]),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    }
}

/// All that this process may give away: a test that runs in a container itself has not every one.
fn known_capabilities() -> Vec<String> {
    const NAMES: [&str; 38] = [
        "CHOWN",
        "DAC_OVERRIDE",
        "DAC_READ_SEARCH",
        "FOWNER",
        "FSETID",
        "KILL",
        "SETGID",
        "SETUID",
        "SETPCAP",
        "LINUX_IMMUTABLE",
        "NET_BIND_SERVICE",
        "NET_BROADCAST",
        "NET_ADMIN",
        "NET_RAW",
        "IPC_LOCK",
        "IPC_OWNER",
        "SYS_MODULE",
        "SYS_RAWIO",
        "SYS_CHROOT",
        "SYS_PTRACE",
        "SYS_PACCT",
        "SYS_ADMIN",
        "SYS_BOOT",
        "SYS_NICE",
        "SYS_RESOURCE",
        "SYS_TIME",
        "SYS_TTY_CONFIG",
        "MKNOD",
        "LEASE",
        "AUDIT_WRITE",
        "AUDIT_CONTROL",
        "SETFCAP",
        "MAC_OVERRIDE",
        "MAC_ADMIN",
        "SYSLOG",
        "WAKE_ALARM",
        "BLOCK_SUSPEND",
        "AUDIT_READ",
    ];
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let bounding = status.lines().find_map(|line| line.strip_prefix("CapBnd:")).unwrap().trim();
    let bounding = u64::from_str_radix(bounding, 16).unwrap();
    let dangerous = ["SYS_BOOT", "SYS_MODULE", "SYS_TIME"];
    let given = NAMES.iter().enumerate().filter(|(bit, name)| bounding >> bit & 1 == 1 && !dangerous.contains(*name));
    given.map(|(_, name)| (*name).to_owned()).collect()
}

/// The words that every attack is told.
pub fn tell(body: &mut ContainerCreateBody, told: &HashMap<&str, String>) {
    let env = body.env.get_or_insert_default();
    env.extend(told.iter().map(|(name, value)| format!("{name}={value}")));
}
