//! A server on loopback that lists pull requests as GitHub's REST API does: pages, tags, conditions; and lies when it is told to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::gate::upstream::{Got, Upstream, Wire};

pub const TOKEN: &str = "ghp_w4tchTh3G4teH4sThisT0ken";

/// Pull requests by repository, the last changed last.
type Shelves = BTreeMap<String, Vec<Value>>;

/// Answers a request itself, by its first line; whether it did.
type Before = dyn Fn(&str, &Got, &mut Wire) -> bool + Send + Sync;

pub struct Hub {
    server: Upstream,
    shelves: Arc<Mutex<Shelves>>,
    before: Arc<Mutex<Option<Box<Before>>>>,
}

/// The commit that is called so.
pub fn sha(text: &str) -> String {
    text.repeat(40)[..40].to_owned()
}

impl Hub {
    pub fn start() -> Self {
        let (shelves, before) = (Arc::<Mutex<Shelves>>::default(), Arc::<Mutex<Option<Box<Before>>>>::default());
        let (all, first) = (shelves.clone(), before.clone());
        let server = Upstream::start(move |got, wire| {
            let line = got.head.lines().next().unwrap_or_default().to_owned();
            let answered = first.lock().unwrap().as_ref().is_some_and(|first| first(&line, got, wire));
            if !answered {
                serve(&line, got, wire, &all);
            }
        });
        Self { server, shelves, before }
    }

    pub fn base(&self) -> String {
        format!("http://127.0.0.1:{}/api/v3", self.server.port)
    }

    /// From now on `act` is asked first.
    pub fn before(&self, act: impl Fn(&str, &Got, &mut Wire) -> bool + Send + Sync + 'static) {
        *self.before.lock().unwrap() = Some(Box::new(act));
    }

    pub fn honest(&self) {
        *self.before.lock().unwrap() = None;
    }

    /// Opens a pull request, or pushes to it.
    pub fn push(&self, repo: &str, number: u64, commit: &str) {
        self.put(repo, number, commit, json!({}));
    }

    /// [`Hub::push`] with more to be said of it.
    pub fn put(&self, repo: &str, number: u64, commit: &str, more: Value) {
        let mut pull = json!({
            "number": number, "title": format!("Change {number}"), "state": "open", "draft": false,
            "user": {"login": "ada"}, "html_url": format!("https://hub.test/{repo}/pull/{number}"),
            "head": {"ref": "topic", "sha": sha(commit), "repo": null},
            "base": {"ref": "main", "sha": sha("b"), "repo": {"full_name": repo}},
        });
        for (key, value) in more.as_object().unwrap() {
            pull[key] = value.clone();
        }
        let mut shelves = self.shelves.lock().unwrap();
        let pulls = shelves.entry(repo.to_owned()).or_default();
        pulls.retain(|pull| pull["number"] != number);
        pulls.push(pull);
    }

    pub fn add(&self, repo: &str) {
        self.shelves.lock().unwrap().entry(repo.to_owned()).or_default();
    }

    pub fn close(&self, repo: &str, number: u64) {
        let mut shelves = self.shelves.lock().unwrap();
        shelves.get_mut(repo).unwrap().retain(|pull| pull["number"] != number);
    }

    /// Requests so far, and those of them with a condition.
    pub fn asked(&self) -> (usize, usize) {
        let got = self.server.got();
        let conditional = got.iter().filter(|got| got.head.to_lowercase().contains("\r\nif-none-match: ")).count();
        (got.len(), conditional)
    }

    pub fn got(&self) -> Vec<Got> {
        self.server.got()
    }
}

fn serve(line: &str, got: &Got, wire: &mut Wire, shelves: &Mutex<Shelves>) {
    let mut words = line.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let number = |key: &str| {
        query.split('&').find_map(|pair| pair.strip_prefix(&format!("{key}="))?.parse::<usize>().ok()).unwrap_or(1)
    };
    if !got.head.contains(&format!("authorization: Bearer {TOKEN}\r\n")) {
        return wire.answer("401 Unauthorized", "application/json", r#"{"message":"Bad credentials"}"#);
    }
    let shelves = shelves.lock().unwrap();
    let parts: Vec<&str> = path.trim_start_matches("/api/v3/repos/").split('/').collect();
    let repo = parts.iter().take(2).copied().collect::<Vec<_>>().join("/");
    let Some(pulls) = shelves.get(&repo).cloned() else {
        return wire.answer("404 Not Found", "application/json", r#"{"message":"Not Found"}"#);
    };
    match (method, &parts[2..]) {
        ("GET", ["pulls"]) => {
            let (size, at) = (number("per_page"), number("page"));
            let part: Vec<&Value> = pulls.iter().rev().skip((at - 1) * size).take(size).collect();
            let body = json!(part).to_string();
            let tag = format!("W/\"{}\"", taskforge::run::id::Digest::of(body.as_bytes()).short());
            if got.head.contains(&format!("if-none-match: {tag}\r\n")) {
                wire.write(format!("HTTP/1.1 304 Not Modified\r\netag: {tag}\r\n\r\n"));
                return;
            }
            let link = if at * size < pulls.len() { "link: <http://evil.test/?page=2>; rel=\"next\"\r\n" } else { "" };
            wire.write(format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\netag: {tag}\r\n{link}content-length: {}\r\n\r\n{body}",
                body.len()
            ));
        }
        _ => wire.answer("404 Not Found", "application/json", r#"{"message":"Not Found"}"#),
    }
}
