//! Agents and the vault, as fresh processes find them.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use serde_json::Value;

use super::judge::seals_as_before;
use super::world::World;

/// What each agent's journal says and what it remembers, and what the vault's log says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub agents: BTreeMap<String, Agent>,
    /// Kinds of the vault's events, with the secret's name where there is one.
    pub vault: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Agent {
    events: Vec<String>,
    memory: BTreeMap<String, String>,
    offboarded: bool,
}

fn json(world: &World, arguments: &[&str]) -> Result<Value, String> {
    let said = world.tf(&[arguments, &["--json"]].concat());
    if said.code != Some(0) {
        return Err(format!("{arguments:?}: {:?} {}", said.code, said.stderr));
    }
    serde_json::from_str(&said.stdout).map_err(|error| format!("{arguments:?}: {error}"))
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl Standing {
    /// # Errors
    /// What cannot be read, in words.
    pub fn of(world: &World) -> Result<Self, String> {
        let mut standing = Self::default();
        for entry in fs::read_dir(world.root().join("agents")).into_iter().flatten().flatten() {
            let name = entry.file_name().into_string().unwrap();
            standing.agents.insert(name.clone(), Agent::of(world, &name)?);
        }
        let log = world.read(".taskforge/vault/log.jsonl").unwrap_or_default();
        if !log.is_empty() {
            json(world, &["secret", "list"])?;
        }
        for line in log.split(|byte| *byte == b'\n') {
            // Half a line, as it may be left, is none.
            if let Ok(entry) = serde_json::from_slice::<Value>(line) {
                let event = &entry["event"];
                standing.vault.push(format!("{} {}", word(&event["kind"]), event["name"]));
            }
        }
        Ok(standing)
    }

    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// The next commands work, upon agents and the vault.
    pub fn goes_on(&self, world: &World) -> Result<(), String> {
        for (name, agent) in &self.agents {
            json(world, &["audit", "verify", "--agent", name])?;
            let said = world.tf(&["memory", "set", name, "the.next", "x"]);
            let expected = if agent.offboarded { 4 } else { 0 };
            if said.code != Some(expected) {
                return Err(format!("{agent:?}, and memory set: {:?} {}", said.code, said.stderr));
            }
            json(world, &["audit", "verify", "--agent", name])?;
            seals_as_before(world, &["audit", "seal", "--agent", name])?;
            let shown = Agent::of(world, name)?.memory;
            let files =
                fs::read_dir(world.root().join(format!("agents/{name}/memory"))).into_iter().flatten().flatten();
            let files: BTreeMap<String, String> = files
                .filter_map(|file| Some((file.file_name().to_str()?.strip_suffix(".md")?.to_owned(), file.path())))
                .map(|(key, path)| (key, fs::read_to_string(path).unwrap()))
                .collect();
            if !agent.offboarded && files != shown {
                return Err(format!("the files of {name}'s memory are {files:?}, and it is {shown:?}"));
            }
        }
        Ok(())
    }
}

impl Agent {
    fn of(world: &World, name: &str) -> Result<Self, String> {
        let records = json(world, &["agent", "logs", name])?;
        let events = records.as_array().into_iter().flatten().filter(|line| line["event"] != "journal.voided");
        let events: Vec<String> = events.map(|line| word(&line["event"])).collect();
        let listed = json(world, &["memory", "list", name])?;
        let mut memory = BTreeMap::new();
        for entry in listed.as_array().or(listed["memory"].as_array()).into_iter().flatten() {
            let key = word(&entry["key"]);
            let value = json(world, &["memory", "get", name, &key])?;
            memory.insert(key, word(&value["value"]));
        }
        json(world, &["agent", "show", name])?;
        let offboarded = events.iter().any(|event| event == "agent.offboarded");
        Ok(Self { events, memory, offboarded })
    }
}

/// The values in the vault: every secret is encrypted anew, and what lies there is read by Debian's `age`. None without a vault.
pub fn secrets(world: &World) -> Result<BTreeMap<String, String>, String> {
    let mut secrets = BTreeMap::new();
    if world.read(".taskforge/vault/log.jsonl").is_none_or(|log| !log.contains(&b'\n')) {
        return Ok(secrets);
    }
    let listed = json(world, &["secret", "rotate"])?;
    let keys = world.root().join("home/.config/taskforge/vault");
    let key = fs::read_dir(&keys)
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|ending| ending == "key"));
    let key = key.ok_or_else(|| format!("no identity in {}", keys.display()))?;
    for name in listed["secrets"].as_array().into_iter().flatten().map(word) {
        let path = world.root().join(format!(".taskforge/vault/{name}.age"));
        let opened = Command::new("age").args(["-d", "-i"]).args([&key, &path]).output();
        let opened = opened.expect("`age` is missing: run `bash tests/setup.sh ensure_age`");
        if !opened.status.success() {
            return Err(format!("{name} does not open: {}", String::from_utf8_lossy(&opened.stderr)));
        }
        secrets.insert(name, String::from_utf8(opened.stdout).unwrap());
    }
    Ok(secrets)
}
