#![allow(clippy::unwrap_used)]

use std::path::Path;

use proptest::prelude::*;

use super::*;

const ROOT: &str = "/srv/registry";

fn source(path: &str, read_only: bool, role: Role) -> Result<(), Refusal> {
    Mount { source: path.into(), target: "/x".into(), read_only, alone: false }.check(role, Path::new(ROOT))
}

#[test]
fn what_a_container_needs_is_allowed() {
    for (path, read_only) in [
        ("/srv/registry/runs/demo-1/nodes/gather/workspace", false),
        ("/srv/registry/runs/demo-1/nodes/gather", true),
        ("/srv/registry/runs/demo-1/gate/sockets/3f9c2a", true),
        ("/srv/registry/.taskforge/kill", true),
        ("/srv/registry/.taskforge/bin/abc", true),
        ("/srv/registry/.taskforge/tmp/fetch-1", false),
        ("/run/user/1000/taskforge/demo-1", true),
        ("/dev/shm/taskforge/demo-1", true),
        ("/home/ada/data", true),
    ] {
        source(path, read_only, Role::Agent).unwrap();
    }
    source("/etc/ssl/certs/ca-certificates.crt", true, Role::Gate).unwrap();
}

#[test]
fn what_would_open_the_box_is_refused() {
    for path in [
        "/",
        "/etc",
        "/etc/shadow",
        "/etc/ssl/certs/ca-certificates.crt",
        "/proc",
        "/proc/1/root",
        "/sys",
        "/dev",
        "/dev/shm",
        "/dev/sda",
        "/var",
        "/var/run",
        "/run",
        "/home",
        "/root",
        "/tmp",
        "/usr",
        "/var/lib/docker/overlay2",
        "/var/lib",
        "/run/docker/x",
        "/srv",
        "/srv/registry",
        "/srv/registry/.git",
        "/srv/registry/.git/hooks",
        "/srv/registry/runs",
        "/srv/registry/runs/demo-1",
        "/srv/registry/.taskforge",
        "/srv/registry/.taskforge/vault",
        "/srv/registry/.taskforge/tmp",
        "/srv/registry/x/../.git",
        "/srv//registry/.git",
        "/srv/registry/.git/",
        "srv",
        "",
        "/srv/registry/./runs/a",
        "/a\nb",
    ] {
        for read_only in [true, false] {
            assert!(source(path, read_only, Role::Agent).is_err(), "{path:?}");
        }
    }
    assert!(source("/srv/registry/.taskforge/kill", false, Role::Gate).is_err());
    assert!(source("/etc/ssl/certs/ca-certificates.crt", false, Role::Gate).is_err());
    assert!(source("/etc/ssl/private/key.pem", true, Role::Gate).is_err());
}

#[test]
fn targets() {
    for good in ["/workspace", "/inputs/gather", "/etc/ssl/certs/ca-certificates.crt"] {
        check_target(good).unwrap();
    }
    for bad in
        ["", "/", "x", "/proc", "/proc/sys", "/sys/fs", "/dev/sda", "/a/../b", "/a//b", "/a/", "/a:b", "/a,b", "/a\n"]
    {
        assert!(check_target(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn links_and_devices_are_seen_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let real = folder.path().canonicalize().unwrap().join("real");
    std::fs::create_dir(&real).unwrap();
    let link = real.with_file_name("link");
    std::os::unix::fs::symlink("/etc", &link).unwrap();
    let socket = real.join("docker.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let elsewhere = Path::new("/nowhere/docker.sock");

    let check = |path: &Path, engine: &Path| Mount::read_only(path, "/x").check_on_disk(engine);
    check(&real, elsewhere).unwrap();
    assert!(check(&link, elsewhere).is_err());
    assert!(check(&link.join("passwd"), elsewhere).is_err());
    assert!(check(&real.join("absent"), elsewhere).is_err());
    assert!(check(&socket, elsewhere).is_err());
    assert!(check(&real, &socket).is_err());
}

proptest! {
    #[test]
    fn nothing_in_git_or_system_folders_gets_through(rest in "[a-z./]{0,24}") {
        for base in ["/srv/registry/.git", "/etc", "/proc", "/var/lib/docker"] {
            let path = format!("{base}/{rest}");
            prop_assert!(source(&path, true, Role::Agent).is_err(), "{}", path);
        }
    }

    #[test]
    fn an_ancestor_of_the_registry_is_never_mounted(depth in 0usize..4) {
        let ancestor = Path::new("/srv/a/b/c").ancestors().nth(depth).unwrap();
        let mount = Mount::read_only(ancestor, "/x");
        prop_assert!(mount.check(Role::Agent, Path::new("/srv/a/b/c")).is_err());
    }
}
