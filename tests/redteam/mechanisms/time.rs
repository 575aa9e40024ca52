//! More than granted of what is counted in time and of what is kept elsewhere: processors, the clock on the wall, swap.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::{Mechanism, attack};
use crate::product::docker;
use crate::scene::Scene;

pub fn all() -> Vec<Mechanism> {
    vec![
        attack("take more of the processors than granted", BURN, burns).floods(),
        attack("take swap beyond the memory granted", SWAP, swaps).after(offer_swap).floods(),
        attack("outlive its time", OUTLIVE, |s| {
            // Where nobody keeps the time, it lasts.
            let begun = Instant::now();
            let mut runs = true;
            while runs && begun.elapsed() < Duration::from_secs(3) {
                runs = docker(&["inspect", "-f", "{{.State.Running}}", &s.id]) == "true";
            }
            runs
        })
        .lasts()
        .floods(),
    ]
}

/// Whether the kernel never held it back, though it would use all there is: what it has of a busy machine says nothing.
fn burns(scene: &Scene<'_>) -> bool {
    let counters = counters(scene);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(8) {
        let text = fs::read_to_string(&counters).unwrap();
        let held = text.lines().find_map(|line| line.strip_prefix("nr_throttled ")).map_or(0, |n| n.parse().unwrap());
        if held > 5 {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    // It did try.
    scene.children() >= 8
}

/// The container's `cpu.stat`, of version 1 or 2 of the control groups.
fn counters(scene: &Scene<'_>) -> PathBuf {
    let groups = scene.proc("cgroup");
    let of = |line: &str| line.splitn(3, ':').map(str::to_owned).collect::<Vec<_>>();
    let groups: Vec<Vec<String>> = groups.lines().map(of).collect();
    let old = groups.iter().find(|group| group[1].split(',').any(|name| name == "cpu"));
    let (root, group) = match old {
        Some(group) => ("/sys/fs/cgroup/cpu", &group[2]),
        None => ("/sys/fs/cgroup", &groups.iter().find(|group| group[0] == "0").unwrap()[2]),
    };
    Path::new(root).join(group.trim_start_matches('/')).join("cpu.stat")
}

/// Whether memory and swap together are more than was granted of memory.
fn swaps(scene: &Scene<'_>) -> bool {
    let status = scene.proc("status");
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0)
    };
    let held = kib("VmRSS:") + kib("VmSwap:");
    let _ = Command::new("docker").args(["kill", &scene.id]).output();
    let _ = Command::new("swapoff").arg(swap_file(scene)).output();
    let _ = fs::remove_file(swap_file(scene));
    held > 220 << 10
}

fn swap_file(scene: &Scene<'_>) -> PathBuf {
    scene.disk.with_file_name("swap")
}

/// Machines without swap are given some, for as long as this lasts.
fn offer_swap(scene: &Scene<'_>) {
    if fs::read_to_string("/proc/swaps").unwrap().lines().count() > 1 {
        return;
    }
    let file = swap_file(scene);
    fs::write(&file, vec![0; 192 << 20]).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    for program in ["mkswap", "swapon"] {
        let done = Command::new(program).arg(&file).output().expect("`apt-get install util-linux mount`");
        assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

const BURN: &str = r#"
for number in range(8):
    if os.fork() == 0:
        while True:
            pass
"#;
const SWAP: &str = r#"
kept = []
for piece in range(240):
    kept.append(os.urandom(1 << 20))
"#;
const OUTLIVE: &str = r#"
import signal
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
if os.path.exists("/workspace/.start"):
    os.write(said, b"\nHELD")
while True:
    time.sleep(0.05)
"#;
