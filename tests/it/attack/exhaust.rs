//! Using up the host, and outliving one's time: the limits hold outside of the container.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::world::{PATIENCE, World, python};

fn outcome(shown: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&shown["nodes"][0]["status"]), text(&shown["nodes"][0]["attempts"][0]["outcome"]))
}

/// What the kernel refused, as the gate has it on record.
fn held_back(world: &World, run: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(world.run_folder(run).join("gate/traffic.jsonl")).unwrap();
    let records = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    records.filter(|record| record["kind"] == "agent.held_back").collect()
}

#[test]
fn processes_memory_and_files_have_an_end() {
    let world = World::new();
    let script = r#"
def fill(path, size):
    with open(path, "wb", 0) as file:
        done = 0
        try:
            while done < size:
                done += file.write(b"x" * (1 << 20))
        except OSError as error:
            return [done, error.errno]
    return [done, 0]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
children = []
try:
    while len(children) < 400:
        child = os.fork()
        if child == 0:
            time.sleep(60); os._exit(0)
        children.append(child)
except OSError as error:
    forked = [len(children), error.errno]
else:
    forked = [len(children), 0]
for child in children:
    os.kill(child, 9)
files = []
try:
    while len(files) < 20000:
        files.append(open("/dev/null"))
except OSError as error:
    opened = len(files)
else:
    opened = len(files)
del files
tmp = {path: fill(path, 1 << 30) for path in ("/tmp/x", "/home/agent/x", "/run/x", "/dev/shm/x") if os.access(os.path.dirname(path), os.W_OK)}
for path in tmp: os.unlink(path)
found(forked=forked, opened=opened, tmp=tmp, workspace=fill("/workspace/x", 1 << 30))
"#;
    let node = python("attack", script).with("resources: {memory: 512MiB, pids: 64, disk: 16MiB, wall: 2m}");
    let found = world.attack("fill", node);
    let number = |value: &Value| value.as_u64().unwrap();
    assert!(number(&found["forked"][0]) < 64 && found["forked"][1] != 0, "{found:#}");
    // What the kernel refused stands in the records.
    let held = held_back(&world, "fill");
    assert_eq!(held.len(), 1, "{held:#?}");
    assert!(held[0]["processes"].as_u64().unwrap() > 0 && held[0]["node"] == "attack", "{held:#?}");
    assert!(number(&found["opened"]) < 5000, "{found:#}");
    for (path, filled) in found["tmp"].as_object().unwrap() {
        assert!(number(&filled[0]) <= 128 << 20 && filled[1] != 0, "{path}: {found:#}");
    }
    assert!(number(&found["workspace"][0]) <= 16 << 20 && found["workspace"][1] != 0, "{found:#}");
}

#[test]
fn too_much_memory_is_named() {
    let world = World::new();
    let script = "blocks = []\nwhile True: blocks.append(b'x' * (8 << 20))";
    world.start("memory", &[python("attack", script).with("resources: {memory: 64MiB}")]);
    let shown = world.finish("memory");
    assert_eq!(outcome(&shown), ("failed".to_owned(), "oom".to_owned()), "{shown:#}");
}

/// PID 1 is the shim: what the agent does to it, and its own deafness, change nothing about its time.
#[test]
fn time_ends_for_those_who_do_not_listen() {
    let world = World::new();
    let script = r#"
for number in range(1, 32):
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(number, signal.SIG_IGN)
def stubborn():
    tried(os.setsid)
    if os.fork() == 0:
        tried(os.setsid)
    for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD):
        tried(os.kill, 1, number)
    tried(lambda: open("/proc/1/mem", "r+b"))
    while True:
        time.sleep(1)
        print("still here", flush=True)
if os.fork() == 0:
    stubborn()
stubborn()
"#;
    world.start("late", &[python("attack", script).with("resources: {wall: 3s}")]);
    let begun = Instant::now();
    let shown = world.finish("late");
    assert_eq!(outcome(&shown), ("failed".to_owned(), "timeout".to_owned()), "{shown:#}");
    assert!(begun.elapsed() < PATIENCE);
    world.until("late", |_| world.containers().is_empty());
}

#[test]
fn exit_codes_are_claims() {
    let world = World::new();
    for (code, expected) in [
        (72, "failed"),
        (75, "failed"),
        (124, "timeout"),
        (125, "failed"),
        (126, "failed"),
        (255, "failed"),
        (137, "lost"),
        (143, "lost"),
        (0, "outputs_missing"),
    ] {
        let run = format!("exit-{code}");
        world.start(&run, &[python("attack", &format!("os._exit({code})")).leaves("[nodes/attack/report.md]")]);
        let shown = world.finish(&run);
        let (status, outcome) = outcome(&shown);
        assert_eq!(
            (status.as_str(), outcome.to_lowercase().replace("missing", "_missing").replace("__", "_")),
            ("failed", expected.to_owned()),
            "{code}: {shown:#}"
        );
        // Whoever pretends to have been lost is not tried for ever.
        assert!(shown["nodes"][0]["attempts"].as_array().unwrap().len() <= 5, "{shown:#}");
    }
}

#[test]
fn a_tick_ends_while_a_container_prints_without_end() {
    let world = World::new();
    let script = "line = b'x' * 8000 + b'\\n'\nwhile True: os.write(1, line * 100)";
    world.start("noise", &[python("attack", script).with("resources: {wall: 10m}")]);
    let mut ticks = 0;
    let begun = Instant::now();
    while ticks < 3 {
        let mut child = world.command(&["tick", "noise"]).stdout(std::process::Stdio::null()).spawn().unwrap();
        while child.try_wait().unwrap().is_none() {
            if begun.elapsed() > PATIENCE {
                let _ = child.kill();
                let _ = child.wait();
                panic!("the tick does not end");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        ticks += 1;
    }
    world.taskforge(&["run", "cancel", "noise"]);
    world.until("noise", |_| world.containers().is_empty());
    let log = world.run_folder("noise").join("nodes/attack/attempts/1/stdout.log");
    assert!(std::fs::metadata(log).unwrap().len() < 66 << 20);
}

#[test]
fn a_flood_of_messages_ends_and_is_taken_in() {
    let world = World::new();
    let script = r#"
counts = {}
lock = threading.Lock()
def send(kind, body, times):
    for n in range(times):
        status = gate("POST", "/taskforge/v1/" + kind, body(n))[0]
        with lock:
            counts.setdefault(kind, {}).setdefault(str(status), 0)
            counts[kind][str(status)] += 1
threads = [threading.Thread(target=send, args=("progress", lambda n: {"message": "m" * 4000}, 150)) for _ in range(8)]
threads.append(threading.Thread(target=send, args=("result", lambda n: {"n": n, "x": "r" * 200000}, 30)))
threads.append(threading.Thread(target=send, args=("capabilities", lambda n: {"capability": "port:%d" % (n + 1), "reason": "r"}, 100)))
for t in threads: t.start()
for t in threads: t.join()
found(**counts)
"#;
    let found = world.attack("flood", python("attack", script));
    assert_eq!(found["progress"], json!({"202": 1000, "429": 200}), "{found:#}");
    assert_eq!(found["result"], json!({"202": 20, "429": 10}), "{found:#}");
    assert!(found["capabilities"].as_object().unwrap().keys().all(|status| status.starts_with('4')), "{found:#}");
    let journal = world.journal("flood");
    assert_eq!(journal.lines().filter(|line| line.contains(r#"{"event": "run.progress""#)).count(), 1000);
    let inbox = world.run_folder("flood").join("gate/inbox");
    assert_eq!(std::fs::read_dir(inbox).unwrap().count(), 0);
    world.must_be_sound("flood");
}

/// One who holds every connection, and one who sends too much: neighbours are heard all the same.
#[test]
fn a_gate_keeps_serving_the_others() {
    let world = World::new();
    let rude = r#"
big = []
for size in (9 << 20, 50 << 20):
    try:
        big.append(gate("POST", "/v1/chat/completions", b"x" * size)[0])
    except Exception as error:
        big.append(str(type(error).__name__))
held = []
for n in range(300):
    s = socket.socket()
    s.settimeout(5)
    try:
        s.connect(("127.0.0.1", 4180))
        s.sendall(b"POST /taskforge/v1/progress HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\nx-slow: ")
        held.append(s)
    except OSError:
        break
open("/workspace/ready.txt", "w").write("x")
end = time.time() + 8
while time.time() < end:
    for s in held:
        tried(s.send, b"a")
    time.sleep(0.5)
found(held=len(held))
"#;
    let polite = r#"
slow = 0
for n in range(20):
    begun = time.time()
    status = gate("POST", "/taskforge/v1/progress", {"message": "heard %d" % n})[0]
    assert status == 202, status
    slow = max(slow, time.time() - begun)
    time.sleep(0.3)
found(slow=slow)
"#;
    world.start("rude", &[python("rude", rude), python("polite", polite)]);
    let shown = world.finish("rude");
    assert_eq!(shown["nodes"][1]["status"], "completed", "{shown:#}\n{}", world.log("rude", "polite", "stderr"));
    assert_eq!(world.journal("rude").matches("heard 19").count(), 2, "payload and message");
}
