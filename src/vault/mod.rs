//! The vault: secrets as files that `age` encrypts, one each, and a chained log of who changed them and when. A value
//! leaves this room for a gate's file on tmpfs and for nothing else; no argument, log or message ever holds one.

mod cipher;
pub mod dotenv;
mod error;
mod identity;
mod log;
pub mod search;
mod store;
#[cfg(test)]
mod tests;
pub mod traces;
mod value;

pub use error::VaultError;
pub use identity::{Identities, Passphrase, identity_path, lock, unlock};
pub use log::{Entry, Event, Log, Metadata};
pub use store::{Rotated, Vault};
pub use value::Value;

pub use crate::run::capability::SecretName;
