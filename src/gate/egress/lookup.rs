//! From a name to the addresses that may be connected to. What is judged here is what is connected to: nobody looks the
//! name up a second time.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::gate::policy::{Attempt, Policy};
use crate::run::address::special;
use crate::run::capability::{Capability, Endpoint, Host};

/// Lookups at a time: each may hold a thread for as long as a name server is silent.
const CONCURRENT: usize = 2;
const PATIENCE: Duration = Duration::from_secs(10);
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
pub(crate) struct Lookups(Semaphore);

impl Lookups {
    pub(crate) fn new() -> Self {
        Self(Semaphore::new(CONCURRENT))
    }

    /// The addresses of `endpoint` that `attempt` may connect to, in the resolver's order; never none.
    pub(crate) async fn find(
        &self,
        policy: &Policy,
        attempt: &Attempt,
        endpoint: &Endpoint,
        raw: bool,
    ) -> Result<Vec<SocketAddr>, Nowhere> {
        let found = match endpoint.host() {
            Host::V4(address) => vec![IpAddr::from(*address)],
            Host::V6(address) => vec![IpAddr::from(*address)],
            Host::Name(name) => match policy.hosts.get(name) {
                Some(fixed) => fixed.clone(),
                None => self.ask(name, endpoint.port()).await.map_err(Nowhere::Unresolvable)?,
            },
        };
        let may = |address: &&IpAddr| special(**address).is_none() || by_address(attempt, **address, endpoint, raw);
        let allowed: Vec<SocketAddr> =
            found.iter().filter(may).take(MOST).map(|address| (*address, endpoint.port()).into()).collect();
        match (allowed.is_empty(), found.first()) {
            (false, _) => Ok(allowed),
            (true, Some(first)) => Err(Nowhere::Special(*first)),
            (true, None) => Err(Nowhere::Unresolvable("the name has no address".to_owned())),
        }
    }

    async fn ask(&self, name: &str, port: u16) -> Result<Vec<IpAddr>, String> {
        let lookup = async {
            let _seat = self.0.acquire().await.map_err(|e| e.to_string())?;
            let found = tokio::net::lookup_host((name, port)).await.map_err(|e| e.to_string())?;
            Ok(found.map(|address| address.ip()).collect())
        };
        tokio::time::timeout(PATIENCE, lookup).await.unwrap_or_else(|_| Err("no name server answers".to_owned()))
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
