//! What a review may say of a pull request, in GitHub's words.

use serde::{Deserialize, Serialize};

/// The `event` of a review.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    Comment,
    RequestChanges,
    Approve,
}

impl Verdict {
    pub const ALL: [Self; 3] = [Self::Comment, Self::RequestChanges, Self::Approve];

    /// The word that GitHub's REST API takes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Comment => "COMMENT",
            Self::RequestChanges => "REQUEST_CHANGES",
            Self::Approve => "APPROVE",
        }
    }
}
