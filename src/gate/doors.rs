//! Opens and closes the attempts' sockets as the policy, the clock and the kill switch say.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::UnixListener;
use tokio::task::JoinHandle;

use super::ending::Ending;
use super::front::Front;
use super::kill::killed;
use super::listener;
use super::policy::{Attempt, Policy};
use super::published;
use super::rules::Rules;
use super::serve::GateOptions;
use super::shared::Gate;
use super::socket::Socket;
use super::status::Status;
use crate::provider::Keys;

/// All sockets of a gate.
pub(crate) struct Doors {
    gate: Arc<Gate>,
    options: GateOptions,
    client: reqwest::Client,
    open: HashMap<String, Door>,
    killed: bool,
    /// What was taken away and still has to end.
    ending: Ending,
    /// The policy file as it was last read.
    seen: Option<Seen>,
    /// What `status.json` says; `None` if it could not be written.
    status: Status,
    written: Option<Status>,
}

struct Door {
    socket: Arc<Socket>,
    task: JoinHandle<()>,
    /// Who listens on the host for what is published.
    front: Option<JoinHandle<()>>,
    path: PathBuf,
}

/// What tells one policy file from another without reading it.
#[derive(PartialEq, Eq, Clone, Copy)]
struct Seen(u64, i64, i64, u64);

impl Doors {
    pub(crate) fn new(gate: Arc<Gate>, options: GateOptions, client: reqwest::Client, status: Status) -> Self {
        let (open, ending) = (HashMap::new(), Ending::default());
        Self { gate, options, client, open, killed: false, ending, seen: None, status, written: None }
    }

    /// Looks at everything once and makes it so. What it says in `status.json` is true when it stands there: a policy is in
    /// force once all has ended that it takes away. That is not waited for here: the kill switch may come meanwhile.
    pub(crate) async fn look(&mut self) {
        let killed = killed(&self.options.kill);
        if killed && !self.killed {
            self.open.values().for_each(|door| door.socket.cut());
        }
        self.killed = killed;
        let seen = look_at(&self.options.dir.join("policy.json"));
        if seen != self.seen || seen.is_none() {
            // An error is looked at again each time: the file may be there in a moment.
            self.seen = if self.read() { seen } else { None };
        }
        let mut problems = self.gate.rules().denied.clone().into_iter().collect::<Vec<_>>();
        problems.extend(self.settle().await);
        let (under_way, late) = self.ending.look();
        problems.extend(late);
        if problems.is_empty() && !under_way {
            self.status.generation = self.gate.rules().policy.generation;
        }
        self.status.error = (!problems.is_empty()).then(|| problems.join("; "));
        self.report();
    }

    /// Returns when there is a reason to look that no file tells of: something has ended that had to.
    pub(crate) async fn changed(&mut self) {
        self.ending.changed().await;
    }

    /// Takes the policy on disk into force, or denies everything. `false` if it could not be read.
    fn read(&mut self) -> bool {
        let before = self.gate.rules();
        let read = Policy::read(&self.options.dir)
            .map_err(|e| e.to_string())
            .and_then(|policy| match policy.run == before.policy.run {
                true => Ok(policy),
                false => Err(format!("the policy is of the run `{}`; the records here are of another", policy.run)),
            })
            .and_then(|policy| Ok((policy, Keys::load(&self.options.secrets).map_err(|e| e.to_string())?)));
        match read {
            Ok((policy, keys)) => {
                let rules = Rules::new(policy, &self.options.dir, &keys, &self.client, Some(&before));
                self.gate.rules.send_replace(Arc::new(rules));
                true
            }
            Err(reason) => {
                let granted = before.denied.is_none();
                if before.denied.as_deref() != Some(&reason) {
                    self.gate.rules.send_replace(Arc::new(before.deny(reason)));
                }
                if granted {
                    for (name, door) in &self.open {
                        door.socket.cut();
                        self.ending.of_socket(&door.socket, still_under_way(name));
                    }
                }
                false
            }
        }
    }

    /// Opens what should be open, closes what should not, and returns what did not work.
    async fn settle(&mut self) -> Vec<String> {
        let rules = self.gate.rules();
        if rules.denied.is_some() {
            self.close_where(|_, socket| socket.is_closed()).await;
            return Vec::new();
        }
        let now = chrono::Utc::now();
        let wanted: HashMap<&str, Cow<'_, Attempt>> = rules
            .policy
            .attempts
            .iter()
            .filter(|attempt| attempt.deadline > now)
            .map(|attempt| (attempt.socket.as_str(), attempt.at(now)))
            .collect();
        self.close_where(|name, socket| {
            let open = socket.attempt();
            !wanted.get(name).is_some_and(|a| a.node == open.node && a.attempt == open.attempt)
        })
        .await;
        let mut problems = Vec::new();
        for (name, attempt) in &wanted {
            if let Some(door) = self.open.get(*name) {
                let before = door.socket.attempt();
                if *before != **attempt {
                    door.socket.update(attempt.clone().into_owned());
                }
                // What was taken away must not go on on a connection that is open.
                for lost in before.grants.iter().filter(|grant| !attempt.grants.contains(grant)) {
                    self.ending.of_grant(&door.socket, &lost.request);
                }
                if before.model_globs().any(|model| !attempt.model_globs().any(|kept| kept == model)) {
                    door.socket.cut();
                    self.ending.of_socket(&door.socket, still_under_way(name));
                }
            } else if let Err(e) = self.open(attempt) {
                problems.push(format!("the socket `{name}` cannot be opened: {e}"));
            }
        }
        problems
    }

    fn open(&mut self, attempt: &Attempt) -> io::Result<()> {
        let path = self.options.dir.join("sockets").join(&attempt.socket).join("gate.sock");
        match std::fs::symlink_metadata(&path) {
            Ok(data) if data.file_type().is_socket() => std::fs::remove_file(&path)?,
            Ok(_) => return Err(io::Error::other(format!("{} is not a socket", path.display()))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
        let front = attempt.publish.map(|port| Front::listen(port, self.options.bridged)).transpose()?;
        let listener = UnixListener::bind(&path)?;
        // The agent has a user of its own; the folder's mount decides who gets here.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666))?;
        let socket = Arc::new(Socket::new(attempt.clone()));
        let task = tokio::spawn(listener::serve(self.gate.clone(), socket.clone(), listener));
        let front = front.map(|front| tokio::spawn(published::serve(self.gate.clone(), socket.clone(), front)));
        self.open.insert(attempt.socket.clone(), Door { socket, task, front, path });
        Ok(())
    }

    async fn close_where(&mut self, close: impl Fn(&str, &Socket) -> bool) {
        let names: Vec<String> =
            self.open.iter().filter(|(name, door)| close(name, &door.socket)).map(|(name, _)| name.clone()).collect();
        for name in names {
            let Some(door) = self.open.remove(&name) else { continue };
            door.socket.close();
            door.task.abort();
            if let Some(front) = door.front {
                front.abort();
                let _ = front.await;
            }
            // The folder may be gone with its attempt.
            let _ = std::fs::remove_file(&door.path);
            let _ = door.task.await;
            let what = format!("the socket `{name}` is closed; a request of it is still under way");
            self.ending.of_socket(&door.socket, what);
        }
    }

    /// Closes everything, and waits until it has ended.
    pub(crate) async fn close(mut self) {
        self.close_where(|_, _| true).await;
        self.ending.all().await;
    }

    fn report(&mut self) {
        if self.written.as_ref() != Some(&self.status) {
            // On a full disk the host waits for the generation, which is what it should do.
            self.written = self.status.write(&self.options.dir).is_ok().then(|| self.status.clone());
        }
    }
}

fn still_under_way(socket: &str) -> String {
    format!("the socket `{socket}` still has requests under way")
}

fn look_at(path: &Path) -> Option<Seen> {
    let data = std::fs::symlink_metadata(path).ok()?;
    Some(Seen(data.ino(), data.mtime(), data.mtime_nsec(), data.size()))
}
