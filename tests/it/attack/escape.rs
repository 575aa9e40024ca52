//! Out of the box: the host's network, sockets and files, other nodes, and who one is at the gate.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use serde_json::json;

use super::world::{World, python};

#[test]
fn nothing_of_the_host_is_in_reach() {
    let world = World::new();
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let name = format!("taskforge-attack-{port}");
    let _abstract = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let script = r#"
def connect(host, port):
    socket.create_connection((host, port), 2).close()
def abstract(name):
    s = socket.socket(socket.AF_UNIX); s.connect("\0" + name)
status = dict(line.rstrip().split(":\t", 1) for line in open("/proc/self/status") if ":\t" in line)
writes = ["/inputs/x", "/inputs/attack.py", "/taskforge/x", "/taskforge/bin/taskforge", "/taskforge/gate/x",
          "/taskforge/gate/gate.sock", "/etc/passwd", "/etc/hosts", "/usr/x", "/x", "/proc/sys/kernel/core_pattern",
          "/proc/sysrq-trigger", "/sys/fs/cgroup/cgroup.procs"]
reads = ["/proc/kcore", "/proc/1/environ" if os.getuid() == 0 else "/etc/shadow", "/run/taskforge/secrets/keys.json",
         "/gate/policy.json", "/kill/lock.json"]
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *arguments):
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
def uring():
    if libc.syscall(425, 8, 0) < 0:
        raise OSError(ctypes.get_errno(), "io_uring")
def setuid():
    os.setuid(0)
found(
    uid=os.getuid(), gid=os.getgid(), groups=os.getgroups(), caps=[status[k] for k in ("CapEff", "CapPrm", "CapBnd", "CapAmb")],
    privs=status["NoNewPrivs"], seccomp=status["Seccomp"], interfaces=os.listdir("/sys/class/net"),
    ways=[tried(connect, h, PORT) for h in ("127.0.0.1", "172.17.0.1", "169.254.169.254", "::1")],
    names=tried(socket.getaddrinfo, "example.org", 443), abstract=tried(abstract, "NAME"),
    wrote=[p for p in writes if tried(open, p, "r+b")[0] or tried(open, p, "wb")[0]],
    read=[p for p in reads if tried(open, p, "rb")[0]],
    sockets=[p for p in ("/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock") if os.path.exists(p)],
    calls={"unshare": tried(call, "unshare", 0x10000000), "mount": tried(call, "mount", b"x", b"/tmp", b"tmpfs", 0, None),
           "uring": tried(uring), "setuid": tried(setuid), "mknod": tried(os.mknod, "/workspace/n", 0o60600, 0x800),
           "chroot": tried(os.chroot, "/workspace")},
    listing={p: sorted(os.listdir(p)) for p in ("/inputs", "/workspace", "/taskforge", "/taskforge/gate", "/taskforge/bin")},
    environment={k: v for k, v in os.environ.items() if "KEY" in k or "SECRET" in k or "TOKEN" in k},
)
"#;
    let script = script.replace("PORT", &port.to_string()).replace("NAME", &name);
    let found = world.attack("escape", python("attack", &script));
    assert!(found["uid"].as_u64().unwrap() > 0 && found["gid"].as_u64().unwrap() > 0, "{found:#}");
    assert!(found["groups"].as_array().unwrap().iter().all(|group| *group == found["gid"]), "{found:#}");
    assert!(found["caps"].as_array().unwrap().iter().all(|set| set == "0000000000000000"), "{found:#}");
    assert_eq!((&found["privs"], &found["seccomp"]), (&json!("1"), &json!("2")), "{found:#}");
    assert_eq!(found["interfaces"], json!(["lo"]), "{found:#}");
    for way in found["ways"].as_array().unwrap().iter().chain([&found["names"], &found["abstract"]]) {
        assert_eq!(way[0], false, "{found:#}");
    }
    for list in ["wrote", "read", "sockets"] {
        assert_eq!(found[list], json!([]), "{list}: {found:#}");
    }
    for (call, tried) in found["calls"].as_object().unwrap() {
        assert_eq!(tried[0], false, "{call}: {found:#}");
    }
    assert_eq!(
        found["listing"],
        json!({"/inputs": ["attack.py"], "/workspace": [], "/taskforge": ["bin", "gate"],
            "/taskforge/gate": ["gate.sock"], "/taskforge/bin": ["taskforge"]})
    );
    // What the SDKs want before they ask anything; no gate looks at it.
    assert_eq!(found["environment"], json!({"OPENAI_API_KEY": "taskforge", "ANTHROPIC_API_KEY": "taskforge"}));
}

/// Two that run at once, and one that follows: each sees its own, and of the first what it left as its output.
#[test]
fn a_node_sees_nothing_of_another_and_cannot_speak_as_it() {
    let world = World::new();
    let one = r#"
open("/workspace/secret", "w").write("mine")
open("/workspace/report.md", "w").write("for all")
os.chmod("/workspace", 0o777)
"#;
    let script = r#"
import subprocess
os.chdir("/")
seen = subprocess.run(["grep", "-rl", "--exclude-dir=proc", "--exclude-dir=sys", "mine", "/workspace", "/inputs", "/run", "/tmp", "/home"],
                      capture_output=True, text=True).stdout
claims = {"x-taskforge-node": "one", "x-forwarded-for": "one", "host": "one", "authorization": "Bearer one"}
hello = [gate("GET", "/taskforge/v1/hello")[1], gate("GET", "/taskforge/v1/hello?node=one&attempt=1", headers=claims)[1]]
said = [gate("POST", "/taskforge/v1/progress", {"message": "x", "node": "one", "attempt": 1})[0],
        gate("POST", "/taskforge/v1/progress", {"message": "from two"}, dict(claims, **{"content-type": "application/json"}))[0]]
found(seen=[s for s in seen.split() if s not in ("/inputs/one.py", "/inputs/two.py")], hello=hello, said=said, inputs=sorted(os.listdir("/inputs")),
      one=sorted(os.listdir("/inputs/one")), written=tried(open, "/inputs/one/report.md", "a"),
      mounts=[line.split()[4] for line in open("/proc/self/mountinfo") if "/nodes/" in line or "/gate" in line])
"#;
    world.start("apart", &[python("one", one).leaves("[nodes/one/report.md]"), python("two", script).needs("[one]")]);
    let shown = world.finish("apart");
    assert_eq!(shown["status"], "completed", "{shown:#}");
    let found = &world.found("apart", "two")[0];
    assert_eq!(found["seen"], json!([]), "{found:#}");
    assert_eq!(found["inputs"], json!(["one", "one.py", "two.py"]));
    assert_eq!(found["one"], json!(["report.md"]));
    assert_eq!(found["written"][0], false);
    for hello in found["hello"].as_array().unwrap() {
        assert_eq!((&hello["node"], &hello["attempt"]), (&json!("two"), &json!(1)), "{found:#}");
    }
    assert_eq!(found["said"], json!([400, 202]));
    let journal = world.journal("apart");
    let said = journal.lines().find(|line| line.contains("from two")).unwrap();
    assert!(said.contains(r#""actor": "agent:two""#), "{said}");
    world.must_be_sound("apart");
}
