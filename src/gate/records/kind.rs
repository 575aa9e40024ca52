//! The kinds of records.

use std::fmt;

/// What a record is about. A kind that this version does not know is kept by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Written before a byte leaves.
    LlmRequest,
    /// An answer that came whole.
    LlmResponse,
    /// The upstream's failure, or ours to reach it.
    LlmError,
    /// The agent, a revocation or the kill switch ended it first.
    LlmAborted,
    /// Written before a connection is made.
    EgressAllowed,
    EgressDenied,
    /// The end of what was allowed.
    EgressEnded,
    /// A connection to what is published, written before a byte of it passes.
    IngressAllowed,
    /// The end of one.
    IngressEnded,
    /// Connections to what is published are counted together from here on, for a time.
    IngressCounting,
    /// What there was of them.
    IngressCounted,
    ToolResult,
    /// Written before something is done for an agent.
    ActionRequested,
    ActionDone,
    /// It was not done, or it is not known whether it was.
    ActionFailed,
    ActionDenied,
    /// What was asked of the gate itself and refused.
    RequestRefused,
    /// What the kernel refused the attempt, as its PID 1 says.
    AgentHeld,
    /// A connection was ended for what the client did, or did not do in time.
    ClientDropped,
    /// Bodies were taken away, by whom and why.
    Redacted,
    /// Bytes at the file's end that were never acknowledged and are spaces now.
    Voided,
    Other(String),
}

impl Kind {
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::LlmRequest => "llm.request",
            Self::LlmResponse => "llm.response",
            Self::LlmError => "llm.error",
            Self::LlmAborted => "llm.aborted",
            Self::EgressAllowed => "egress.allowed",
            Self::EgressDenied => "egress.denied",
            Self::EgressEnded => "egress.ended",
            Self::IngressAllowed => "ingress.allowed",
            Self::IngressEnded => "ingress.ended",
            Self::IngressCounting => "ingress.counting",
            Self::IngressCounted => "ingress.counted",
            Self::ClientDropped => "client.dropped",
            Self::RequestRefused => "request.refused",
            Self::ToolResult => "agent.tool_result",
            Self::ActionRequested => "action.requested",
            Self::ActionDone => "action.done",
            Self::ActionFailed => "action.failed",
            Self::ActionDenied => "action.denied",
            Self::AgentHeld => "agent.held_back",
            Self::Redacted => "llm.redacted",
            Self::Voided => "traffic.voided",
            Self::Other(name) => name,
        }
    }

    #[must_use]
    pub fn of(name: &str) -> Self {
        let known = [
            Self::LlmRequest,
            Self::LlmResponse,
            Self::LlmError,
            Self::LlmAborted,
            Self::EgressAllowed,
            Self::EgressDenied,
            Self::EgressEnded,
            Self::IngressAllowed,
            Self::IngressEnded,
            Self::IngressCounting,
            Self::IngressCounted,
            Self::ToolResult,
            Self::ActionRequested,
            Self::ActionDone,
            Self::ActionFailed,
            Self::ActionDenied,
            Self::AgentHeld,
            Self::RequestRefused,
            Self::ClientDropped,
            Self::Redacted,
            Self::Voided,
        ];
        known.into_iter().find(|k| k.as_str() == name).unwrap_or_else(|| Self::Other(name.to_owned()))
    }

    /// Whether this ends an `llm.request`.
    #[must_use]
    pub const fn is_outcome(&self) -> bool {
        matches!(self, Self::LlmResponse | Self::LlmError | Self::LlmAborted)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
