//! The kill switch at its promised size: twenty agents under ten gates, each asking a model as fast as it may.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::{Value, json};

use super::world::PATIENCE;
use crate::docker_api;
use crate::scene::Scene;

const RUNS: usize = 10;
const AGENTS: usize = 2 * RUNS;

const TALKER: &str = r#"
import json, time, urllib.request
body = json.dumps({"model": "scripted", "messages": [{"role": "user", "content": "hi"}]}).encode()
while True:
    request = urllib.request.Request("http://127.0.0.1:4180/v1/chat/completions", body, {"content-type": "application/json"})
    try:
        urllib.request.urlopen(request, timeout=60).read()
    except OSError:
        pass
    time.sleep(0.2)
"#;

/// A model on loopback that answers everything.
#[derive(Default)]
struct Model {
    asked: AtomicUsize,
    /// Connections that it has not seen the end of.
    open: AtomicUsize,
}

impl Model {
    fn start() -> (u16, Arc<Self>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, model) = (listener.local_addr().unwrap().port(), Arc::new(Self::default()));
        let served = Arc::clone(&model);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let model = Arc::clone(&served);
                model.open.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    let _ = model.answer(stream);
                    model.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        (port, model)
    }

    /// Answers one request after the other, until the client is gone.
    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let message = json!({"role": "assistant", "content": "hello"});
        let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
        let body = json!({"id": "x", "object": "chat.completion", "choices": [choice]}).to_string();
        let mut reader = BufReader::new(stream.try_clone()?);
        loop {
            let (mut line, mut length) = (String::new(), 0);
            while reader.read_line(&mut line)? > 2 {
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            if length == 0 {
                return Ok(());
            }
            reader.read_exact(&mut vec![0; length])?;
            self.asked.fetch_add(1, Ordering::SeqCst);
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length:";
            stream.write_all(format!("{head} {}\r\n\r\n{body}", body.len()).as_bytes())?;
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// How much it was asked, once it has read all that the dead have sent.
    fn in_the_end(&self) -> usize {
        let begun = Instant::now();
        while self.open.load(Ordering::SeqCst) > 0 {
            assert!(begun.elapsed() < PATIENCE, "somebody is connected to the model");
            std::thread::yield_now();
        }
        self.asked()
    }
}

/// Whether a connection to `port` on loopback is established, as the kernel knows it.
fn is_connected(port: u16) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let remote = format!("0100007F:{port:04X}");
    table.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(2);
        fields.next() == Some(&remote) && fields.next() == Some("01")
    })
}

#[test]
fn twenty_agents_under_ten_gates_are_gone_and_cut_off() {
    let (port, model) = Model::start();
    let scene = Scene::new();
    let served = format!("model = {{ name = \"scripted\", baseUrl = \"http://127.0.0.1:{port}/v1\" }}");
    scene.set("model = \"recorded\"", &served);
    let command = json!(["python3", "-c", TALKER]);
    let container = format!("command: {command}\nresources: {{ memory: 64MiB, cpus: 0.2 }}");
    scene.commands("many", &[("one", &container, &[]), ("two", &container, &[])]);
    let runs: Vec<String> = (0..RUNS).map(|number| format!("r{number}")).collect();
    for run in &runs {
        scene.start("many", run);
    }
    let begun = Instant::now();
    let running = || {
        let all = docker_api::containers(&scene.id());
        all.iter().filter(|found| found["State"] == "running").count()
    };
    while running() < AGENTS + RUNS || model.asked() < AGENTS {
        assert!(begun.elapsed() < PATIENCE, "{} run, {} asked", running(), model.asked());
        scene.tf(&["tick"]).ok();
    }
    let names: Vec<Value> = docker_api::containers(&scene.id());

    let begun = Instant::now();
    let killed = scene.tf(&["kill", "--reason", "test", "--json"]).ok().json();
    // Promised are two seconds on two idle cores; `benches/kill.py` measures it, and what else runs here decides this one.
    println!("kill of {AGENTS} agents under {RUNS} gates: {:.2} s", begun.elapsed().as_secs_f64());
    assert_eq!(docker_api::containers(&scene.id()), Vec::<Value>::new());
    assert_eq!(killed["unfinished"], json!([]), "{killed:#}");
    assert_eq!((killed["removed"].as_array().unwrap().len(), names.len()), (AGENTS + RUNS, AGENTS + RUNS));
    assert_eq!(killed["runs"].as_array().unwrap().len(), RUNS, "{killed:#}");
    // Whoever held a connection to the model is dead, so that the kernel has closed it.
    assert!(!is_connected(port));
    let last = model.in_the_end();
    for run in &runs {
        scene.tf(&["tick", run]).exits(10);
    }
    assert_eq!((model.in_the_end(), is_connected(port)), (last, false));
    assert_eq!(docker_api::containers(&scene.id()), Vec::<Value>::new());
    for run in &runs {
        assert_eq!(scene.show(run)["status"], "paused");
        scene.tf(&["audit", "verify", run]).ok();
    }
}
