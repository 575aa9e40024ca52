//! What is to be deployed, in the words of whoever proposes it: hostile until it has been checked.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::run::visible::visible;

/// The most words of a command, and the most bytes of all of them together: a person reads them before deciding.
const MOST_WORDS: usize = 64;
const LONGEST_COMMAND: usize = 8 << 10;
/// The longest path of the folder, in bytes.
const LONGEST_FOLDER: usize = 512;
/// Where PID 1 offers the gate inside the container.
const OF_THE_GATE: u16 = 4180;

/// A command to be run over the files of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// The program and its arguments; no shell reads them.
    pub command: Vec<String>,
    /// The folder whose files are deployed, relative to the workspace; `.` is all of it.
    #[serde(default = "whole")]
    pub folder: String,
}

fn whole() -> String {
    ".".to_owned()
}

/// The rule that a proposal breaks. What is quoted has its control and direction characters escaped.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProposalError {
    #[error("`port:` asks for a deployment: it needs the command that is to listen on the port")]
    Missing,
    #[error("only `port:` is asked for with a command")]
    Misplaced,
    #[error("the command has no program")]
    NoProgram,
    #[error(
        "the command has more than {MOST_WORDS} words, or more than {LONGEST_COMMAND} bytes: put it into a file of the deployment"
    )]
    TooLong,
    #[error(
        "the command's word {0:?} holds a character that is not shown as itself: put it into a file of the deployment"
    )]
    Word(String),
    #[error("{folder:?} is no folder below the workspace: {why}")]
    Folder { folder: String, why: &'static str },
    #[error("port {OF_THE_GATE} is where the gate is offered inside the container; listen on another one")]
    OfTheGate,
}

impl Proposal {
    /// Checks what is asked for: `proposal` for `port`, the port inside the container, if that is what was asked for.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn check(proposal: Option<&Self>, port: Option<u16>) -> Result<(), ProposalError> {
        match (proposal, port) {
            (None, None) => Ok(()),
            (None, Some(_)) => Err(ProposalError::Missing),
            (Some(_), None) => Err(ProposalError::Misplaced),
            (Some(_), Some(OF_THE_GATE)) => Err(ProposalError::OfTheGate),
            (Some(proposal), Some(_)) => proposal.check_parts(),
        }
    }

    fn check_parts(&self) -> Result<(), ProposalError> {
        if self.command.first().is_none_or(String::is_empty) {
            return Err(ProposalError::NoProgram);
        }
        if self.command.len() > MOST_WORDS || self.command.iter().map(String::len).sum::<usize>() > LONGEST_COMMAND {
            return Err(ProposalError::TooLong);
        }
        // What a person reads has to be what is run: nothing that acts, hides or turns the line around.
        if let Some(word) = self.command.iter().find(|word| !is_plain(word)) {
            return Err(ProposalError::Word(visible(word).chars().take(80).collect()));
        }
        check_folder(&self.folder)
    }

    /// Where the container has the files, and where the command begins.
    #[must_use]
    pub fn target(&self) -> String {
        if self.folder == "." { "/workspace".to_owned() } else { format!("/workspace/{}", self.folder) }
    }
}

/// Whether every character of `text` is shown as itself on one line.
pub(crate) fn is_plain(text: &str) -> bool {
    !text.contains(['\n', '\t']) && visible(text) == text
}

fn check_folder(folder: &str) -> Result<(), ProposalError> {
    let bad = |why| {
        let folder = visible(folder).chars().take(80).collect();
        Err(ProposalError::Folder { folder, why })
    };
    if folder == "." {
        return Ok(());
    }
    if folder.is_empty() || folder.len() > LONGEST_FOLDER {
        return bad("it is empty or too long");
    }
    if !is_plain(folder) || folder.contains(['\\', ',', ':']) {
        return bad("it holds a character that is not shown as itself, a backslash, a comma or a colon");
    }
    if folder.split('/').any(|part| matches!(part, "" | "." | "..") || part.len() > 255) {
        return bad("it is absolute, or holds `.`, `..` or an empty part");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn proposal(command: &[&str], folder: &str) -> Proposal {
        Proposal { command: command.iter().map(|&word| word.to_owned()).collect(), folder: folder.to_owned() }
    }

    #[test]
    fn a_command_for_a_port_and_for_nothing_else() {
        let good = proposal(&["python3", "-m", "http.server", "8000"], ".");
        assert_eq!(Proposal::check(Some(&good), Some(8000)), Ok(()));
        assert_eq!(Proposal::check(None, None), Ok(()));
        assert_eq!(Proposal::check(None, Some(8000)), Err(ProposalError::Missing));
        assert_eq!(Proposal::check(Some(&good), None), Err(ProposalError::Misplaced));
        assert_eq!(Proposal::check(Some(&good), Some(4180)), Err(ProposalError::OfTheGate));
        assert_eq!(proposal(&["x"], "dist/site").target(), "/workspace/dist/site");
        assert_eq!(good.target(), "/workspace");
    }

    #[test]
    fn what_is_not_shown_as_itself_is_refused() {
        let long = "x".repeat(9 << 10);
        let many = vec!["x"; 65];
        for command in [
            &[][..],
            &[""],
            &["sh", "-c", "a\nb"],
            &["sh", "\u{1b}[2J"],
            &["\u{202e}hs"],
            &["a\0b"],
            &["a\tb"],
            &["a\u{200b}b"],
            &[&long],
            &many,
        ] {
            assert!(Proposal::check(Some(&proposal(command, ".")), Some(80)).is_err(), "{command:?}");
        }
        for folder in [
            "",
            "/",
            "/etc",
            "..",
            "a/../b",
            "a//b",
            "a/",
            "./a",
            "a\nb",
            "a\u{202e}b",
            "a\\b",
            "a,b",
            &"a".repeat(256),
        ] {
            assert!(Proposal::check(Some(&proposal(&["x"], folder)), Some(80)).is_err(), "{folder:?}");
        }
        for folder in [".", "a", "a/b.c", "größe", "a b", "..a"] {
            assert_eq!(Proposal::check(Some(&proposal(&["x y", "größe", "\"'$(id)\\"], folder)), Some(80)), Ok(()));
        }
    }

    proptest! {
        #[test]
        fn what_passes_stays_below_the_workspace(folder in "[a./\\\\, \u{0}-\u{7f}]{0,40}") {
            if Proposal::check(Some(&proposal(&["x"], &folder)), Some(80)).is_ok() && folder != "." {
                let normal = std::path::Path::new(&folder).components().all(|c| matches!(c, std::path::Component::Normal(_)));
                prop_assert!(normal);
            }
        }
    }
}
