//! The keys of one map: known ones are handed out, the others are problems.

use super::check::Check;
use super::problem::Spot;
use super::text::shown;
use super::tree::{Entry, Value, Yaml};
use crate::run::nearest::nearest;

pub(crate) struct Fields<'y> {
    /// What has these keys, as a message says it: "node `gather`".
    pub(crate) what: String,
    pub(crate) spot: Spot,
    entries: Vec<&'y Entry>,
    /// Known keys that an unknown one was probably meant for.
    misspelt: Vec<&'static str>,
}

impl<'y> Fields<'y> {
    /// Reads the map `yaml`, which may have the keys `known` and no others. Of a duplicate key the first counts.
    pub(crate) fn read(
        check: &mut Check,
        yaml: &'y Yaml,
        what: impl Into<String>,
        known: &[&'static str],
    ) -> Option<Self> {
        let what = what.into();
        let Value::Map(map) = &yaml.value else {
            check.problem(yaml.spot, format!("{what} must be a map, and is {}", yaml.value.noun()));
            return None;
        };
        let mut entries: Vec<&Entry> = Vec::new();
        let mut misspelt = Vec::new();
        for entry in map {
            if !known.contains(&entry.key.as_str()) {
                let message = format!("unknown key {} in {what}", shown(&entry.key));
                match nearest(&entry.key, known.iter().copied()) {
                    Some(name) => {
                        check.problem_with(entry.spot, message, format!("did you mean `{name}`?"));
                        if !misspelt.contains(&name) {
                            misspelt.push(name);
                        }
                    }
                    None => check.problem_with(entry.spot, message, format!("known keys: {}", known.join(", "))),
                }
            } else if let Some(first) = entries.iter().find(|first| first.key == entry.key) {
                let hint = format!("it stands first on line {}", first.spot.line);
                check.problem_with(entry.spot, format!("duplicate key `{}` in {what}", entry.key), hint);
            } else {
                entries.push(entry);
            }
        }
        Some(Self { what, spot: yaml.spot, entries, misspelt })
    }

    /// The value of `key`, if there is one. A key with nothing behind it counts as absent, as it does for OpenTask.
    pub(crate) fn get(&self, key: &str) -> Option<&'y Yaml> {
        self.entry(key).map(|entry| &entry.value).filter(|yaml| yaml.value != Value::Null)
    }

    /// The entry of `key`, with nothing behind it or not.
    pub(crate) fn entry(&self, key: &str) -> Option<&'y Entry> {
        self.entries.iter().copied().find(|entry| entry.key == key)
    }

    /// The value of `key`; a problem when it is missing.
    pub(crate) fn required(&self, check: &mut Check, key: &str) -> Option<&'y Yaml> {
        let yaml = self.get(key);
        if yaml.is_none() {
            self.missing(check, key, None);
        }
        yaml
    }

    /// Reports that `key` is missing, unless it is merely misspelt, which has been reported.
    pub(crate) fn missing(&self, check: &mut Check, key: &str, hint: Option<&str>) {
        if self.misspelt.contains(&key) {
            return;
        }
        let spot = self.entry(key).map_or(self.spot, |entry| entry.spot);
        let message = format!("{} has no `{key}`", self.what);
        match hint {
            Some(hint) => check.problem_with(spot, message, hint),
            None => check.problem(spot, message),
        }
    }

    /// What a message calls the value of `key`: "`prompt` of node `gather`".
    pub(crate) fn name(&self, key: &str) -> String {
        format!("`{key}` of {}", self.what)
    }

    /// The value of `key` as `read` takes it, if the key is there.
    pub(crate) fn optional<T>(
        &self,
        check: &mut Check,
        key: &str,
        read: impl FnOnce(&mut Check, &'y Yaml, &str) -> Option<T>,
    ) -> Option<T> {
        let yaml = self.get(key)?;
        read(check, yaml, &self.name(key))
    }
}

/// Everything in a map whose keys are free, such as `params`: each once.
pub(crate) fn free<'y>(check: &mut Check, yaml: &'y Yaml, what: &str) -> Vec<&'y Entry> {
    let Value::Map(map) = &yaml.value else {
        check.problem(yaml.spot, format!("{what} must be a map, and is {}", yaml.value.noun()));
        return Vec::new();
    };
    let mut entries: Vec<&Entry> = Vec::new();
    let mut seen = std::collections::HashMap::new();
    for entry in map {
        if let Some(line) = seen.insert(entry.key.as_str(), entry.spot.line) {
            let message = format!("duplicate key {} in {what}", shown(&entry.key));
            check.problem_with(entry.spot, message, format!("it stands first on line {line}"));
        } else {
            entries.push(entry);
        }
    }
    entries
}
