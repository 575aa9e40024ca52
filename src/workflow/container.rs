//! `container`: a node that runs in a gated container.

use std::time::Duration;

use serde::Serialize;

use super::capability::check_capability;
use super::check::Check;
use super::fields::Fields;
use super::text::shown;
use super::tree::Yaml;
use crate::run::deployment::{Declared, Proposal};
use crate::run::id::{AgentName, RoleName};
use crate::run::quantity::as_optional_millis;

/// How a node's container is made and what runs in it. What is `None` comes from `taskforge.toml`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    pub image: Option<ImageName>,
    pub runtime: Runtime,
    /// The program and its arguments; never empty for [`Runtime::Command`], always for the others.
    pub command: Vec<String>,
    /// As what the node works.
    pub role: Option<RoleName>,
    /// The hired agent that does it, with its own role; never beside a `role`.
    pub agent: Option<AgentName>,
    pub model: Option<String>,
    /// Capabilities that the node asks for from the start, each once, in the order of the file.
    pub capabilities: Vec<String>,
    /// What is proposed to be deployed once the node is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deploy: Option<Declared>,
    pub resources: Resources,
    /// The most requests to a model.
    pub iterations: Option<u32>,
}

/// An image: a name that `taskforge.toml` explains (`default`), or a reference with a digest
/// (`registry.example/tools@sha256:…`). A tag alone could mean another image tomorrow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ImageName(String);

impl ImageName {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is a reference with a digest, and not a name.
    #[must_use]
    pub fn is_reference(&self) -> bool {
        self.0.contains('@')
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    /// The built-in agent loop.
    #[default]
    Builtin,
    /// The node's `command`.
    Command,
    /// An OpenClaw inside the container.
    Openclaw,
}

/// Hard limits.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    pub cpus: Option<f64>,
    /// In bytes.
    #[serde(rename = "memoryBytes")]
    pub memory: Option<u64>,
    pub pids: Option<u32>,
    /// In bytes.
    #[serde(rename = "diskBytes")]
    pub disk: Option<u64>,
    /// How long an attempt may take. Serialised in milliseconds.
    #[serde(rename = "wallMs", serialize_with = "as_optional_millis")]
    pub wall: Option<Duration>,
}

impl Container {
    pub(super) fn read(check: &mut Check, yaml: &Yaml, what: &str) -> Option<Self> {
        const KEYS: [&str; 10] = [
            "image",
            "runtime",
            "command",
            "role",
            "agent",
            "model",
            "capabilities",
            "deploy",
            "resources",
            "iterations",
        ];
        const RUNTIMES: [(&str, Runtime); 3] =
            [("builtin", Runtime::Builtin), ("command", Runtime::Command), ("openclaw", Runtime::Openclaw)];
        let fields = Fields::read(check, yaml, what, &KEYS)?;
        let runtime = match fields.get("runtime") {
            None => Some(Runtime::default()),
            Some(yaml) => check.word(yaml, &fields.name("runtime"), &RUNTIMES),
        };
        let command = fields.optional(check, "command", command);
        match (runtime, fields.entry("command")) {
            (Some(Runtime::Command), None) => {
                fields.missing(check, "command", Some("its runtime needs one: `command: [program, argument]`"));
            }
            (Some(Runtime::Builtin | Runtime::Openclaw), Some(entry)) => {
                let message = format!("{what} has a `command`, and its runtime does not run one");
                check.problem_with(entry.spot, message, "add `runtime: command`, or drop `command`");
            }
            (Some(_) | None, _) => {}
        }
        if let (Some(_), Some(entry)) =
            (fields.get("role"), fields.entry("agent").filter(|_| fields.get("agent").is_some()))
        {
            let message = format!("{what} has both `role` and `agent`, and a hired agent has its role");
            check.problem_with(entry.spot, message, "name one of the two");
        }
        Some(Self {
            image: fields.optional(check, "image", image),
            runtime: runtime.unwrap_or_default(),
            command: command.unwrap_or_default(),
            role: fields.optional(check, "role", |check, yaml, what| label(check, yaml, what, RoleName::parse)),
            agent: fields.optional(check, "agent", |check, yaml, what| label(check, yaml, what, AgentName::parse)),
            model: fields.optional(check, "model", Check::name),
            capabilities: fields.optional(check, "capabilities", capabilities).unwrap_or_default(),
            deploy: fields.optional(check, "deploy", deploy),
            resources: fields.optional(check, "resources", Resources::read).unwrap_or_default(),
            iterations: fields.optional(check, "iterations", |check, yaml, what| count(check, yaml, what, 10_000)),
        })
    }
}

impl Resources {
    fn read(check: &mut Check, yaml: &Yaml, what: &str) -> Option<Self> {
        /// The least that the Docker Engine accepts.
        const MEMORY: u64 = 6 * 1024 * 1024;
        let fields = Fields::read(check, yaml, what, &["cpus", "memory", "pids", "disk", "wall"])?;
        let memory = fields.optional(check, "memory", Check::size);
        if let (Some(..MEMORY), Some(yaml)) = (memory, fields.get("memory")) {
            check.problem(yaml.spot, format!("{} must be at least 6MiB", fields.name("memory")));
        }
        Some(Self {
            cpus: fields.optional(check, "cpus", |check, yaml, what| check.number(yaml, what, 0.01..=1024.0)),
            memory,
            pids: fields.optional(check, "pids", |check, yaml, what| count(check, yaml, what, 4_194_304)),
            disk: fields.optional(check, "disk", Check::size),
            wall: fields.optional(check, "wall", Check::duration),
        })
    }
}

fn count(check: &mut Check, yaml: &Yaml, what: &str, most: u32) -> Option<u32> {
    check.integer(yaml, what, 1..=u64::from(most)).and_then(|number| u32::try_from(number).ok())
}

/// A port, the command that listens on it, and the folder of the workspace whose files it needs.
fn deploy(check: &mut Check, yaml: &Yaml, what: &str) -> Option<Declared> {
    let fields = Fields::read(check, yaml, what, &["port", "command", "folder"])?;
    let port = fields.optional(check, "port", |check, yaml, what| check.integer(yaml, what, 1..=65_535));
    let command = fields.optional(check, "command", command);
    let folder = fields.optional(check, "folder", |check, yaml, what| check.text(yaml, what).map(str::to_owned));
    for (name, there) in [("port", fields.get("port").is_some()), ("command", fields.get("command").is_some())] {
        if !there {
            fields.missing(check, name, Some("a deployment is written `{port: 8000, command: [python3, app.py]}`"));
        }
    }
    let declared = Declared {
        port: u16::try_from(port?).ok()?,
        command: command?,
        folder: folder.unwrap_or_else(|| ".".to_owned()),
    };
    let proposal = Proposal { command: declared.command.clone(), folder: declared.folder.clone() };
    match Proposal::check(Some(&proposal), Some(declared.port)) {
        Ok(()) => Some(declared),
        Err(why) => {
            check.problem(yaml.spot, format!("{what}: {why}"));
            None
        }
    }
}

fn command(check: &mut Check, yaml: &Yaml, what: &str) -> Option<Vec<String>> {
    let items = check.list(yaml, what)?;
    let mut command = Vec::with_capacity(items.len());
    for item in items {
        let Some(text) = check.text(item, &format!("an argument in {what}")) else { continue };
        if text.contains('\0') {
            check.problem(item.spot, format!("an argument in {what} holds a NUL character"));
        }
        command.push(text.to_owned());
    }
    if command.first().is_none_or(|program| program.trim().is_empty()) && !items.first().is_some_and(not_text) {
        check.problem_with(yaml.spot, format!("{what} names no program"), "write it like `[python3, job.py]`");
    }
    Some(command)
}

/// Whether this item has been complained about already.
fn not_text(item: &Yaml) -> bool {
    !matches!(item.value, super::tree::Value::Text(_))
}

fn image(check: &mut Check, yaml: &Yaml, what: &str) -> Option<ImageName> {
    let text = check.name(yaml, what)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let is_name = text.len() <= 128 && text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(plain);
    let is_reference = text.split_once("@sha256:").is_some_and(|(name, digest)| {
        name.len() <= 255
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.chars().all(|c| plain(c) || "/:".contains(c))
            && crate::run::id::Digest::parse(digest).is_ok()
    });
    if is_name || is_reference {
        return Some(ImageName(text));
    }
    let message = format!("{what}: {} is neither a name nor a reference with a digest", shown(&text));
    let hint = "name it under `[containers.images]` in taskforge.toml, or add `@sha256:…`";
    check.problem_with(yaml.spot, message, hint);
    None
}

fn label<T>(
    check: &mut Check,
    yaml: &Yaml,
    what: &str,
    parse: fn(&str) -> Result<T, crate::run::id::IdError>,
) -> Option<T> {
    let name = check.name(yaml, what)?;
    parse(&name).map_err(|why| check.problem(yaml.spot, format!("{what}: {why}"))).ok()
}

fn capabilities(check: &mut Check, yaml: &Yaml, what: &str) -> Option<Vec<String>> {
    const COUNT: usize = 200;
    let mut names: Vec<String> = Vec::new();
    for item in check.list(yaml, what)? {
        let Some(text) = check.text(item, &format!("a capability in {what}")) else { continue };
        if names.iter().any(|name| name == text) {
            check.problem(item.spot, format!("capability {} stands twice in {what}", shown(text)));
        } else if let Err(why) = check_capability(text) {
            check.problem(item.spot, format!("capability {} {why}", shown(text)));
        } else {
            names.push(text.to_owned());
        }
        if names.len() > COUNT {
            check.problem(item.spot, format!("{what} has more than {COUNT} capabilities"));
            break;
        }
    }
    Some(names)
}
