//! Where a connection may go: a host by name or address, and a port.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::run::address;

const HOST: &str = "a host is a lower-case DNS name (letters, digits and `-` in labels separated by dots), an IPv4 \
                    address, or an IPv6 address in `[` and `]`";

const ADDRESS: &str = "an address is that of one host: not unspecified, broadcast or multicast, and not an IPv6 \
                       address that holds an IPv4 address, which is written as IPv4";

/// A host name in lower case, or an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// A DNS name without its final dot (RFC 1123, section 2.1).
    Name(String),
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

impl Host {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(inner) = text.strip_prefix('[') {
            let address = inner.strip_suffix(']').ok_or(HOST)?;
            let address: Ipv6Addr = address.parse().map_err(|_| HOST)?;
            return if address::is_a_host(address.into()) { Ok(Self::V6(address)) } else { Err(ADDRESS) };
        }
        let label = |label: &str| {
            let inner = label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            inner && !label.is_empty() && label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-')
        };
        if text.len() > 253 || !text.split('.').all(label) {
            return Err(HOST);
        }
        // `127.1`, `0x7f.1` and `2130706433` are addresses to many resolvers: whatever ends in a number must be
        // an address in its one canonical form (WHATWG URL, "ends in a number").
        let last = text.rsplit('.').next().unwrap_or(text);
        let hex = last.strip_prefix("0x").is_some_and(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        if hex || last.bytes().all(|b| b.is_ascii_digit()) {
            let address: Ipv4Addr =
                text.parse().map_err(|_| "an IPv4 address is four decimal numbers from 0 to 255")?;
            return if address::is_a_host(address.into()) { Ok(Self::V4(address)) } else { Err(ADDRESS) };
        }
        Ok(Self::Name(text.to_owned()))
    }

    /// The address, if that is what it is.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Name(_) => None,
            Self::V4(address) => Some((*address).into()),
            Self::V6(address) => Some((*address).into()),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::V4(address) => write!(f, "{address}"),
            Self::V6(address) => write!(f, "[{address}]"),
        }
    }
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    host: Host,
    port: u16,
}

impl Endpoint {
    pub(super) const fn new(host: Host, port: u16) -> Self {
        Self { host, port }
    }

    /// Parses `host:port`.
    ///
    /// # Errors
    /// The rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (host, port) = text.rsplit_once(':').ok_or("a host and a port stand as `host:port`")?;
        Ok(Self { host: Host::parse(host)?, port: parse_port(port)? })
    }

    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.host
    }

    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

pub(super) fn parse_port(text: &str) -> Result<u16, &'static str> {
    const RULE: &str = "a port is a number from 1 to 65535, without leading zeros";
    if text.starts_with('0') || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(RULE);
    }
    text.parse().map_err(|_| RULE)
}
