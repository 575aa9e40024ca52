//! A stand-in for the Engine's socket that is only half an Engine: a rule says of each request whether it is passed on,
//! refused, never answered, or held up until the test lets it go.

use std::io::{self, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};

use super::PATIENCE;
use super::proxy::read_head;
use crate::container::require_engine;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    /// The Engine hears of it when [`Half::release`] has been called.
    HoldRequest,
    /// The Engine does it at once, and the answer waits for [`Half::release`].
    HoldAnswer,
    /// As an Engine that has broken down half-way.
    Refuse,
    /// As an Engine that was started anew, and knows nothing of what ran before.
    Forgotten,
    /// As an Engine that has ended: the request is heard, and the connection breaks.
    Cut,
    /// One after the other, and each takes its time.
    InTurn,
    /// Neither an answer nor an end of the connection.
    Silence,
}

#[derive(Default)]
struct Book {
    released: bool,
    /// Requests that wait, or have waited, for their release.
    held: usize,
    /// Held requests that have been passed on to their end.
    over: usize,
    seen: Vec<String>,
}

/// What [`Verdict::InTurn`] adds to a request: half a dozen of them take longer than a kill waits for nothing.
const SLOW: std::time::Duration = std::time::Duration::from_millis(1200);

type Rule = dyn Fn(&str, usize) -> Verdict + Send + Sync;

pub struct Half {
    path: PathBuf,
    shared: Arc<(Mutex<Book>, Condvar)>,
}

impl Half {
    /// A socket at `path`; `rule` is given each request's method and path, and how many like it (same method, same
    /// first and last word) came before.
    pub fn at(path: &Path, rule: impl Fn(&str, usize) -> Verdict + Send + Sync + 'static) -> Self {
        let engine = require_engine().socket().to_owned();
        let listener = UnixListener::bind(path).unwrap();
        let shared: Arc<(Mutex<Book>, Condvar)> = Arc::default();
        let of_thread = Arc::clone(&shared);
        let rule: Arc<Rule> = Arc::new(rule);
        let turns: Arc<Mutex<()>> = Arc::default();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (shared, engine, rule) = (Arc::clone(&of_thread), engine.clone(), Arc::clone(&rule));
                let turns = Arc::clone(&turns);
                std::thread::spawn(move || {
                    let _ = serve(&client, &engine, &shared, &turns, rule.as_ref());
                    let _ = client.shutdown(Shutdown::Both);
                });
            }
        });
        Self { path: path.to_owned(), shared }
    }

    /// Points `command` at this socket.
    pub fn under<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("DOCKER_HOST", format!("unix://{}", self.path.display()))
    }

    /// Waits until a request is held.
    pub fn until_held(&self) {
        let (book, changed) = &*self.shared;
        let (book, waited) = changed.wait_timeout_while(book.lock().unwrap(), PATIENCE, |book| book.held == 0).unwrap();
        assert!(!waited.timed_out(), "nothing was held: {:?}", book.seen);
    }

    /// Lets all that is held go, and waits until the Engine has answered it.
    pub fn release(&self) {
        let (book, changed) = &*self.shared;
        let mut held = book.lock().unwrap();
        held.released = true;
        changed.notify_all();
        drop(changed.wait_while(held, |book| book.over < book.held).unwrap());
    }

    pub fn seen(&self) -> Vec<String> {
        self.shared.0.lock().unwrap().seen.clone()
    }
}

fn serve(
    mut client: &UnixStream,
    engine: &Path,
    shared: &(Mutex<Book>, Condvar),
    turns: &Mutex<()>,
    rule: &Rule,
) -> io::Result<()> {
    let Some((head, rest)) = read_head(client)? else { return Ok(()) };
    let line = head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
    let verdict = {
        let mut book = shared.0.lock().unwrap();
        let before = book.seen.iter().filter(|other| kind(other) == kind(&line)).count();
        book.seen.push(line.clone());
        rule(&line, before)
    };
    match verdict {
        Verdict::Refuse => {
            let body = r#"{"message":"half an engine"}"#;
            let length = body.len();
            let head = "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nConnection: close";
            return write!(client, "{head}\r\nContent-Length: {length}\r\n\r\n{body}");
        }
        Verdict::Forgotten => {
            let body = r#"{"message":"No such exec instance"}"#;
            let head = "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nConnection: close";
            return write!(client, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        }
        Verdict::Cut => return Ok(()),
        // Until the client gives up.
        Verdict::Silence => return io::copy(&mut client, &mut io::sink()).map(drop),
        Verdict::HoldRequest => wait(shared),
        Verdict::InTurn => {
            let _turn = turns.lock().unwrap();
            // What takes long here is what is tried.
            std::thread::sleep(SLOW);
            return pass_on(client, &head, &rest, engine);
        }
        Verdict::Pass | Verdict::HoldAnswer => {}
    }
    let mut upstream = UnixStream::connect(engine)?;
    let upgrades = head.to_lowercase().contains("\r\nupgrade:");
    let head = if upgrades { head } else { head.replacen("\r\n", "\r\nConnection: close\r\n", 1) };
    upstream.write_all(head.as_bytes())?;
    upstream.write_all(&rest)?;
    let (mut from_client, mut to_engine) = (client.try_clone()?, upstream.try_clone()?);
    // What is held goes on also when the client is dead by then: the Engine has heard it all before.
    let holds = verdict != Verdict::Pass;
    std::thread::spawn(move || {
        let _ = io::copy(&mut from_client, &mut to_engine);
        if !holds {
            let _ = to_engine.shutdown(Shutdown::Write);
        }
    });
    if !holds {
        return io::copy(&mut upstream, &mut client).map(drop);
    }
    let mut answer = Vec::new();
    io::copy(&mut upstream, &mut answer)?;
    if verdict == Verdict::HoldAnswer {
        wait(shared);
    }
    let written = client.write_all(&answer);
    shared.0.lock().unwrap().over += 1;
    shared.1.notify_all();
    written
}

/// Passes one request on, and its answer back.
fn pass_on(mut client: &UnixStream, head: &str, rest: &[u8], engine: &Path) -> io::Result<()> {
    let mut upstream = UnixStream::connect(engine)?;
    upstream.write_all(head.replacen("\r\n", "\r\nConnection: close\r\n", 1).as_bytes())?;
    upstream.write_all(rest)?;
    io::copy(&mut upstream, &mut client).map(drop)
}

fn wait(shared: &(Mutex<Book>, Condvar)) {
    let mut book = shared.0.lock().unwrap();
    book.held += 1;
    shared.1.notify_all();
    drop(shared.1.wait_while(book, |book| !book.released).unwrap());
}

/// The method, and the first and last word of the path.
fn kind(line: &str) -> (&str, &str, &str) {
    let (method, path) = line.split_once(' ').unwrap_or((line, ""));
    let path = path.split('?').next().unwrap_or_default();
    let first = path.split('/').nth(1).unwrap_or_default();
    (method, first, path.rsplit('/').next().unwrap_or_default())
}
