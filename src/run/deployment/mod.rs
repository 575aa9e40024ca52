//! Deployments: a command over a set of files, offered on a port of the host. What was approved is the image, the
//! command, the port and every file by its digest; what runs is that and nothing that came later. Pure, as the rest of
//! this room: where a deployment stands follows from the journal alone.

mod apply;
mod decide;
mod plan;
mod proposal;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::canonical;
use super::event::TrafficHead;
use super::id::{Digest, NodeId, RequestId};
use super::state::{Request, State};
use super::status::RunStatus;

pub(super) use decide::{decide, declared, is_awaited, killed};
pub(crate) use plan::deadline;
pub(super) use plan::plan;
pub(crate) use proposal::is_plain;
pub use proposal::{Proposal, ProposalError};

/// The ports of 127.0.0.1 that deployments are offered on, both included.
pub const PORTS: std::ops::RangeInclusive<u16> = 9100..=9120;

/// A deployment that the workflow itself proposes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Declared {
    /// Where the command listens inside its container.
    pub port: u16,
    pub command: Vec<String>,
    /// Relative to the workspace; `.` is all of it.
    pub folder: String,
}

/// What a proposal came down to, before anyone is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Proposed {
    /// The image's id, so that a moved tag changes nothing.
    pub image: String,
    pub command: Vec<String>,
    /// The folder that the files were taken from, relative to the workspace.
    pub folder: String,
    /// Where the command listens inside its container.
    pub port: u16,
    /// Sorted by path.
    pub files: Vec<DeployedFile>,
    /// The digest of `files`.
    pub set: Digest,
}

/// A file of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeployedFile {
    /// Relative to the folder.
    pub path: String,
    /// Whether it may be executed: it is deployed as 0755, others as 0644.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub executable: bool,
    pub bytes: u64,
    pub sha256: Digest,
}

impl DeployedFile {
    /// The permission bits that it is deployed with.
    #[must_use]
    pub const fn mode(&self) -> u32 {
        if self.executable { 0o755 } else { 0o644 }
    }
}

/// The digest of a set of files: path, mode, size and content of each.
#[must_use]
pub fn digest_of(files: &[DeployedFile]) -> Digest {
    let rows: Vec<_> = files.iter().map(|file| json!([file.path, file.mode(), file.bytes, file.sha256])).collect();
    canonical::digest("taskforge-deployment-v1", &json!(rows))
}

impl Proposed {
    #[must_use]
    pub fn proposal(&self) -> Proposal {
        Proposal { command: self.command.clone(), folder: self.folder.clone() }
    }
}

/// A deployment as it stands. Its id is that of the request that was approved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Deployment {
    pub id: RequestId,
    pub node: NodeId,
    /// Of 127.0.0.1, and kept until it is revoked.
    pub port: u16,
    /// Why it is not to run, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down: Option<Down>,
    /// How often it was begun; each time is a container of its own.
    #[serde(default)]
    pub starts: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<Live>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Ended>,
    /// Failures in a row; the pause before the next start grows with them.
    #[serde(default)]
    pub failures: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<DateTime<Utc>>,
}

/// Who took a deployment down, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Down {
    pub by: String,
    pub reason: String,
    pub at: DateTime<Utc>,
}

/// A start of a deployment: enough to make the same container again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Launch {
    /// From 1.
    pub number: u32,
    /// The container's name.
    pub container: String,
    /// The digest of everything the container is made with.
    pub spec: Digest,
}

/// A start whose end is not journaled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Live {
    pub launch: Launch,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<DateTime<Utc>>,
}

/// How a start ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct End {
    pub outcome: Outcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
    /// What is wrong, for a person; empty when nothing is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The records of its gate up to this point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<TrafficHead>,
}

/// The last end of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Ended {
    pub number: u32,
    pub at: DateTime<Utc>,
    pub end: End,
}

/// What ended a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The command ended, whatever its code: it was to go on.
    Exited,
    /// Its memory limit was reached.
    Oom,
    /// The container is gone or was ended from outside: a reboot, a restarted Engine.
    Lost,
    /// It could not be started.
    NotStarted,
    /// A person stopped it, or its run was cancelled.
    Stopped,
    /// What granted it was taken back.
    Revoked,
    Killed,
}

impl Outcome {
    /// How it ended, to follow its name.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Exited => "ended by itself",
            Self::Oom => "ran out of memory",
            Self::Lost => "was lost",
            Self::NotStarted => "could not be started",
            Self::Stopped => "was stopped",
            Self::Revoked => "was revoked",
            Self::Killed => "was killed",
        }
    }

    /// Whether it counts as a failure of its own, which makes the next start wait.
    pub(super) const fn is_failure(self) -> bool {
        matches!(self, Self::Exited | Self::Oom | Self::Lost | Self::NotStarted)
    }
}

/// What is seen of a deployment in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    Running,
    /// It is to run, and the next tick begins it.
    Starting,
    /// It failed, and is begun again when its pause is over.
    Failing,
    Stopped,
    Revoked,
}

impl Standing {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Starting => "starting",
            Self::Failing => "failing",
            Self::Stopped => "stopped",
            Self::Revoked => "revoked",
        }
    }
}

impl State {
    #[must_use]
    pub fn deployment(&self, id: &RequestId) -> Option<&Deployment> {
        self.deployments.iter().find(|deployment| deployment.id == *id)
    }

    /// The request of `deployment` with what was approved of it.
    #[must_use]
    pub fn approved_deployment(&self, id: &RequestId) -> Option<(&Request, &Proposed)> {
        let request = self.request(id)?;
        Some((request, request.presented.as_ref()?.deployment.as_ref()?))
    }

    /// Whether `deployment` is to run: it is granted, nobody took it down, and its run was not cancelled.
    #[must_use]
    pub fn is_wanted(&self, deployment: &Deployment) -> bool {
        deployment.down.is_none() && self.keeps_its_port(deployment) && self.status != RunStatus::Cancelled
    }

    /// Whether the port is its own: until it is revoked.
    #[must_use]
    pub fn keeps_its_port(&self, deployment: &Deployment) -> bool {
        self.request(&deployment.id).is_some_and(|request| request.status.is_granted())
    }

    /// Whether a deployment runs, or is to run: a tick has to look after it, also when the run is over.
    #[must_use]
    pub fn looks_after_deployments(&self) -> bool {
        self.deployments.iter().any(|deployment| deployment.live.is_some() || self.is_wanted(deployment))
    }

    /// How `deployment` stands, by the journal.
    #[must_use]
    pub fn standing(&self, deployment: &Deployment) -> Standing {
        if !self.keeps_its_port(deployment) {
            return Standing::Revoked;
        }
        match &deployment.live {
            _ if !self.is_wanted(deployment) => Standing::Stopped,
            Some(live) if live.container_id.is_some() => Standing::Running,
            None if deployment.failures > 0 => Standing::Failing,
            _ => Standing::Starting,
        }
    }
}
