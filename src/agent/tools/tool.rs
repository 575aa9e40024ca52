//! What a model can call, as it is told (the schemas) and as it is held to it (the parser).

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::agent::turn::MALFORMED;
use crate::agent::verbs::{Delegated, MemoryVerb};
use crate::run::deployment::Proposal;
use crate::run::timetable::Timetable;

/// A command line is one argument to the kernel, which takes 128 KiB at most.
const COMMAND_LIMIT: usize = 64 * 1024;
const TIMEOUT_DEFAULT: u64 = 120;
const TIMEOUT_LIMIT: u64 = 600;
/// For how long a child is waited for, in seconds.
const WAIT_DEFAULT: u64 = 600;
const WAIT_LIMIT: u64 = 3600;

/// A call whose arguments are in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tool {
    Shell {
        command: String,
        timeout_seconds: u64,
    },
    ReadFile {
        path: String,
    },
    WriteFile {
        path: String,
        content: String,
    },
    RequestCapability {
        capability: String,
        reason: String,
        deploy: Option<Proposal>,
        schedule: Option<Timetable>,
    },
    /// Without an action: lists those that may be done.
    Act {
        action: Option<String>,
        arguments: Map<String, Value>,
        key: Option<String>,
    },
    Delegate {
        work: Work,
        wait_seconds: u64,
    },
    Memory(MemoryVerb),
    Finish {
        summary: String,
    },
}

/// What a child is waited for over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Work {
    New(Delegated),
    /// The id of one that was at work when it was last waited for.
    Known(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Shell {
    command: String,
    timeout_seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadFile {
    path: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WriteFile {
    path: String,
    content: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Memory {
    op: String,
    key: Option<String>,
    value: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestCapability {
    capability: String,
    reason: String,
    command: Option<Vec<String>>,
    folder: Option<String>,
    when: Option<String>,
    task: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Delegate {
    role: Option<String>,
    task: Option<String>,
    requests: Option<u64>,
    child: Option<String>,
    wait_seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Act {
    action: Option<String>,
    #[serde(default)]
    arguments: Map<String, Value>,
    key: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Finish {
    summary: String,
}

impl Tool {
    /// Parses a call.
    ///
    /// # Errors
    /// A sentence for the model: which tool or argument is wrong, and what would be right.
    pub(crate) fn parse(name: &str, arguments: &str) -> Result<Self, String> {
        let tool = match name {
            "shell" => {
                let Shell { command, timeout_seconds } = read(name, arguments)?;
                Self::Shell { command, timeout_seconds: timeout_seconds.unwrap_or(TIMEOUT_DEFAULT) }
            }
            "read_file" => {
                let ReadFile { path } = read(name, arguments)?;
                Self::ReadFile { path }
            }
            "write_file" => {
                let WriteFile { path, content } = read(name, arguments)?;
                Self::WriteFile { path, content }
            }
            "request_capability" => {
                let RequestCapability { capability, reason, command, folder, when, task } = read(name, arguments)?;
                if folder.is_some() && command.is_none() {
                    return Err("request_capability: `folder` goes with the `command` that is deployed".into());
                }
                let folder = folder.unwrap_or_else(|| ".".to_owned());
                let deploy = command.map(|command| Proposal { command, folder });
                let schedule = match (when, task) {
                    (Some(when), Some(task)) => Some(Timetable { when, task }),
                    (None, None) => None,
                    _ => return Err("request_capability: `when` and `task` go together, with schedule:NAME".into()),
                };
                Self::RequestCapability { capability, reason, deploy, schedule }
            }
            "delegate" => delegate(read(name, arguments)?)?,
            "act" => {
                let Act { action, arguments, key } = read(name, arguments)?;
                Self::Act { action, arguments, key }
            }
            "memory" => Self::Memory(memory(read(name, arguments)?)?),
            "finish" => {
                let Finish { summary } = read(name, arguments)?;
                Self::Finish { summary }
            }
            _ => {
                return Err(format!(
                    "there is no tool `{name}`; there are shell, read_file, write_file, request_capability, act and finish, and memory and \
                     delegate for those that have them"
                ));
            }
        };
        tool.check()?;
        Ok(tool)
    }

    fn check(&self) -> Result<(), String> {
        match self {
            Self::Shell { command, .. } if command.trim().is_empty() => Err("shell: `command` is empty".into()),
            Self::Shell { command, .. } if command.len() > COMMAND_LIMIT => {
                Err(format!("shell: `command` has more than {COMMAND_LIMIT} bytes; write a script with write_file"))
            }
            Self::Shell { command, .. } if command.contains('\0') => Err("shell: `command` holds a NUL".into()),
            Self::Shell { timeout_seconds, .. } if !(1..=TIMEOUT_LIMIT).contains(timeout_seconds) => {
                Err(format!("shell: `timeoutSeconds` is {timeout_seconds}; it can be 1 to {TIMEOUT_LIMIT}"))
            }
            Self::RequestCapability { capability, .. } if capability.trim().is_empty() => {
                Err("request_capability: `capability` is empty; it looks like pip:NAME or apt:NAME".into())
            }
            Self::Delegate { wait_seconds, .. } if *wait_seconds > WAIT_LIMIT => {
                Err(format!("delegate: `waitSeconds` is {wait_seconds}; it can be 0 to {WAIT_LIMIT}"))
            }
            Self::Act { action: Some(action), .. } if !is_action(action) => {
                Err("act: `action` is lower-case words with dots between them, such as github.pr.comment".into())
            }
            Self::RequestCapability { reason, .. } if reason.trim().is_empty() => {
                Err("request_capability: `reason` is empty; a person decides by it".into())
            }
            _ => Ok(()),
        }
    }

    /// One line for people.
    pub(crate) fn title(&self) -> String {
        match self {
            Self::Shell { command, .. } => format!("shell: {command}"),
            Self::ReadFile { path } => format!("read_file: {path}"),
            Self::WriteFile { path, content } => format!("write_file: {path} ({} bytes)", content.len()),
            Self::RequestCapability { capability, reason, .. } => {
                format!("request_capability: {capability} — {reason}")
            }
            Self::Act { action: None, .. } => "act: what may be done".to_owned(),
            Self::Act { action: Some(action), arguments, .. } => {
                let keys: Vec<&str> = arguments.keys().map(String::as_str).collect();
                format!("act: {action} ({})", keys.join(", "))
            }
            Self::Delegate { work: Work::New(Delegated { role, task, .. }), .. } => {
                format!("delegate: {role} — {task}")
            }
            Self::Delegate { work: Work::Known(child), .. } => format!("delegate: waits for {child}"),
            Self::Memory(MemoryVerb::List) => "memory: list".to_owned(),
            Self::Memory(MemoryVerb::Get { key }) => format!("memory: get {key}"),
            Self::Memory(MemoryVerb::Set { key, value }) => {
                format!("memory: set {key} ({} bytes)", value.as_ref().map_or(0, String::len))
            }
            Self::Memory(MemoryVerb::Rm { key }) => format!("memory: rm {key}"),
            Self::Finish { summary } => format!("finish: {summary}"),
        }
    }

    /// [`definitions`](Self::definitions), with the memory where there is one, and with children where there may be some.
    pub(crate) fn definitions_for(memory: bool, delegates: bool) -> Value {
        let mut tools = Self::definitions();
        let Value::Array(list) = &mut tools else { return tools };
        if memory {
            list.push(definition(
                "memory",
                "What you keep from one task to the next: `list` the keys, `get` a value, `set` one, `rm` what is no \
                 longer true.",
                &json!({
                    "op": {"type": "string", "enum": ["list", "get", "set", "rm"]},
                    "key": {"type": "string", "description": "lower-case words with `.`, `_` and `-` between"},
                    "value": {"type": "string"},
                }),
                &["op"],
            ));
        }
        if delegates {
            list.push(definition(
                "delegate",
                "Gives a part of the work to another agent, with a `role` that you may give work to and a `task` that says \
                 all it needs to know, and waits for its result. With the id of a `child` that is still at work instead: \
                 waits for that one again. What it takes is taken from what you have left.",
                &json!({
                    "role": {"type": "string"},
                    "task": {"type": "string"},
                    "requests": {"type": "integer", "minimum": 1,
                                 "description": "how often it may ask its model; default half of what you have left"},
                    "child": {"type": "string"},
                    "waitSeconds": {"type": "integer", "minimum": 0, "maximum": WAIT_LIMIT,
                                    "description": format!("default {WAIT_DEFAULT}; 0 to go on meanwhile")},
                }),
                &[],
            ));
        }
        tools
    }

    /// The `tools` of a chat request.
    pub(crate) fn definitions() -> Value {
        json!([
            definition(
                "shell",
                "Runs a command with /bin/sh in /workspace and returns its exit code, stdout and stderr. What it \
                 leaves running is ended with it. `refused` lists what the gate refused meanwhile.",
                &json!({
                    "command": {"type": "string"},
                    "timeoutSeconds": {"type": "integer", "minimum": 1, "maximum": TIMEOUT_LIMIT,
                                       "description": format!("default {TIMEOUT_DEFAULT}")},
                }),
                &["command"],
            ),
            definition(
                "read_file",
                "Reads a text file under /workspace, /inputs or /tmp.",
                &json!({"path": {"type": "string"}}),
                &["path"],
            ),
            definition(
                "write_file",
                "Writes a text file under /workspace or /tmp, replacing what was there; folders are made.",
                &json!({"path": {"type": "string"}, "content": {"type": "string"}}),
                &["path", "content"],
            ),
            definition(
                "request_capability",
                "Asks a person for something this container lacks, such as pip:NAME or apt:NAME, or to deploy files: \
                 port:8000 with the command that listens there, or to be given a task again and again: schedule:NAME \
                 with `when` and `task`. Returns the decision.",
                &json!({
                    "capability": {"type": "string"},
                    "reason": {"type": "string", "description": "what it is needed for; the person decides by it"},
                    "command": {"type": "array", "items": {"type": "string"},
                                "description": "for port: only: the program that listens on it, and its arguments"},
                    "folder": {"type": "string",
                               "description": "for port: only: the folder of /workspace that is deployed; default all"},
                    "when": {"type": "string",
                             "description": "for schedule: only: five fields of cron in UTC, or such as `every 6h`"},
                    "task": {"type": "string",
                             "description": "for schedule: only: what you are to be told each time, word for word"},
                }),
                &["capability", "reason"],
            ),
            definition(
                "act",
                "Has the gate do something outside with a credential that only it has, such as github.pr.comment; what is not \
                 granted is refused with the capability to ask for. The same thing twice is done once. Without an `action`: \
                 lists what may be done, and on what.",
                &json!({
                    "action": {"type": "string"},
                    "arguments": {"type": "object"},
                    "key": {"type": "string", "description": "a word of yours for what is done, such as review-7-<commit>: \
                            however it is worded, it is done once under a key, and refused as key_reused when it was done in other words. \
                            To do the same thing once more: any new word"},
                }),
                &[],
            ),
            definition(
                "finish",
                "Ends the work. Call it once everything asked for is done and written.",
                &json!({"summary": {"type": "string"}}),
                &["summary"],
            ),
        ])
    }
}

/// What may stand in the gate's path.
fn is_action(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
    !text.is_empty() && text.len() <= 128 && text.chars().all(fits)
}

fn delegate(Delegate { role, task, requests, child, wait_seconds }: Delegate) -> Result<Tool, String> {
    let work = match (role, task, child) {
        (Some(role), Some(task), None) => Work::New(Delegated { role, task, requests, seconds: None }),
        (None, None, Some(child)) if requests.is_none() => Work::Known(child),
        _ => return Err("delegate: it takes a `role` and a `task`, or the id of a `child` to wait for".into()),
    };
    Ok(Tool::Delegate { work, wait_seconds: wait_seconds.unwrap_or(WAIT_DEFAULT) })
}

fn memory(Memory { op, key, value }: Memory) -> Result<MemoryVerb, String> {
    let missing = |what: &str| format!("memory: `{op}` needs a `{what}`");
    match (op.as_str(), key) {
        ("list", _) => Ok(MemoryVerb::List),
        ("get", Some(key)) => Ok(MemoryVerb::Get { key }),
        ("set", Some(key)) => Ok(MemoryVerb::Set { key, value: Some(value.ok_or_else(|| missing("value"))?) }),
        ("rm", Some(key)) => Ok(MemoryVerb::Rm { key }),
        ("get" | "set" | "rm", None) => Err(missing("key")),
        _ => Err(format!("memory: there is no `{op}`; there are list, get, set and rm")),
    }
}

/// Through a map, since a struct would also be read from an array.
fn read<T: DeserializeOwned>(tool: &str, arguments: &str) -> Result<T, String> {
    match serde_json::from_str::<Map<String, Value>>(arguments) {
        Ok(members) if !members.contains_key(MALFORMED) => {
            serde_json::from_value(members.into()).map_err(|error| format!("{tool}: {error}"))
        }
        _ => Err(format!("{tool}: the arguments are not a JSON object; call it again with valid JSON")),
    }
}

fn definition(name: &str, description: &str, properties: &Value, required: &[&str]) -> Value {
    json!({"type": "function", "function": {"name": name, "description": description, "parameters": {
        "type": "object", "properties": properties, "required": required, "additionalProperties": false,
    }}})
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn takes_what_the_schemas_say() {
        assert_eq!(
            Tool::parse("shell", r#"{"command":"ls"}"#).unwrap(),
            Tool::Shell { command: "ls".into(), timeout_seconds: 120 }
        );
        for definition in Tool::definitions().as_array().unwrap() {
            let function = &definition["function"];
            let required = function["parameters"]["required"].as_array().unwrap();
            let arguments: serde_json::Map<_, _> =
                required.iter().map(|name| (name.as_str().unwrap().to_owned(), json!("x"))).collect();
            let parsed = Tool::parse(function["name"].as_str().unwrap(), &Value::from(arguments).to_string());
            assert!(parsed.is_ok(), "{function}: {parsed:?}");
        }
    }

    #[test]
    fn says_which_argument_is_wrong() {
        for (name, arguments, part) in [
            ("shell", r#"{"cmd":"ls"}"#, "unknown field `cmd`"),
            ("shell", r#"{"command":"ls","timeoutSeconds":601}"#, "1 to 600"),
            ("shell", r#"{"command":"ls","timeoutSeconds":-1}"#, "expected u64"),
            ("shell", r#"{"command":" "}"#, "empty"),
            ("shell", r#"{"command":["ls"]}"#, "expected a string"),
            ("read_file", "{}", "missing field `path`"),
            ("write_file", r#"["a","b"]"#, "not a JSON object"),
            ("request_capability", r#"{"capability":"pip:x","reason":""}"#, "a person decides"),
            ("request_capability", r#"{"capability":"schedule:x","reason":"r","when":"@daily"}"#, "go together"),
            ("delegate", r#"{"role":"worker"}"#, "a `role` and a `task`"),
            ("delegate", r#"{"child":"x","task":"y"}"#, "or the id of a `child`"),
            ("delegate", r#"{"child":"x","requests":1}"#, "or the id of a `child`"),
            ("delegate", r#"{"child":"x","waitSeconds":3601}"#, "0 to 3600"),
            ("bash", "{}", "no tool `bash`"),
            ("memory", r#"{"op":"get"}"#, "`get` needs a `key`"),
            ("memory", r#"{"op":"set","key":"a"}"#, "`set` needs a `value`"),
            ("memory", r#"{"op":"wipe"}"#, "there is no `wipe`"),
        ] {
            let error = Tool::parse(name, arguments).unwrap_err();
            assert!(error.contains(part), "{name} {arguments}: {error}");
        }
    }

    #[test]
    fn there_are_tools_for_what_is_open_only() {
        let names = |memory, delegates| {
            let tools = Tool::definitions_for(memory, delegates);
            let names: Vec<String> =
                tools.as_array().unwrap().iter().map(|tool| tool["function"]["name"].to_string()).collect();
            names[6..].join(" ")
        };
        let all = [(false, false), (true, false), (false, true), (true, true)].map(|(m, d)| names(m, d));
        assert_eq!(all, ["", r#""memory""#, r#""delegate""#, r#""memory" "delegate""#]);
        let asked = r#"{"role":"worker","task":"Look.","requests":5,"waitSeconds":0}"#;
        let work =
            Work::New(Delegated { role: "worker".into(), task: "Look.".into(), requests: Some(5), seconds: None });
        assert_eq!(Tool::parse("delegate", asked).unwrap(), Tool::Delegate { work, wait_seconds: 0 });
    }

    proptest! {
        #[test]
        fn never_panics(name in "(shell|read_file|delegate|finish|\\PC{0,5})", arguments in "\\PC{0,60}|\\{\"command\":\\PC{0,9}\\}") {
            let _ = Tool::parse(&name, &arguments);
        }
    }
}
