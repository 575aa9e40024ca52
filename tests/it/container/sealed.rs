//! Each row of an agent's box, by doing from inside what it forbids.

use serde_json::json;
use taskforge::container::{Error, Mount, Network, Promised, Refusal, Resources, Role};

use super::{Bench, block};

/// What every script starts with: `fails(f)` answers the name of the errno that `f` failed with, or None.
const PRELUDE: &str = r#"
import ctypes, errno, json, os, resource, socket, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
def fails(f):
    try:
        f()
    except OSError as e:
        return errno.errorcode.get(e.errno, str(e))
    return None
def syscall(number, *args):
    ctypes.set_errno(0)
    args = [ctypes.c_long(a) for a in args] + [ctypes.c_long(0)] * (6 - len(args))
    result = libc.syscall(ctypes.c_long(number), *args)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "ok"
"#;

fn inside(bench: &Bench, script: &str) -> serde_json::Value {
    bench.python(&format!("{PRELUDE}\n{script}"))
}

/// Both ways of having no network: the quick one, which needs an `/etc/hosts` of ours, and the Engine's.
#[test]
fn there_is_no_network_but_loopback() {
    for with_hosts in [true, false] {
        let bench = Bench::new();
        let mut spec = bench.agent(1, &["python3", "-c", &format!("{PRELUDE}\n{NETWORK}")]);
        if !with_hosts {
            spec.mounts.retain(|mount| mount.target != "/etc/hosts");
        }
        let finished = bench.run(&spec);
        assert_eq!(finished.code, 0, "{}", String::from_utf8_lossy(&finished.stderr));
        let seen: serde_json::Value = serde_json::from_slice(&finished.stdout).unwrap();
        let host = std::fs::read_link("/proc/self/ns/net").unwrap();
        assert_ne!(seen["own"].as_str().unwrap(), host.to_str().unwrap());
        assert_eq!(seen["interfaces"], json!(["lo"]));
        assert_eq!(seen["localhost"], "127.0.0.1");
        assert_eq!(seen["loopback"], json!(null));
        for way in ["world", "bridge", "metadata"] {
            assert_eq!(seen[way], "ENETUNREACH", "{way}");
        }
        assert_ne!(seen["world6"], json!(null));
        assert_eq!(seen["name"], true);
        assert_eq!(seen["routes"], 0);
    }
}

const NETWORK: &str = r#"
def connect(address, family=socket.AF_INET):
    s = socket.socket(family, socket.SOCK_STREAM); s.settimeout(3); s.connect(address)
listener = socket.socket(); listener.bind(("127.0.0.1", 0)); listener.listen()
print(json.dumps({
    "interfaces": sorted(name for _, name in socket.if_nameindex()),
    "routes": open("/proc/net/route").read().count("\n") - 1,
    "localhost": socket.gethostbyname("localhost"),
    "loopback": fails(lambda: connect(listener.getsockname())),
    "world": fails(lambda: connect(("192.0.2.1", 443))),
    "bridge": fails(lambda: connect(("172.17.0.1", 80))),
    "metadata": fails(lambda: connect(("169.254.169.254", 80))),
    "world6": fails(lambda: connect(("2001:db8::1", 443), socket.AF_INET6)),
    "name": fails(lambda: connect(("example.org", 443))) is not None,
    "own": os.readlink("/proc/self/ns/net"),
}))"#;

#[test]
fn a_package_cannot_be_installed() {
    let bench = Bench::new();
    let pip = bench.run(&bench.agent(1, &["python3", "-m", "pip", "install", "--retries", "0", "--user", "six"]));
    assert_ne!(pip.code, 0);
    assert!(!pip.timed_out && !pip.oom, "{}", String::from_utf8_lossy(&pip.stderr));
}

#[test]
fn only_the_workspace_and_memory_are_writable() {
    let bench = Bench::new();
    let seen = inside(
        &bench,
        r#"
def write(folder): return fails(lambda: open(folder + "/probe", "w").write("x"))
open("/tmp/program", "w").write("\x23!/bin/sh\n"); os.chmod("/tmp/program", 0o755)
print(json.dumps({
    "denied": {d: write(d) for d in ["/", "/etc", "/usr/bin", "/var/tmp", "/root", "/taskforge/gate", "/proc/sys/kernel",
                                     "/sys/fs/cgroup", "/dev"]},
    "allowed": {d: write(d) for d in ["/workspace", "/tmp", "/run", "/home/agent", "/dev/shm"]},
    "exec": fails(lambda: os.execv("/tmp/program", ["program"])),
    "fill": fails(lambda: open("/run/fill", "wb").write(bytes(20 << 20))),
    "home": [os.stat("/home/agent").st_uid == os.getuid(), oct(os.stat("/home/agent").st_mode & 0o7777)],
}))"#,
    );
    for (folder, errno) in seen["denied"].as_object().unwrap() {
        let errno = errno.as_str().unwrap_or_else(|| panic!("{folder} is writable"));
        assert!(["EROFS", "EACCES", "ENOENT", "EPERM"].contains(&errno), "{folder}: {errno}");
    }
    for (folder, errno) in seen["allowed"].as_object().unwrap() {
        assert_eq!(*errno, json!(null), "{folder}");
    }
    assert_eq!(seen["exec"], "EACCES");
    assert_eq!(seen["fill"], "ENOSPC");
    assert_eq!(seen["home"], json!([true, "0o700"]));
    assert!(bench.workspace().join("probe").exists());
}

#[test]
fn nobody_becomes_more_than_they_were() {
    let bench = Bench::new();
    let seen = inside(
        &bench,
        r#"
status = dict(line.split(":\t") for line in open("/proc/self/status").read().splitlines() if ":\t" in line)
su = subprocess.run(["/bin/su", "-c", "id -u"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
print(json.dumps({
    "caps": {k: int(status[k], 16) for k in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]},
    "no_new_privs": status["NoNewPrivs"], "seccomp": status["Seccomp"],
    "ids": [os.getuid(), os.geteuid(), os.getgid(), os.getegid()],
    "setuid": fails(lambda: os.setuid(0)), "setgroups": fails(lambda: os.setgroups([0])),
    "su": su.returncode, "chown": fails(lambda: os.chown("/workspace", 0, 0)),
    "mknod": fails(lambda: os.mknod("/workspace/disk", 0o60600, os.makedev(8, 0))),
    "kill": fails(lambda: os.kill(1, 0)) if os.getpid() != 1 else None,
    "processes": sorted(int(p) for p in os.listdir("/proc") if p.isdigit())[-1] < 50,
    "cgroup": open("/proc/self/cgroup").read(),
}))"#,
    );
    for (set, bits) in seen["caps"].as_object().unwrap() {
        assert_eq!(*bits, 0, "{set}");
    }
    assert_eq!(seen["no_new_privs"], "1");
    assert_eq!(seen["seccomp"], "2");
    let (uid, gid) = bench.user;
    assert_eq!(seen["ids"], json!([uid, uid, gid, gid]));
    for act in ["setuid", "setgroups", "chown", "mknod"] {
        assert_eq!(seen[act], "EPERM", "{act}");
    }
    assert_ne!(seen["su"], 0);
    assert_eq!(seen["processes"], true);
    let cgroup = seen["cgroup"].as_str().unwrap();
    assert!(!cgroup.contains("docker"), "the container sees the host's control groups: {cgroup}");
}

#[test]
fn the_kernels_doors_are_shut() {
    let bench = Bench::new();
    let seen = inside(
        &bench,
        r#"
numbers = {"io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "unshare": 272, "mount": 165,
           "setns": 308, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "keyctl": 250, "add_key": 248,
           "init_module": 175, "kexec_load": 246, "open_by_handle_at": 304, "pivot_root": 155, "fsopen": 430,
           "syslog": 103, "clock_settime": 227, "pidfd_getfd": 438, "modify_ldt": 154, "iopl": 172}
result = {name: syscall(number, 0x10000000 if name == "unshare" else 1) for name, number in numbers.items()}
result["clone3"] = syscall(435, 0, 0)
result["sockets"] = {family: fails(lambda: socket.socket(number, socket.SOCK_RAW if number == 17 else socket.SOCK_STREAM))
                     for family, number in {"AF_PACKET": 17, "AF_ALG": 38, "AF_VSOCK": 40, "AF_BLUETOOTH": 31}.items()}
print(json.dumps(result))"#,
    );
    let mut seen = seen.as_object().unwrap().clone();
    assert_eq!(seen.remove("clone3").unwrap(), "ENOSYS");
    for (family, errno) in seen.remove("sockets").unwrap().as_object().unwrap() {
        assert_eq!(*errno, "EPERM", "{family}");
    }
    for (name, errno) in seen {
        assert_eq!(errno, "EPERM", "{name}");
    }
}

#[test]
fn nothing_of_the_host_is_to_be_seen() {
    let bench = Bench::new();
    let seen = inside(
        &bench,
        r#"
known = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "mqueue", "fd", "stdin", "stdout",
         "stderr", "core", "console"}
print(json.dumps({
    "devices": sorted(set(os.listdir("/dev")) - known),
    "sockets": [p for p in ["/var/run/docker.sock", "/run/docker.sock"] if os.path.exists(p)],
    "host": socket.gethostname(),
    "env": {k: v for k, v in os.environ.items() if "KEY" in k or "TOKEN" in k or "SECRET" in k},
}))"#,
    );
    // The SDKs want a key before they ask anything; the gate looks at none.
    let no_keys = json!({"OPENAI_API_KEY": "taskforge", "ANTHROPIC_API_KEY": "taskforge"});
    assert_eq!(seen, json!({"devices": [], "sockets": [], "host": "agent", "env": no_keys}));
}

#[test]
fn memory_ends_where_the_limit_is() {
    let bench = Bench::new();
    let mut spec = bench.agent(1, &["python3", "-c", "x = bytearray(1 << 30); print(len(x))"]);
    spec.resources.memory = 32 << 20;
    // The limit always holds. That it was the limit, the Engine learns beside the end: on a busy machine it can be too late.
    let told = (0..5).any(|_| {
        let finished = bench.run(&spec);
        assert_eq!((finished.code, finished.stdout.len()), (137, 0), "{finished:?}");
        finished.oom
    });
    assert!(told, "the Engine never said that memory was at its end");
}

#[test]
fn limits_hold() {
    let bench = Bench::new();
    let script = format!(
        "{PRELUDE}\n{}",
        r#"
children = 0
def fork():
    global children
    while children < 500:
        if os.fork() == 0:
            os.read(reader, 1); os._exit(0)
        children += 1
reader, writer = os.pipe()
forked = fails(fork)
opened = []
def open_many():
    while len(opened) < 5000: opened.append(os.open("/dev/null", os.O_RDONLY))
files = fails(open_many)
for f in opened: os.close(f)
import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
def large():
    with open("/workspace/large", "wb", buffering=0) as f:
        while f.tell() < 8 << 20: f.write(bytes(1 << 16))
size = fails(large)
def first(*paths):
    for path in paths:
        if os.path.exists(path): return open(path).read().strip()
raised = []
for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
    try: resource.setrlimit(kind, (1 << 30, 1 << 30)); raised.append(kind)
    except (ValueError, OSError): pass
print(json.dumps({
    "fork": forked, "children": children, "files": files, "opened": len(opened), "size": size,
    "large": os.stat("/workspace/large").st_size, "core": resource.getrlimit(resource.RLIMIT_CORE), "raised": raised,
    "cpu": first("/sys/fs/cgroup/cpu.max", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us"),
    "memory": first("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"),
    "pids": first("/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"),
}))"#
    );
    let mut spec = bench.agent(1, &["python3", "-c", &script]);
    spec.resources = Resources { cpus: 0.5, memory: 256 << 20, pids: 40, files: 200, file_size: 1 << 20 };
    let finished = bench.run(&spec);
    assert_eq!(finished.code, 0, "{}", String::from_utf8_lossy(&finished.stderr));
    let seen: serde_json::Value = serde_json::from_slice(&finished.stdout).unwrap();
    assert_eq!(seen["fork"], "EAGAIN");
    assert_eq!(seen["children"], 39);
    assert_eq!(seen["files"], "EMFILE");
    assert!(seen["opened"].as_u64().unwrap() < 200);
    assert_eq!(seen["size"], "EFBIG");
    assert_eq!(seen["large"], 1 << 20);
    assert_eq!(seen["core"], json!([0, 0]));
    assert_eq!(seen["raised"], json!([]));
    assert!(seen["cpu"].as_str().unwrap().starts_with("50000"), "{seen}");
    assert_eq!(seen["memory"], (256 << 20).to_string());
    assert_eq!(seen["pids"], "40");
}

#[test]
fn what_is_in_effect_is_what_was_promised() {
    let bench = Bench::new();
    let shim = bench.root().join(".taskforge/bin/shim");
    std::fs::copy(env!("CARGO_BIN_EXE_taskforge"), shim).unwrap();
    let spec = bench.agent(1, &["/taskforge/bin/taskforge", "--version"]);
    block(bench.engine.ensure_started(&spec, &())).unwrap();
    let grade = |name: &str| block(bench.engine.effective(name, None, &bench.root(), &Promised::default())).unwrap();
    let ours = grade(&spec.name).unwrap();
    assert_eq!((ours.grade, &ours.deductions), (100, &vec![]));
    assert!(ours.rows.len() >= 34, "{}", ours.rows.len());
    assert!(grade("tf-nobody").is_none());
    // Other limits than it was to be given are none, be they more or less.
    let grade = |resources: Resources| {
        let promised = Promised { resources: Some(resources), mounts: Vec::new() };
        block(bench.engine.effective(&spec.name, None, &bench.root(), &promised)).unwrap().unwrap()
    };
    let asked = &spec.resources;
    assert_eq!(grade(*asked).grade, 100);
    let other = [
        ("processors (billionths)", Resources { cpus: asked.cpus / 2.0, ..*asked }),
        ("memory (bytes)", Resources { memory: asked.memory * 2, ..*asked }),
        ("processes and threads", Resources { pids: asked.pids - 1, ..*asked }),
        ("open files", Resources { files: asked.files + 1, ..*asked }),
        ("file size (bytes)", Resources { file_size: asked.file_size / 2, ..*asked }),
    ];
    for (setting, resources) in other {
        let lost: Vec<_> = grade(resources).deductions.iter().map(|lost| lost.setting).collect();
        assert_eq!(lost, [setting]);
    }
}

#[test]
fn a_plain_container_is_graded_by_the_same_table_and_not_left_behind() {
    let bench = Bench::new();
    let image = taskforge::container::ImageRef::parse(super::BASE).unwrap();
    let plain = block(bench.engine.grade_plain(&image, &bench.registry, &())).unwrap();
    assert_eq!(bench.containers(), Vec::<String>::new());
    let lost: Vec<_> = plain.deductions.iter().map(|lost| lost.setting).collect();
    for setting in [
        "network",
        "user",
        "read-only root",
        "capabilities dropped",
        "no new privileges",
        "seccomp profile",
        "processors (billionths)",
        "memory (bytes)",
        "processes and threads",
        "open files",
        "file size (bytes)",
        "core dump (bytes)",
        "log rotation",
        "first process",
    ] {
        assert!(lost.contains(&setting), "{setting}: {lost:?}");
    }
    // Docker's own defaults are worth something, too.
    assert!((20..70).contains(&plain.grade), "{}: {lost:?}", plain.grade);
    let sum: u32 = plain.deductions.iter().map(|lost| u32::from(lost.points)).sum();
    assert_eq!(u32::from(plain.grade) + sum, 100);
}

/// Each setting taken from a container by hand, seen by what the Engine says of it.
#[test]
fn what_was_taken_away_by_hand_is_named() {
    let bench = Bench::new();
    let docker = |arguments: &[&str]| {
        let mut words = vec!["create", "--label", "io.taskforge.role=agent"];
        let label = format!("io.taskforge.registry={}", bench.registry);
        words.extend(["--label", &label]);
        words.extend(arguments);
        words.extend([super::BASE, "true"]);
        let made = std::process::Command::new("docker").args(&words).output().unwrap();
        assert!(made.status.success(), "{words:?}: {made:?}");
        let id = String::from_utf8(made.stdout).unwrap().trim().to_owned();
        let graded = block(bench.engine.effective(&id, None, &bench.root(), &Promised::default())).unwrap().unwrap();
        block(bench.engine.remove(&id)).unwrap();
        graded
    };
    let root = bench.root().display().to_string();
    let socket = bench.engine.socket().display().to_string();
    for (setting, arguments) in [
        ("network", vec!["--network", "host"]),
        ("published ports", vec!["-p", "127.0.0.1::4180"]),
        ("other groups", vec!["--group-add", "0"]),
        ("capabilities added", vec!["--cap-add", "SYS_ADMIN"]),
        ("privileged", vec!["--privileged"]),
        ("seccomp profile", vec!["--security-opt", "seccomp=unconfined"]),
        ("devices", vec!["--device", "/dev/null"]),
        ("masked kernel files", vec!["--security-opt", "systempaths=unconfined"]),
        ("processes", vec!["--pid", "host"]),
        ("host name", vec!["--uts", "host"]),
        ("shared memory", vec!["--ipc", "host"]),
        ("control groups", vec!["--cgroupns", "host"]),
        ("tmpfs", vec!["--tmpfs", "/tmp:exec"]),
        ("volumes of the image", vec!["-v", "/x"]),
        ("writable mounts", vec!["-v", "/opt:/opt"]),
        ("mounts of the system", vec!["-v", "/etc:/host:ro"]),
        ("mounts of the system", vec!["-v", &root]),
        ("mounts of the system", vec!["-v", &socket]),
        ("restarts by itself", vec!["--restart", "always"]),
    ] {
        let arguments: Vec<String> = arguments
            .iter()
            .map(|word| if **word == root || **word == socket { format!("{word}:/x:ro") } else { (*word).to_owned() })
            .collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let graded = docker(&arguments);
        assert!(graded.deductions.iter().any(|lost| lost.setting == setting), "{setting}: {:#?}", graded.deductions);
    }
}

#[test]
fn a_builders_box_is_root_without_the_rest() {
    let bench = Bench::new();
    let script = "grep -E '^(CapBnd|NoNewPrivs|Seccomp):' /proc/self/status | tr '\\t' ' '; id -u; ls /sys/class/net; \
                  touch /usr/x && chown 1000 /usr/x && mount -t tmpfs x /mnt 2>&1";
    let finished = bench.run(&bench.builder(Role::Build, Network::None, &["sh", "-c", script]));
    let text = String::from_utf8_lossy(&finished.stdout);
    assert!(text.contains("CapBnd: 00000000000000db\nNoNewPrivs: 1\nSeccomp: 2\n0\nlo\n"), "{text}");
    assert_ne!(finished.code, 0, "a builder could mount");
    let fetch = bench.run(&bench.builder(Role::Fetch, Network::Bridge, &["ls", "/sys/class/net"]));
    assert_eq!(String::from_utf8_lossy(&fetch.stdout), "eth0\nlo\n");
}

#[test]
fn what_must_never_be_mounted_is_refused_before_the_engine_hears_of_it() {
    let bench = Bench::new();
    std::fs::create_dir_all(bench.root().join(".git")).unwrap();
    let outside = tempfile::tempdir().unwrap();
    let link = outside.path().canonicalize().unwrap().join("link");
    std::os::unix::fs::symlink("/etc", &link).unwrap();
    let socket = bench.engine.socket().to_path_buf();
    for source in ["/".into(), "/etc".into(), socket, bench.root(), bench.root().join(".git"), link, "/nowhere".into()]
    {
        let mut spec = bench.agent(1, &["true"]);
        spec.mounts.push(Mount::read_only(&source, "/x"));
        let error = block(bench.engine.ensure_started(&spec, &())).unwrap_err();
        let refused = matches!(&error, Error::Refused { refusal: Refusal::Source { .. }, .. });
        assert!(refused, "{}: {error}", source.display());
    }
    let root = taskforge::container::ContainerSpec { user: (0, 0), ..bench.agent(1, &["true"]) };
    assert!(matches!(block(bench.engine.ensure_started(&root, &())), Err(Error::Refused { .. })));
    assert_eq!(bench.containers(), Vec::<String>::new());
}

#[test]
fn a_runtime_that_is_absent_is_not_replaced() {
    let bench = Bench::new();
    let spec = taskforge::container::ContainerSpec { runtime: Some("absent".into()), ..bench.agent(1, &["true"]) };
    let error = block(bench.engine.ensure_started(&spec, &())).unwrap_err();
    assert!(matches!(&error, Error::RuntimeMissing { runtime, .. } if runtime == "absent"), "{error:?}");
    let running: Vec<_> =
        block(bench.engine.list(&bench.registry)).unwrap().into_iter().filter(|c| c.running).collect();
    assert!(running.is_empty());
}
