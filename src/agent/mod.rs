//! What runs inside an agent's container, from the same static binary as everything else: the shim that is PID 1
//! ([`init`]), the built-in agent ([`run_loop`]), OpenClaw's turn ([`openclaw()`]) and the verbs any agent can call ([`request`], [`progress`],
//! [`result`]).
//!
//! This room talks to the gate's socket and to nothing else. It is a convenience and never a guard: nothing outside
//! the container may rely on it being honest, so it holds no secret, decides nothing and enforces nothing that the
//! gate, the host or the kernel does not enforce as well.

pub mod brief;
mod capability_request;
mod capture;
mod chat;
mod conversation;
mod decision;
mod disk;
pub mod env;
mod error;
pub mod exit;
mod family;
mod forward;
mod forwards;
mod gate_client;
mod gate_watch;
mod held;
mod init;
mod narration;
mod openclaw;
mod published;
mod refusal;
mod run_loop;
mod tools;
mod turn;
mod verbs;

pub use error::AgentError;
pub use init::{InitOptions, init};
pub use openclaw::{OpenclawOptions, openclaw};
pub use run_loop::{LoopOptions, run_loop};
pub use tools::Roots;
pub use verbs::{
    ActionCall, Delegated, MemoryVerb, RequestedWith, action, delegate, memory, progress, request, result,
};

/// The runtime of every part of this room: one thread, since all of it waits far more than it works.
fn runtime() -> Result<tokio::runtime::Runtime, AgentError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(AgentError::Runtime)
}
