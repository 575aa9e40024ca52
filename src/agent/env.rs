//! The environment variables this room reads, each declared here and nowhere else. The host sets those that matter;
//! the others exist so that tests can run outside a container.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use chrono::{DateTime, Utc};

use super::error::AgentError;

/// The gate's unix socket; `/taskforge/gate/gate.sock` when unset.
pub const GATE_SOCKET: &str = "TASKFORGE_GATE_SOCKET";
/// Where programs reach the gate by HTTP, `http://127.0.0.1:4180` when unset: the shim listens there.
pub const GATE: &str = "TASKFORGE_GATE";
/// When the attempt ends, RFC 3339. Unset means that only the host keeps the time.
pub const DEADLINE: &str = "TASKFORGE_DEADLINE";
/// How many bytes the workspace may hold. Unset means that only the host looks.
pub const DISK: &str = "TASKFORGE_DISK";
/// The folder the agent works in; `/workspace` when unset.
pub const WORKSPACE: &str = "TASKFORGE_WORKSPACE";

/// Of a deployment: the port that its program listens on, and that the gate offers.
pub const PORT: &str = "TASKFORGE_PORT";

/// A file that `agent request` notes its requests in; unset means that nobody wants to know.
pub const ASKED: &str = "TASKFORGE_ASKED";

/// The path of the gate's unix socket, from [`GATE_SOCKET`].
#[must_use]
pub fn gate_socket() -> PathBuf {
    path(GATE_SOCKET, "/taskforge/gate/gate.sock")
}

pub(crate) fn workspace() -> PathBuf {
    path(WORKSPACE, "/workspace")
}

/// The agent's home; `/home/agent` when unset.
pub(crate) fn home() -> PathBuf {
    path("HOME", "/home/agent")
}

pub(crate) fn asked() -> Option<PathBuf> {
    set(ASKED).map(PathBuf::from)
}

/// The address of [`GATE`]; only a loopback one is accepted, or the gate would be offered to a network.
pub(crate) fn listen() -> Result<SocketAddr, AgentError> {
    let Some(value) = set(GATE) else {
        return Ok(SocketAddr::from(([127, 0, 0, 1], 4180)));
    };
    let text = value.to_string_lossy();
    let address = text.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
    match address.and_then(|address| address.parse::<SocketAddr>().ok()) {
        Some(address) if address.ip().is_loopback() => Ok(address),
        _ => Err(AgentError::Setting {
            name: GATE,
            value: text.into_owned(),
            expected: "`http://` and a loopback address with a port, such as http://127.0.0.1:4180",
        }),
    }
}

/// The port of a deployment; none in the container of an attempt.
pub(crate) fn port() -> Result<Option<u16>, AgentError> {
    let Some(value) = set(PORT) else { return Ok(None) };
    let text = value.to_string_lossy();
    match text.parse() {
        Ok(port) if port > 0 => Ok(Some(port)),
        _ => Err(AgentError::Setting { name: PORT, value: text.into_owned(), expected: "a port, such as 8000" }),
    }
}

pub(crate) fn deadline() -> Result<Option<DateTime<Utc>>, AgentError> {
    let Some(value) = set(DEADLINE) else {
        return Ok(None);
    };
    let text = value.to_string_lossy();
    match DateTime::parse_from_rfc3339(&text) {
        Ok(time) => Ok(Some(time.with_timezone(&Utc))),
        Err(_) => Err(AgentError::Setting {
            name: DEADLINE,
            value: text.into_owned(),
            expected: "an RFC 3339 time, such as 2026-01-31T12:00:00Z",
        }),
    }
}

pub(crate) fn disk() -> Result<Option<u64>, AgentError> {
    let Some(value) = set(DISK) else {
        return Ok(None);
    };
    let text = value.to_string_lossy();
    let wrong = || AgentError::Setting { name: DISK, value: text.clone().into_owned(), expected: "a number of bytes" };
    text.parse().map(Some).map_err(|_| wrong())
}

fn path(name: &str, default: &str) -> PathBuf {
    set(name).map_or_else(|| PathBuf::from(default), PathBuf::from)
}

/// An empty variable counts as unset, as everywhere in a shell.
fn set(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}
