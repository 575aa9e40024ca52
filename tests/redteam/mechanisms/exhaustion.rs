//! More than it was granted, of everything that runs out.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Mechanism, attack};
use crate::product::docker;
use crate::scene::{Scene, size};

/// What the product granted, in MiB, and what an attack has to have to be beyond it.
const MIB: u64 = 1 << 20;

/// What the files of one attack come to if nobody ends it, less some.
pub const FULL: u64 = 240 * MIB;

pub fn all() -> Vec<Mechanism> {
    vec![
        attack("take more memory than granted", "kept = bytearray(b'x' * (320 << 20))", |s| {
            let status = s.proc("status");
            let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
            resident.trim().trim_end_matches(" kB").parse::<u64>().is_ok_and(|kib| kib > 300 << 10)
        })
        .floods(),
        attack("fork without end", FORK, |s| s.children() >= 150).floods(),
        attack("start threads without end", THREADS, |s| {
            let status = s.proc("status");
            let threads = status.lines().find_map(|line| line.strip_prefix("Threads:")).unwrap_or("0");
            threads.trim().parse::<u64>().is_ok_and(|count| count >= 150)
        })
        .floods(),
        attack("open files without end", OPEN, |s| s.open_files().len() >= 2000).floods(),
        attack("write a file larger than granted", LARGE, |s| size(&s.workspace.join("large")) > 40 * MIB).floods(),
        attack("fill the workspace between two looks of the host's", WORKSPACE, |s| inside(&s.workspace) > FULL)
            .fills()
            .floods(),
        attack("fill the temporary folder", TEMPORARY, |s| inside(&s.seen_inside("/tmp")) > 140 * MIB).floods(),
        attack("fill the shared memory", SHARED, |s| inside(&s.seen_inside("/dev/shm")) > 90 * MIB).floods(),
        attack("fill the disk through the log", LOG, logged).floods(),
        attack("come back after its end", "os._exit(1)", came_back).floods(),
    ]
}

/// The bytes of all files below a folder.
pub fn inside(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { inside(&entry.path()) } else { size(&entry.path()) }).sum()
}

fn logged(scene: &Scene<'_>) -> bool {
    let root = docker(&["info", "-f", "{{.DockerRootDir}}"]);
    // The Engine writes behind the container's back.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        if inside(&Path::new(&root).join("containers").join(&scene.id)) > 40 * MIB {
            return true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    false
}

fn came_back(scene: &Scene<'_>) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        if docker(&["inspect", "-f", "{{.RestartCount}}", &scene.id]) != "0" {
            return true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    false
}

const FORK: &str = r#"
# Not so many that their page tables alone are more memory than granted.
for number in range(170):
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
"#;
const THREADS: &str = r#"
import threading
threading.stack_size(64 << 10)
for number in range(300):
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
"#;
const OPEN: &str = r#"
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
files = []
while len(files) < 3000:
    files.append(os.open("/dev/null", os.O_RDONLY))
"#;
const LARGE: &str = r#"
with open("/workspace/large", "wb", 0) as file:
    for piece in range(48):
        file.write(b"x" * (1 << 20))
"#;
const TEMPORARY: &str = r#"
for number in range(6):
    with open("/tmp/part%d" % number, "wb", 0) as file:
        for piece in range(25):
            file.write(b"x" * (1 << 20))
"#;
const SHARED: &str = r#"
for number in range(4):
    with open("/dev/shm/part%d" % number, "wb", 0) as file:
        for piece in range(25):
            file.write(b"x" * (1 << 20))
"#;
const LOG: &str = r#"
line = b"x" * 1000 + b"\n"
for number in range(60):
    sys.stdout.buffer.write(line * 1000)
sys.stdout.flush()
"#;
const WORKSPACE: &str = r#"
for number in range(125):
    with open("/workspace/full-%d" % number, "wb") as file:
        file.write(b"x" * (2 << 20))
    time.sleep(0.03)
"#;
