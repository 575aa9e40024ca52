//! Other people's processes: their lives, their memory, their files.

use std::fs;
use std::time::{Duration, Instant};

use super::{Mechanism, attack};
use crate::scene::Scene;

pub fn all() -> Vec<Mechanism> {
    vec![
        attack("kill a neighbour's process", "pid, told = victim()\nos.kill(told['child'], signal.SIGKILL)", killed)
            .spends(),
        attack("write into a neighbour's memory", WRITE, |s| s.hit("memory")),
        attack("trace a neighbour", TRACE, |s| s.hit("memory")),
        attack("read a neighbour's memory", READ, |s| s.looted(&format!("memory {}", s.victim.secret))),
        attack("read a neighbour's environment", ENVIRONMENT, |s| {
            s.looted(&format!("VICTIM_SECRET={}", s.victim.secret))
        }),
        attack("read a neighbour's files by its root", ROOT, |s| s.looted(&format!("file {}", s.victim.secret))),
        attack("take a neighbour's open file", TAKE, |s| s.looted(&format!("file {}", s.victim.secret))),
        attack("lower a neighbour's limits", LIMIT, |s| {
            of_victim(s, "limits").lines().any(|line| line.starts_with("Max open files") && line.contains(" 77 "))
        })
        .spends(),
        attack("enter a neighbour's files", ENTER, |s| in_victim(s, &format!("tmp/{}", s.token))),
        attack("slow a neighbour down", "pid, told = victim()\nos.setpriority(os.PRIO_PROCESS, pid, 19)", |s| {
            // Behind the name in brackets: state is the third, the nice value the nineteenth.
            let stat = of_victim(s, "stat");
            stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(16)) == Some("19")
        })
        .spends(),
        attack("offer a neighbour to the kernel's killer", OFFER, |s| of_victim(s, "oom_score_adj").trim() == "987")
            .spends(),
        attack("write into a neighbour's shared memory", SHARED, |s| s.hit("shm")),
        attack("send into a neighbour's queue", QUEUE, |s| s.hit("queue")),
        attack("leave a file in a neighbour's shared memory", r#"open("/dev/shm/" + TOKEN, "w").write("x")"#, |s| {
            in_victim(s, &format!("dev/shm/{}", s.token))
        }),
        attack("make a queue among a neighbour's", "call(240, T, os.O_CREAT | os.O_RDWR, 0o600, None)", |s| {
            in_victim(s, &format!("dev/mqueue/{}", s.token))
        }),
    ]
}

fn killed(scene: &Scene<'_>) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(400) {
        if scene.victim.noted("killed").is_some() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

fn of_victim(scene: &Scene<'_>, file: &str) -> String {
    fs::read_to_string(format!("/proc/{}/{file}", scene.victim.pid)).unwrap()
}

fn in_victim(scene: &Scene<'_>, path: &str) -> bool {
    fs::symlink_metadata(format!("/proc/{}/root/{path}", scene.victim.pid)).is_ok()
}

const WRITE: &str = r#"
pid, told = victim()
data = ctypes.create_string_buffer(T)
class Piece(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
mine, theirs = Piece(ctypes.addressof(data), len(T)), Piece(told["buffer"], len(T))
call(311, pid, ctypes.byref(mine), 1, ctypes.byref(theirs), 1, 0)
"#;
const TRACE: &str = r#"
pid, told = victim()
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long] * 4
def ptrace(*arguments):
    if libc.ptrace(*arguments) < 0:
        raise OSError(ctypes.get_errno(), "ptrace")
ptrace(16, pid, 0, 0)
os.waitpid(pid, 0x40000000)
data = T + b"\0" * 8
for at in range(0, len(T), 8):
    ptrace(5, pid, told["buffer"] + at, struct.unpack("q", data[at:at + 8])[0])
ptrace(17, pid, 0, 0)
"#;
const READ: &str = r#"
pid, told = victim()
memory = open("/proc/%d/mem" % pid, "rb", 0)
memory.seek(told["kept"])
loot(memory.read(64))
"#;
const ENVIRONMENT: &str = r#"
pid, told = victim()
loot(open("/proc/%d/environ" % pid, "rb").read())
"#;
const ROOT: &str = r#"
pid, told = victim()
loot(open("/proc/%d/root/tmp/private" % pid).read())
"#;
const TAKE: &str = r#"
pid, told = victim()
handle = call(434, pid, 0)
loot(os.pread(call(438, handle, told["fd"], 0), 100, 0))
"#;
const LIMIT: &str = r#"
pid, told = victim()
owner = os.stat("/proc/%d" % pid)
os.setresgid(owner.st_gid, owner.st_gid, owner.st_gid)
os.setresuid(owner.st_uid, owner.st_uid, owner.st_uid)
resource.prlimit(pid, resource.RLIMIT_NOFILE, (77, 77))
"#;
const ENTER: &str = r#"
pid, told = victim()
if os.fork() == 0:
    target = os.open("/proc/%d/ns/mnt" % pid, os.O_RDONLY)
    if libc.setns(target, 0x20000) == 0:
        open("/tmp/" + TOKEN, "w").write("x")
    os._exit(0)
os.wait()
"#;
const OFFER: &str = r#"
pid, told = victim()
open("/proc/%d/oom_score_adj" % pid, "w").write("987")
"#;
const SHARED: &str = r#"
libc.shmat.restype = ctypes.c_void_p
segment = libc.shmget(0x7466, 4096, 0o666)
if segment < 0:
    raise OSError(ctypes.get_errno(), "shmget")
ctypes.memmove(libc.shmat(segment, None, 0), T, len(T))
"#;
const QUEUE: &str = r#"
queue = libc.msgget(0x7466, 0o666)
if queue < 0:
    raise OSError(ctypes.get_errno(), "msgget")
libc.msgsnd(queue, struct.pack("l", 1) + T, len(T), 0)
"#;
