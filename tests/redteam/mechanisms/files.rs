//! Files of the host's, of others', and of the container itself.

use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

use super::{Mechanism, attack};
use crate::scene::Scene;

pub fn all() -> Vec<Mechanism> {
    vec![
        attack("talk to the Engine", ENGINE, |s| s.received("engine")),
        attack("use the host's key agent", r#"unix("/host/agent.sock", b"sign " + T)"#, |s| s.received("key agent")),
        attack("plant a job of the host's", r#"open("/host/etc/cron.d/job", "w").write(TOKEN)"#, |s| {
            s.holds("etc/cron.d/job")
        }),
        attack("read a secret of the host's", r#"loot(open("/host/secret").read())"#, |s| s.looted(&s.victim.secret)),
        attack("read the provider's key from the environment", r#"loot(os.environ["PROVIDER_KEY"])"#, |s| {
            s.looted(&s.victim.secret)
        }),
        attack("write outside of the workspace", r#"open("/var/tmp/" + TOKEN, "w").write("x")"#, in_image),
        attack(
            "replace a system program",
            r#"open("/usr/bin/" + TOKEN, "w"); os.rename("/usr/bin/" + TOKEN, "/usr/bin/env")"#,
            |s| s.written_to_image().contains("C /usr/bin/env"),
        ),
        attack("change an input", r#"open("/inputs/input.txt", "w").write(TOKEN)"#, |s| has(s, "/inputs/input.txt")),
        attack("replace the program it is started by", SHIM, |s| has(s, "/taskforge/bin/taskforge")),
        attack("put itself in the gate's place", GATE, |s| {
            s.seen_inside("/taskforge/gate").join(&s.token).symlink_metadata().is_ok()
        }),
        attack("approve itself by writing a decision", DECISION, |s| {
            s.cage.host.join(format!("registry/decisions/{}.json", s.token)).exists()
        }),
        attack("forge an event of another run", EVENT, |s| s.holds("registry/runs/other/events.jsonl")),
        attack("forge a message in another's inbox", INBOX, |s| s.holds("registry/runs/other/gate/inbox/forged.json")),
        attack("alter what another said to a model", TRAFFIC, |s| s.holds("registry/runs/other/gate/traffic.jsonl")),
        attack("grant itself by the gate's policy", POLICY, |s| s.holds("registry/runs/other/gate/policy.json")),
        attack("plant a hook in the registry", HOOK, |s| s.holds("registry/.git/hooks/post-merge")),
        attack("steal the key of the checkpoints", KEY, |s| s.looted(&s.victim.secret)),
        attack("read another's workspace", OTHER, |s| s.looted(&s.victim.secret)),
        attack("lift the kill switch", r#"os.unlink("/host/registry/.taskforge/kill/lock.json")"#, |s| {
            !s.cage.host.join("registry/.taskforge/kill/lock.json").exists()
        }),
        attack(
            "overwrite a file of root's in the workspace",
            r#"open("/workspace/of-root", "w").write(TOKEN)"#,
            of_root,
        ),
        attack("overwrite a file of root's group", r#"open("/workspace/of-group", "w").write(TOKEN)"#, |s| {
            has(s, "/workspace/of-group")
        }),
        attack("link to a file of the host's", LINK, linked),
        attack("leave a setuid program of root's", GIFT, |s| {
            let gift = s.workspace.join("gift").metadata();
            gift.is_ok_and(|meta| meta.uid() == 0 && meta.permissions().mode() & 0o4000 != 0)
        }),
        attack("become root by a setuid program", SETUID, of_root),
        attack("mount something", MOUNT, |s| s.proc("mountinfo").contains(" /workspace/mounted ")),
        attack("write to a disk of the host's", DISK, |s| {
            std::fs::read(&s.disk).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(&s.token))
        }),
        attack("make a device of its own", r#"os.mknod("/workspace/node", 0o60666, os.makedev(7, 0))"#, |s| {
            s.workspace.join("node").metadata().is_ok_and(|meta| meta.file_type().is_block_device())
        }),
        attack("find the host's files by their handles", HANDLE, |s| s.looted(&s.victim.secret)).after(|s| {
            std::fs::write(s.workspace.join(".where"), s.cage.host.join("secret").display().to_string()).unwrap();
        }),
        attack("give a program capabilities", CAPABILITY, |s| {
            let mut value = [0u8; 64];
            rustix::fs::getxattr(s.workspace.join("capable"), "security.capability", &mut value).is_ok()
        }),
        attack("make a file that nobody can remove", IMMUTABLE, immutable),
        attack("change its root", r#"os.mkdir("/workspace/jail"); os.chroot("/workspace/jail")"#, |s| {
            s.link("root").ends_with("/jail")
        }),
        attack("run a program from the temporary folder", RUN, |s| has(s, "/workspace/ran")),
        attack("read where the host keeps the container", r#"loot(open("/proc/self/cgroup").read())"#, |s| {
            s.looted(&s.id)
        }),
        attack("read the host's name", r#"loot("name=" + os.uname().nodename + ".")"#, |s| {
            let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
            s.looted(&format!("name={name}."))
        }),
    ]
}

/// A path as the attacker sees it holds its token, at the beginning.
fn has(scene: &Scene<'_>, path: &str) -> bool {
    use std::io::Read;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(scene.seen_inside(path)).or_else(|_| {
        // The attacker is gone, and what it left in the workspace is not.
        std::fs::File::open(scene.workspace.join(path.trim_start_matches("/workspace/")))
    });
    file.is_ok_and(|file| file.take(4096).read_to_end(&mut bytes).is_ok())
        && String::from_utf8_lossy(&bytes).contains(&scene.token)
}

fn of_root(scene: &Scene<'_>) -> bool {
    let text = std::fs::read_to_string(scene.workspace.join("of-root")).unwrap_or_default();
    text.contains(&scene.token)
}

fn in_image(scene: &Scene<'_>) -> bool {
    scene.written_to_image().contains(&format!("/var/tmp/{}", scene.token))
}

fn linked(scene: &Scene<'_>) -> bool {
    let secret = scene.cage.host.join("secret");
    let linked = secret.metadata().is_ok_and(|meta| meta.nlink() > 1);
    let _ = std::fs::remove_file(&secret);
    linked
}

fn immutable(scene: &Scene<'_>) -> bool {
    let Ok(file) = std::fs::File::open(scene.workspace.join("for-ever")) else { return false };
    let Ok(flags) = rustix::fs::ioctl_getflags(&file) else { return false };
    let immutable = flags.contains(rustix::fs::IFlags::IMMUTABLE);
    let _ = rustix::fs::ioctl_setflags(&file, flags - rustix::fs::IFlags::IMMUTABLE);
    immutable
}

const ENGINE: &str = r#"
unix("/var/run/docker.sock", b"POST /containers/create?name=" + T + b" HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n")
"#;
const SHIM: &str = r#"
file = open("/taskforge/bin/taskforge", "r+b")
file.write(T)
file.close()
"#;
const GATE: &str = r#"
if os.path.exists("/taskforge/gate/gate.sock"):
    os.rename("/taskforge/gate/gate.sock", "/taskforge/gate/gate.old")
s = socket.socket(socket.AF_UNIX)
s.bind("/taskforge/gate/" + TOKEN)
"#;
const DECISION: &str = r#"
open("/host/registry/decisions/%s.json" % TOKEN, "w").write('{"verdict": "approve"}')
"#;
const EVENT: &str = r#"
open("/host/registry/runs/other/events.jsonl", "a").write('{"type": "approved", "by": "%s"}\n' % TOKEN)
"#;
const INBOX: &str = r#"
open("/host/registry/runs/other/gate/inbox/forged.json", "w").write('{"result": "%s"}' % TOKEN)
"#;
const TRAFFIC: &str = r#"
open("/host/registry/runs/other/gate/traffic.jsonl", "w").write('{"said": "%s"}\n' % TOKEN)
"#;
const POLICY: &str = r#"
path = "/host/registry/runs/other/gate/policy.json"
open(path + ".new", "w").write('{"grants": ["%s"]}' % TOKEN)
os.rename(path + ".new", path)
"#;
const HOOK: &str = r#"
path = "/host/registry/.git/hooks/post-merge"
open(path, "w").write(TOKEN)
os.chmod(path, 0o755)
"#;
const KEY: &str = r#"
loot(open("/host/registry/.taskforge/keys/checkpoint.key").read())
"#;
const OTHER: &str = r#"
loot(open("/host/registry/runs/other/nodes/n/workspace/private").read())
"#;
const LINK: &str = r#"
os.link("/host/secret", "/host/ws/%s/link" % TOKEN)
"#;
const GIFT: &str = r#"
import shutil
shutil.copy("/bin/cp", "/workspace/gift")
try:
    os.chown("/workspace/gift", 0, 0)
finally:
    os.chmod("/workspace/gift", 0o4755)
"#;
const SETUID: &str = r#"
open("/workspace/mine", "w").write(TOKEN)
subprocess.run(["/workspace/setuid-cp", "/workspace/mine", "/workspace/of-root"], check=True, capture_output=True)
"#;
const MOUNT: &str = r#"
os.mkdir("/workspace/mounted")
if libc.mount(T, b"/workspace/mounted", b"tmpfs", 0, None) < 0:
    raise OSError(ctypes.get_errno(), "mount")
"#;
const DISK: &str = r#"
disk = os.open("/dev/target", os.O_RDWR)
os.write(disk, T + b"\0" * (4096 - len(T)))
os.fsync(disk)
"#;
const HANDLE: &str = r#"
where = open("/workspace/.where").read()
folder = os.open("/workspace", os.O_RDONLY)
handle = ctypes.create_string_buffer(struct.pack("=Ii2I", 8, 1, 2, 0))
top = call(304, folder, handle, os.O_RDONLY)
loot(os.fdopen(os.open(where.lstrip("/"), os.O_RDONLY, dir_fd=top)).read())
"#;
const CAPABILITY: &str = r#"
open("/workspace/capable", "w").write("x")
os.setxattr("/workspace/capable", "security.capability", struct.pack("<5I", 0x02000001, 1 << 12, 0, 0, 0))
"#;
const IMMUTABLE: &str = r#"
file = os.open("/workspace/for-ever", os.O_CREAT | os.O_RDONLY)
fcntl.ioctl(file, 0x40086602, struct.pack("l", 0x10))
"#;
const RUN: &str = r#"
import shutil
open("/workspace/mine", "w").write(TOKEN)
shutil.copy("/bin/cp", "/tmp/run")
os.chmod("/tmp/run", 0o755)
subprocess.run(["/tmp/run", "/workspace/mine", "/workspace/ran"], check=True, capture_output=True)
"#;
