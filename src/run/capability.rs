//! What a container may be given beyond the default, as text with a strict grammar: `pip:pandas==2.2.3`,
//! `net:api.github.com:443`. Pure, and never lenient: what does not parse is refused with the rule it breaks, so
//! that no later step quotes, escapes or guesses. What does parse holds no white space, no control character,
//! nothing that a shell or a Dockerfile reads specially (a model glob's `*` is the one exception), and no part of
//! it starts with `-`.

mod action_use;
mod budget;
mod debian;
mod endpoint;
mod error;
mod model_use;
mod names;
mod node;
mod python;
mod python_version;
mod secret_use;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub(crate) use action_use::fits;
pub use action_use::{
    ActionLimit, ActionRule, ActionRules, ActionUse, is_address, is_channel, is_repository_part, is_url, known_actions,
    rules_of,
};
pub use budget::{Budget, BudgetScope, BudgetUnit, MILLION};
pub use debian::{AptPackage, DebianVersion};
pub use endpoint::{Endpoint, Host};
pub use error::CapabilityError;
pub use model_use::ModelUse;
pub use names::{ActionName, ModelGlob, Mount, MountMode, ScheduleName, SecretName, ToolName};
pub use node::NpmPackage;
pub use python::{PipName, PipPackage};
pub use python_version::PythonVersion;
pub use secret_use::{SecretScheme, SecretUse};

/// Longer than any real package, host or path that a person would want to read and decide on, in bytes.
const LIMIT: usize = 512;

/// Reads what somebody declares or asks for: a capability that something here can give. What parses and is an action that
/// no gate can do, or that has no rule for what it does, would be granted and never work.
///
/// # Errors
/// The rule that `text` breaks, in words; for an action that is none, what there is.
pub fn askable(text: &str) -> Result<Capability, String> {
    let capability = Capability::parse(text).map_err(|error| error.to_string())?;
    capability.check().map(|()| capability)
}

/// What a capability is about. The text before the first colon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CapabilityKind {
    Apt,
    Pip,
    Npm,
    Tool,
    Net,
    Tcp,
    Mount,
    Secret,
    Action,
    Llm,
    Budget,
    Port,
    Schedule,
}

impl CapabilityKind {
    pub const ALL: [Self; 13] = [
        Self::Apt,
        Self::Pip,
        Self::Npm,
        Self::Tool,
        Self::Net,
        Self::Tcp,
        Self::Mount,
        Self::Secret,
        Self::Action,
        Self::Llm,
        Self::Budget,
        Self::Port,
        Self::Schedule,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Apt => "apt",
            Self::Pip => "pip",
            Self::Npm => "npm",
            Self::Tool => "tool",
            Self::Net => "net",
            Self::Tcp => "tcp",
            Self::Mount => "mount",
            Self::Secret => "secret",
            Self::Action => "action",
            Self::Llm => "llm",
            Self::Budget => "budget",
            Self::Port => "port",
            Self::Schedule => "schedule",
        }
    }

    /// A capability of this kind as one would write it, for messages.
    #[must_use]
    pub const fn example(self) -> &'static str {
        match self {
            Self::Apt => "apt:jq",
            Self::Pip => "pip:pandas==2.2.3",
            Self::Npm => "npm:@types/node@20.1.0",
            Self::Tool => "tool:browser",
            Self::Net => "net:api.github.com:443",
            Self::Tcp => "tcp:db.internal:5432",
            Self::Mount => "mount:/data/sets:ro",
            Self::Secret => "secret:github-token@api.github.com",
            Self::Action => "action:github.pr.comment,repo=owner/name",
            Self::Llm => "llm:gemini-*",
            Self::Budget => "budget:tokens=2000000",
            Self::Port => "port:8080",
            Self::Schedule => "schedule:weekly-report",
        }
    }

    /// Whether a grant of this kind changes the image that the next attempt runs in.
    #[must_use]
    pub const fn needs_image(self) -> bool {
        matches!(self, Self::Apt | Self::Pip | Self::Npm | Self::Tool)
    }

    /// Whether it is given and taken back without another image: by the gate, as a folder of the next attempt, as a
    /// deployment of its own, or as a schedule.
    #[must_use]
    pub const fn is_given(self) -> bool {
        self.is_of_gate() || self.outlives_its_run() || matches!(self, Self::Mount)
    }

    /// Whether what it gives goes on when the run is over, and is taken back then, too.
    #[must_use]
    pub const fn outlives_its_run(self) -> bool {
        matches!(self, Self::Port | Self::Schedule)
    }

    /// Whether the gate alone gives and takes it: in force for attempts that run, and until it is revoked.
    #[must_use]
    pub const fn is_of_gate(self) -> bool {
        matches!(self, Self::Net | Self::Tcp | Self::Llm | Self::Budget | Self::Secret | Self::Action)
    }
}

impl fmt::Display for CapabilityKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One thing that a container may be given. [`Display`](fmt::Display) writes the canonical text, which parses back
/// to an equal value; two texts that mean the same (`pip:Py_Gal`, `pip:py-gal`) parse to equal values.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Capability {
    Apt(AptPackage),
    Pip(PipPackage),
    Npm(NpmPackage),
    Tool(ToolName),
    Net(Endpoint),
    Tcp(Endpoint),
    Mount(Mount),
    Secret(SecretUse),
    Action(ActionUse),
    Llm(ModelUse),
    /// What models may take: in the run, by one agent of it, in a day.
    Budget(Budget),
    /// A TCP port of an application, 1 to 65535.
    Port(u16),
    /// A task of the agent that asks, at times.
    Schedule(ScheduleName),
}

impl Capability {
    /// Whether something here can give it: an action is one that gates can do, and has the rules that it needs.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn check(&self) -> Result<(), String> {
        if let Self::Action(action) = self { action.check() } else { Ok(()) }
    }

    /// Parses `kind:…`.
    ///
    /// # Errors
    /// [`CapabilityError`] names the rule that `text` breaks and shows an example of the kind.
    pub fn parse(text: &str) -> Result<Self, CapabilityError> {
        if text.is_empty() {
            return Err(CapabilityError::Empty);
        }
        if text.len() > LIMIT {
            return Err(CapabilityError::TooLong { limit: LIMIT, shown: text.chars().take(40).collect() });
        }
        if let Some(character) = text.chars().find(|c| !c.is_ascii_graphic()) {
            return Err(CapabilityError::Character { text: text.to_owned(), character });
        }
        let Some((kind, rest)) = text.split_once(':') else {
            return Err(CapabilityError::NoKind { text: text.to_owned() });
        };
        let Some(kind) = CapabilityKind::ALL.into_iter().find(|k| k.as_str() == kind) else {
            return Err(CapabilityError::UnknownKind { kind: kind.to_owned() });
        };
        let parsed = match kind {
            CapabilityKind::Apt => AptPackage::parse(rest).map(Self::Apt),
            CapabilityKind::Pip => PipPackage::parse(rest).map(Self::Pip),
            CapabilityKind::Npm => NpmPackage::parse(rest).map(Self::Npm),
            CapabilityKind::Tool => ToolName::parse(rest).map(Self::Tool),
            CapabilityKind::Net => Endpoint::parse(rest).map(Self::Net),
            CapabilityKind::Tcp => Endpoint::parse(rest).map(Self::Tcp),
            CapabilityKind::Mount => Mount::parse(rest).map(Self::Mount),
            CapabilityKind::Secret => SecretUse::parse(rest).map(Self::Secret),
            CapabilityKind::Action => ActionUse::parse(rest).map(Self::Action),
            CapabilityKind::Llm => ModelUse::parse(rest).map(Self::Llm),
            CapabilityKind::Budget => Budget::parse(rest).map(Self::Budget),
            CapabilityKind::Port => endpoint::parse_port(rest).map(Self::Port),
            CapabilityKind::Schedule => ScheduleName::parse(rest).map(Self::Schedule),
        };
        parsed.map_err(|rule| CapabilityError::Rule { text: text.to_owned(), rule, example: kind.example() })
    }

    /// Whether both name the same thing, whatever version, mode or budget they name with it.
    #[must_use]
    pub fn is_for_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Pip(a), Self::Pip(b)) => a.name() == b.name(),
            (Self::Apt(a), Self::Apt(b)) => a.name() == b.name(),
            (Self::Npm(a), Self::Npm(b)) => a.name() == b.name(),
            (a, b) => a == b,
        }
    }

    #[must_use]
    pub const fn kind(&self) -> CapabilityKind {
        match self {
            Self::Apt(_) => CapabilityKind::Apt,
            Self::Pip(_) => CapabilityKind::Pip,
            Self::Npm(_) => CapabilityKind::Npm,
            Self::Tool(_) => CapabilityKind::Tool,
            Self::Net(_) => CapabilityKind::Net,
            Self::Tcp(_) => CapabilityKind::Tcp,
            Self::Mount(_) => CapabilityKind::Mount,
            Self::Secret(_) => CapabilityKind::Secret,
            Self::Action(_) => CapabilityKind::Action,
            Self::Llm(_) => CapabilityKind::Llm,
            Self::Budget(_) => CapabilityKind::Budget,
            Self::Port(_) => CapabilityKind::Port,
            Self::Schedule(_) => CapabilityKind::Schedule,
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest: &dyn fmt::Display = match self {
            Self::Apt(x) => x,
            Self::Pip(x) => x,
            Self::Npm(x) => x,
            Self::Tool(x) => x,
            Self::Net(x) | Self::Tcp(x) => x,
            Self::Mount(x) => x,
            Self::Secret(x) => x,
            Self::Action(x) => x,
            Self::Llm(x) => x,
            Self::Budget(x) => x,
            Self::Port(x) => x,
            Self::Schedule(x) => x,
        };
        write!(f, "{}:{rest}", self.kind())
    }
}

impl FromStr for Capability {
    type Err = CapabilityError;
    fn from_str(text: &str) -> Result<Self, CapabilityError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Capability {
    type Error = CapabilityError;
    fn try_from(text: String) -> Result<Self, CapabilityError> {
        Self::parse(&text)
    }
}

impl From<Capability> for String {
    fn from(capability: Capability) -> Self {
        capability.to_string()
    }
}
