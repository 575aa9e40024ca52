//! One of `nodes`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::check::Check;
use super::container::{Container, Runtime};
use super::fields::Fields;
use super::outputs::{Declared, Outputs};
use super::params::Param;
use super::problem::Spot;
use super::retry::Retry;
use super::template::{check_condition, check_prompt};
use super::text::shown;
use super::tree::{Value, Yaml};
use super::wait::WaitFor;
use crate::run::id::NodeId;
use crate::run::quantity::as_optional_millis;

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    pub id: NodeId,
    pub title: String,
    pub kind: Kind,
    /// The nodes that come before this one, in the order of the file, each once.
    pub needs: Vec<NodeId>,
    /// As it stands in the file; [`render`](super::Workflow::render) fills in the parameters.
    pub prompt: Option<String>,
    pub outputs: Outputs,
    /// `timeout`, or OpenTask's `timeoutMs`. Serialised in milliseconds.
    #[serde(rename = "timeoutMs", serialize_with = "as_optional_millis")]
    pub timeout: Option<Duration>,
    pub session_key: Option<String>,
    /// Always there for a wait node, [`WaitFor::Manual`] if the file does not say.
    pub wait_for: Option<WaitFor>,
    pub retry: Option<Retry>,
    /// The ways in which this node may end without ending what needs it.
    pub continue_on: Vec<Ending>,
    /// A condition over `params.NAME` and `nodes`; only its form has been checked.
    pub when: Option<String>,
    pub container: Option<Container>,
    /// Whatever the author put there.
    pub metadata: Map<String, Json>,
}

/// What a node is: OpenTask's five.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    SessionTurn,
    Subagent,
    Wait,
    Approval,
    Summary,
}

impl Kind {
    const WORDS: [(&str, Self); 5] = [
        ("session_turn", Self::SessionTurn),
        ("subagent", Self::Subagent),
        ("wait", Self::Wait),
        ("approval", Self::Approval),
        ("summary", Self::Summary),
    ];

    /// The kind as a file writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SessionTurn => "session_turn",
            Self::Subagent => "subagent",
            Self::Wait => "wait",
            Self::Approval => "approval",
            Self::Summary => "summary",
        }
    }

    /// Whether somebody works on such a node, and it does not only wait.
    #[must_use]
    pub const fn works(self) -> bool {
        matches!(self, Self::SessionTurn | Self::Subagent | Self::Summary)
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// An end that is not completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    Failed,
    Skipped,
}

const KEYS: [&str; 15] = [
    "id",
    "title",
    "kind",
    "needs",
    "prompt",
    "outputs",
    "timeoutMs",
    "sessionKey",
    "waitFor",
    "metadata",
    "retry",
    "continueOn",
    "when",
    "timeout",
    "container",
];

/// A node as it was read, with the places that the checks across nodes point to.
pub(super) struct Draft<'y> {
    /// The id as the file has it, proper or not.
    pub(super) id: Option<(&'y str, Spot)>,
    pub(super) needs: Vec<(&'y str, Spot)>,
    /// `None` if a problem has been reported that leaves a required part out.
    pub(super) node: Option<Node>,
}

impl<'y> Draft<'y> {
    /// Reads the node at `position`, counted from 1. `params` is what the file declares, if it declares any.
    pub(super) fn read(
        check: &mut Check,
        yaml: &'y Yaml,
        position: usize,
        params: Option<&BTreeMap<String, Param>>,
    ) -> Self {
        let what = match raw_id(yaml) {
            Some(id) => format!("node {}", shown(id)),
            None => format!("node {position}"),
        };
        let Some(fields) = Fields::read(check, yaml, what, &KEYS) else {
            return Self { id: None, needs: Vec::new(), node: None };
        };
        let id = fields
            .required(check, "id")
            .and_then(|yaml| check.text(yaml, &fields.name("id")).map(|text| (text, yaml.spot)));
        let parsed = id.and_then(|(text, spot)| match NodeId::parse(text) {
            Ok(id) => Some(id),
            Err(why) => {
                check.problem(spot, why.to_string());
                None
            }
        });
        let needs = needs(check, &fields, id);
        let node = node(check, &fields, parsed, &needs, params);
        Self { id, needs, node }
    }
}

/// The id, read ahead so that every message can name the node.
fn raw_id(yaml: &Yaml) -> Option<&str> {
    let Value::Map(entries) = &yaml.value else { return None };
    match &entries.iter().find(|entry| entry.key == "id")?.value.value {
        Value::Text(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

fn node(
    check: &mut Check,
    fields: &Fields<'_>,
    id: Option<NodeId>,
    needs: &[(&str, Spot)],
    params: Option<&BTreeMap<String, Param>>,
) -> Option<Node> {
    let title = fields.required(check, "title").and_then(|yaml| check.line(yaml, &fields.name("title")));
    let kind = fields.required(check, "kind").and_then(|yaml| check.word(yaml, &fields.name("kind"), &Kind::WORDS));
    let container = container(check, fields, kind);
    let prompt = prompt(check, fields, kind, container.as_ref(), params);
    let wait_for = wait_for(check, fields, kind);
    let declared = fields.optional(check, "outputs", Declared::read).unwrap_or_default();
    let timeout = timeout(check, fields);
    let session_key = fields.optional(check, "sessionKey", Check::line);
    let retry = fields.optional(check, "retry", Retry::read);
    let continue_on = fields.optional(check, "continueOn", endings).unwrap_or_default();
    let when = fields.optional(check, "when", |check, yaml, what| condition(check, yaml, what, params));
    let metadata = fields.optional(check, "metadata", metadata).unwrap_or_default();

    let id = id?;
    let works = kind.is_none_or(Kind::works);
    let outputs = declared.complete(check, &id, works, container.is_some());
    let needs = needs.iter().filter_map(|(need, _)| NodeId::parse(need).ok()).collect();
    Some(Node {
        id,
        title: title?,
        kind: kind?,
        needs,
        prompt,
        outputs,
        timeout,
        session_key,
        wait_for,
        retry,
        continue_on,
        when,
        container,
        metadata,
    })
}

fn needs<'y>(check: &mut Check, fields: &Fields<'y>, id: Option<(&str, Spot)>) -> Vec<(&'y str, Spot)> {
    let mut needs: Vec<(&str, Spot)> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    let items = fields.optional(check, "needs", Check::list).unwrap_or_default();
    let item_name = format!("an id in {}", fields.name("needs"));
    for item in items {
        let Some(need) = check.text(item, &item_name) else { continue };
        if id.is_some_and(|(id, _)| id == need) {
            check.problem(item.spot, format!("{} needs itself", fields.what));
        } else if seen.insert(need) {
            needs.push((need, item.spot));
        } else {
            check.problem(item.spot, format!("{} stands twice in {}", shown(need), fields.name("needs")));
        }
    }
    needs
}

fn container(check: &mut Check, fields: &Fields<'_>, kind: Option<Kind>) -> Option<Container> {
    let entry = fields.entry("container")?;
    if entry.value.value == Value::Null {
        // Taking it for absent would run the node outside of the box that its author had in mind.
        let message = format!("{} has nothing behind it", fields.name("container"));
        check.problem_with(entry.spot, message, "write `container: {}` for a container with the defaults");
        return None;
    }
    if let Some(kind) = kind.filter(|kind| !kind.works()) {
        let message = format!("{} is of the kind `{kind}`, which runs in no container", fields.what);
        check.problem(entry.spot, message);
    }
    Container::read(check, &entry.value, &fields.name("container"))
}

fn prompt(
    check: &mut Check,
    fields: &Fields<'_>,
    kind: Option<Kind>,
    container: Option<&Container>,
    params: Option<&BTreeMap<String, Param>>,
) -> Option<String> {
    let is_command = container.is_some_and(|container| container.runtime == Runtime::Command);
    let in_container = fields.get("container").is_some();
    let wanted = !is_command && (in_container || matches!(kind, Some(Kind::SessionTurn | Kind::Subagent)));
    let Some(yaml) = fields.get("prompt") else {
        if wanted {
            fields.missing(check, "prompt", Some("say what is to be done"));
        }
        return None;
    };
    let name = fields.name("prompt");
    let text = check.text(yaml, &name)?;
    if wanted && text.trim().is_empty() {
        check.problem_with(yaml.spot, format!("{name} is empty"), "say what is to be done");
    }
    if let Err(fault) = check_prompt(text, params) {
        let message = format!("{name} {}", fault.message);
        match fault.hint {
            Some(hint) => check.problem_with(yaml.spot, message, hint),
            None => check.problem(yaml.spot, message),
        }
    }
    Some(text.to_owned())
}

fn wait_for(check: &mut Check, fields: &Fields<'_>, kind: Option<Kind>) -> Option<WaitFor> {
    let wait = fields.optional(check, "waitFor", WaitFor::read);
    match (kind, fields.get("waitFor")) {
        (Some(Kind::Wait), None) => Some(WaitFor::Manual),
        // An approval waits for a person anyway, so saying so is right.
        (Some(Kind::Approval), Some(_)) if matches!(wait, Some(WaitFor::Manual) | None) => None,
        (Some(kind), Some(yaml)) if kind != Kind::Wait => {
            let message = format!("{} is of the kind `{kind}`, and only `wait` waits for something", fields.what);
            check.problem(yaml.spot, message);
            None
        }
        _ => wait,
    }
}

fn timeout(check: &mut Check, fields: &Fields<'_>) -> Option<Duration> {
    let ours = fields.optional(check, "timeout", Check::duration);
    let theirs = fields.optional(check, "timeoutMs", Check::milliseconds);
    if let (Some(_), Some(entry)) = (fields.get("timeoutMs"), fields.entry("timeout").filter(|_| ours.is_some())) {
        check.problem(entry.spot, format!("{} has both `timeout` and `timeoutMs`", fields.what));
    }
    ours.or(theirs)
}

fn endings(check: &mut Check, yaml: &Yaml, what: &str) -> Option<Vec<Ending>> {
    const WORDS: [(&str, Ending); 2] = [("failed", Ending::Failed), ("skipped", Ending::Skipped)];
    let mut endings = Vec::new();
    let item_name = format!("an ending in {what}");
    for item in check.list(yaml, what)? {
        if let Some(ending) = check.word(item, &item_name, &WORDS)
            && !endings.contains(&ending)
        {
            endings.push(ending);
        }
    }
    Some(endings)
}

fn condition(check: &mut Check, yaml: &Yaml, what: &str, params: Option<&BTreeMap<String, Param>>) -> Option<String> {
    let text = check.line(yaml, what)?;
    match check_condition(&text, params.unwrap_or(&BTreeMap::new())) {
        Ok(()) => return Some(text),
        Err(fault) => {
            let message = format!("{what} {}", fault.message);
            let hint = "a condition knows `params.NAME` and `nodes`, as in `params.region == 'eu'`";
            check.problem_with(yaml.spot, message, hint);
        }
    }
    None
}

fn metadata(check: &mut Check, yaml: &Yaml, what: &str) -> Option<Map<String, Json>> {
    // Duplicates are problems here too; deeper down, metadata is the author's.
    super::fields::free(check, yaml, what);
    match yaml.value.to_json() {
        Json::Object(map) => Some(map),
        _ => None,
    }
}
