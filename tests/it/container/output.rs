//! What containers print: copied by cursor, and collected from those that run once.

use std::time::Duration;

use taskforge::container::logs::{self, Copied, LogCursor};
use taskforge::container::{ContainerSpec, Error, State};

use super::{Bench, block};

/// Copies until there is nothing more, in pieces of `limit`, and answers both streams.
async fn drain(bench: &Bench, name: &str, cursor: &mut LogCursor, limit: u64, out: &mut [Vec<u8>; 2]) {
    loop {
        let [stdout, stderr] = out;
        let Copied { cursor: next, more } =
            logs::copy(&bench.engine, name, *cursor, limit, stdout, stderr).await.unwrap();
        *cursor = next;
        assert_eq!((cursor.stdout.bytes, cursor.stderr.bytes), (stdout.len() as u64, stderr.len() as u64));
        if !more {
            return;
        }
    }
}

async fn copy_while_running(bench: &Bench, spec: &ContainerSpec, limit: u64) -> [Vec<u8>; 2] {
    bench.engine.ensure_started(spec, &()).await.unwrap();
    let mut out = [Vec::new(), Vec::new()];
    let mut cursor = LogCursor::default();
    loop {
        let state = bench.engine.inspect(&spec.name).await.unwrap().unwrap().state;
        // A cursor survives being stored.
        cursor = serde_json::from_str(&serde_json::to_string(&cursor).unwrap()).unwrap();
        drain(bench, &spec.name, &mut cursor, limit, &mut out).await;
        if matches!(state, State::Exited { .. }) {
            return out;
        }
    }
}

#[test]
fn five_megabytes_come_over_whole_while_they_are_written() {
    let bench = Bench::new();
    // Both streams at once, lines of many lengths, some without an end for long, every byte value.
    let script = r#"
import os, random
random.seed(7)
def block(tag, n):
    size = random.choice([0, 1, 50, 200, 5000, 40000])
    return tag + str(n).encode() + b" " + random.randbytes(size).replace(b"\n", b".") + random.choice([b"\n", b"\n", b"-"])
for n in range(800):
    os.write(1, block(b"o", n)); os.write(2, block(b"e", n))
os.write(1, b"\nend\n"); os.write(2, b"\nend\n")
"#;
    let spec = bench.agent(1, &["python3", "-c", script]);
    let copied = block(copy_while_running(&bench, &spec, 256 << 10));
    let once = ContainerSpec { name: spec.name.replace("tf-node", "tf-once"), ..spec };
    let finished = block(bench.engine.run_once(&once, &(), Duration::from_secs(60), 64 << 20)).unwrap();
    assert!(finished.stdout.len() > 5_000_000, "{}", finished.stdout.len());
    assert!(copied[0] == finished.stdout, "stdout differs: {} and {}", copied[0].len(), finished.stdout.len());
    assert!(copied[1] == finished.stderr, "stderr differs: {} and {}", copied[1].len(), finished.stderr.len());
}

#[test]
fn frames_of_one_time_are_neither_lost_nor_doubled() {
    let bench = Bench::new();
    // One line of 1 MiB is 64 frames with the same time.
    let spec = bench.agent(1, &["sh", "-c", "head -c 1048576 /dev/zero | tr '\\0' x; echo; echo end"]);
    let [stdout, stderr] = block(async {
        bench.engine.ensure_started(&spec, &()).await.unwrap();
        bench.engine.wait(&spec.name).await.unwrap();
        let mut out = [Vec::new(), Vec::new()];
        let mut cursor = LogCursor::default();
        drain(&bench, &spec.name, &mut cursor, 50_000, &mut out).await;
        let before = out[0].len();
        drain(&bench, &spec.name, &mut cursor, 50_000, &mut out).await;
        assert_eq!(before, out[0].len(), "what was copied came again");
        out
    });
    assert_eq!(stdout.len(), 1_048_576 + 1 + 4);
    assert!(stdout.ends_with(b"xx\nend\n"));
    assert!(stderr.is_empty());
}

#[test]
fn what_rotation_dropped_is_marked() {
    let bench = Bench::new();
    let script = "echo first; touch /workspace/a; while [ ! -e /workspace/b ]; do sleep 0.01; done; \
                  yes 0123456789012345678901234567890123456789012345678901234567890123456789 | head -c 40000000; echo last";
    let spec = bench.agent(1, &["sh", "-c", script]);
    let stdout = block(async {
        bench.engine.ensure_started(&spec, &()).await.unwrap();
        super::appears(&bench.workspace().join("a")).await;
        let mut out = [Vec::new(), Vec::new()];
        let mut cursor = LogCursor::default();
        while out[0].is_empty() {
            drain(&bench, &spec.name, &mut cursor, 1 << 20, &mut out).await;
        }
        std::fs::write(bench.workspace().join("b"), b"").unwrap();
        bench.engine.wait(&spec.name).await.unwrap();
        drain(&bench, &spec.name, &mut cursor, 64 << 20, &mut out).await;
        let [stdout, _] = out;
        stdout
    });
    assert!(stdout.starts_with(&[b"first\n", logs::GAP].concat()), "{}", String::from_utf8_lossy(&stdout[..200]));
    assert!(stdout.ends_with(b"last\n"));
    assert!(stdout.len() < 20_000_000, "the Engine kept {} bytes", stdout.len());
}

#[test]
fn a_container_that_is_gone_has_no_logs() {
    let bench = Bench::new();
    let [mut out, mut err] = [Vec::new(), Vec::new()];
    let copied = block(logs::copy(&bench.engine, "tf-gone", LogCursor::default(), 1, &mut out, &mut err));
    assert!(matches!(copied, Err(Error::NotFound { .. })));
}

#[test]
fn running_once_keeps_what_it_may_and_leaves_nothing() {
    let bench = Bench::new();
    let spec = bench.agent(1, &["sh", "-c", "head -c 300000 /dev/zero; echo oops >&2; exit 4"]);
    let finished = block(bench.engine.run_once(&spec, &(), Duration::from_secs(60), 1000)).unwrap();
    assert_eq!((finished.code, finished.stdout.len(), finished.truncated), (4, 1000, true));
    assert_eq!(finished.stderr, b"oops\n");
    assert!(!finished.timed_out && !finished.oom && !finished.succeeded());
    assert_eq!(bench.containers(), Vec::<String>::new());
}

#[test]
fn running_once_ends_when_its_time_is_over() {
    let bench = Bench::new();
    let spec = bench.agent(1, &["sh", "-c", "trap '' TERM; echo started; while :; do sleep 1; done"]);
    let finished = block(bench.engine.run_once(&spec, &(), Duration::from_millis(600), 1000)).unwrap();
    assert!(finished.timed_out);
    assert_eq!(finished.code, 137);
    assert_eq!(bench.containers(), Vec::<String>::new());
}

#[test]
fn running_once_tidies_up_what_a_crash_left() {
    let bench = Bench::new();
    let spec = bench.agent(1, &["echo", "hello"]);
    block(bench.engine.ensure_started(&spec, &())).unwrap();
    assert_eq!(bench.run(&spec).stdout, b"hello\n");
    let failed = bench.agent(2, &["/no/such/program"]);
    block(bench.engine.run_once(&failed, &(), Duration::from_secs(60), 1000)).unwrap_err();
    assert_eq!(bench.containers(), Vec::<String>::new());
}
