//! The kernel's own doors: keys, filters, namespaces, identities, priorities.

use std::fs;
use std::process::Command;

use super::{Mechanism, attack};
use crate::scene::Scene;

pub fn all() -> Vec<Mechanism> {
    vec![
        attack("leave a key in the kernel's keyring", KEY, keyed),
        attack("read what a neighbour's keys are called", r#"loot(open("/proc/keys").read())"#, |s| {
            s.looted(&s.victim.secret)
        })
        .after(name_keys),
        attack("a ring that passes by every filter", "ring = call(425, 8, ctypes.create_string_buffer(120))", |s| {
            opened(s, "[io_uring]")
        }),
        attack("handle page faults itself", "fault = call(323, 1)", |s| opened(s, "[userfaultfd]")),
        attack("load something into the kernel", BPF, |s| opened(s, "bpf-map")),
        attack("count the processor's events", PERF, |s| opened(s, "[perf_event]")),
        attack("watch a whole file system", "watch = call(300, 0, 0)", |s| opened(s, "[fanotify]")),
        attack("be root in users of its own", "unshare(0x10000000)", |s| s.left_namespace("user")),
        attack("have mounts of its own", "unshare(0x20000)", |s| s.left_namespace("mnt")),
        attack("have a network of its own", "unshare(0x40000000)", |s| s.left_namespace("net")),
        attack("have a host name of its own", "unshare(0x4000000)", |s| s.left_namespace("uts")),
        attack("have control groups of its own", "unshare(0x2000000)", |s| s.left_namespace("cgroup")),
        attack("make its data executable", "libc.personality(0x0400000)", |s| {
            u32::from_str_radix(s.proc("personality").trim(), 16).unwrap_or(0) & 0x0040_0000 != 0
        }),
        attack("take another user's id", "os.setresuid(int(os.environ['OTHER_UID']), -1, -1)", |s| {
            s.proc("status").contains("Uid:\t4242\t")
        }),
        attack("take another group's id", "os.setresgid(int(os.environ['OTHER_UID']), -1, -1)", |s| {
            s.proc("status").contains("Gid:\t4242\t")
        }),
        attack("join groups", "os.setgroups([0, 4242])", |s| s.proc("status").contains("Groups:\t0 4242")),
        attack("run before all others", "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))", |s| {
            s.proc("stat").rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(38)) == Some("1")
        }),
        attack("be served before all others", "os.setpriority(os.PRIO_PROCESS, 0, -19)", |s| {
            s.proc("stat").rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(16)) == Some("-19")
        }),
        attack(
            "be spared by the kernel's killer",
            r#"os.write(os.open("/proc/self/oom_score_adj", os.O_WRONLY), b"-900")"#,
            |s| s.proc("oom_score_adj").trim() == "-900",
        ),
        attack("keep memory from being swapped", LOCK, |s| {
            let status = s.proc("status");
            let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap_or("0");
            locked.trim().trim_end_matches(" kB").parse::<u64>().is_ok_and(|kib| kib >= 32 << 10)
        }),
        attack("allow itself core dumps", "resource.setrlimit(resource.RLIMIT_CORE, (1 << 30, 1 << 30))", |s| {
            s.proc("limits").lines().any(|line| line.starts_with("Max core file size") && line.contains("1073741824"))
        }),
        attack("give itself a larger share", SHARE, shared),
        attack("read the kernel's log", LOG, |s| s.looted(&s.victim.secret)).after(|s| {
            fs::write("/dev/kmsg", format!("<7>taskforge test {}\n", s.victim.secret)).unwrap();
        }),
        attack("write into the kernel's log", KMSG, |s| {
            let said = Command::new("dmesg").output().unwrap();
            String::from_utf8_lossy(&said.stdout).contains(&s.token)
        }),
    ]
}

fn opened(scene: &Scene<'_>, what: &str) -> bool {
    scene.open_files().iter().any(|file| file.contains(what))
}

/// Gives the attacker's user, of whom the neighbour is, too, a key with the secret for its name. It goes by itself.
fn name_keys(scene: &Scene<'_>) {
    const ADD: &str = "import ctypes, os, sys; libc = ctypes.CDLL(None); c = ctypes.c_long; \
                       os.setgroups([]); os.setresgid(*[int(sys.argv[3])] * 3); os.setresuid(*[int(sys.argv[2])] * 3); \
                       key = libc.syscall(c(248), b'user', sys.argv[1].encode(), b'x', c(1), c(-4)); \
                       assert key > 0 and libc.syscall(c(250), c(15), c(key), c(30)) == 0";
    for (uid, gid) in [(0, 0), scene.product.user()] {
        let words = [scene.victim.secret.clone(), uid.to_string(), gid.to_string()];
        let added = Command::new("python3").args(["-c", ADD]).args(words).output().unwrap();
        assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    }
}

/// Keys show themselves to their own user only.
fn keyed(scene: &Scene<'_>) -> bool {
    let status = scene.proc("status");
    let id = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0 0").trim().to_owned();
        line.split_whitespace().next().unwrap_or("0").to_owned()
    };
    let user = ["--reuid", &id("Uid:"), "--regid", &id("Gid:"), "--clear-groups"].map(str::to_owned);
    let keys = Command::new("setpriv").args(user).args(["cat", "/proc/keys"]).output().unwrap();
    String::from_utf8_lossy(&keys.stdout).contains(&scene.token)
}

/// Where the host keeps the container's share of the processors.
fn shared(scene: &Scene<'_>) -> bool {
    let groups = scene.proc("cgroup");
    groups.lines().any(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let files = if controllers.is_empty() {
            vec![format!("/sys/fs/cgroup{path}/cpu.weight")]
        } else {
            vec![
                format!("/sys/fs/cgroup/{controllers}{path}/cpu.shares"),
                format!("/sys/fs/cgroup/cpu{path}/cpu.shares"),
            ]
        };
        files.iter().any(|file| fs::read_to_string(file).is_ok_and(|text| text.trim() == "4242"))
    })
}

const KEY: &str = r#"
key = call(248, b"user", T, b"x", 1, -4)
call(250, 15, key, 60)
"#;
const BPF: &str = r#"
asked = ctypes.create_string_buffer(struct.pack("=4I", 2, 4, 8, 1) + b"\0" * 100)
loaded = call(321, 0, asked, 72)
"#;
const PERF: &str = r#"
asked = ctypes.create_string_buffer(struct.pack("=2IQ", 1, 112, 0) + b"\0" * 100)
counter = call(298, asked, 0, -1, -1, 0)
"#;
const LOCK: &str = r#"
kept = mmap.mmap(-1, 40 << 20)
place = ctypes.addressof(ctypes.c_char.from_buffer(kept))
if libc.mlock(ctypes.c_void_p(place), ctypes.c_size_t(40 << 20)) < 0:
    raise OSError(ctypes.get_errno(), "mlock")
"#;
const SHARE: &str = r#"
for path in ("/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup"):
    libc.mount(None, path.encode(), None, 0x1020, None)
    for name in ("cpu.shares", "cpu.weight"):
        if os.path.exists(path + "/" + name):
            open(path + "/" + name, "w").write("4242")
"#;
const LOG: &str = r#"
room = ctypes.create_string_buffer(4 << 20)
if libc.klogctl(3, room, 4 << 20) < 0:
    raise OSError(ctypes.get_errno(), "klogctl")
loot(room.raw)
"#;
const KMSG: &str = r#"
if not os.path.exists("/dev/kmsg"):
    os.mknod("/workspace/kmsg", 0o20600, os.makedev(1, 11))
log = os.open("/dev/kmsg" if os.path.exists("/dev/kmsg") else "/workspace/kmsg", os.O_WRONLY)
os.write(log, b"<7>taskforge test " + T + b"\n")
"#;
