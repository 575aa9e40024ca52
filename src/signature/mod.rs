//! OpenSSH signatures: who may sign for what (`allowed_signers`), whether a signature is theirs, and making one with an
//! ssh-agent or a key file. Formats: OpenSSH's PROTOCOL.sshsig, PROTOCOL.agent, PROTOCOL.u2f and ssh-keygen(1).
//!
//! Knows nothing of decisions, runs or registries: it is given bytes, a namespace, a name and times.

mod agent;
mod allowed;
mod armor;
mod check;
mod entry;
mod error;
mod key_file;
mod pattern;
mod settings;
mod signer;
#[cfg(test)]
mod tests;
mod validity;

pub use agent::{Agent, Held};
pub use allowed::{AllowedSigners, Proof};
pub(crate) use armor::is_whole;
pub use check::counts as key_counts;
pub use entry::Entry;
pub use error::SignatureError;
pub use key_file::{make as make_key, public_of as public_key_of, signs as file_signs, write_public};
pub use settings::{Settings, default_keys, write as write_settings};
pub use signer::{Passphrase, Signer, fingerprint};
pub use validity::Validity;

/// Whether bytes are a signature of the key that they name: for hostile input, whose key nobody allows.
#[cfg(any(test, fuzzing))]
pub(crate) fn check_any(bytes: &[u8]) -> bool {
    armor::read(bytes).is_ok_and(|signature| check::check(&signature, b"hello").is_ok())
}

/// Both readings of an ssh-agent's answer.
#[cfg(any(test, fuzzing))]
pub(crate) fn agent_answers(bytes: &[u8]) -> (bool, bool) {
    (agent::identities(bytes).is_ok(), agent::signature(bytes).is_ok())
}

/// What decisions on requests and approval nodes are signed as.
pub const DECISION: &str = "taskforge-decision";
/// What lifting the kill switch is signed as.
pub const UNLOCK: &str = "taskforge-unlock";

/// What a file of rules is signed as: it counts in the registry with this id alone.
#[must_use]
pub fn policy(registry: &str) -> String {
    format!("taskforge-policy@{registry}")
}
