//! A policy file: YAML, and nothing in it that is not known.

use super::problem::PolicyProblem;
use super::rule::{AtMost, Place, Rule};
use crate::run::capability::{BudgetUnit, Capability, CapabilityKind};
use crate::run::ruling::Effect;
use crate::workflow::tree::{Entry, Value, Yaml, parse};

/// The largest file, in bytes.
const LARGEST: usize = 1 << 20;
/// The longest glob and the longest reason, in bytes.
const TEXT: usize = 512;
/// The most problems of one file that are kept: no person reads more.
const MOST: usize = 50;

/// Reads one file while collecting all that is wrong with it.
pub(super) struct Reader<'a> {
    file: &'a str,
    problems: Vec<PolicyProblem>,
}

/// The rules in `bytes`, in their order.
pub(super) fn file(name: &str, bytes: &[u8]) -> Result<Vec<Rule>, Vec<PolicyProblem>> {
    let mut reader = Reader { file: name, problems: Vec::new() };
    let rules = reader.list(bytes, "rules").unwrap_or_default();
    let rules = rules.iter().filter_map(|rule| reader.rule(rule)).collect();
    reader.done(rules)
}

impl<'a> Reader<'a> {
    pub(super) const fn new(file: &'a str) -> Self {
        Self { file, problems: Vec::new() }
    }

    pub(super) fn done<T>(mut self, found: T) -> Result<T, Vec<PolicyProblem>> {
        self.problems.truncate(MOST);
        if self.problems.is_empty() { Ok(found) } else { Err(self.problems) }
    }

    pub(super) fn wrong<T>(&mut self, line: usize, message: impl Into<String>) -> Option<T> {
        self.problems.push(PolicyProblem::new(self.file, line, message));
        None
    }

    /// The list under `key` of a file that holds `format: 1` and that list.
    pub(super) fn list(&mut self, bytes: &[u8], key: &str) -> Option<Vec<Yaml>> {
        if bytes.len() > LARGEST {
            return self.wrong(0, format!("it is larger than {LARGEST} bytes"));
        }
        let Ok(text) = std::str::from_utf8(bytes) else { return self.wrong(0, "it is not UTF-8") };
        let root = match parse(text, 0) {
            Ok(root) => root,
            Err(problem) => return self.wrong(problem.line, problem.message),
        };
        let line = root.spot.line;
        let Value::Map(entries) = root.value else {
            return self.wrong(line, format!("a file is a map with `format` and `{key}`, not {}", root.value.noun()));
        };
        let [format, list] = self.take(entries, ["format", key]);
        match format.map(|format| (format.spot.line, format.value.value)) {
            Some((_, Value::Number(one))) if one.as_u64() == Some(1) => {}
            Some((line, _)) => return self.wrong(line, "the only format that is known is 1"),
            None => return self.wrong(line, "the first line says `format: 1`"),
        }
        match list.map(|list| list.value) {
            Some(Yaml { value: Value::List(items), .. }) => Some(items),
            Some(Yaml { value, spot }) => self.wrong(spot.line, format!("`{key}` is a list, not {}", value.noun())),
            None => self.wrong(line, format!("`{key}` is missing; without any it is `{key}: []`")),
        }
    }

    /// The entries of a map by their keys; one that is not known, or stands twice, is a problem.
    pub(super) fn take<const N: usize>(&mut self, entries: Vec<Entry>, keys: [&str; N]) -> [Option<Entry>; N] {
        let mut found = [const { None }; N];
        for entry in entries {
            let line = entry.spot.line;
            let Some(place) = keys.iter().position(|key| *key == entry.key) else {
                let shown: String = entry.key.chars().filter(|c| !c.is_control()).take(40).collect();
                self.wrong::<()>(line, format!("`{shown}` is not known here; there are {}", keys.join(", ")));
                continue;
            };
            if found[place].is_some() {
                self.wrong::<()>(line, format!("`{}` stands twice", entry.key));
            }
            found[place] = Some(entry);
        }
        found
    }

    fn rule(&mut self, yaml: &Yaml) -> Option<Rule> {
        let line = yaml.spot.line;
        let Value::Map(entries) = &yaml.value else {
            return self.wrong(line, format!("a rule is a map, not {}", yaml.value.noun()));
        };
        let before = self.problems.len();
        let keys = ["effect", "kind", "name", "version", "workflow", "role", "atMost", "because"];
        let [effect, kind, name, version, workflow, role, at_most, because] = self.take(entries.clone(), keys);
        let effect = self.effect(line, effect.as_ref());
        let kinds = self.kinds(line, kind);
        let names = match name {
            Some(entry) => self.globs(&entry.value),
            None => self.wrong(line, "`name` is missing; for all of a kind it is `name: \"*\"`"),
        };
        let mut optional = |entry: Option<Entry>| match entry {
            Some(entry) => self.globs(&entry.value),
            None => Some(Vec::new()),
        };
        let (versions, workflows, roles) = (optional(version), optional(workflow), optional(role));
        let at_most = self.at_most(at_most);
        let because = match because {
            Some(entry) => self.text(&entry.value),
            None => Some(String::new()),
        };
        let rule = Rule {
            place: Place { file: self.file.to_owned(), line },
            effect: effect?,
            kinds: kinds?,
            names: names?,
            versions: versions?,
            workflows: workflows?,
            roles: roles?,
            at_most: at_most?,
            because: because?,
        };
        let rule = self.checked(rule);
        (self.problems.len() == before).then_some(rule)
    }

    pub(super) fn effect(&mut self, line: usize, entry: Option<&Entry>) -> Option<Effect> {
        let Some(entry) = entry else { return self.wrong(line, "`effect` is missing: allow, ask or deny") };
        let found = match &entry.value.value {
            Value::Text(text) => Effect::ALL.into_iter().find(|effect| effect.as_str() == text),
            _ => None,
        };
        found.or_else(|| self.wrong(entry.spot.line, "`effect` is allow, ask or deny"))
    }

    fn kinds(&mut self, line: usize, entry: Option<Entry>) -> Option<Vec<CapabilityKind>> {
        let Some(entry) = entry else {
            return self.wrong(line, "`kind` is missing; for all of them it is `kind: \"*\"`");
        };
        let mut kinds = Vec::new();
        for word in self.globs(&entry.value)? {
            match CapabilityKind::ALL.into_iter().find(|kind| kind.as_str() == word) {
                Some(kind) => kinds.push(kind),
                None if word == "*" => kinds.extend(CapabilityKind::ALL),
                None => {
                    let known: Vec<&str> = CapabilityKind::ALL.iter().map(|kind| kind.as_str()).collect();
                    return self.wrong(entry.spot.line, format!("`{word}` is no kind; there are {}", known.join(", ")));
                }
            }
        }
        kinds.sort_unstable();
        kinds.dedup();
        Some(kinds)
    }

    /// One text or a list of them.
    fn globs(&mut self, yaml: &Yaml) -> Option<Vec<String>> {
        let one = |text: &str| {
            let fits = !text.is_empty() && text.len() <= TEXT && text.bytes().all(|byte| byte.is_ascii_graphic());
            fits.then(|| text.to_owned())
        };
        let rule = "a text, or a list of texts, of 1 to 512 characters that can be seen";
        let found: Option<Vec<String>> = match &yaml.value {
            Value::Text(text) => one(text).map(|text| vec![text]),
            // `version: 2` and `name: 8080` are texts to whoever writes them.
            Value::Number(number) if number.is_u64() => Some(vec![number.to_string()]),
            Value::List(items) if !items.is_empty() => items
                .iter()
                .map(|item| match &item.value {
                    Value::Text(text) => one(text),
                    Value::Number(number) if number.is_u64() => Some(number.to_string()),
                    _ => None,
                })
                .collect(),
            _ => None,
        };
        found.or_else(|| self.wrong(yaml.spot.line, format!("this has to be {rule}, not {}", yaml.value.noun())))
    }

    pub(super) fn text(&mut self, yaml: &Yaml) -> Option<String> {
        match &yaml.value {
            Value::Text(text) if text.len() <= TEXT && !text.chars().any(char::is_control) => Some(text.clone()),
            _ => self.wrong(yaml.spot.line, "this has to be one line of text of at most 512 bytes"),
        }
    }

    fn at_most(&mut self, entry: Option<Entry>) -> Option<AtMost> {
        let Some(entry) = entry else { return Some(AtMost::default()) };
        let line = entry.spot.line;
        let Value::Map(entries) = entry.value.value else {
            return self.wrong(line, "`atMost` is a map of `requests`, `tokens` and `money`");
        };
        let mut found = [None; 3];
        for entry in entries {
            let line = entry.spot.line;
            let Some(place) = BudgetUnit::ALL.iter().position(|unit| unit.as_str() == entry.key) else {
                return self.wrong(line, "`atMost` knows `requests`, `tokens` and `money`");
            };
            let amount = match &entry.value.value {
                Value::Number(number) => Capability::parse(&format!("budget:{}={number}", entry.key)).ok(),
                _ => None,
            };
            let Some(Capability::Budget(budget)) = amount else {
                return self.wrong(line, "a ceiling is a number above zero");
            };
            if found[place].replace(budget.amount()).is_some() {
                return self.wrong(line, format!("`{}` stands twice", entry.key));
            }
        }
        let [requests, tokens, money] = found;
        Some(AtMost { requests, tokens, money })
    }
}
