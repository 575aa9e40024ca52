//! Which file has which schema, and whether it fits.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use jsonschema::Validator;
use serde_json::Value;

/// Every schema by the name that it has before `.schema.json`.
pub const NAMES: [&str; 31] = [
    "agent-events.jsonl",
    "agent.json",
    "capability.json",
    "control.jsonl",
    "decision.json",
    "events.jsonl",
    "exit.json",
    "head",
    "inbox-message.json",
    "installed.json",
    "kill-lock.json",
    "logs.cursor.json",
    "memory.json",
    "packages.lock",
    "policy.json",
    "recipe.json",
    "refs.json",
    "replay.jsonl",
    "result.json",
    "role.md",
    "schedule.json",
    "spec.json",
    "state.json",
    "status.json",
    "task.md",
    "taskforge.json",
    "taskforge.toml",
    "tick.json",
    "traffic.jsonl",
    "vault-log.jsonl",
    "watch.json",
];

/// The schema of the file at `path`, relative to the registry.
fn name_of(path: &str) -> Option<&'static str> {
    let parts: Vec<&str> = path.split('/').collect();
    let file = *parts.last()?;
    let ends = |end: &str| file.ends_with(end);
    Some(match parts.as_slice() {
        ["taskforge.toml"] => "taskforge.toml",
        ["workflows", _] if ends(".task.md") => "task.md",
        ["workflows", _] | ["runs", _, "gate", "replay", _] if ends(".jsonl") => "replay.jsonl",
        ["decisions", _] if ends(".json") && !file.contains(".rejected-") => "decision.json",
        ["schedules", _] if ends(".json") => "schedule.json",
        ["agents", _, "events.jsonl"] => "agent-events.jsonl",
        ["agents", _, "agent.json"] => "agent.json",
        ["roles", _] if ends(".role.md") => "role.md",
        ["agents", _, "role", "role.md"] | ["runs", _, "roles", _, "role.md"] => "role.md",
        ["runs", _, "gate", "memory", _] => "memory.json",
        ["images", _, "recipe.json"] => "recipe.json",
        ["images", _, "packages.lock"] => "packages.lock",
        ["images", _, "installed.json"] => "installed.json",
        [".taskforge", "heads", _] | ["heads", _] => "head",
        [".taskforge", "kill", "lock.json"] => "kill-lock.json",
        [".taskforge", "tick.json"] => "tick.json",
        [".taskforge", "watch", _] if ends(".json") => "watch.json",
        [".taskforge", "vault", "log.jsonl"] => "vault-log.jsonl",
        ["runs", _, "workflow.lock.md"] => "task.md",
        ["runs", _, "capabilities", _] => "capability.json",
        ["runs", _, "gate", "inbox", _] if !file.starts_with('.') => "inbox-message.json",
        ["runs", _, "gate", _]
        | ["runs", _, "deployments", _, "gate", _]
        | ["runs", _, "deployments", _, "starts", _, _]
        | ["runs", _, _]
        | ["runs", _, "nodes", _, "result.json"]
        | ["runs", _, "nodes", _, "attempts", _, _] => NAMES.into_iter().find(|name| *name == file)?,
        _ => return None,
    })
}

fn validators() -> &'static BTreeMap<&'static str, Validator> {
    static VALIDATORS: OnceLock<BTreeMap<&'static str, Validator>> = OnceLock::new();
    VALIDATORS.get_or_init(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schemas");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), NAMES.len(), "a schema that no file is held against");
        let compiled = NAMES.into_iter().map(|name| {
            let schema: Value = serde_json::from_str(&read(&folder.join(format!("{name}.schema.json")))).unwrap();
            let options = jsonschema::draft202012::options().should_validate_formats(true);
            (name, options.build(&schema).unwrap_or_else(|error| panic!("{name}: {error}")))
        });
        compiled.collect()
    })
}

pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The values of a file that the schema `name` is for, each with where it stands.
pub fn values(name: &str, text: &str) -> Vec<(String, Value)> {
    let whole = |value: Value| vec![(String::new(), value)];
    match name {
        "taskforge.toml" => whole(toml::from_str(text).unwrap()),
        "task.md" | "role.md" => {
            let yaml = text.trim_start_matches("---\n").split("\n---").next().unwrap();
            whole(serde_yaml::from_str(yaml).unwrap())
        }
        name if name.ends_with(".jsonl") => text
            .lines()
            .enumerate()
            // Bytes that were torn are spaces now.
            .filter(|(_, line)| !line.trim().is_empty())
            // What is no JSON at all somebody else wrote; a line of ours that became so is `audit verify`'s to find.
            .filter_map(|(at, line)| Some((format!(" line {}", at + 1), serde_json::from_str(line).ok()?)))
            .collect(),
        _ => whole(serde_json::from_str(text).unwrap()),
    }
}

/// What is wrong with one value.
pub fn problem(name: &str, value: &Value) -> Option<String> {
    let error = validators()[name].iter_errors(value).next()?;
    Some(format!("at {}: {error}", error.instance_path()))
}

/// The files of a registry that have a schema, relative to it, in order.
pub fn files(root: &Path) -> Vec<(PathBuf, &'static str)> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let relative = path.strip_prefix(root).unwrap().to_owned();
            let kind = std::fs::symlink_metadata(&path).unwrap().file_type();
            if kind.is_dir() && path.file_name().is_none_or(|name| name != "workspace") {
                open.push(path);
            } else if kind.is_file()
                && let Some(name) = name_of(&relative.to_string_lossy())
            {
                found.push((relative, name));
            }
        }
    }
    found.sort();
    found
}

/// What does not fit in the registry at `root`: empty when all is well.
pub fn misfits(root: &Path) -> Vec<String> {
    let mut misfits = Vec::new();
    for (path, name) in files(root) {
        for (place, value) in values(name, &read(&root.join(&path))) {
            if let Some(problem) = problem(name, &value) {
                misfits.push(format!("{}{place} does not fit {name}: {problem}", path.display()));
            }
        }
    }
    misfits
}

/// How many files there are of each schema.
pub fn count_by_schema(root: &Path) -> BTreeMap<&'static str, usize> {
    let mut counted = BTreeMap::new();
    for (_, name) in files(root) {
        *counted.entry(name).or_default() += 1;
    }
    counted
}
