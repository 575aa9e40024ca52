//! A model's server that answers at once: an OpenAI-compatible completion of a few words, streamed in ten events where
//! the request asks for that. `upstream` prints the port on which it listens; `GET /count` says how many it answered.
//!
//! A thread a connection and nothing parsed but lengths, so that what is measured is in front of it.

use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};

static ANSWERED: AtomicU64 = AtomicU64::new(0);
const COMPLETION: &str = concat!(
    r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"#,
    r#""assistant","content":"well done"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2,"#,
    r#""total_tokens":11}}"#
);
const EVENT: &str = concat!(
    r#"data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":"#,
    r#"{"content":"well "},"finish_reason":null}]}"#,
    "\n\n"
);

fn main() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    for stream in listener.incoming() {
        let stream = stream?;
        std::thread::Builder::new().stack_size(128 << 10).spawn(move || serve(&stream))?;
    }
    Ok(())
}

fn serve(stream: &TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        let (mut length, mut first, mut line) = (0, String::new(), String::new());
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line.trim_end().is_empty() {
                break;
            }
            if first.is_empty() {
                first.clone_from(&line);
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        if first.starts_with("GET /count") {
            let count = ANSWERED.load(Ordering::Relaxed).to_string();
            plain(stream, "text/plain", &count)?;
            continue;
        }
        ANSWERED.fetch_add(1, Ordering::Relaxed);
        let streamed = [&b"\"stream\":true"[..], b"\"stream\": true"];
        if streamed.iter().any(|wanted| body.windows(wanted.len()).any(|window| window == *wanted)) {
            events(stream)?;
        } else {
            plain(stream, "application/json", COMPLETION)?;
        }
    }
}

fn plain(mut stream: &TcpStream, kind: &str, body: &str) -> Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(head.as_bytes())
}

fn events(mut stream: &TcpStream) -> Result<()> {
    let mut text = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
    for event in std::iter::repeat_n(EVENT, 10).chain(["data: [DONE]\n\n"]) {
        text.push_str(&format!("{:x}\r\n{event}\r\n", event.len()));
        stream.write_all(text.as_bytes())?;
        text.clear();
    }
    stream.write_all(b"0\r\n\r\n")
}
