//! A server on 127.0.0.1 that speaks TLS, with a certificate for `api.test`, `other.test` and 127.0.0.1 that
//! `tests/fixtures/tls/ca.pem` vouches for. It does what a test tells it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::upstream::Got;

pub type Stream = StreamOwned<ServerConnection, TcpStream>;

pub struct TlsServer {
    pub port: u16,
    got: Arc<Mutex<Vec<Got>>>,
}

pub fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls").join(name)
}

pub fn config() -> Arc<ServerConfig> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(fixture("server.pem")).unwrap().map(|one| one.unwrap()).collect();
    let key = PrivateKeyDer::from_pem_file(fixture("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap())
}

impl TlsServer {
    /// Answers each request by `answer`, which gets what came and the wire.
    pub fn start(answer: impl Fn(&Got, &mut Stream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (got, config, answer) = (Arc::<Mutex<Vec<Got>>>::default(), config(), Arc::new(answer));
        let all = got.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, config, all, answer) = (stream.unwrap(), config.clone(), all.clone(), answer.clone());
                std::thread::spawn(move || {
                    let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
                    while let Some(request) = read(&mut stream) {
                        all.lock().unwrap().push(request.clone());
                        answer(&request, &mut stream);
                    }
                });
            }
        });
        Self { port, got }
    }

    pub fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }
}

/// One request; none at the end of the connection, or if it is no TLS.
fn read(stream: &mut Stream) -> Option<Got> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(0) | Err(_) => return None,
            Ok(_) if line == "\r\n" => break,
            Ok(_) => head.push_str(&line),
        }
    }
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some(Got { head, body })
}

pub fn answer(stream: &mut Stream, status: &str, headers: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n", body.len());
    let _ = stream.write_all(&[head.as_bytes(), body].concat());
    let _ = stream.flush();
}
