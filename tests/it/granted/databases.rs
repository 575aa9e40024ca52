//! `tcp:` against a real Redis.

use std::process::{Child, Command, Stdio};

use super::stage::{RUN, complete, hear, records, said, stage, start};

/// A Redis of the test's own, on a loopback address.
struct Redis {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Redis {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The kernel chooses a free one; nobody else is given it in the moment until Redis has it.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--daemonize", "no"])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("no Redis: `apt-get install redis-server`");
        let redis = Self { child, port, _folder: folder };
        let begun = std::time::Instant::now();
        while redis.cli(&["ping"]) != "PONG" {
            assert!(begun.elapsed() < std::time::Duration::from_secs(60), "Redis does not answer");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        redis
    }

    fn cli(&self, arguments: &[&str]) -> String {
        let port = self.port.to_string();
        let done = Command::new("redis-cli").args(["-p", &port]).args(arguments).output();
        let done = done.expect("no redis-cli: `apt-get install redis-server`");
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client of RESP2, as much as the test needs.
const CLIENT: &str = r#"
import socket
class Redis:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=100)
        self.file = self.socket.makefile("rb")
    def ask(self, *words):
        parts = "".join("$%d\r\n%s\r\n" % (len(word.encode()), word) for word in words)
        self.socket.sendall(("*%d\r\n%s" % (len(words), parts)).encode())
        line = self.file.readline()
        if line.startswith(b"$"):
            return self.file.read(int(line[1:]) + 2)[:-2].decode()
        return line[1:].strip().decode()
def refused(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5)
        return False
    except ConnectionRefusedError:
        return True
"#;

#[test]
fn a_real_redis_serves_the_agent_until_it_is_revoked() {
    let redis = Redis::start();
    let port = redis.port;
    redis.cli(&["set", "greeting", "hello from Redis"]);
    let scene = stage(&format!(
        r#"{CLIENT}
say("closed before:", refused({port}))
say(*ask("tcp:127.0.0.1:{port}"))
redis = Redis({port})
say(redis.ask("PING"), redis.ask("GET", "greeting"))
# A reply larger than any buffer on the way.
say(redis.ask("SET", "large", "x" * 3_000_000), len(redis.ask("GET", "large")))
redis.ask("CLIENT", "SETNAME", "agent")
say("connected")
try:
    while redis.file.read(1): pass
except OSError: pass
import time
while not refused({port}): time.sleep(0.05)
say("closed after")
"#
    ));
    start(&scene);
    let (id, _) = scene.the_one(RUN);
    scene.tf(&["approve", &id, "--show"]).ok().says("passes every byte on, whatever the protocol");
    scene.approve(RUN);
    hear(&scene, "connected");
    let heard = said(&scene);
    assert_eq!(heard[0], "closed before: True");
    assert!(heard[1].contains(&format!("'listen': '127.0.0.1:{port}'")), "{heard:?}");
    assert_eq!(heard[2..4], ["PONG hello from Redis", "OK 3000000"]);
    assert!(redis.cli(&["client", "list"]).contains("name=agent"));
    scene.tf(&["capability", "revoke", &id, "--reason", "done"]).ok();
    let ended = records(&scene, "egress.ended");
    assert!(
        ended.iter().any(|record| record["verdict"] == "revoked" && record["bytesIn"].as_u64() > Some(3_000_000)),
        "{ended:#?}"
    );
    complete(&scene);
    assert_eq!(said(&scene).last().unwrap(), "closed after");
    assert!(!redis.cli(&["client", "list"]).contains("name=agent"));
    scene.is_sound(RUN);
}
