//! `[watch.NAME]`: where new work is looked for, and who gets it. What a look has found, and how far it has got, stands
//! elsewhere; this is only what a person wants.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Actions, units};
use crate::run::capability::is_repository_part;
use crate::run::id::AgentName;
use crate::workflow::{cron, template};

/// The longest name of a watch, in characters: it begins the names of its runs.
const LONGEST_NAME: usize = 40;
/// The most repositories of one watch.
const MOST_REPOSITORIES: usize = 1000;

/// One place that is looked at for new work, and what is done with what is found there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Watch {
    pub source: WatchSource,
    /// `github.pr`: `owner/name` of each, without patterns.
    #[serde(default)]
    pub repositories: Vec<String>,
    /// `github.pr`: drafts, too.
    pub drafts: Option<bool>,
    /// `schedule`: five fields, minutes first, in UTC.
    pub cron: Option<String>,
    /// `file` and `webhook`: the folder, relative to the registry or absolute.
    pub folder: Option<PathBuf>,
    /// `file`: which names; `*` stands for any run of characters.
    #[serde(rename = "match")]
    pub glob: Option<String>,
    /// The hired agent that gets the work.
    pub agent: Option<AgentName>,
    /// What the agent is told: a template over the fields of what was found.
    pub task: Option<String>,
    /// Instead of an agent: a workflow, a run of which is started.
    pub workflow: Option<String>,
    /// The workflow's parameters, each a template.
    #[serde(default)]
    pub params: BTreeMap<String, String>,
    /// How many attempts may follow one of the agent that failed; unset, two. A workflow has its own `retry`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// The least time between two looks of `tick`; unset, each tick looks.
    #[serde(default, deserialize_with = "units::maybe_duration")]
    #[cfg_attr(test, schemars(with = "Option<crate::schema::Span>"))]
    pub every: Option<Duration>,
    /// The most runs that one look begins; what is over waits for the next.
    #[serde(default = "twenty")]
    pub at_once: u32,
    /// After so many failures in a row nobody looks any more until `watch reset`.
    #[serde(default = "a_day")]
    pub give_up: u32,
}

/// Where is looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum WatchSource {
    /// Open pull requests, each once for each commit at its head.
    #[serde(rename = "github.pr")]
    GithubPr,
    /// Times.
    #[serde(rename = "schedule")]
    Schedule,
    /// Files of a folder, each once for each content.
    #[serde(rename = "file")]
    File,
    /// JSON files of a folder, into which something else writes what it was called with.
    #[serde(rename = "webhook")]
    Webhook,
}

impl WatchSource {
    /// As it stands in the settings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GithubPr => "github.pr",
            Self::Schedule => "schedule",
            Self::File => "file",
            Self::Webhook => "webhook",
        }
    }

    /// What a template of it can name.
    #[must_use]
    pub const fn fields(self) -> &'static [&'static str] {
        match self {
            Self::GithubPr => {
                &["repository", "owner", "name", "number", "sha", "title", "author", "branch", "base", "url"]
            }
            Self::Schedule => &["time", "date"],
            Self::File => &["file", "sha256", "bytes"],
            Self::Webhook => &["file", "sha256", "bytes", "body"],
        }
    }
}

const fn twenty() -> u32 {
    20
}

/// With waits that double up to an hour, so many failures take about a day.
const fn a_day() -> u32 {
    30
}

/// What a service that is away for an hour costs no work.
const RETRIES: u32 = 2;

impl Watch {
    /// How many attempts may follow a failed one of its agent.
    #[must_use]
    pub fn retries(&self) -> u32 {
        self.retries.unwrap_or(RETRIES)
    }

    /// Who gets the work, for people.
    #[must_use]
    pub fn target(&self) -> String {
        match (&self.agent, &self.workflow) {
            (Some(agent), _) => format!("agent {agent}"),
            (None, workflow) => format!("workflow {}", workflow.as_deref().unwrap_or_default()),
        }
    }

    /// The first thing that is wrong: key and reason.
    pub(super) fn check(&self, name: &str, actions: &Actions) -> Result<(), (String, String)> {
        let wrong = |key: &str, reason: String| Err((format!("watch.{name}.{key}"), reason));
        let label = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if name.is_empty() || name.len() > LONGEST_NAME || name.starts_with('-') || !name.bytes().all(label) {
            let reason = format!("is no name of 1 to {LONGEST_NAME} lower-case letters, digits and `-`");
            return Err((format!("watch.{}", name.escape_debug()), reason));
        }
        let source = self.source;
        let (github, folder) =
            (source == WatchSource::GithubPr, matches!(source, WatchSource::File | WatchSource::Webhook));
        for (key, given, belongs) in [
            ("repositories", !self.repositories.is_empty(), github),
            ("drafts", self.drafts.is_some(), github),
            ("cron", self.cron.is_some(), source == WatchSource::Schedule),
            ("folder", self.folder.is_some(), folder),
            ("match", self.glob.is_some(), source == WatchSource::File),
        ] {
            if given && !belongs {
                return wrong(key, format!("does not belong to a watch of `{}`", source.as_str()));
            }
            if !given && belongs && !matches!(key, "drafts" | "match") {
                return wrong(key, format!("is missing, and a watch of `{}` needs it", source.as_str()));
            }
        }
        self.check_source(actions).or_else(|(key, reason)| wrong(key, reason))?;
        self.check_target().or_else(|(key, reason)| wrong(&key, reason))?;
        if self.at_once == 0 || self.at_once > 1000 {
            return wrong("atOnce", "is not 1 to 1000".to_owned());
        }
        match self.retries {
            Some(_) if self.agent.is_none() => return wrong("retries", "belongs to an agent".to_owned()),
            Some(101..) => return wrong("retries", "is not 0 to 100".to_owned()),
            _ => {}
        }
        if self.give_up == 0 {
            return wrong("giveUp", "is zero".to_owned());
        }
        Ok(())
    }

    fn check_source(&self, actions: &Actions) -> Result<(), (&'static str, String)> {
        if self.repositories.len() > MOST_REPOSITORIES {
            return Err(("repositories", format!("are more than {MOST_REPOSITORIES}")));
        }
        let fits = |text: &&String| {
            text.split_once('/').is_some_and(|(owner, name)| is_repository_part(owner) && is_repository_part(name))
        };
        if let Some(bad) = self.repositories.iter().find(|text| !fits(text)) {
            return Err(("repositories", format!("{bad:?} is not owner/name")));
        }
        let mut lower: Vec<String> = self.repositories.iter().map(|name| name.to_ascii_lowercase()).collect();
        lower.sort();
        if let Some(pair) = lower.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(("repositories", format!("name {} twice", pair[0])));
        }
        if self.source == WatchSource::GithubPr && actions.github.is_none() {
            return Err((
                "source",
                "needs [actions.github], which says where GitHub is and with which token".to_owned(),
            ));
        }
        if let Some(pattern) = &self.cron {
            cron::parse(pattern).map_err(|why| ("cron", format!("{pattern:?} is no cron pattern: {why}")))?;
        }
        if self.folder.as_ref().is_some_and(|folder| folder.as_os_str().is_empty()) {
            return Err(("folder", "is empty".to_owned()));
        }
        Ok(())
    }

    fn check_target(&self) -> Result<(), (String, String)> {
        let wrong = |key: &str, reason: &str| Err((key.to_owned(), reason.to_owned()));
        match (&self.agent, &self.task, &self.workflow) {
            (Some(_), Some(task), None) if self.params.is_empty() => {
                if task.trim().is_empty() {
                    return wrong("task", "is empty");
                }
                template::check_over(task, self.source.fields()).map_err(|why| ("task".to_owned(), why))
            }
            (None, None, Some(_)) => self.params.iter().try_for_each(|(param, text)| {
                template::check_over(text, self.source.fields()).map_err(|why| (format!("params.{param}"), why))
            }),
            (Some(_), None, None) => wrong("task", "is missing: what the agent is told"),
            (Some(_), _, Some(_)) => wrong("workflow", "and `agent` are two targets: one of them"),
            (Some(_), _, None) => wrong("params", "belong to a workflow"),
            (None, Some(_), _) => wrong("task", "belongs to an agent"),
            (None, None, None) => wrong("agent", "is missing: an agent with a task, or a workflow"),
        }
    }
}
