//! A secret, the one host that requests with it may go to, and the header that carries it.

use std::fmt;

use super::endpoint::{Endpoint, Host, parse_port};
use super::names::SecretName;

const HTTPS: u16 = 443;
const AUTHORIZATION: &str = "authorization";
const HEADER: &str = "a header is `a-z`, `0-9` and `-`, starts and ends with a letter or digit, has at most 64 characters, and is \
                      none of those that frame a request";
/// What says where a request goes, how long it is, or whose connection it is on: never a place for a secret.
const FRAMING: [&str; 14] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What stands before the secret in its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecretScheme {
    /// `Bearer SECRET`.
    Bearer,
    /// `token SECRET`.
    Token,
    /// `Basic` and the secret, a `user:password`, in base64.
    Basic,
    /// The secret alone.
    Plain,
}

impl SecretScheme {
    const ALL: [Self; 4] = [Self::Bearer, Self::Token, Self::Basic, Self::Plain];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Bearer => "bearer",
            Self::Token => "token",
            Self::Basic => "basic",
            Self::Plain => "plain",
        }
    }

    /// What a header means where nothing else is said.
    fn usual(header: &str) -> Self {
        if header == AUTHORIZATION { Self::Bearer } else { Self::Plain }
    }
}

/// `NAME@HOST[:PORT][,header=NAME][,scheme=bearer|token|basic|plain]`: always by TLS. Without more it is
/// `Authorization: Bearer SECRET`, to port 443; in another header the secret stands alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretUse {
    name: SecretName,
    host: Host,
    port: u16,
    header: String,
    scheme: SecretScheme,
}

impl SecretUse {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut parts = text.split(',');
        let place = parts.next().unwrap_or_default();
        let (name, place) = place.split_once('@').ok_or("a secret names the host it is for, as `name@host`")?;
        let name = SecretName::parse(name)?;
        // An IPv6 address has colons of its own, inside its brackets.
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (Host::parse(host)?, parse_port(port)?),
            _ => (Host::parse(place)?, HTTPS),
        };
        let (mut header, mut scheme) = (None, None);
        for part in parts {
            match part.split_once('=') {
                Some(("header", value)) if header.is_none() => header = Some(check_header(value)?),
                Some(("scheme", value)) if scheme.is_none() => {
                    let found = SecretScheme::ALL.into_iter().find(|scheme| scheme.as_str() == value);
                    scheme = Some(found.ok_or("a scheme is `bearer`, `token`, `basic` or `plain`")?);
                }
                _ => return Err("behind the host stand `header=` and `scheme=`, each once"),
            }
        }
        let header = header.unwrap_or_else(|| AUTHORIZATION.to_owned());
        let scheme = scheme.unwrap_or_else(|| SecretScheme::usual(&header));
        Ok(Self { name, host, port, header, scheme })
    }

    #[must_use]
    pub const fn name(&self) -> &SecretName {
        &self.name
    }

    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// Where requests with it go.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        Endpoint::new(self.host.clone(), self.port)
    }

    /// The header's name, in lower case.
    #[must_use]
    pub fn header(&self) -> &str {
        &self.header
    }

    #[must_use]
    pub const fn scheme(&self) -> SecretScheme {
        self.scheme
    }
}

fn check_header(text: &str) -> Result<String, &'static str> {
    let text = text.to_ascii_lowercase();
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let inner = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let fits = inner && text.starts_with(edge) && text.ends_with(edge) && text.len() <= 64;
    if fits && !FRAMING.contains(&text.as_str()) { Ok(text) } else { Err(HEADER) }
}

impl fmt::Display for SecretUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.host)?;
        if self.port != HTTPS {
            write!(f, ":{}", self.port)?;
        }
        if self.header != AUTHORIZATION {
            write!(f, ",header={}", self.header)?;
        }
        if self.scheme != SecretScheme::usual(&self.header) {
            write!(f, ",scheme={}", self.scheme.as_str())?;
        }
        Ok(())
    }
}
