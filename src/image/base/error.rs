//! Why there is no base image.

use thiserror::Error;

use crate::container::Error as ContainerError;

/// An error on the way to the base image. [`BaseError::hint`] says what to do next.
#[derive(Debug, Error)]
pub enum BaseError {
    #[error(transparent)]
    Engine(#[from] ContainerError),
    #[error("this machine runs {name}, and a base image can be made from Debian's and Ubuntu's packages only")]
    Distribution { name: String },
    #[error("`mmdebstrap`, which makes a base image from packages, is not installed")]
    ToolMissing,
    #[error("the user has no subordinate user ids, without which only root can make a base image")]
    NotRoot,
    #[error("`{path}` cannot be {doing}")]
    Io { path: String, doing: &'static str, source: std::io::Error },
    #[error("`mmdebstrap` failed ({status}):\n{tail}")]
    Failed { status: String, tail: String },
    #[error("making the base image took longer than {minutes} minutes")]
    TooSlow { minutes: u64 },
}

impl BaseError {
    /// What to do next; commands stand in backticks.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Engine(error) => return error.hints().into_iter().next(),
            Self::Distribution { .. } => {
                "make an image with python3 and pip by other means, and name it under `containers.image` in taskforge.toml"
            }
            Self::ToolMissing => "`apt-get install mmdebstrap`",
            Self::NotRoot => {
                "run it as root, or `apt-get install uidmap` and `usermod --add-subuids 100000-165535 --add-subgids \
                 100000-165535 $USER`"
            }
            Self::Failed { .. } => "`apt-get update` shows whether the package mirrors answer",
            Self::TooSlow { .. } | Self::Io { .. } => return None,
        };
        Some(text.to_owned())
    }
}
