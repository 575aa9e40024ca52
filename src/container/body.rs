//! A spec as the Engine is told it. Every row of the box is written out here, also those whose value is the Engine's
//! default today: a default can be changed in the Engine's configuration.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig, Mount as BindMount,
    MountBindOptions, MountBindOptionsPropagationEnum, MountType, PortBinding, ResourcesUlimits, RestartPolicy,
    RestartPolicyNameEnum,
};
use serde_json::Value;

use super::labels::SPEC;
use super::mount::Mount;
use super::network::Network;
use super::role::Role;
use super::seccomp;
use super::spec::ContainerSpec;
use crate::run::id::Digest;

/// Bytes of `/dev/shm`; they count towards the container's memory.
const SHARED_MEMORY: i64 = 64 << 20;

/// Log files are kept in the Engine's binary format, which keeps every byte as it was (the JSON one replaces what is
/// not UTF-8), at most two of this size.
const LOG_DRIVER: &str = "local";
const LOG_SIZE: &str = "8m";
const LOG_FILES: &str = "2";

/// Where a port is published: to this machine and nobody else.
pub(crate) const LOOPBACK: &str = "127.0.0.1";

/// What the Engine is sent to create the container.
pub(crate) fn create_body(spec: &ContainerSpec) -> ContainerCreateBody {
    let mut body = unlabelled(spec, seccomp::PROFILE);
    let digest = digest(spec);
    body.labels.get_or_insert_default().insert(SPEC.to_owned(), digest.as_str().to_owned());
    body
}

/// The digest of [`create_body`] before the label that holds it.
pub(crate) fn digest(spec: &ContainerSpec) -> Digest {
    let body = unlabelled(spec, seccomp::profile_digest().as_str());
    let value = serde_json::to_value(&body).unwrap_or(Value::Null);
    let sorted = [("name", Value::String(spec.name.clone())), ("body", canonical(value))];
    let text = canonical(Value::Object(sorted.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())).to_string();
    Digest::of(text.as_bytes())
}

/// The same value with the keys of every object sorted.
fn canonical(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut pairs: Vec<_> = map.into_iter().map(|(key, value)| (key, canonical(value))).collect();
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(pairs.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(canonical).collect()),
        other => other,
    }
}

fn unlabelled(spec: &ContainerSpec, profile: &str) -> ContainerCreateBody {
    let (uid, gid) = spec.user;
    // An agent that reads its host name must read the same in a second run, or recorded conversations would differ.
    let hostname = (spec.network != Network::Host).then(|| spec.role().as_str().to_owned());
    let mut env: Vec<String> = spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut argv = spec.argv.clone();
    if spec.role() == Role::Build && !env.is_empty() {
        // What is in a container's environment would be in the image that is made from it, and stay there.
        argv = std::iter::once("/usr/bin/env".to_owned()).chain(env.drain(..)).chain(argv).collect();
    }
    ContainerCreateBody {
        hostname,
        user: Some(format!("{uid}:{gid}")),
        attach_stdin: Some(false),
        attach_stdout: Some(false),
        attach_stderr: Some(false),
        tty: Some(false),
        open_stdin: Some(false),
        stdin_once: Some(false),
        env: Some(env),
        entrypoint: Some(argv),
        // An image's health check would be a second program in the container.
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() }),
        image: Some(spec.image.to_string()),
        working_dir: Some(spec.workdir.clone()),
        exposed_ports: spec.published.map(|port| vec![tcp(port)]),
        network_disabled: Some(skips_network(spec)),
        labels: Some(spec.labels.to_map().into_iter().collect()),
        stop_signal: Some("SIGTERM".to_owned()),
        stop_timeout: Some(i64::from(spec.stop_timeout)),
        host_config: Some(host_config(spec, profile)),
        ..ContainerCreateBody::default()
    }
}

/// With the mode `none` the Engine still sets up a network, of nothing, which takes half the time of a start. Told that
/// there is no network at all, it leaves the new namespace as the runtime makes it: loopback and nothing else. It then
/// writes no `/etc/hosts` either, so that an agent has to be given one, or `localhost` would mean nothing to it.
fn skips_network(spec: &ContainerSpec) -> bool {
    spec.network == Network::None
        && (spec.role() != Role::Agent || spec.mounts.iter().any(|mount| mount.target == "/etc/hosts"))
}

fn host_config(spec: &ContainerSpec, profile: &str) -> HostConfig {
    let role = spec.role();
    let memory = i64::try_from(spec.resources.memory).unwrap_or(i64::MAX);
    let words = |list: &[&str]| list.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    HostConfig {
        memory: Some(memory),
        // Memory and swap together: no swap.
        memory_swap: Some(memory),
        nano_cpus: Some(spec.resources.nano_cpus()),
        pids_limit: Some(i64::from(spec.resources.pids)),
        ulimits: Some(ulimits(spec)),
        devices: Some(Vec::new()),
        device_cgroup_rules: Some(Vec::new()),
        init: Some(false),
        log_config: Some(HostConfigLogConfig {
            typ: Some(LOG_DRIVER.to_owned()),
            config: Some(
                [("max-size", LOG_SIZE), ("max-file", LOG_FILES), ("compress", "false")]
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .collect(),
            ),
        }),
        network_mode: Some(spec.network.as_str().to_owned()),
        publish_all_ports: Some(false),
        port_bindings: spec.published.map(on_loopback),
        restart_policy: Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None }),
        auto_remove: Some(false),
        mounts: Some(spec.mounts.iter().map(bind).collect()),
        cap_drop: Some(words(&["ALL"])),
        cap_add: Some(words(role.capabilities())),
        cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
        ipc_mode: Some(role.ipc().to_owned()),
        shm_size: (role.ipc() == "private").then_some(SHARED_MEMORY),
        privileged: Some(false),
        readonly_rootfs: Some(role.is_sealed()),
        security_opt: Some(seccomp::with_profile(profile)),
        tmpfs: Some(spec.tmpfs.iter().map(|t| (t.target.clone(), t.options())).collect::<HashMap<_, _>>()),
        runtime: spec.runtime.clone(),
        ..HostConfig::default()
    }
}

fn tcp(port: u16) -> String {
    format!("{port}/tcp")
}

/// The host's side of a published port.
fn on_loopback(port: u16) -> HashMap<String, Option<Vec<PortBinding>>> {
    let binding = PortBinding { host_ip: Some(LOOPBACK.to_owned()), host_port: Some(port.to_string()) };
    HashMap::from([(tcp(port), Some(vec![binding]))])
}

fn ulimits(spec: &ContainerSpec) -> Vec<ResourcesUlimits> {
    let limit = |name: &str, value: u64| {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        ResourcesUlimits { name: Some(name.to_owned()), soft: Some(value), hard: Some(value) }
    };
    vec![limit("core", 0), limit("fsize", spec.resources.file_size), limit("nofile", spec.resources.files)]
}

/// As a mount and not as a bind string: the Engine refuses a source that is absent, where it would make a folder for
/// a string.
fn bind(mount: &Mount) -> BindMount {
    BindMount {
        target: Some(mount.target.clone()),
        source: Some(mount.source.to_string_lossy().into_owned()),
        typ: Some(MountType::BIND),
        read_only: Some(mount.read_only),
        bind_options: Some(MountBindOptions {
            propagation: Some(MountBindOptionsPropagationEnum::RPRIVATE),
            non_recursive: mount.alone.then_some(true),
            ..MountBindOptions::default()
        }),
        ..BindMount::default()
    }
}
