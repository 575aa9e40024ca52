//! Where a request wants to go, by the grammar of grants: what could not be granted cannot be asked for either.

use bytes::Bytes;
use hyper::header::HOST;
use hyper::{Method, Request};

use crate::run::capability::{Endpoint, Host};

/// The longest target that stands in a record, in characters.
const LONGEST: usize = 300;
const HTTP: u16 = 80;
const HTTPS: u16 = 443;

/// Where a request wants to go.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// `connect` or `http`.
    pub(crate) surface: &'static str,
    pub(crate) method: String,
    /// `host:port` for the record, as good as it can be told.
    pub(crate) text: String,
    /// What it comes down to, or the rule it breaks.
    pub(crate) endpoint: Result<Endpoint, String>,
    /// What keeps the request from being forwarded although it could be granted.
    pub(crate) flaw: Option<String>,
    /// Path, query and body of a request that the gate itself sends.
    pub(crate) fetched: Option<(String, Bytes)>,
}

impl Target {
    /// The target of a `CONNECT` or of a request in absolute form. Nothing of credentials, path or query is in it.
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        let uri = request.uri();
        let connect = request.method() == Method::CONNECT;
        let scheme = uri.scheme_str();
        let port = uri.port().map(|port| port.as_str().to_owned());
        let default = if scheme == Some("http") { HTTP } else { HTTPS };
        // Names are the same in either case (RFC 4343).
        let host = uri.host().unwrap_or_default().to_ascii_lowercase();
        let text = format!("{host}:{}", port.clone().unwrap_or_else(|| default.to_string()));
        let endpoint = match (connect, scheme, &port) {
            (true, _, None) => Err("a port has to be named".to_owned()),
            (false, Some("http"), _) | (true, ..) => Endpoint::parse(&text).map_err(str::to_owned),
            (false, Some(scheme), _) => Err(format!("{scheme} goes through CONNECT, not in absolute form")),
            (false, None, _) => Err("the scheme is missing".to_owned()),
        };
        let flaw = endpoint.as_ref().ok().and_then(|endpoint| flaw(request, endpoint));
        Self {
            surface: if connect { "connect" } else { "http" },
            method: request.method().as_str().chars().take(32).collect(),
            text: text.chars().take(LONGEST).collect(),
            endpoint,
            flaw,
            fetched: None,
        }
    }
}

/// What says something else than the target does. RFC 9112, section 3.2.2: a proxy goes by the target; a `Host` beside
/// it is one for somebody behind it.
pub(crate) fn flaw<B>(request: &Request<B>, endpoint: &Endpoint) -> Option<String> {
    // `user@host` says one thing to a person and another to a resolver.
    if request.uri().authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Some("it carries a user name".to_owned());
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    let (host, more) = (hosts.next()?, hosts.next());
    if request.method() == Method::CONNECT {
        return None;
    }
    let text = host.to_str().unwrap_or_default().to_ascii_lowercase();
    let named = Endpoint::parse(&text).or_else(|_| Endpoint::parse(&format!("{text}:{HTTP}")));
    let same = more.is_none() && named.as_ref() == Ok(endpoint);
    (!same).then(|| format!("its `Host` is not {endpoint}"))
}

/// `host` or `host:port`, as a `Host` header has it.
pub(crate) fn authority(endpoint: &Endpoint) -> String {
    match (endpoint.host(), endpoint.port()) {
        (host, HTTP) => host.to_string(),
        (host, port) => format!("{host}:{port}"),
    }
}

/// The name that TLS may ask for; none for an address.
pub(crate) fn name(endpoint: &Endpoint) -> Option<&str> {
    match endpoint.host() {
        Host::Name(name) => Some(name),
        Host::V4(_) | Host::V6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn target(method: &str, uri: &str, hosts: &[&str]) -> Target {
        let mut request = Request::builder().method(method).uri(uri);
        for host in hosts {
            request = request.header("host", *host);
        }
        Target::of(&request.body(()).unwrap())
    }

    #[test]
    fn reads_what_clients_send() {
        for (method, uri, hosts, expected) in [
            ("CONNECT", "Files.Example.org:443", vec!["x"], "files.example.org:443"),
            ("CONNECT", "[::1]:8443", vec![], "[::1]:8443"),
            ("GET", "http://example.org/a?b", vec!["example.org"], "example.org:80"),
            ("GET", "http://example.org:8080/", vec!["Example.org:8080"], "example.org:8080"),
            ("GET", "http://example.org:80/", vec!["example.org"], "example.org:80"),
            ("POST", "http://127.0.0.2:8080/", vec![], "127.0.0.2:8080"),
        ] {
            let target = target(method, uri, &hosts);
            assert_eq!(target.endpoint.unwrap().to_string(), expected, "{uri}");
            assert_eq!((target.text.as_str(), target.flaw), (expected, None));
        }
    }

    #[test]
    fn refuses_what_says_two_things_or_none() {
        for (method, uri, hosts) in [
            ("CONNECT", "example.org", vec![]),
            ("CONNECT", "example.org.:443", vec![]),
            ("CONNECT", "example.org:0", vec![]),
            ("CONNECT", "example.org:0443", vec![]),
            ("CONNECT", "user@example.org:443", vec![]),
            ("CONNECT", "[::ffff:127.0.0.1]:443", vec![]),
            ("CONNECT", "2130706433:443", vec![]),
            ("CONNECT", "0x7f.1:443", vec![]),
            ("CONNECT", "127.1:443", vec![]),
            ("GET", "https://example.org/", vec!["example.org"]),
            ("GET", "http://user:pw@example.org/", vec!["example.org"]),
            ("GET", "http://example.org/", vec!["evil.example"]),
            ("GET", "http://example.org/", vec!["example.org", "example.org"]),
            ("GET", "http://example.org:8080/", vec!["example.org"]),
            ("GET", "http://example.org/", vec!["example.org:81"]),
        ] {
            let target = target(method, uri, &hosts);
            assert!(target.endpoint.is_err() || target.flaw.is_some(), "{method} {uri} {hosts:?}");
        }
    }
}
