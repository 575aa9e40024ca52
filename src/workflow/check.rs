//! Collects problems while values are read. Every reader reports what it cannot accept, at its place, and answers
//! `None`, so that the rest of the file is read all the same.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::problem::{Problem, Spot};
use super::text::{alternatives, is_unsafe, shown};
use super::tree::{Value, Yaml};
use crate::run::nearest::nearest;
use crate::run::quantity;

#[derive(Debug, Default)]
pub(crate) struct Check {
    problems: Vec<Problem>,
}

impl Check {
    pub(crate) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    pub(crate) fn problem(&mut self, spot: Spot, message: impl Into<String>) {
        self.problems.push(Problem::new(spot, message, None));
    }

    pub(crate) fn problem_with(&mut self, spot: Spot, message: impl Into<String>, hint: impl Into<String>) {
        self.problems.push(Problem::new(spot, message, Some(hint.into())));
    }

    fn wrong_type(&mut self, yaml: &Yaml, what: &str, wanted: &str) {
        self.problem(yaml.spot, format!("{what} must be {wanted}, and is {}", yaml.value.noun()));
    }

    /// Any text, empty or not.
    pub(crate) fn text<'y>(&mut self, yaml: &'y Yaml, what: &str) -> Option<&'y str> {
        match &yaml.value {
            Value::Text(text) => return Some(text),
            Value::Number(_) | Value::Boolean(_) => {
                let message = format!("{what} must be text, and is {}", yaml.value.noun());
                self.problem_with(yaml.spot, message, format!("put it in quotes: '{}'", yaml.value.to_json()));
            }
            Value::Null | Value::List(_) | Value::Map(_) => self.wrong_type(yaml, what, "text"),
        }
        None
    }

    /// One line that people will look at: not blank, at most 200 characters, nothing that acts on a terminal or
    /// reorders text. White space around it is dropped, as OpenTask does.
    pub(crate) fn line(&mut self, yaml: &Yaml, what: &str) -> Option<String> {
        const LIMIT: usize = 200;
        let text = self.text(yaml, what)?.trim();
        if text.is_empty() {
            self.problem(yaml.spot, format!("{what} is empty"));
        } else if text.chars().count() > LIMIT {
            self.problem(yaml.spot, format!("{what} is longer than {LIMIT} characters"));
        } else if let Some(c) = text.chars().find(|c| is_unsafe(*c)) {
            let c = u32::from(c);
            self.problem(yaml.spot, format!("{what} holds U+{c:04X}, a control or direction character"));
        } else {
            return Some(text.to_owned());
        }
        None
    }

    /// A name without white space: a model, a role, a template of a session key.
    pub(crate) fn name(&mut self, yaml: &Yaml, what: &str) -> Option<String> {
        let name = self.line(yaml, what)?;
        if name.contains(char::is_whitespace) {
            self.problem(yaml.spot, format!("{what}: {} holds white space", shown(&name)));
            return None;
        }
        Some(name)
    }

    pub(crate) fn integer(&mut self, yaml: &Yaml, what: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let Value::Number(number) = &yaml.value else {
            self.wrong_type(yaml, what, "a whole number");
            return None;
        };
        if let Some(integer) = number.as_u64().filter(|integer| range.contains(integer)) {
            return Some(integer);
        }
        let (low, high) = range.into_inner();
        self.problem(yaml.spot, format!("{what} must be a whole number from {low} to {high}, and is {number}"));
        None
    }

    pub(crate) fn number(&mut self, yaml: &Yaml, what: &str, range: RangeInclusive<f64>) -> Option<f64> {
        let Value::Number(number) = &yaml.value else {
            self.wrong_type(yaml, what, "a number");
            return None;
        };
        if let Some(float) = number.as_f64().filter(|float| range.contains(float)) {
            return Some(float);
        }
        let (low, high) = range.into_inner();
        self.problem(yaml.spot, format!("{what} must be a number from {low} to {high}, and is {number}"));
        None
    }

    pub(crate) fn boolean(&mut self, yaml: &Yaml, what: &str) -> Option<bool> {
        if let Value::Boolean(boolean) = &yaml.value {
            return Some(*boolean);
        }
        self.wrong_type(yaml, what, "`true` or `false`");
        None
    }

    pub(crate) fn list<'y>(&mut self, yaml: &'y Yaml, what: &str) -> Option<&'y [Yaml]> {
        if let Value::List(items) = &yaml.value {
            return Some(items);
        }
        self.wrong_type(yaml, what, "a list");
        None
    }

    /// One of a few words.
    pub(crate) fn word<T: Copy>(&mut self, yaml: &Yaml, what: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(yaml, what)?;
        if let Some((_, meant)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*meant);
        }
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let message = format!("{what} must be {}, and is {}", alternatives(&names), shown(text));
        match nearest(text, names) {
            Some(name) => self.problem_with(yaml.spot, message, format!("did you mean `{name}`?")),
            None => self.problem(yaml.spot, message),
        }
        None
    }

    pub(crate) fn milliseconds(&mut self, yaml: &Yaml, what: &str) -> Option<Duration> {
        let longest = u64::try_from(quantity::LONGEST.as_millis()).unwrap_or(u64::MAX);
        self.integer(yaml, what, 1..=longest).map(Duration::from_millis)
    }

    pub(crate) fn duration(&mut self, yaml: &Yaml, what: &str) -> Option<Duration> {
        if let Value::Number(number) = &yaml.value {
            let hint = format!("add a unit: `{number}s`, `{number}m`");
            self.problem_with(yaml.spot, format!("{what} needs a unit"), hint);
            return None;
        }
        let text = self.text(yaml, what)?;
        self.accept(yaml.spot, what, text, quantity::duration(text))
    }

    /// A size in bytes.
    pub(crate) fn size(&mut self, yaml: &Yaml, what: &str) -> Option<u64> {
        if let Value::Number(number) = &yaml.value {
            let hint = format!("add a unit: `{number}MiB`, `{number}GiB`");
            self.problem_with(yaml.spot, format!("{what} needs a unit"), hint);
            return None;
        }
        let text = self.text(yaml, what)?;
        self.accept(yaml.spot, what, text, quantity::size(text))
    }

    /// What a parser that knows nothing of files says about `text`: "WHAT: `text` WHY".
    pub(crate) fn accept<T, E: std::fmt::Display>(
        &mut self,
        spot: Spot,
        what: &str,
        text: &str,
        parsed: Result<T, E>,
    ) -> Option<T> {
        match parsed {
            Ok(value) => Some(value),
            Err(why) => {
                self.problem(spot, format!("{what}: {} {why}", shown(text)));
                None
            }
        }
    }
}
