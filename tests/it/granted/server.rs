//! A server on a loopback address that is not the agent's own, so that its clients go by their proxy.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

/// Not 127.0.0.1, which is in an agent's `NO_PROXY`.
pub const ADDRESS: &str = "127.0.0.2";

/// Answers each request for `/hold` with one piece and an open end, for a completion with one, and everything else with
/// `hello`.
pub struct Server {
    pub port: u16,
    seen: Arc<Mutex<Vec<String>>>,
    /// Connections to `/hold` that were cut.
    cut: Arc<Mutex<u32>>,
}

impl Server {
    pub fn start() -> Self {
        Self::at(ADDRESS)
    }

    pub fn at(address: &str) -> Self {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seen, cut) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<Mutex<u32>>::default());
        let (all, cuts) = (seen.clone(), cut.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, all, cuts) = (stream.unwrap(), all.clone(), cuts.clone());
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    let mut head = String::new();
                    while !head.ends_with("\r\n\r\n") {
                        if reader.read_line(&mut head).unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    let line = head.lines().next().unwrap().to_owned();
                    all.lock().unwrap().push(line.clone());
                    if line.contains("/chat/completions") {
                        let body = serde_json::json!({"id": "c", "object": "chat.completion", "created": 1, "model": "scripted",
                            "choices": [{"index": 0, "finish_reason": "stop",
                                "message": {"role": "assistant", "content": "hello from the model"}}],
                            "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}})
                        .to_string();
                        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
                        let _ =
                            stream.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes());
                    } else if line.contains("/hold") {
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nx");
                        let mut rest = [0; 16];
                        while matches!(reader.read(&mut rest), Ok(1..)) {}
                        *cuts.lock().unwrap() += 1;
                    } else {
                        let _ =
                            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello");
                    }
                });
            }
        });
        Self { port, seen, cut }
    }

    pub fn host(&self) -> String {
        format!("{ADDRESS}:{}", self.port)
    }

    /// The request lines so far.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    pub fn cuts(&self) -> u32 {
        *self.cut.lock().unwrap()
    }
}
