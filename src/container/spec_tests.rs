#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::container::body::create_body;
use crate::container::{AgentContainer, GateContainer};
use crate::run::id::{NodeId, RunId};

fn agent() -> ContainerSpec {
    AgentContainer {
        registry: "01JREGISTRY".into(),
        registry_root: "/srv/registry".into(),
        run: RunId::parse("demo-1").unwrap(),
        node: NodeId::parse("gather").unwrap(),
        attempt: 2,
        image: ImageRef::parse("taskforge/base:default").unwrap(),
        argv: vec!["/taskforge/bin/taskforge".into(), "agent".into(), "init".into()],
        env: vec![("LANG".into(), "C.UTF-8".into())],
        user: (200_000, 200_000),
        resources: Resources::default(),
        runtime: None,
        workspace: "/srv/registry/runs/demo-1/nodes/gather/workspace".into(),
        role: None,
        granted: Vec::new(),
        inputs: vec![("sales.csv".into(), "/srv/registry/runs/demo-1/inputs/sales.csv".into())],
        binary: "/srv/registry/.taskforge/bin/abc".into(),
        socket_folder: "/srv/registry/runs/demo-1/gate/sockets/3f9c2a".into(),
        hosts: Some("/srv/registry/.taskforge/bin/hosts".into()),
    }
    .spec()
}

fn gate() -> ContainerSpec {
    GateContainer {
        registry: "01JREGISTRY".into(),
        registry_root: "/srv/registry".into(),
        run: RunId::parse("demo-1").unwrap(),
        image: ImageRef::parse("taskforge/gate:0123456789ab").unwrap(),
        args: vec!["gate".into()],
        user: (200_001, 200_001),
        network: Network::Host,
        published: None,
        runtime: None,
        gate_folder: "/srv/registry/runs/demo-1/gate".into(),
        spent_folder: "/srv/registry/.taskforge/spent".into(),
        kill_folder: "/srv/registry/.taskforge/kill".into(),
        secrets: Some("/dev/shm/taskforge/demo-1".into()),
        ca_bundle: Some("/etc/ssl/certs/ca-certificates.crt".into()),
    }
    .spec()
}

fn told(spec: &ContainerSpec) -> serde_json::Value {
    let mut body = serde_json::to_value(create_body(spec)).unwrap();
    let options = body["HostConfig"]["SecurityOpt"].as_array_mut().unwrap();
    for option in options {
        if option.as_str().unwrap().starts_with("seccomp=") {
            assert_eq!(option.as_str().unwrap().strip_prefix("seccomp=").unwrap(), crate::container::seccomp::PROFILE);
            *option = "seccomp=[ours]".into();
        }
    }
    body["Labels"]["io.taskforge.spec"] = "[digest]".into();
    body
}

#[test]
fn what_the_engine_is_told_of_an_agent() {
    let mut settings = insta::Settings::clone_current();
    settings.set_sort_maps(true);
    settings.bind(|| insta::assert_json_snapshot!("agent", told(&agent())));
}

#[test]
fn what_the_engine_is_told_of_a_gate() {
    let mut settings = insta::Settings::clone_current();
    settings.set_sort_maps(true);
    settings.bind(|| insta::assert_json_snapshot!("gate", told(&gate())));
}

#[test]
fn the_specs_we_make_are_allowed() {
    agent().check().unwrap();
    gate().check().unwrap();
}

#[test]
fn a_sealed_container_is_never_root() {
    for user in [(0, 0), (0, 1000), (1000, 0)] {
        for spec in [agent(), gate()] {
            assert!(matches!(ContainerSpec { user, ..spec }.check(), Err(Refusal::Root { .. })), "{user:?}");
        }
    }
}

#[test]
fn each_role_has_its_networks() {
    let allowed = |role, network| {
        let mut spec = agent();
        spec.labels.role = role;
        spec.network = network;
        spec.check().is_ok()
    };
    for role in Role::ALL {
        assert_eq!(allowed(role, Network::Host), role == Role::Gate, "{role}");
        assert_eq!(allowed(role, Network::None), role != Role::Gate, "{role}");
        assert_eq!(allowed(role, Network::Bridge), matches!(role, Role::Gate | Role::Resolve | Role::Fetch), "{role}");
    }
}

#[test]
fn specs_that_make_no_sense_are_refused() {
    let refused = |change: fn(&mut ContainerSpec)| {
        let mut spec = agent();
        change(&mut spec);
        spec.check().unwrap_err()
    };
    refused(|s| s.name = "other".into());
    refused(|s| s.name = "tf-../../images".into());
    refused(|s| s.argv.clear());
    refused(|s| s.argv = vec!["a\0b".into()]);
    refused(|s| s.env.push(("A=B".into(), "c".into())));
    refused(|s| s.env.push(("A".into(), "c\0".into())));
    refused(|s| s.resources.cpus = f64::NAN);
    refused(|s| s.resources.cpus = -1.0);
    refused(|s| s.resources.memory = 1024);
    refused(|s| s.resources.memory = u64::MAX);
    refused(|s| s.resources.pids = 0);
    refused(|s| s.resources.file_size = 0);
    refused(|s| s.runtime = Some("run c".into()));
    refused(|s| s.runtime = Some(String::new()));
    refused(|s| s.labels.registry.clear());
    refused(|s| s.workdir = "/proc".into());
    refused(|s| s.tmpfs[0].size = 0);
    refused(|s| s.tmpfs[0].exec = true);
    refused(|s| s.tmpfs[0].target = "/workspace".into());
    refused(|s| s.mounts[0].source = "/srv/registry/.git".into());
}

#[test]
fn the_digest_covers_all_that_has_an_effect() {
    let before = agent().digest();
    assert_eq!(before, agent().digest());
    let changes: [fn(&mut ContainerSpec); 17] = [
        |s| s.name.push('0'),
        |s| s.image = ImageRef::parse("taskforge/base:other").unwrap(),
        |s| s.argv.push("x".into()),
        |s| s.env.push(("X".into(), "y".into())),
        |s| s.user = (200_002, 200_002),
        |s| s.workdir = "/inputs".into(),
        |s| s.mounts[1].read_only = false,
        |s| s.mounts[0].source = "/srv/elsewhere".into(),
        |s| s.tmpfs[0].size += 1,
        |s| s.network = Network::Bridge,
        |s| s.published = Some(9100),
        |s| s.resources.cpus = 0.5,
        |s| s.resources.file_size += 1,
        |s| s.runtime = Some("runsc".into()),
        |s| s.labels.attempt = Some(3),
        |s| s.labels.role = Role::Probe,
        |s| s.stop_timeout += 1,
    ];
    for (n, change) in changes.into_iter().enumerate() {
        let mut spec = agent();
        change(&mut spec);
        assert_ne!(spec.digest(), before, "change {n}");
    }
    let moved = ContainerSpec { registry_root: "/srv/moved".into(), ..agent() };
    assert_eq!(moved.digest(), before);
}

#[test]
fn a_builders_environment_stays_out_of_its_image() {
    let mut spec = agent();
    spec.labels.role = Role::Build;
    spec.env = vec![("A".into(), "b c".into())];
    spec.argv = vec!["pip".into()];
    let body = told(&spec);
    assert_eq!(body["Env"], serde_json::json!([]));
    assert_eq!(body["Entrypoint"], serde_json::json!(["/usr/bin/env", "A=b c", "pip"]));
    assert_eq!(body["HostConfig"]["CapDrop"], serde_json::json!(["ALL"]));
    assert_eq!(body["HostConfig"]["ReadonlyRootfs"], false);
}

proptest! {
    #[test]
    fn any_resources_that_pass_are_told_whole(
        cpus in 0.01f64..64.0, memory in 6u64 << 20..1 << 40, pids in 1u32.., files in 16u64..1 << 20,
    ) {
        let mut spec = agent();
        spec.resources = Resources { cpus, memory, pids, files, file_size: 1 };
        spec.check().unwrap();
        let body = told(&spec);
        let host = &body["HostConfig"];
        prop_assert_eq!(host["Memory"].as_u64(), Some(memory));
        prop_assert_eq!(&host["MemorySwap"], &host["Memory"]);
        prop_assert_eq!(host["PidsLimit"].as_u64(), Some(u64::from(pids)));
        let nano = host["NanoCpus"].as_f64().unwrap();
        prop_assert!((nano / 1e9 - cpus).abs() < 1e-6);
    }
}

#[test]
fn only_a_gate_on_the_bridge_publishes_and_only_to_this_machine() {
    let published = |spec: ContainerSpec, network| ContainerSpec { published: Some(9100), network, ..spec };
    let spec = published(gate(), Network::Bridge);
    spec.check().unwrap();
    let body = told(&spec);
    let binding = serde_json::json!({"9100/tcp": [{"HostIp": "127.0.0.1", "HostPort": "9100"}]});
    assert_eq!(body["HostConfig"]["PortBindings"], binding);
    for spec in [published(gate(), Network::Host), published(agent(), Network::None)] {
        assert!(matches!(spec.check(), Err(Refusal::Published { .. })), "{spec:?}");
    }
}
