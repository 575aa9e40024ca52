//! What a gate does on an agent's behalf, and the rules its arguments keep to: `github.pr.comment,repo=owner/name`.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::names::ActionName;

/// Which arguments an action may have. An empty list means none: an action whose rule names nothing can do nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ActionRules {
    /// `owner/name`, where `*` stands for any characters but `/`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<String>,
    /// Of a review: `COMMENT`, `REQUEST_CHANGES`, `APPROVE`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub verdicts: Vec<String>,
    /// Slack's ids of channels, or `#` and their names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<String>,
    /// Addresses, where `*` before the `@` stands for anybody there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<String>,
    /// URLs, as they are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// How often it may be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<ActionLimit>,
}

/// `N/minute`, `N/hour` or `N/day`: in any span of that length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ActionLimit {
    count: u32,
    seconds: u32,
}

#[cfg(test)]
impl schemars::JsonSchema for ActionLimit {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ActionLimit".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^[1-9][0-9]{0,5}/(minute|hour|day)$"})
    }
}

const SPANS: [(&str, u32); 3] = [("minute", 60), ("hour", 3600), ("day", 86_400)];

impl ActionLimit {
    /// # Errors
    /// The rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const RULE: &str = "a limit is a number from 1 to 999999, `/`, and `minute`, `hour` or `day`";
        let (count, span) = text.split_once('/').ok_or(RULE)?;
        let (_, seconds) = SPANS.into_iter().find(|(name, _)| *name == span).ok_or(RULE)?;
        let digits = count.len() <= 6 && !count.starts_with('0') && count.bytes().all(|b| b.is_ascii_digit());
        let count = count.parse().ok().filter(|_| digits).ok_or(RULE)?;
        Ok(Self { count, seconds })
    }

    #[must_use]
    pub const fn count(self) -> u32 {
        self.count
    }

    #[must_use]
    pub const fn span(self) -> Duration {
        Duration::from_secs(self.seconds as u64)
    }
}

impl fmt::Display for ActionLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = SPANS.into_iter().find(|(_, seconds)| *seconds == self.seconds).map_or("day", |(name, _)| name);
        write!(f, "{}/{name}", self.count)
    }
}

impl TryFrom<String> for ActionLimit {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, &'static str> {
        Self::parse(&text)
    }
}

impl From<ActionLimit> for String {
    fn from(limit: ActionLimit) -> Self {
        limit.to_string()
    }
}

/// What an action's arguments have to be named by before it can do anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionRule {
    Repository,
    Verdict,
    Channel,
    Recipient,
    Url,
}

impl ActionRule {
    /// As it stands in a capability.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Repository => "repo",
            Self::Verdict => "verdict",
            Self::Channel => "channel",
            Self::Recipient => "to",
            Self::Url => "url",
        }
    }

    const fn example(self) -> &'static str {
        match self {
            Self::Repository => "repo=owner/name",
            Self::Verdict => "verdict=COMMENT",
            Self::Channel => "channel=C0123456789",
            Self::Recipient => "to=somebody@example.org",
            Self::Url => "url=https://hooks.example.org/deploys",
        }
    }
}

/// What a gate can do, and what has to be named of each. Merging, closing and pushing are not here, and so cannot be granted.
const KNOWN: [(&str, &[ActionRule]); 12] = {
    use ActionRule::{Channel, Recipient, Repository, Url, Verdict};
    [
        ("email.draft", &[Recipient]),
        ("email.send", &[Recipient]),
        ("github.pr.comment", &[Repository]),
        ("github.pr.files", &[Repository]),
        ("github.pr.list", &[Repository]),
        ("github.pr.read", &[Repository]),
        ("github.repo.read", &[Repository]),
        ("github.review.submit", &[Repository, Verdict]),
        ("slack.message.list", &[Channel]),
        ("slack.message.read", &[Channel]),
        ("slack.message.send", &[Channel]),
        ("webhook.send", &[Url]),
    ]
};

/// The names of all actions that a gate can do.
pub fn known_actions() -> impl Iterator<Item = &'static str> {
    KNOWN.into_iter().map(|(name, _)| name)
}

/// The rules that an action needs; nothing for one that no gate can do.
#[must_use]
pub fn rules_of(action: &str) -> Option<&'static [ActionRule]> {
    KNOWN.into_iter().find(|(name, _)| *name == action).map(|(_, rules)| rules)
}

/// An action and the rules for its arguments.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionUse {
    name: ActionName,
    rules: ActionRules,
}

impl ActionUse {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut parts = text.split(',');
        let name = ActionName::parse(parts.next().unwrap_or_default())?;
        let mut rules = ActionRules::default();
        for part in parts {
            let (key, value) = part.split_once('=').ok_or("behind an action stand rules as `key=value`")?;
            let list = match key {
                "repo" => checked(value, is_repository, &mut rules.repositories, REPOSITORY)?,
                "verdict" => checked(value, is_verdict, &mut rules.verdicts, VERDICT)?,
                "channel" => checked(value, is_channel, &mut rules.channels, CHANNEL)?,
                "to" => checked(value, is_recipient, &mut rules.recipients, RECIPIENT)?,
                "url" => checked(value, is_url, &mut rules.urls, URL)?,
                "limit" if rules.limit.is_none() => {
                    rules.limit = Some(ActionLimit::parse(value)?);
                    continue;
                }
                _ => {
                    return Err(
                        "the rules of an action are `repo`, `verdict`, `channel`, `to`, `url` and, once, `limit`",
                    );
                }
            };
            list.push(value.to_owned());
            list.sort_unstable();
            list.dedup();
        }
        Ok(Self { name, rules })
    }

    #[must_use]
    pub const fn name(&self) -> &ActionName {
        &self.name
    }

    #[must_use]
    pub const fn rules(&self) -> &ActionRules {
        &self.rules
    }

    /// Whether a gate can do it, and its rules name what they have to.
    ///
    /// # Errors
    /// What is missing, in words.
    pub fn check(&self) -> Result<(), String> {
        let name = &self.name;
        let Some(needed) = rules_of(name.as_str()) else {
            let known: Vec<&str> = known_actions().collect();
            return Err(format!("no gate can do {name}; it can do {}", known.join(", ")));
        };
        let missing = needed.iter().find(|rule| self.rules.of(**rule).is_empty());
        if let Some(rule) = missing {
            return Err(format!("{name} has to say what it is for, such as action:{name},{}", rule.example()));
        }
        let other =
            [ActionRule::Repository, ActionRule::Verdict, ActionRule::Channel, ActionRule::Recipient, ActionRule::Url]
                .into_iter()
                .find(|rule| !needed.contains(rule) && !self.rules.of(*rule).is_empty());
        other.map_or(Ok(()), |rule| Err(format!("`{}` is no rule of {name}", rule.key())))
    }
}

/// Whether an entry of a rule is one.
type Fits = fn(&str) -> bool;

impl ActionRules {
    /// What is named for one rule.
    #[must_use]
    pub fn of(&self, rule: ActionRule) -> &[String] {
        match rule {
            ActionRule::Repository => &self.repositories,
            ActionRule::Verdict => &self.verdicts,
            ActionRule::Channel => &self.channels,
            ActionRule::Recipient => &self.recipients,
            ActionRule::Url => &self.urls,
        }
    }

    /// The first entry that is no pattern for a repository, verdict, channel, recipient or URL, with the rule it breaks.
    ///
    /// # Errors
    /// Those two, in words.
    pub fn check(&self) -> Result<(), String> {
        let lists: [(&[String], Fits, &str); 5] = [
            (&self.repositories, is_repository, REPOSITORY),
            (&self.verdicts, is_verdict, VERDICT),
            (&self.channels, is_channel, CHANNEL),
            (&self.recipients, is_recipient, RECIPIENT),
            (&self.urls, is_url, URL),
        ];
        for (list, fits, rule) in lists {
            if let Some(wrong) = list.iter().find(|entry| !fits(entry)) {
                return Err(format!("{wrong:?}: {rule}"));
            }
        }
        Ok(())
    }

    /// Whether `repository`, an `owner/name`, is one of those named.
    #[must_use]
    pub fn has_repository(&self, repository: &str) -> bool {
        let repository = repository.to_ascii_lowercase();
        let Some((owner, name)) = repository.split_once('/') else { return false };
        self.repositories.iter().any(|pattern| {
            // Names on GitHub are the same in either case.
            let pattern = pattern.to_ascii_lowercase();
            pattern.split_once('/').is_some_and(|(o, n)| fits(o, owner) && fits(n, name))
        })
    }

    /// Whether `channel` is one of those named.
    #[must_use]
    pub fn has_channel(&self, channel: &str) -> bool {
        self.channels.iter().any(|one| one == channel)
    }

    /// Whether `url` is one of those named.
    #[must_use]
    pub fn has_url(&self, url: &str) -> bool {
        self.urls.iter().any(|one| one == url)
    }

    /// Whether mail may go to `address`.
    #[must_use]
    pub fn has_recipient(&self, address: &str) -> bool {
        let Some((local, domain)) = address.rsplit_once('@') else { return false };
        let domain = domain.to_ascii_lowercase();
        self.recipients.iter().any(|pattern| {
            pattern.rsplit_once('@').is_some_and(|(l, d)| fits(l, local) && fits(&d.to_ascii_lowercase(), &domain))
        })
    }
}

/// Whether `text` fits `pattern`, letter by letter, where `*` stands for any characters but `/`. In time that grows with the product of both.
pub(crate) fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to go on if what follows the last star does not fit.
    let mut again = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                again = Some((p + 1, t));
                p += 1;
            }
            Some(byte) if *byte == text[t] => (p, t) = (p + 1, t + 1),
            _ => match again {
                Some((after, from)) if text[from] != b'/' => {
                    again = Some((after, from + 1));
                    (p, t) = (after, from + 1);
                }
                _ => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

fn checked<'l>(
    value: &str,
    fits: fn(&str) -> bool,
    list: &'l mut Vec<String>,
    rule: &'static str,
) -> Result<&'l mut Vec<String>, &'static str> {
    if fits(value) { Ok(list) } else { Err(rule) }
}

const REPOSITORY: &str =
    "a repository is `owner/name`, of letters, digits, `-`, `.` and `_`, with `*` for any characters";
const VERDICT: &str = "a verdict is COMMENT, REQUEST_CHANGES or APPROVE";
const CHANNEL: &str = "a channel is Slack's id of it, capital letters and digits, or `#` and a name";
const RECIPIENT: &str = "a recipient is a mail address, or `*@` and a domain";
const URL: &str =
    "a URL is https:// (or http://), a host, and a path of letters, digits and `-._~%+:@/`, without a query";

/// Whether `text` is an owner's or a repository's name: nothing that means something in a path or a URL.
#[must_use]
pub fn is_repository_part(text: &str) -> bool {
    let inner = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    inner && (1..=100).contains(&text.len()) && !matches!(text, "." | "..")
}

fn is_repository(text: &str) -> bool {
    let part = |text: &str| is_repository_part(&text.replace('*', "x"));
    text.split_once('/').is_some_and(|(owner, name)| part(owner) && part(name))
}

fn is_verdict(text: &str) -> bool {
    matches!(text, "COMMENT" | "REQUEST_CHANGES" | "APPROVE")
}

/// Whether `text` is a channel: an id, as Slack makes them, or `#` and a name.
#[must_use]
pub fn is_channel(text: &str) -> bool {
    if let Some(name) = text.strip_prefix('#') {
        let inner = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b));
        return inner && (1..=80).contains(&name.len());
    }
    let inner = text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    inner && (2..=24).contains(&text.len()) && text.starts_with(['C', 'D', 'G'])
}

/// Whether `text` is a mail address of the plain kind: no quotes, no comments, no addresses as domains.
#[must_use]
pub fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let atom = |text: &str| {
        let inner = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+-".contains(&b));
        inner && !text.is_empty() && !text.starts_with('-')
    };
    let label = |text: &str| {
        let inner = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        inner && (1..=63).contains(&text.len()) && !text.starts_with('-') && !text.ends_with('-')
    };
    (1..=64).contains(&local.len()) && domain.len() <= 253 && local.split('.').all(atom) && domain.split('.').all(label)
}

fn is_recipient(text: &str) -> bool {
    text.strip_prefix("*@").map_or_else(|| is_address(text), |domain| is_address(&format!("x@{domain}")))
}

/// Whether `text` is a URL that a webhook may have: nothing in it is another path once it is read as one.
#[must_use]
pub fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let Some(rest) = rest.filter(|_| text.len() <= 300) else { return false };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let with_port = |port: u16| super::Endpoint::parse(&format!("{authority}:{port}")).is_ok();
    let host = super::Endpoint::parse(authority).is_ok() || (!authority.contains("]:") && with_port(443));
    let inner = path.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%+:@/".contains(&b));
    let dots = path.to_ascii_lowercase().replace("%2e", ".");
    host && inner && !dots.split('/').any(|part| matches!(part, "." | ".."))
}

impl fmt::Display for ActionUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        for rule in
            [ActionRule::Repository, ActionRule::Verdict, ActionRule::Channel, ActionRule::Recipient, ActionRule::Url]
        {
            for value in self.rules.of(rule) {
                write!(f, ",{}={value}", rule.key())?;
            }
        }
        self.rules.limit.map_or(Ok(()), |limit| write!(f, ",limit={limit}"))
    }
}
