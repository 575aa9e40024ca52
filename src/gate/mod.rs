//! The gate: the sidecar process that is an agent's only way out. It decides by a policy file that only the host
//! writes, asks nobody, and records everything before it lets it pass.
//!
//! It never does what its policy does not say, never falls back to less when a file cannot be read, and never sends
//! a byte upstream that is not on record first.

pub(crate) mod action;
mod allowance;
mod body;
mod budget;
mod client;
mod conversation;
mod doors;
mod durable;
mod egress;
mod ending;
mod error;
mod exchange;
mod front;
mod inbox;
mod kill;
mod ledger;
mod listener;
mod memory;
mod pace;
mod passage;
mod plan;
mod policy;
mod published;
pub mod records;
mod redact;
mod refusal;
mod retry;
mod role_budget;
mod rules;
mod serve;
mod shared;
mod socket;
mod status;
mod surface;
mod transcript;
mod turns;
mod watch;

#[cfg(any(test, fuzzing))]
pub(crate) use action::Action;
pub(crate) use budget::Taken;
pub use conversation::Conversation;
#[cfg(any(test, fuzzing))]
pub(crate) use egress::{Hello, Records, read_hello};
pub use error::Error;
pub use inbox::{Found, Inbox, Kind as InboxKind, Message};
pub use kill::killed;
pub(crate) use ledger::{Sums, damaged as damaged_days};
pub use memory::{MemoryFile, MemoryUse};
pub use policy::{
    AllowedAction, Answer, Attempt, Brief, CapabilityRequest, Ceilings, ChildView, Counted, DelegationUse, Endpoint,
    Fallback, Grant, Limits, MailServer, MailTls, ModelRule, Patience, Policy, PolicyError, Price, ProviderSpec,
    RequestStatus, Services,
};
pub use redact::{Redacted, redact};
pub(crate) use refusal::SPENT;
pub use role_budget::{RoleBudget, folder as role_days};
pub use serve::{GateOptions, serve, serve_until};
pub use status::Status;
pub use transcript::export;
