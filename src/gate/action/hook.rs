//! A webhook's one request: to an address that was judged as those of `net:` grants are, by TLS or as the rule's URL says.

use std::time::Duration;

use reqwest::redirect::Policy;
use serde_json::Value;

use super::{Failure, Outcome};
use crate::gate::shared::Gate;
use crate::gate::socket::Socket;
use crate::provider::Key;
use crate::run::capability::{Endpoint, Host};

const PATIENCE: Duration = Duration::from_secs(30);
/// The receiver recomputes it over the body that it got.
const SIGNATURE: &str = "x-taskforge-signature-256";

/// Posts `body`; the status of the answer.
///
/// # Errors
/// Why it was not sent, or why that is not known.
pub(super) async fn post(
    gate: &Gate,
    socket: &Socket,
    url: &str,
    body: &Value,
    secret: Option<&Key>,
    key: &str,
) -> Result<u16, Outcome> {
    let not = |code, message: String| Outcome::NotDone(Failure::new(code, message));
    let endpoint = endpoint(url).ok_or_else(|| not("service_unreachable", format!("{url} names no host")))?;
    let mut client = reqwest::Client::builder()
        .tls_backend_preconfigured((*gate.tls).clone())
        .http1_only()
        .no_proxy()
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .timeout(PATIENCE);
    // An address was named as one by whoever allowed it; a name leads to none that is special.
    if let Host::Name(name) = endpoint.host() {
        let rules = gate.rules();
        let found = gate.lookups.find(socket, &rules.policy, &endpoint, false).await;
        let found =
            found.map_err(|nowhere| not("service_unreachable", format!("{name} cannot be called: {nowhere:?}")))?;
        client = client.resolve_to_addrs(name, &found);
    }
    let client = client.build().map_err(|error| not("service_unreachable", error.without_url().to_string()))?;
    let bytes = body.to_string().into_bytes();
    let mut request = client.post(url).header("content-type", "application/json").header("idempotency-key", key);
    request = request.header("user-agent", concat!("taskforge/", env!("CARGO_PKG_VERSION")));
    if let Some(secret) = secret {
        let signing = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.expose().as_bytes());
        let tag = ring::hmac::sign(&signing, &bytes);
        let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        request = request.header(SIGNATURE, format!("sha256={hex}"));
    }
    match request.body(bytes).send().await {
        Ok(answer) => Ok(answer.status().as_u16()),
        Err(error) => {
            let connect = error.is_connect();
            let message = format!("{url} does not answer: {}", error.without_url());
            let failure = Failure::new("service_unreachable", message);
            Err(if connect { Outcome::NotDone(failure) } else { Outcome::Unclear(failure) })
        }
    }
}

fn endpoint(url: &str) -> Option<Endpoint> {
    let (port, rest) = match url.strip_prefix("https://") {
        Some(rest) => (443, rest),
        None => (80, url.strip_prefix("http://")?),
    };
    let authority = rest.split('/').next().unwrap_or_default();
    Endpoint::parse(authority).or_else(|_| Endpoint::parse(&format!("{authority}:{port}"))).ok()
}
