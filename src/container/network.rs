//! Which network a container has.

use serde::Serialize;

/// A container's network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// The loopback interface only.
    None,
    /// The host's own: for the gate alone, which decides itself what may be reached.
    Host,
    /// The Engine's default bridge.
    Bridge,
}

impl Network {
    /// The Engine's `NetworkMode`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Host => "host",
            Self::Bridge => "bridge",
        }
    }
}
