//! The YAML of a file as a tree in which everything knows its place. Nothing here knows what a workflow is.
//!
//! The parser is bounded in depth, size, nodes and aliases, and aliases are counted by what they expand to: a file of
//! a few lines cannot become gigabytes.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use serde_yaml::budget::BudgetBreach;
use serde_yaml::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_yaml::{Error, NonFiniteFloatPolicy, Spanned};

use super::problem::{Problem, Spot};

/// The deepest nesting: a workflow needs seven levels, and `metadata` may hold some more.
const DEPTH: usize = 32;
/// Scalars, lists and maps, those included that aliases stand for.
const NODES: usize = 200_000;
/// What aliases may stand for in the smallest file, and how much more for each byte: thousands of nodes may well share
/// one `container: *box`, but each of them is written down.
const REPLAYED: usize = 10_000;
const REPLAYED_EACH: usize = 4;
/// Bytes of text, that included that aliases stand for: four times the largest file.
const TEXT: usize = 4 * 1024 * 1024;
const ALIASES: usize = 10_000;

/// A value at its place. For an alias it is the place of the alias, not of what it stands for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Yaml {
    pub(crate) value: Value,
    pub(crate) spot: Spot,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Boolean(bool),
    Number(Number),
    Text(String),
    List(Vec<Yaml>),
    /// In the order of the file, with every duplicate; what `<<` merges stands at the end.
    Map(Vec<Entry>),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) spot: Spot,
    pub(crate) value: Yaml,
}

impl Value {
    /// What a person would call it.
    pub(crate) fn noun(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Boolean(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }

    /// The same data without places; of duplicate keys the first counts.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Boolean(boolean) => (*boolean).into(),
            Self::Number(number) => number.clone().into(),
            Self::Text(text) => text.clone().into(),
            Self::List(items) => items.iter().map(|item| item.value.to_json()).collect(),
            Self::Map(entries) => {
                let mut map = serde_json::Map::new();
                for entry in entries {
                    map.entry(entry.key.clone()).or_insert_with(|| entry.value.value.to_json());
                }
                map.into()
            }
        }
    }
}

/// Parses `yaml`, whose first line is line `lines_before + 1` of the file.
pub(crate) fn parse(yaml: &str, lines_before: usize) -> Result<Yaml, Problem> {
    let replayed = (REPLAYED + REPLAYED_EACH * yaml.len()).min(NODES);
    let options = serde_yaml::options! {
        budget: serde_yaml::budget! {
            max_depth: DEPTH,
            flow_nesting_limit: DEPTH,
            max_nodes: NODES,
            max_events: 2 * NODES,
            max_total_scalar_bytes: TEXT,
            max_aliases: ALIASES,
            max_anchors: ALIASES,
            max_recorded_anchor_events: 2 * NODES,
            max_recorded_anchor_bytes: TEXT,
            max_merge_keys: ALIASES,
            max_documents: 1,
            // What they expand to is bounded below.
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_yaml::alias_limits! {
            max_total_replayed_events: replayed,
            max_replay_stack_depth: DEPTH,
        },
        // The only policy under which a visitor sees duplicate keys, and can report them all.
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        merge_keys: MergeKeyPolicy::Merge,
        // `on`, `yes` and `no` are words, as YAML 1.2 has it.
        strict_booleans: true,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    let mut root: Yaml =
        serde_yaml::from_str_with_options(yaml, options).map_err(|e| refusal(&e, lines_before, replayed))?;
    move_down(&mut root, lines_before);
    Ok(root)
}

/// The parser counts from the line after the fence. `DEPTH` bounds the recursion.
fn move_down(node: &mut Yaml, lines: usize) {
    node.spot.line += lines;
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| move_down(item, lines)),
        Value::Map(entries) => {
            for entry in entries {
                entry.spot.line += lines;
                move_down(&mut entry.value, lines);
            }
        }
        Value::Null | Value::Boolean(_) | Value::Number(_) | Value::Text(_) => {}
    }
}

fn refusal(error: &Error, lines_before: usize, replayed: usize) -> Problem {
    let error = error.without_snippet();
    let spot = error.location().map_or(Spot { line: lines_before + 1, column: 1 }, |location| {
        let (line, column) = (to_usize(location.line()), to_usize(location.column()));
        Spot { line: lines_before + line.max(1), column: column.max(1) }
    });
    let mut inner = error;
    while let Error::AliasError { error, .. } = inner {
        inner = error;
    }
    let message = match inner {
        Error::Budget { breach, .. } => breached(breach),
        Error::AliasReplayLimitExceeded { .. } | Error::AliasReplayCounterOverflow { .. } => {
            format!("the aliases stand for more than {replayed} values, which is too many for a file of this size")
        }
        Error::AliasReplayStackDepthExceeded { .. } => too_deep(),
        Error::RecursiveReferencesRequireWeakTypes { .. } => "an alias stands for something that holds it".to_owned(),
        Error::UnknownAnchor { .. } => "an alias without an anchor of its name above it".to_owned(),
        Error::MultipleDocuments { .. } => "the YAML holds more than one document".to_owned(),
        Error::UnsupportedTag { .. } => "a YAML tag that is not known here".to_owned(),
        other => match first_line(&other.to_string()) {
            // The scanner, which looks ahead, has a limit and words of its own for the same thing.
            text if text.starts_with("recursion limit exceeded") => too_deep(),
            text => format!("this is not YAML: {text}"),
        },
    };
    Problem::new(spot, message, None)
}

fn breached(breach: &BudgetBreach) -> String {
    match breach {
        BudgetBreach::Depth { .. } => too_deep(),
        BudgetBreach::Nodes { .. } | BudgetBreach::Events { .. } | BudgetBreach::RecordedAnchorEvents { .. } => {
            too_many_values()
        }
        BudgetBreach::ScalarBytes { .. } | BudgetBreach::RecordedAnchorBytes { .. } => {
            format!("the YAML, its aliases expanded, holds more than {} MiB of text", TEXT / 1024 / 1024)
        }
        BudgetBreach::Documents { .. } => "the YAML holds more than one document".to_owned(),
        _ => format!("the YAML has more than {ALIASES} anchors, aliases or merges"),
    }
}

fn too_many_values() -> String {
    format!("the YAML, its aliases expanded, holds more than {NODES} values")
}

fn too_deep() -> String {
    format!("the YAML is nested deeper than {DEPTH} levels")
}

fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    // The place, which the parser counts from the fence, is told by whoever shows the problem.
    let line = line.rfind(" at line ").map_or(line, |end| &line[..end]);
    line.chars().filter(|c| !super::text::is_unsafe(*c)).take(200).collect()
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX / 2)
}

impl<'de> Deserialize<'de> for Yaml {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { value: spanned.value, spot: place(&spanned.referenced) })
    }
}

fn place(location: &serde_yaml::Location) -> Spot {
    Spot { line: to_usize(location.line()).max(1), column: to_usize(location.column()).max(1) }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, boolean: bool) -> Result<Value, E> {
        Ok(Value::Boolean(boolean))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        // JSON has no word for infinity; the text of it is refused wherever a number is expected.
        Ok(Number::from_f64(number).map_or_else(|| Value::Text(number.to_string()), Value::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            let spot = place(&key.referenced);
            map.push(Entry { key: key.value, spot, value: entries.next_value()? });
        }
        Ok(Value::Map(map))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn map(yaml: &str) -> Vec<Entry> {
        match parse(yaml, 0).unwrap().value {
            Value::Map(entries) => entries,
            other => panic!("{other:?}"),
        }
    }

    fn text_of(entries: &[Entry]) -> String {
        entries
            .iter()
            .map(|e| format!("{}:{} {}={} ", e.spot.line, e.spot.column, e.key, e.value.value.to_json()))
            .collect()
    }

    #[test]
    fn everything_knows_its_place() {
        let entries = map("a: 1\nb:\n  - x\n  - {c: true}\n");
        assert_eq!(text_of(&entries), "1:1 a=1 2:1 b=[\"x\",{\"c\":true}] ");
        assert_eq!(entries[0].value.spot, Spot { line: 1, column: 4 });
        let Value::List(items) = &entries[1].value.value else { panic!() };
        assert_eq!(items[1].spot, Spot { line: 4, column: 5 });
        assert_eq!(parse("a: 1", 7).unwrap().spot.line, 8);
    }

    #[test]
    fn duplicates_all_arrive() {
        assert_eq!(text_of(&map("a: 1\na: 2\nb: 3\na: {a: 1, a: 2}\n")), "1:1 a=1 2:1 a=2 3:1 b=3 4:1 a={\"a\":1} ");
    }

    #[test]
    fn aliases_and_merges_stand_where_they_are_used() {
        let entries = map("base: &b {x: 1, y: 2}\nuse: *b\nmore:\n  y: 3\n  <<: *b\n");
        assert_eq!(entries[1].value.spot, Spot { line: 2, column: 6 });
        assert_eq!(entries[2].value.value.to_json(), serde_json::json!({"y": 3, "x": 1}));
    }

    #[test]
    fn words_stay_words() {
        let entries = map("on: yes\nx: ~\ny: .nan\nz: 1.50\nw: '1'\n");
        assert_eq!(
            Value::Map(entries).to_json(),
            serde_json::json!({"on": "yes", "x": null, "y": ".nan", "z": 1.5, "w": "1"})
        );
    }

    #[test]
    fn bombs_are_refused() {
        let mut laughs = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned();
        for (this, last) in ('b'..='j').zip('a'..='i') {
            laughs += &format!("{this}: &{this} [*{last},*{last},*{last},*{last},*{last},*{last},*{last},*{last}]\n");
        }
        let deep = format!("a: {}{}", "[".repeat(5000), "]".repeat(5000));
        let deep_block = (0..200).map(|i| format!("{}a:\n", " ".repeat(i))).collect::<String>();
        let wide = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), "*a, ".repeat(5000));
        let many = format!("a: [{}]", "1,".repeat(300_000));
        for bomb in [laughs, deep, deep_block, wide, many, "a: &a [*a]\n".to_owned(), "a: *b\n".to_owned()] {
            let problem = parse(&bomb, 0).unwrap_err();
            assert!(!problem.message.starts_with("this is not YAML"), "{}", problem.message);
        }
    }
}
