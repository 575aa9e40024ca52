//! The statuses of runs and nodes: OpenTask's, by its names.

use serde::{Deserialize, Serialize};

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    Draft,
    Running,
    Paused,
    Completed,
    Failed,
    Cancelled,
}

impl RunStatus {
    /// Final unless a person reopens the run.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Where a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum NodeStatus {
    Pending,
    Ready,
    Running,
    Waiting,
    Completed,
    Failed,
    Skipped,
}

impl NodeStatus {
    /// Final unless a person retries the node.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Skipped)
    }

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    /// Whether the journal may take a node from `self` to `next`. Retrying (`Failed`, `Skipped` to `Ready` or
    /// `Pending`) is a person's act and an event of its own; nothing ever leaves `Completed`.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        use NodeStatus::{Completed, Failed, Pending, Ready, Running, Skipped, Waiting};
        match self {
            Pending => matches!(next, Ready | Failed | Skipped),
            // Ready again, later: an attempt that never started is tried again.
            Ready => matches!(next, Ready | Running | Waiting | Failed | Skipped | Pending),
            Running => matches!(next, Ready | Waiting | Completed | Failed | Skipped),
            Waiting => matches!(next, Ready | Running | Completed | Failed | Skipped),
            Failed | Skipped => matches!(next, Ready | Pending),
            Completed => false,
        }
    }
}

/// What kind of work a node is. OpenTask's five.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    SessionTurn,
    Subagent,
    Wait,
    Approval,
    Summary,
}

impl NodeKind {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SessionTurn => "session_turn",
            Self::Subagent => "subagent",
            Self::Wait => "wait",
            Self::Approval => "approval",
            Self::Summary => "summary",
        }
    }
}
