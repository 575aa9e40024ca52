//! A small HTTP client over a unix socket: sends what it is given, byte for byte, and reads one answer.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

/// One answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    /// The body ended as it said it would.
    pub whole: bool,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// The `code` of a refusal.
    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    pub fn header(&self, name: &str) -> Option<String> {
        let name = format!("{}:", name.to_lowercase());
        let line = self.head.lines().find(|l| l.to_lowercase().starts_with(&name))?;
        Some(line[name.len()..].trim().to_owned())
    }
}

/// One connection.
pub struct Client {
    reader: BufReader<UnixStream>,
}

impl Client {
    pub fn connect(socket: &Path) -> std::io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        stream.set_write_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self { reader: BufReader::new(stream) })
    }

    pub fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    pub fn send(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:4180\r\n{headers}content-length: {}\r\n\r\n",
            body.len()
        );
        self.write(head.as_bytes()).unwrap();
        self.write(body).unwrap();
    }

    /// The head of the answer; `None` if the connection ended.
    pub fn head(&mut self) -> Option<(u16, String)> {
        let mut head = String::new();
        loop {
            let mut line = String::new();
            match self.reader.read_line(&mut line) {
                Ok(0) | Err(_) => return None,
                Ok(_) if line == "\r\n" => break,
                Ok(_) => head.push_str(&line),
            }
        }
        Some((head.split_whitespace().nth(1)?.parse().ok()?, head))
    }

    /// One chunk of a chunked body: `Ok(None)` at its end, an error if it broke off.
    pub fn chunk(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let size = usize::from_str_radix(line.trim(), 16).map_err(std::io::Error::other)?;
        let mut chunk = vec![0; size + 2];
        self.reader.read_exact(&mut chunk)?;
        chunk.truncate(size);
        Ok((size > 0).then_some(chunk))
    }

    pub fn answer(&mut self) -> Option<Answer> {
        let (status, head) = self.head()?;
        let mut answer = Answer { status, head, body: Vec::new(), whole: false };
        if answer.header("transfer-encoding").is_some_and(|t| t.contains("chunked")) {
            loop {
                match self.chunk() {
                    Ok(Some(chunk)) => answer.body.extend(chunk),
                    Ok(None) => {
                        answer.whole = true;
                        break;
                    }
                    Err(_) => break,
                }
            }
        } else {
            let length = answer.header("content-length").map_or(0, |n| n.parse().unwrap());
            let mut body = vec![0; length];
            let mut read = 0;
            while read < length {
                match self.reader.read(&mut body[read..]) {
                    Ok(0) | Err(_) => break,
                    Ok(n) => read += n,
                }
            }
            body.truncate(read);
            (answer.body, answer.whole) = (body, read == length);
        }
        Some(answer)
    }

    /// The next bytes of a tunnel.
    pub fn exactly(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.reader.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Ends this side's sending.
    pub fn shut(&mut self) {
        self.reader.get_mut().shutdown(std::net::Shutdown::Write).unwrap();
    }

    /// The same to a gate that may have hung up.
    pub fn finish(&mut self) {
        let _ = self.reader.get_ref().shutdown(std::net::Shutdown::Write);
    }

    /// Whether the other side has ended the connection; waits for it.
    pub fn ended(&mut self) -> bool {
        let mut rest = Vec::new();
        match self.reader.read_to_end(&mut rest) {
            Ok(_) => true,
            Err(e) => e.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

/// One request on a connection of its own.
pub fn request(socket: &Path, method: &str, path: &str, body: &[u8]) -> Answer {
    let mut client = Client::connect(socket).unwrap();
    client.send(method, path, "content-type: application/json\r\n", body);
    client.answer().expect("an answer")
}
