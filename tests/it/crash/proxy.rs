//! A stand-in for the Engine's socket that passes everything on, counts requests, and ends the process that makes a
//! chosen one: before the Engine hears of it, or when the Engine has done it and the answer is on its way.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::container::require_engine;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The Engine never hears of the request.
    Before,
    /// The Engine has answered, and nobody hears it.
    After,
}

/// Whose requests are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    Command,
    /// A detached build that the command left behind.
    Child,
}

#[derive(Debug, Clone, Copy)]
pub struct Strike {
    pub whose: Whose,
    /// Counted from 1.
    pub at: usize,
    pub when: When,
}

#[derive(Default)]
struct Book {
    strikes: Vec<Strike>,
    command: Option<i32>,
    /// Requests so far, of the command and of its children.
    requests: [Vec<String>; 2],
    struck: Vec<String>,
}

pub struct Proxy {
    path: PathBuf,
    book: Arc<Mutex<Book>>,
}

/// What became of a command.
pub struct Struck {
    pub output: Output,
    /// The requests that it, or its child so far, did not survive.
    pub at: Vec<String>,
    /// Requests of the command itself.
    pub requests: Vec<String>,
}

impl Proxy {
    pub fn at(path: &Path) -> Self {
        let engine = require_engine().socket().to_owned();
        let listener = UnixListener::bind(path).unwrap();
        let book: Arc<Mutex<Book>> = Arc::default();
        let of_thread = Arc::clone(&book);
        // Ends with the test process; a detached builder may need it until then.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (book, engine) = (Arc::clone(&of_thread), engine.clone());
                std::thread::spawn(move || {
                    // Whoever hangs up has heard what it wanted.
                    let _ = serve(&client, &engine, &book);
                    let _ = client.shutdown(Shutdown::Both);
                });
            }
        });
        Self { path: path.to_owned(), book }
    }

    /// Runs `command` against this socket.
    pub fn run(&self, command: &mut Command, strikes: &[Strike]) -> Struck {
        command.env("DOCKER_HOST", format!("unix://{}", self.path.display()));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = {
            // Held, so that no request is counted before it is known whose it is.
            let mut book = self.book.lock().unwrap();
            let child = command.spawn().unwrap();
            *book = Book {
                strikes: strikes.to_vec(),
                command: Some(i32::try_from(child.id()).unwrap()),
                ..Book::default()
            };
            child
        };
        let output = child.wait_with_output().unwrap();
        let book = self.book.lock().unwrap();
        Struck { output, at: book.struck.clone(), requests: book.requests[0].clone() }
    }

    /// What struck a detached build by now, and its requests.
    pub fn of_child(&self) -> (Vec<String>, Vec<String>) {
        let book = self.book.lock().unwrap();
        (book.struck.clone(), book.requests[1].clone())
    }
}

impl Book {
    /// Counts a request; whether it is the one.
    fn count(&mut self, pid: i32, what: &str) -> Option<When> {
        let whose = if self.command == Some(pid) { Whose::Command } else { Whose::Child };
        let requests = &mut self.requests[whose as usize];
        requests.push(what.to_owned());
        let at = requests.len();
        let strike = self.strikes.iter().find(|strike| strike.whose == whose && strike.at == at)?;
        self.struck.push(format!("{:?} {at} of {whose:?}: {what}", strike.when));
        Some(strike.when)
    }
}

fn serve(mut client: &UnixStream, engine: &Path, book: &Mutex<Book>) -> io::Result<()> {
    let pid = rustix::net::sockopt::socket_peercred(client)?.pid;
    let Some((head, rest)) = read_head(client)? else { return Ok(()) };
    let line = head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
    let strike = book.lock().unwrap().count(pid.as_raw_nonzero().get(), &line);
    if strike == Some(When::Before) {
        end(pid);
        return Ok(());
    }
    let upgrades = head.to_lowercase().contains("\r\nupgrade:");
    let mut upstream = UnixStream::connect(engine)?;
    // One request a connection, so that each is seen: an answer's end is then the connection's.
    let head = if upgrades { head } else { head.replacen("\r\n", "\r\nConnection: close\r\n", 1) };
    upstream.write_all(head.as_bytes())?;
    upstream.write_all(&rest)?;
    let (mut from_client, mut to_engine) = (client.try_clone()?, upstream.try_clone()?);
    std::thread::spawn(move || {
        let _ = io::copy(&mut from_client, &mut to_engine);
        let _ = to_engine.shutdown(Shutdown::Write);
    });
    if strike == Some(When::After) {
        let Some((answer, _)) = read_head(&upstream)? else { return Ok(()) };
        // An answer that has an end is waited for; one that goes on and on is not.
        if !answer.starts_with("HTTP/1.1 101") {
            upstream.set_read_timeout(Some(Duration::from_secs(2)))?;
            let _ = io::copy(&mut upstream, &mut io::sink());
        }
        end(pid);
        return Ok(());
    }
    io::copy(&mut upstream, &mut client).map(drop)
}

/// A head with the empty line behind it, and what came with it.
pub fn read_head(mut stream: &UnixStream) -> io::Result<Option<(String, Vec<u8>)>> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return Ok(Some((String::from_utf8_lossy(&bytes).into_owned(), rest)));
        }
        match stream.read(&mut piece)? {
            0 => return Ok(None),
            count => bytes.extend_from_slice(&piece[..count]),
        }
    }
}

fn end(pid: Pid) {
    let _ = kill_process(pid, Signal::KILL);
}
