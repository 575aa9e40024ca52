//! What the kernel has held back of the attempt, by the counts of its control groups: they are gone with the container, and
//! nobody outside is told. Only what can be counted: a system call that is filtered, and a path that is closed, leave none.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::gate_client::GateClient;

/// How long the gate may take to write it down; the attempt is over, and its end waits.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where a container sees its own groups.
const GROUPS: &str = "/sys/fs/cgroup";

/// Counts from the container's start on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Held {
    /// Processes and threads that were not begun, at the limit of their number.
    processes: u64,
    /// How often memory reached its limit; what the kernel could give back without harm counts, too.
    memory: u64,
    /// Processes that were ended for want of memory.
    killed: u64,
    /// For how long processors were withheld.
    throttled_ms: u64,
}

impl Held {
    /// Of the container that this process is in, under either version of control groups.
    fn read(groups: &Path) -> Self {
        let count = |file: &str, key: &str| -> Option<u64> {
            let text = std::fs::read_to_string(groups.join(file)).ok()?;
            let mut lines = text.lines();
            if key.is_empty() {
                return lines.next()?.trim().parse().ok();
            }
            lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
        };
        let first = |places: &[(&str, &str)]| places.iter().find_map(|(file, key)| count(file, key)).unwrap_or(0);
        let millis = first(&[("cpu.stat", "throttled_usec")]) / 1000;
        Self {
            processes: first(&[("pids.events", "max"), ("pids/pids.events", "max")]),
            memory: first(&[("memory.events", "max"), ("memory/memory.failcnt", "")]),
            killed: first(&[("memory.events", "oom_kill"), ("memory/memory.oom_control", "oom_kill")]),
            throttled_ms: millis.max(first(&[("cpu/cpu.stat", "throttled_time")]) / 1_000_000),
        }
    }

    /// Whether something was refused that was asked for, and not only given later.
    const fn is_a_refusal(&self) -> bool {
        self.processes > 0 || self.killed > 0
    }
}

/// Tells the gate, if there is anything to be told. That it cannot be told changes no end.
pub(super) async fn report(gate: &GateClient) {
    let held = Held::read(Path::new(GROUPS));
    let Some(body) = serde_json::to_value(held).ok().filter(|_| held.is_a_refusal()) else { return };
    let _ = tokio::time::timeout(PATIENCE, gate.post("/taskforge/v1/held", &body)).await;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn groups(files: &[(&str, &str)]) -> (tempfile::TempDir, Held) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let held = Held::read(folder.path());
        (folder, held)
    }

    #[test]
    fn both_versions_are_read() {
        let (_first, held) = groups(&[
            ("pids/pids.events", "max 7\n"),
            ("memory/memory.failcnt", "40\n"),
            ("memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
            ("cpu/cpu.stat", "nr_periods 9\nnr_throttled 3\nthrottled_time 2500000000\n"),
        ]);
        assert_eq!(held, Held { processes: 7, memory: 40, killed: 2, throttled_ms: 2500 });
        let (_second, held) = groups(&[
            ("pids.events", "max 7\n"),
            ("memory.events", "low 0\nhigh 1\nmax 40\noom 2\noom_kill 2\n"),
            ("cpu.stat", "usage_usec 1\nthrottled_usec 2500000\n"),
        ]);
        assert_eq!(held, Held { processes: 7, memory: 40, killed: 2, throttled_ms: 2500 });
        assert!(held.is_a_refusal());
    }

    #[test]
    fn what_is_not_there_is_nothing() {
        let (_none, held) = groups(&[("pids.events", "nonsense"), ("memory.events", "max x\n")]);
        assert_eq!(held, Held::default());
        assert!(!Held { memory: 9, throttled_ms: 9, ..held }.is_a_refusal(), "a full cache is no refusal");
    }
}
