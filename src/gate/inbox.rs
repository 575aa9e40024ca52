//! `gate/inbox/<ulid>.json`: what agents tell the host. Durable before the agent is told so; the host journals each
//! once by its id and removes it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::memory::{self, MemoryFile};
use super::policy::{Attempt, CapabilityRequest, RequestStatus};
use super::rules::Rules;
use super::{Error, durable};
use crate::role::agent::{Entry, MemoryError, MemoryKey, check_value};
use crate::run::deployment::Proposal;
use crate::run::id::{AgentName, NodeId, RequestId};
use crate::run::timetable::Timetable;

/// How long the host may take from taking in that a child is wanted to a policy that names it.
const TAKEN: Duration = Duration::from_secs(20);

/// No message is larger, in bytes: a result of 256 KiB, escaped.
const LARGEST: u64 = 2 << 20;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Body: `{"capability","reason"}`, `deploy` with a `port` and `schedule` with a `schedule`; the message's id is the request's. `"by": "gate"` if no
    /// agent asked.
    Capability,
    /// Body: `{"message"}`.
    Progress,
    /// Body: the structured result.
    Result,
    /// Body: `{"key","value"}`; a value that is null forgets the key.
    Memory,
    /// Body: `{"role","task","requests","wallMs"}`; the message's id is the child's.
    Child,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// 1.
    pub format: u32,
    pub id: RequestId,
    pub kind: Kind,
    /// RFC 3339 in UTC.
    pub at: String,
    pub node: NodeId,
    /// From 1.
    pub attempt: u32,
    pub body: Map<String, Value>,
}

/// A file in the inbox.
#[derive(Debug)]
pub struct Found {
    pub path: PathBuf,
    /// What it says, or why it is no message.
    pub message: Result<Message, Error>,
}

/// The folder of messages.
#[derive(Debug, Clone)]
pub struct Inbox {
    folder: PathBuf,
}

impl Inbox {
    /// The inbox in the gate's folder `gate`.
    #[must_use]
    pub fn of(gate: &Path) -> Self {
        Self { folder: gate.join("inbox") }
    }

    /// All messages, oldest first; a missing folder is empty.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list(&self) -> Result<Vec<Found>, Error> {
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Error::io("read", &self.folder)(e)),
        };
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.map_err(Error::io("read", &self.folder))?.path();
            if path.extension().is_some_and(|e| e == "json")
                && path.file_name().is_some_and(|n| !n.as_encoded_bytes().starts_with(b"."))
            {
                paths.push(path);
            }
        }
        // ULIDs sort by their time.
        paths.sort_unstable();
        Ok(paths.into_iter().map(|path| Found { message: read(path.clone()), path }).collect())
    }

    /// Stores a message durably.
    fn put(&self, id: &RequestId, kind: Kind, of: (&NodeId, u32), body: Map<String, Value>) -> Result<(), Error> {
        let at = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        let message = Message { format: 1, id: id.clone(), kind, at, node: of.0.clone(), attempt: of.1, body };
        let name = format!("{id}.json");
        let path = self.folder.join(&name);
        let bytes =
            serde_json::to_vec(&message).map_err(|e| Error::Format { path: path.clone(), reason: e.to_string() })?;
        durable::write(&self.folder, &name, &bytes, 0o600).map_err(Error::io("write", path))
    }
}

fn read(path: PathBuf) -> Result<Message, Error> {
    let bytes = durable::read(&path, LARGEST).map_err(Error::io("read", &path))?;
    let message: Message =
        serde_json::from_slice(&bytes).map_err(|e| Error::Format { path: path.clone(), reason: e.to_string() })?;
    if message.format != 1 || path.file_stem().is_none_or(|stem| stem != message.id.as_str()) {
        return Err(Error::Format { path, reason: "its format is not 1, or its name is not its id".to_owned() });
    }
    Ok(message)
}

/// Who asks: an attempt as the policy has it, and the requests that its container was made with.
pub(crate) struct Asker<'a> {
    pub(crate) attempt: &'a Attempt,
    /// Whether the gate asks for it: that is no part of what the agent may ask for.
    pub(crate) is_gate: bool,
    pub(crate) in_force: &'a HashSet<RequestId>,
}

/// What is asked for, in canonical form.
#[derive(Clone, Copy)]
pub(crate) struct Wish<'a> {
    pub(crate) capability: &'a str,
    /// What is to be deployed on a `port`.
    pub(crate) deploy: Option<&'a Proposal>,
    /// When a `schedule` does what.
    pub(crate) schedule: Option<&'a Timetable>,
    pub(crate) reason: &'a str,
}

impl Wish<'_> {
    /// What equal wishes have in common.
    fn key(&self) -> String {
        key(self.capability, self.deploy, self.schedule)
    }
}

/// The capability, and what is to be deployed or done at times: no capability holds a space.
fn key(capability: &str, deploy: Option<&Proposal>, schedule: Option<&Timetable>) -> String {
    let deploy = deploy.and_then(|deploy| serde_json::to_string(deploy).ok());
    let schedule = schedule.and_then(|schedule| serde_json::to_string(schedule).ok());
    deploy.or(schedule).map_or_else(|| capability.to_owned(), |what| format!("{capability} {what}"))
}

/// The inbox as the running gate uses it: knows what was asked and counts what was said.
pub(crate) struct Asked {
    /// The gate's folder.
    gate: PathBuf,
    inbox: Inbox,
    /// Locked from the look for an equal request until the new one is stored: two equal ones become one.
    state: tokio::sync::Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Requests of this gate or in its inbox, by what they ask for.
    pending: HashMap<String, Pending>,
    /// Which attempt has a message in the inbox, or had one, for which capability.
    heard: HashSet<(String, u32, String)>,
    /// Changes of memories that the host has not taken in, as far as is known here, oldest first.
    changes: Vec<Change>,
    /// Children that were asked for and that the policy does not know, with their parts of the requests.
    children: Vec<Wanted>,
    /// Messages by node, attempt and kind.
    said: HashMap<(String, u32, Kind), u64>,
    /// What attempts have written into memories, in bytes.
    written: HashMap<(String, u32), u64>,
    /// Ids that grow, within a millisecond too: the host takes messages in their order, and the first of equal
    /// requests gives all of them its id.
    ids: ulid::Generator,
}

/// How often one attempt may change its memory.
pub(crate) const MOST_CHANGES: u64 = 500;
/// How much it may write there in all, in bytes: each version stays in the agent's journal.
pub(crate) const MOST_WRITTEN: u64 = 4 << 20;

/// A change of a memory that is asked for.
pub(crate) struct Memorable<'a> {
    pub(crate) agent: &'a AgentName,
    /// The nodes whose messages are this memory's.
    pub(crate) nodes: &'a [NodeId],
    /// The attempt that asks.
    pub(crate) of: (&'a NodeId, u32),
    pub(crate) key: MemoryKey,
    /// None to forget it.
    pub(crate) value: Option<String>,
}

impl Memorable<'_> {
    fn bytes(&self) -> u64 {
        self.value.as_ref().map_or(0, |value| value.len() as u64)
    }
}

/// A change of a memory.
struct Change {
    id: RequestId,
    node: NodeId,
    key: MemoryKey,
    at: chrono::DateTime<chrono::Utc>,
    /// None if it was forgotten.
    entry: Option<Entry>,
}

/// A child that was asked for.
struct Wanted {
    id: RequestId,
    node: NodeId,
    /// Its part of the node's requests to models.
    requests: u64,
    /// When its message was first missed.
    taken: Option<Instant>,
}

impl Wanted {
    /// Whether the host still has to say what became of it: its message is there, or was taken in a moment ago.
    fn is_open(&mut self, folder: &Path) -> bool {
        if self.taken.is_none() && folder.join(format!("{}.json", self.id)).exists() {
            return true;
        }
        self.taken.get_or_insert_with(Instant::now).elapsed() < TAKEN
    }
}

/// What there is for children that the policy does not know yet.
pub(crate) struct Room {
    /// The children that it names, of whatever node: their parts are no longer among what is left.
    pub(crate) known: Vec<RequestId>,
    /// How many more the node may have.
    pub(crate) children: u32,
    /// The requests to models that the node has left.
    pub(crate) node: u64,
    /// Those that the run has left, where they are limited.
    pub(crate) run: Option<u64>,
}

/// What became of asking for a child.
pub(crate) enum Child {
    Asked(RequestId),
    /// The node has had all of its children.
    TooMany,
    /// There are not so many requests to give.
    TooMuch {
        left: u64,
    },
}

/// What became of a change of a memory.
pub(crate) enum Remembering {
    Done,
    /// There was nothing to forget.
    Nothing,
    Refused(MemoryError),
    /// The attempt has changed it too often.
    Exhausted,
}

struct Pending {
    id: RequestId,
    node: String,
    capability: String,
}

/// What became of a request for a capability.
pub(crate) enum Asking {
    /// Stored now, or equal to one that is not in force for the attempt.
    Pending(RequestId),
    /// In force for the attempt, or refused: it needs not wait.
    Known(RequestId),
    /// The node has asked for too much.
    Exhausted,
}

impl Asked {
    /// Goes on from what stands in the inbox.
    pub(crate) fn open(gate: &Path) -> Result<Self, Error> {
        let inbox = Inbox::of(gate);
        durable::folder(&inbox.folder).map_err(Error::io("create", &inbox.folder))?;
        durable::clean(&inbox.folder).map_err(Error::io("clean", &inbox.folder))?;
        durable::sync_folder(gate).map_err(Error::io("sync", gate))?;
        let mut state = State::default();
        for found in inbox.list()? {
            let Ok(message) = found.message else { continue };
            state.changes.extend(change(&message));
            if message.kind == Kind::Child {
                let requests = message.body.get("requests").and_then(Value::as_u64).unwrap_or(0);
                let (id, node) = (message.id.clone(), message.node.clone());
                state.children.push(Wanted { id, node, requests, taken: None });
            }
            let node = message.node.as_str().to_owned();
            if message.kind == Kind::Capability
                && let Some(capability) = message.body.get("capability").and_then(Value::as_str)
            {
                let deploy = message.body.get("deploy").cloned();
                let deploy = deploy.and_then(|deploy| serde_json::from_value::<Proposal>(deploy).ok());
                let schedule = message.body.get("schedule").cloned();
                let schedule = schedule.and_then(|schedule| serde_json::from_value::<Timetable>(schedule).ok());
                let wish = key(capability, deploy.as_ref(), schedule.as_ref());
                state.heard.insert((node.clone(), message.attempt, wish.clone()));
                // The oldest of equal requests is the request; the others join it.
                let pending = Pending { id: message.id, node: node.clone(), capability: capability.to_owned() };
                state.pending.entry(wish).or_insert(pending);
            }
            *state.said.entry((node, message.attempt, message.kind)).or_default() += 1;
        }
        Ok(Self { gate: gate.to_owned(), inbox, state: tokio::sync::Mutex::new(state) })
    }

    /// Asks for what `wish` names. Equal requests of a run are one request with one id; each attempt
    /// that asks leaves one message, since the host has to know who waits.
    pub(crate) async fn ask(&self, rules: &Rules, asker: &Asker<'_>, wish: Wish<'_>) -> Result<Asking, Error> {
        let mut state = self.state.lock().await;
        // The newest of equal ones: those before it could not be resolved or built.
        let same_wish = |r: &&CapabilityRequest| {
            let with = (r.deploy.as_ref(), r.schedule.as_ref());
            r.capability == wish.capability && with == (wish.deploy, wish.schedule)
        };
        // What another role asked for was decided for that role: an attempt's own list has those of its own.
        let known = asker.attempt.requests.iter().rev().find(same_wish);
        // What is over by the clock is asked for anew, also before the host has taken note of that.
        let ended = |known: &CapabilityRequest| known.status == RequestStatus::Revoked || rules.is_over(&known.id);
        let known = known.filter(|known| !ended(known));
        let (node, attempt) = (&asker.attempt.node, asker.attempt.attempt);
        if let Some(known) = known
            && !known.is_for_the_next()
            && (known.status.is_refused() || asker.in_force.contains(&known.id) || asker.attempt.gives(known))
        {
            return Ok(Asking::Known(known.id.clone()));
        }
        // What the policy knows is no longer ours to remember.
        state.pending.retain(|_, pending| rules.request(pending.id.as_str()).is_none());
        let same = known.map(|k| k.id.clone()).or_else(|| state.pending.get(&wish.key()).map(|p| p.id.clone()));
        let key = (node.as_str().to_owned(), attempt, wish.key());
        if let Some(id) = &same
            && state.heard.contains(&key)
        {
            return Ok(Asking::Pending(id.clone()));
        }
        if same.is_none() && !asker.is_gate && self.is_exhausted(rules, asker, &state) {
            return Ok(Asking::Exhausted);
        }
        let mut body = Map::new();
        body.insert("capability".into(), wish.capability.into());
        body.insert("reason".into(), wish.reason.into());
        if asker.is_gate {
            body.insert("by".into(), "gate".into());
        }
        if let Some(deploy) = wish.deploy {
            body.insert("deploy".into(), serde_json::json!(deploy));
        }
        if let Some(schedule) = wish.schedule {
            body.insert("schedule".into(), serde_json::json!(schedule));
        }
        let id = next_id(&mut state)?;
        self.store(&id, Kind::Capability, (node, attempt), body).await?;
        state.heard.insert(key);
        Ok(Asking::Pending(same.unwrap_or_else(|| {
            let capability = wish.capability.to_owned();
            let pending = Pending { id: id.clone(), node: node.as_str().to_owned(), capability };
            state.pending.insert(wish.key(), pending);
            id
        })))
    }

    fn is_exhausted(&self, rules: &Rules, asker: &Asker<'_>, state: &State) -> bool {
        let own = rules.policy.attempts.iter().filter(|a| a.node == asker.attempt.node);
        let known: HashSet<&RequestId> = own.clone().flat_map(|a| &a.requests).map(|r| &r.id).collect();
        let limit = own.map(|a| a.limits.capability_requests).max().unwrap_or(0);
        let waiting = state.pending.values().filter(|p| p.node == asker.attempt.node.as_str()).count();
        (known.len() + waiting) as u64 >= limit
    }

    /// The capability of a request that the policy does not know yet.
    pub(crate) async fn pending(&self, id: &str) -> Option<String> {
        let state = self.state.lock().await;
        state.pending.values().find(|pending| pending.id.as_str() == id).map(|pending| pending.capability.clone())
    }

    /// Stores a message unless the attempt has said `limit` of its kind; `None` then.
    pub(crate) async fn say(
        &self,
        kind: Kind,
        of: (&NodeId, u32),
        body: Map<String, Value>,
        limit: u64,
    ) -> Result<Option<RequestId>, Error> {
        let key = (of.0.as_str().to_owned(), of.1, kind);
        let id = {
            let mut state = self.state.lock().await;
            let said = state.said.entry(key).or_default();
            if *said >= limit {
                return Ok(None);
            }
            *said += 1;
            next_id(&mut state)?
        };
        self.store(&id, kind, of, body).await?;
        Ok(Some(id))
    }

    /// What `agent` remembers: what the host wrote, and what its `nodes` have changed since.
    pub(crate) async fn remembered(
        &self,
        agent: &AgentName,
        nodes: &[NodeId],
    ) -> Result<BTreeMap<MemoryKey, Entry>, Error> {
        let mut state = self.state.lock().await;
        Ok(self.current(&mut state, agent, nodes).await?.entries)
    }

    async fn current(&self, state: &mut State, agent: &AgentName, nodes: &[NodeId]) -> Result<MemoryFile, Error> {
        // In this order: the host writes its file before it removes a message, so that one of the two has a change.
        let folder = &self.inbox.folder;
        state.changes.retain(|change| folder.join(format!("{}.json", change.id)).exists());
        let (gate, agent) = (self.gate.clone(), agent.clone());
        let read = tokio::task::spawn_blocking(move || memory::read(&gate, &agent)).await;
        let mut found = read.map_err(|error| Error::Record(error.to_string()))??;
        for change in state.changes.iter().filter(|change| nodes.contains(&change.node)) {
            let bytes = change.entry.as_ref().map_or(0, |entry| entry.value.len() as u64);
            found.written.count(change.at, bytes);
            found.journal = found.journal.saturating_add(bytes);
            match &change.entry {
                Some(entry) => found.entries.insert(change.key.clone(), entry.clone()),
                None => found.entries.remove(&change.key),
            };
        }
        Ok(found)
    }

    /// Whether `change` could be stored now: [`Remembering::Done`], or what is against it.
    pub(crate) async fn may_remember(&self, change: &Memorable<'_>) -> Result<Remembering, Error> {
        let mut state = self.state.lock().await;
        self.fits(&mut state, change).await
    }

    /// Stores a change of a memory, if it keeps to the bounds.
    pub(crate) async fn remember(&self, change: &Memorable<'_>) -> Result<Remembering, Error> {
        // Locked throughout: two changes at once would each fit, and not both.
        let mut state = self.state.lock().await;
        match self.fits(&mut state, change).await? {
            Remembering::Done => {}
            other => return Ok(other),
        }
        let whose = (change.of.0.as_str().to_owned(), change.of.1);
        *state.said.entry((whose.0.clone(), whose.1, Kind::Memory)).or_default() += 1;
        *state.written.entry(whose).or_default() += change.bytes();
        let id = next_id(&mut state)?;
        let mut body = Map::new();
        body.insert("key".into(), change.key.as_str().into());
        body.insert("value".into(), change.value.clone().into());
        self.store(&id, Kind::Memory, change.of, body).await?;
        let at = chrono::Utc::now();
        let entry = change.value.clone().map(|value| Entry { value, at });
        state.changes.push(Change { id, node: change.of.0.clone(), key: change.key.clone(), at, entry });
        Ok(Remembering::Done)
    }

    async fn fits(&self, state: &mut State, change: &Memorable<'_>) -> Result<Remembering, Error> {
        let found = self.current(state, change.agent, change.nodes).await?;
        match &change.value {
            None if !found.entries.contains_key(&change.key) => return Ok(Remembering::Nothing),
            None => {}
            Some(value) => {
                let sizes = found.entries.iter().map(|(key, entry)| (key, entry.value.len()));
                if let Err(refused) = check_value(sizes, &change.key, value) {
                    return Ok(Remembering::Refused(refused));
                }
            }
        }
        let whose = (change.of.0.as_str().to_owned(), change.of.1);
        let written = state.written.get(&whose).copied().unwrap_or(0).saturating_add(change.bytes());
        let said = state.said.get(&(whose.0, whose.1, Kind::Memory)).copied().unwrap_or(0);
        if said >= MOST_CHANGES || written > MOST_WRITTEN {
            return Ok(Remembering::Exhausted);
        }
        Ok(match found.written.check(chrono::Utc::now(), change.bytes(), found.journal) {
            Ok(()) => Remembering::Done,
            Err(refused) => Remembering::Refused(refused),
        })
    }

    /// Asks for a child of `of`, which gives it `wanted` of its requests to models, half if it does not say.
    pub(crate) async fn child(
        &self,
        of: (&NodeId, u32),
        room: Room,
        wanted: Option<u64>,
        mut body: Map<String, Value>,
    ) -> Result<Child, Error> {
        let mut state = self.state.lock().await;
        let folder = &self.inbox.folder;
        state.children.retain_mut(|wanted| !room.known.contains(&wanted.id) && wanted.is_open(folder));
        let own: Vec<u64> = state.children.iter().filter(|wanted| wanted.node == *of.0).map(|w| w.requests).collect();
        if own.len() as u64 >= u64::from(room.children) {
            return Ok(Child::TooMany);
        }
        let open = |parts: &mut dyn Iterator<Item = u64>| parts.fold(0, u64::saturating_add);
        let of_node = room.node.saturating_sub(open(&mut own.into_iter()));
        let of_run = room.run.map(|run| run.saturating_sub(open(&mut state.children.iter().map(|w| w.requests))));
        let left = of_run.map_or(of_node, |run| run.min(of_node));
        let requests = wanted.unwrap_or_else(|| (left / 2).max(1));
        if requests > left {
            return Ok(Child::TooMuch { left });
        }
        body.insert("requests".into(), requests.into());
        let id = next_id(&mut state)?;
        self.store(&id, Kind::Child, of, body).await?;
        state.children.push(Wanted { id: id.clone(), node: of.0.clone(), requests, taken: None });
        Ok(Child::Asked(id))
    }

    /// Whether the host still has to say what became of a child that the policy does not know.
    pub(crate) async fn is_asked(&self, id: &str) -> bool {
        let mut state = self.state.lock().await;
        let wanted = state.children.iter_mut().find(|wanted| wanted.id.as_str() == id);
        wanted.is_some_and(|wanted| wanted.is_open(&self.inbox.folder))
    }

    async fn store(
        &self,
        id: &RequestId,
        kind: Kind,
        of: (&NodeId, u32),
        body: Map<String, Value>,
    ) -> Result<(), Error> {
        let (inbox, id, node) = (self.inbox.clone(), id.clone(), of.0.clone());
        let stored = tokio::task::spawn_blocking(move || inbox.put(&id, kind, (&node, of.1), body)).await;
        stored.map_err(|e| Error::Record(e.to_string()))?
    }
}

/// What a message changes of a memory, if it does.
fn change(message: &Message) -> Option<Change> {
    if message.kind != Kind::Memory {
        return None;
    }
    let key = MemoryKey::parse(message.body.get("key")?.as_str()?).ok()?;
    let at = chrono::DateTime::parse_from_rfc3339(&message.at).ok()?.with_timezone(&chrono::Utc);
    let value = message.body.get("value").and_then(Value::as_str).map(str::to_owned);
    let entry = value.map(|value| Entry { value, at });
    Some(Change { id: message.id.clone(), node: message.node.clone(), key, at, entry })
}

fn next_id(state: &mut State) -> Result<RequestId, Error> {
    // An overflow within one millisecond takes 2^80 ids; any id will do then.
    let id = state.ids.generate().unwrap_or_else(|_| ulid::Ulid::generate());
    Ok(RequestId::parse(&id.to_string())?)
}
