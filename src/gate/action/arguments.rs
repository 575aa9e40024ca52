//! What an agent asks for, as types: names and arguments parsed strictly, and held against the rules of a grant or a role.
//! Pure; everything here is hostile until it has parsed.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{email, github, slack, webhook};
use crate::run::capability::{ActionRules, known_actions};

/// The longest text of an argument, in bytes.
const LONGEST: usize = 64 << 10;

/// Arguments that are none: which one and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong(pub(crate) String);

/// Something that can be done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) enum Action {
    Github(github::Call),
    Slack(slack::Call),
    Email(email::Mail),
    Webhook(webhook::Post),
}

impl Action {
    /// # Errors
    /// The first thing that is wrong; nothing if no gate can do `name`.
    pub(crate) fn parse(name: &str, arguments: Map<String, Value>) -> Result<Self, Option<Wrong>> {
        if !known_actions().any(|known| known == name) {
            return Err(None);
        }
        let mut arguments = Arguments(arguments);
        let action = match name.split('.').next() {
            Some("github") => github::Call::parse(name, &mut arguments).map(Self::Github),
            Some("slack") => slack::Call::parse(name, &mut arguments).map(Self::Slack),
            Some("email") => email::Mail::parse(name, &mut arguments).map(Self::Email),
            _ => webhook::Post::parse(&mut arguments).map(Self::Webhook),
        }?;
        arguments.nothing_else()?;
        Ok(action)
    }

    /// Whether `rules` allow it.
    ///
    /// # Errors
    /// The first argument that they do not name.
    pub(crate) fn check(&self, rules: &ActionRules) -> Result<(), Wrong> {
        match self {
            Self::Github(call) => call.check(rules),
            Self::Slack(call) => call.check(rules),
            Self::Email(mail) => mail.check(rules),
            Self::Webhook(post) => post.check(rules),
        }
    }

    /// Whether it changes something: such an action is done once.
    pub(crate) const fn is_write(&self) -> bool {
        match self {
            Self::Github(call) => call.is_write(),
            Self::Slack(call) => call.is_write(),
            Self::Email(mail) => !mail.is_draft,
            Self::Webhook(_) => true,
        }
    }

    /// What it is about, in a few words.
    pub(crate) fn target(&self) -> String {
        match self {
            Self::Github(call) => call.target(),
            Self::Slack(call) => call.target(),
            Self::Email(mail) => mail.to.join(", "),
            Self::Webhook(post) => post.url.clone(),
        }
    }

    /// What has to be granted for it.
    pub(crate) fn capability(&self, name: &str) -> String {
        match self {
            Self::Github(call) => call.capability(name),
            Self::Slack(call) => format!("action:{name},channel={}", call.channel()),
            Self::Email(mail) => {
                let to: String = mail.recipients().map(|to| format!(",to={to}")).collect();
                format!("action:{name}{to}")
            }
            Self::Webhook(post) => format!("action:{name},url={}", post.url),
        }
    }
}

/// Arguments that are taken one by one.
pub(crate) struct Arguments(Map<String, Value>);

impl Arguments {
    /// A text that has to be there.
    pub(crate) fn text(&mut self, key: &str) -> Result<String, Wrong> {
        self.maybe_text(key)?.ok_or_else(|| Wrong(format!("`{key}` is missing")))
    }

    /// A text that may be there; without control characters but line ends and tabs.
    pub(crate) fn maybe_text(&mut self, key: &str) -> Result<Option<String>, Wrong> {
        match self.0.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.len() > LONGEST => {
                Err(Wrong(format!("`{key}` has more than {LONGEST} bytes")))
            }
            Some(Value::String(text)) if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) => {
                Err(Wrong(format!("`{key}` holds control characters")))
            }
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Wrong(format!("`{key}` is not a text"))),
        }
    }

    /// A number from 1, as one or as a text of digits.
    pub(crate) fn number(&mut self, key: &str) -> Result<u64, Wrong> {
        self.maybe_number(key)?.ok_or_else(|| Wrong(format!("`{key}` is missing")))
    }

    pub(crate) fn maybe_number(&mut self, key: &str) -> Result<Option<u64>, Wrong> {
        let number = match self.0.remove(key) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Number(number)) => number.as_u64(),
            Some(Value::String(text)) if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
            Some(_) => None,
        };
        let fits = number.filter(|number| (1..=9_007_199_254_740_991).contains(number));
        fits.map(Some).ok_or_else(|| Wrong(format!("`{key}` is not a number from 1")))
    }

    /// One of several words.
    pub(crate) fn one_of(&mut self, key: &str, words: &[&'static str]) -> Result<Option<&'static str>, Wrong> {
        let Some(text) = self.maybe_text(key)? else { return Ok(None) };
        let found = words.iter().find(|word| **word == text);
        found.copied().map(Some).ok_or_else(|| Wrong(format!("`{key}` is one of {}", words.join(", "))))
    }

    /// Texts: a list, or one of them alone.
    pub(crate) fn texts(&mut self, key: &str, most: usize) -> Result<Vec<String>, Wrong> {
        let wrong = || Wrong(format!("`{key}` is not a list of at most {most} texts"));
        match self.0.remove(key) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(text.split(',').map(|part| part.trim().to_owned()).collect()),
            Some(Value::Array(list)) if list.len() <= most => {
                let text = |value: Value| value.as_str().map(str::to_owned).ok_or_else(wrong);
                list.into_iter().map(text).collect()
            }
            Some(_) => Err(wrong()),
        }
    }

    /// Objects, each with arguments of its own.
    pub(crate) fn objects(&mut self, key: &str, most: usize) -> Result<Vec<Self>, Wrong> {
        let wrong = || Wrong(format!("`{key}` is not a list of at most {most} objects"));
        match self.0.remove(key) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(list)) if list.len() <= most => {
                let object = |value| match value {
                    Value::Object(map) => Ok(Self(map)),
                    _ => Err(wrong()),
                };
                list.into_iter().map(object).collect()
            }
            Some(_) => Err(wrong()),
        }
    }

    /// Any JSON.
    pub(crate) fn json(&mut self, key: &str) -> Result<Value, Wrong> {
        self.0.remove(key).ok_or_else(|| Wrong(format!("`{key}` is missing")))
    }

    pub(crate) fn nothing_else(&self) -> Result<(), Wrong> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(key) => Err(Wrong(format!("{:?} is no argument of it", key.chars().take(64).collect::<String>()))),
        }
    }
}
