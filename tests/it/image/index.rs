//! A package index of the test's own, which does as it is told: for Python's packages and for Debian's. It listens on
//! the host's side of the Engine's own bridge, so that nothing but this host's containers gets to it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};
use sha2::Digest as _;
use taskforge::run::id::Digest;

use crate::docker_api;

/// What is answered under one path.
#[derive(Clone)]
pub enum Answer {
    Body(Vec<u8>),
    /// To another path, or to another host.
    Redirect(String),
    Status(u16, String),
    /// Not one byte until the client gives up.
    Silence,
    /// The beginning, and then the same line again and again.
    Endless(String),
    /// A head, and then a byte now and then: no read ever times out.
    Drip,
}

pub struct Index {
    address: String,
    answers: Arc<Mutex<BTreeMap<String, Answer>>>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Index {
    pub fn start() -> Self {
        let (status, bridge) = docker_api::call("GET", "/networks/bridge", &Value::Null);
        assert_eq!(status, 200, "{bridge}");
        let of_bridge = &bridge["IPAM"]["Config"][0];
        let subnet = of_bridge["Subnet"].as_str().and_then(|subnet| subnet.split('/').next());
        // Of a bridge that it found there an Engine names no address of its own: it is the first of the subnet.
        let first = subnet.and_then(|subnet| subnet.strip_suffix(".0")).map(|network| format!("{network}.1"));
        let gateway = of_bridge["Gateway"].as_str().map(str::to_owned).or(first);
        Self::on(TcpListener::bind((gateway.expect("the Engine's bridge has an address"), 0)).unwrap())
    }

    /// The same, where the caller wants it.
    pub fn on(listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap().to_string();
        let answers = Arc::<Mutex<BTreeMap<String, Answer>>>::default();
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let (of_thread, log) = (Arc::clone(&answers), Arc::clone(&seen));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answers, log) = (Arc::clone(&of_thread), Arc::clone(&log));
                // Whoever hangs up has had enough.
                std::thread::spawn(move || serve(&stream, &answers, &log));
            }
        });
        Self { address, answers, seen }
    }

    /// The index as `packages.pipIndex`.
    pub fn simple(&self) -> String {
        format!("http://{}/simple", self.address)
    }

    /// A line of apt's sources.
    pub fn apt_source(&self) -> String {
        format!("deb [trusted=yes] http://{}/debian ./", self.address)
    }

    pub fn put(&self, path: &str, answer: Answer) {
        self.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    pub fn take_away(&self, path: &str) {
        self.answers.lock().unwrap().remove(path);
    }

    /// The paths that were asked for.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// Offers these wheels as the versions of `name`.
    pub fn offer(&self, name: &str, wheels: &[&Wheel]) {
        let mut page = String::from("<!DOCTYPE html><html><body>\n");
        for wheel in wheels {
            let (file, sha256) = (&wheel.filename, Digest::of(&wheel.bytes));
            let _ = writeln!(page, "<a href=\"/files/{file}#sha256={sha256}\">{file}</a>");
            self.put(&format!("/files/{file}"), Answer::Body(wheel.bytes.clone()));
        }
        self.put(&format!("/simple/{name}/"), Answer::Body((page + "</body></html>\n").into_bytes()));
    }

    /// The registry as `packages.npmRegistry`.
    pub fn npm(&self) -> String {
        format!("http://{}/npm/", self.address)
    }

    /// Where the archive of a package of npm is offered.
    pub fn npm_file(name: &str, version: &str) -> String {
        format!("/npm/{name}/-/{name}-{version}.tgz")
    }

    /// Offers one version of a package of npm, whose archive is `bytes`.
    pub fn offer_npm(&self, name: &str, version: &str, bytes: &[u8]) {
        let file = Self::npm_file(name, version);
        let sum = base64::engine::general_purpose::STANDARD.encode(sha2::Sha512::digest(bytes));
        let dist = json!({"tarball": format!("http://{}{file}", self.address), "integrity": format!("sha512-{sum}")});
        let page = json!({"name": name, "dist-tags": {"latest": version},
            "versions": {version: {"name": name, "version": version, "dist": dist}}});
        self.put(&format!("/npm/{name}"), Answer::Body(page.to_string().into_bytes()));
        self.put(&file, Answer::Body(bytes.to_vec()));
    }

    /// Offers these `.deb` files and nothing else.
    pub fn offer_debs(&self, debs: &[Deb]) {
        let mut list = String::new();
        for deb in debs {
            let path = format!("{}_{}_all.deb", deb.name, deb.version);
            let _ = write!(
                list,
                "Package: {}\nVersion: {}\nArchitecture: all\nMaintainer: T <t@example.org>\nFilename: ./{path}\n\
                 Size: {}\nSHA256: {}\nDescription: of a test\n\n",
                deb.name,
                deb.version,
                deb.bytes.len(),
                Digest::of(&deb.bytes)
            );
            self.put(&format!("/debian/{path}"), Answer::Body(deb.bytes.clone()));
        }
        let sums = format!("SHA256:\n {} {} Packages\n", Digest::of(list.as_bytes()), list.len());
        self.put("/debian/Packages", Answer::Body(list.into_bytes()));
        self.put("/debian/Release", Answer::Body(format!("Origin: test\n{sums}").into_bytes()));
    }
}

fn serve(mut stream: &TcpStream, answers: &Mutex<BTreeMap<String, Answer>>, seen: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    // apt writes the folder of a flat archive as it stands in its sources.
    let path = head.split(' ').nth(1)?.replace("/./", "/");
    seen.lock().unwrap().push(path.clone());
    let found = answers.lock().unwrap().get(&path).cloned();
    let kind = if path.starts_with("/simple/") { "text/html" } else { "application/octet-stream" };
    let answer = |status: &str, more: &str, body: &[u8]| {
        let head = format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nConnection: close\r\n{more}");
        [format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
    };
    let open = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n");
    match found {
        None => stream.write_all(&answer("404 Not Found", "", b"")).ok(),
        Some(Answer::Body(body)) => stream.write_all(&answer("200 OK", "", &body)).ok(),
        Some(Answer::Status(code, reason)) => {
            stream.write_all(&answer(&format!("{code} {reason}"), "", reason.as_bytes())).ok()
        }
        Some(Answer::Redirect(to)) => stream.write_all(&answer("302 Found", &format!("Location: {to}\r\n"), b"")).ok(),
        Some(Answer::Silence) => std::io::copy(&mut reader, &mut std::io::sink()).ok().map(drop),
        Some(Answer::Endless(line)) => {
            stream.write_all(open.as_bytes()).ok()?;
            let piece = line.repeat((64 << 10) / line.len());
            loop {
                stream.write_all(piece.as_bytes()).ok()?;
            }
        }
        Some(Answer::Drip) => {
            stream.write_all(open.as_bytes()).ok()?;
            loop {
                stream.write_all(b" ").ok()?;
                std::thread::sleep(Duration::from_millis(200));
            }
        }
    }
}

/// A wheel: a zip archive without compression.
#[derive(Clone)]
pub struct Wheel {
    pub filename: String,
    pub bytes: Vec<u8>,
}

impl Wheel {
    /// One module that is named as the package, and `more` files beside it.
    pub fn new(name: &str, version: &str, more: &[(&str, &str)]) -> Self {
        Self::with_metadata(name, version, &format!("Name: {name}\nVersion: {version}\n"), more)
    }

    /// One that depends on `needs`, each as pip reads it.
    pub fn needing(name: &str, version: &str, needs: &[&str]) -> Self {
        let needs: String = needs.iter().map(|need| format!("Requires-Dist: {need}\n")).collect();
        Self::with_metadata(name, version, &format!("Name: {name}\nVersion: {version}\n{needs}"), &[])
    }

    pub fn with_metadata(name: &str, version: &str, metadata: &str, more: &[(&str, &str)]) -> Self {
        let module = name.replace('-', "_");
        let info = format!("{module}-{version}.dist-info");
        let mut files = vec![
            (format!("{module}/__init__.py"), format!("version = \"{version}\"\n")),
            (format!("{info}/METADATA"), format!("Metadata-Version: 2.1\n{metadata}")),
            (
                format!("{info}/WHEEL"),
                "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n".to_owned(),
            ),
        ];
        files.extend(more.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())));
        let record = files.iter().fold(String::new(), |record, (path, _)| record + path + ",,\n");
        files.push((format!("{info}/RECORD"), format!("{record}{info}/RECORD,,\n")));
        Self { filename: format!("{module}-{version}-py3-none-any.whl"), bytes: zip(&files) }
    }
}

/// A zip archive (APPNOTE 6.3, method 0) of ordinary files.
fn zip(files: &[(String, String)]) -> Vec<u8> {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for (name, text) in files {
        let offset = u32::try_from(archive.len()).unwrap();
        let size = u32::try_from(text.len()).unwrap().to_le_bytes();
        // Version, flags, method, time and date (1 January 1980), sum, both sizes, both lengths.
        let mut common = [20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0].to_vec();
        common.extend(crc32(text.as_bytes()).to_le_bytes());
        common.extend([size, size].concat());
        common.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        common.extend([0, 0]);
        archive.extend([b"PK\x03\x04", &common[..], name.as_bytes(), text.as_bytes()].concat());
        // Made by Unix: comment, disk, inner attributes, and the mode 0644 of an ordinary file.
        let mode = (0o100_644_u32 << 16).to_le_bytes();
        let entry = [b"PK\x01\x02\x14\x03", &common[..], &[0; 6], &mode, &offset.to_le_bytes(), name.as_bytes()];
        directory.extend(entry.concat());
    }
    let count = u16::try_from(files.len()).unwrap().to_le_bytes();
    let sizes = [directory.len(), archive.len()].map(|size| u32::try_from(size).unwrap().to_le_bytes()).concat();
    [&archive[..], &directory, b"PK\x05\x06\0\0\0\0", &count, &count, &sizes, &[0; 2]].concat()
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |sum: u32| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 };
    !bytes.iter().fold(!0, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), |sum, _| step(sum)))
}

/// A Debian package for any architecture.
pub struct Deb {
    pub name: String,
    pub version: String,
    pub bytes: Vec<u8>,
}

impl Deb {
    /// A package without files whose script `postinst` is run when it is installed.
    pub fn new(name: &str, version: &str, postinst: &str) -> Self {
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: T <t@example.org>\n\
             Description: of a test\n"
        );
        let control = tar(&[("./control", 0o644, &control), ("./postinst", 0o755, postinst)]);
        let doc = format!("./usr/share/{name}");
        let parts =
            [("debian-binary", b"2.0\n".to_vec()), ("control.tar", control), ("data.tar", tar(&[(&doc, 0o644, "")]))];
        // ar(5): a fixed head of text for each member, which begin at even offsets.
        let mut bytes = b"!<arch>\n".to_vec();
        for (member, body) in parts {
            bytes.extend(
                format!("{member:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, body.len()).into_bytes(),
            );
            bytes.extend(&body);
            bytes.extend((body.len() % 2 == 1).then_some(b'\n'));
        }
        Self { name: name.to_owned(), version: version.to_owned(), bytes }
    }
}

fn tar(files: &[(&str, u32, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, mode, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(*mode);
        header.set_mtime(1);
        archive.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    archive.into_inner().unwrap()
}
