//! From a name to the addresses that may be connected to. What is judged here is what is connected to: nobody looks the
//! name up a second time.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::gate::policy::{Attempt, Policy};
use crate::gate::socket::Socket;
use crate::run::address::special;
use crate::run::capability::{Capability, Endpoint, Host};

/// Lookups at a time, of all attempts: each may hold a thread for as long as a name server is silent. One attempt has one.
const CONCURRENT: usize = 2;
/// How long a name server may be silent.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long others may be before.
const TURN: Duration = Duration::from_secs(30);
/// How many addresses of one name are tried.
const MOST: usize = 8;

/// Why there is nothing to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Nowhere {
    Unresolvable(String),
    /// Every address that the name has is special, and not granted as an address; the first of them.
    Special(IpAddr),
}

/// The threads that lookups may take.
pub(crate) struct Lookups(Arc<Semaphore>);

impl Lookups {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(CONCURRENT)))
    }

    /// The addresses of `endpoint` that the attempt of `socket` may connect to, in the resolver's order; never none.
    pub(crate) async fn find(
        &self,
        socket: &Socket,
        policy: &Policy,
        endpoint: &Endpoint,
        raw: bool,
    ) -> Result<Vec<SocketAddr>, Nowhere> {
        let found = match endpoint.host() {
            Host::V4(address) => vec![IpAddr::from(*address)],
            Host::V6(address) => vec![IpAddr::from(*address)],
            Host::Name(name) => match policy.hosts.get(name) {
                Some(fixed) => fixed.clone(),
                None => self.ask(socket, name, endpoint.port()).await.map_err(Nowhere::Unresolvable)?,
            },
        };
        let attempt = socket.attempt();
        let may = |address: &&IpAddr| special(**address).is_none() || by_address(&attempt, **address, endpoint, raw);
        let allowed: Vec<SocketAddr> =
            found.iter().filter(may).take(MOST).map(|address| (*address, endpoint.port()).into()).collect();
        match (allowed.is_empty(), found.first()) {
            (false, _) => Ok(allowed),
            (true, Some(first)) => Err(Nowhere::Special(*first)),
            (true, None) => Err(Nowhere::Unresolvable("the name has no address".to_owned())),
        }
    }

    async fn ask(&self, socket: &Socket, name: &str, port: u16) -> Result<Vec<IpAddr>, String> {
        // Its own turn first: an attempt whose names are slow to find keeps no other from finding its own.
        let turns = async { (socket.lookup().await, self.0.clone().acquire_owned().await) };
        let (_own, seat) = tokio::time::timeout(TURN, turns).await.map_err(|_| "too many names are being looked up")?;
        let seat = seat.map_err(|e| e.to_string())?;
        let name = name.to_owned();
        let lookup = tokio::task::spawn_blocking(move || {
            let found = (name.as_str(), port).to_socket_addrs();
            // Not before the thread is free again, whoever still waits for the answer.
            drop(seat);
            found.map(|found| found.map(|address| address.ip()).collect()).map_err(|e| e.to_string())
        });
        let found = tokio::time::timeout(PATIENCE, lookup).await.map_err(|_| "no name server answers".to_owned())?;
        found.map_err(|e| e.to_string())?
    }
}

/// Whether `address` itself is granted with the port. What goes unchecked needs a grant for what goes unchecked.
fn by_address(attempt: &Attempt, address: IpAddr, endpoint: &Endpoint, raw: bool) -> bool {
    attempt.grants.iter().any(|grant| {
        let granted = match &grant.capability {
            Capability::Tcp(granted) => granted.clone(),
            Capability::Net(granted) if !raw => granted.clone(),
            Capability::Secret(secret) if !raw => secret.endpoint(),
            _ => return false,
        };
        granted.host().address() == Some(address) && granted.port() == endpoint.port()
    })
}
