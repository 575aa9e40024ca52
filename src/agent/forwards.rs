//! Ports on loopback for what is granted as `tcp:`: opened and closed as the gate says, while the attempt runs.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::error::AgentError;
use super::forward;
use super::gate_client::GateClient;
use super::narration::complain;

/// A gate that is away, or a port that is taken, is tried again after this.
const PAUSE: Duration = Duration::from_millis(500);
/// How long the first list may take: without it the program begins all the same.
const FIRST: Duration = Duration::from_secs(5);

/// What the gate answers.
#[derive(Debug, Deserialize)]
struct Listed {
    forwards: Vec<Forward>,
    /// The list's digest.
    list: String,
}

/// One port.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Forward {
    /// A loopback address and a port.
    listen: SocketAddr,
    /// `host:port`.
    target: String,
}

/// The open ports.
pub(crate) struct Forwards {
    gate: GateClient,
    open: HashMap<String, (SocketAddr, JoinHandle<()>)>,
    /// The list whose ports are all open.
    opened: Option<String>,
    /// What could not be opened, so that it is said once.
    failed: Option<String>,
}

impl Forwards {
    pub(crate) fn new(gate: GateClient) -> Self {
        Self { gate, open: HashMap::new(), opened: None, failed: None }
    }

    /// Opens what is granted already.
    pub(crate) async fn open_granted(&mut self) {
        // Whatever goes wrong is tried again by `keep`.
        let _ = tokio::time::timeout(FIRST, self.look("/taskforge/v1/forwards".to_owned())).await;
    }

    /// Follows what is granted. Never returns.
    pub(crate) async fn keep(mut self) {
        loop {
            // The gate answers once there is something other than what is open.
            let path = match &self.opened {
                Some(opened) => format!("/taskforge/v1/forwards?wait=30s&opened={opened}"),
                None => "/taskforge/v1/forwards".to_owned(),
            };
            if !matches!(self.look(path).await, Ok(true)) {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Asks for the list and makes it so; whether all of it is.
    async fn look(&mut self, path: String) -> Result<bool, AgentError> {
        let reply = self.gate.get(&path).await?;
        let listed: Listed = serde_json::from_value(reply.json()?).map_err(|e| reply.unexpected(e.to_string()))?;
        self.open.retain(|target, (listen, task)| {
            let kept = listed.forwards.iter().any(|forward| forward.target == *target && forward.listen == *listen);
            if !kept {
                // The gate has cut what went through it.
                task.abort();
            }
            kept
        });
        let mut all = true;
        for Forward { listen, target } in listed.forwards {
            // Anything else would offer it to a network.
            if self.open.contains_key(&target) || !listen.ip().is_loopback() {
                continue;
            }
            match TcpListener::bind(listen).await {
                Ok(listener) => {
                    let serve = forward::serve_target(listener, self.gate.clone(), target.clone());
                    self.open.insert(target, (listen, tokio::spawn(serve)));
                }
                Err(error) => {
                    all = false;
                    let words = format!("{target} cannot be offered at {listen}: {error}");
                    if self.failed.as_ref() != Some(&words) {
                        complain(&words);
                        self.failed = Some(words);
                    }
                }
            }
        }
        self.opened = all.then_some(listed.list);
        Ok(all)
    }
}
