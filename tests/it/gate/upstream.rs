//! An upstream on 127.0.0.1 that does what a test tells it, over plain sockets: nothing between it and the wire.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request as the upstream got it.
#[derive(Debug, Clone)]
pub struct Got {
    pub head: String,
    pub body: Vec<u8>,
}

/// The upstream's side of a connection, after a request.
pub struct Wire {
    stream: TcpStream,
}

impl Wire {
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// A plain answer.
    pub fn answer(&mut self, status: &str, kind: &str, body: impl AsRef<[u8]>) {
        let body = body.as_ref();
        let head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", body.len());
        self.write([head.as_bytes(), body].concat());
    }

    pub fn json(&mut self, body: impl AsRef<[u8]>) {
        self.answer("200 OK", "application/json", body);
    }

    /// The head of a streamed answer.
    pub fn stream_head(&mut self) {
        self.write("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n");
    }

    pub fn chunk(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let bytes = bytes.as_ref();
        self.write([format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat())
    }

    pub fn end_chunks(&mut self) {
        self.write("0\r\n\r\n");
    }

    /// Ends the connection at once.
    pub fn shut(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }

    /// Waits until the gate has ended the connection.
    pub fn wait_until_cut(&mut self) {
        let mut rest = [0; 64];
        self.stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        while matches!(self.stream.read(&mut rest), Ok(n) if n > 0) {}
    }
}

/// The upstream: what it got, and where it is.
pub struct Upstream {
    pub port: u16,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Upstream {
    /// Calls `act` for each request, each connection on a thread of its own.
    pub fn start(act: impl Fn(&Got, &mut Wire) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (got, act) = (Arc::<Mutex<Vec<Got>>>::default(), Arc::new(act));
        let seen = got.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (seen, act) = (seen.clone(), act.clone());
                std::thread::spawn(move || converse(stream.unwrap(), &seen, &*act));
            }
        });
        Self { port, got }
    }

    pub fn base(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    pub fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }
}

fn converse(stream: TcpStream, seen: &Mutex<Vec<Got>>, act: &(dyn Fn(&Got, &mut Wire) + Send + Sync)) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut wire = Wire { stream };
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let length = head
            .lines()
            .find_map(|l| l.to_lowercase().strip_prefix("content-length:").map(|n| n.trim().parse::<usize>().unwrap()))
            .unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let got = Got { head, body };
        seen.lock().unwrap().push(got.clone());
        act(&got, &mut wire);
    }
}
