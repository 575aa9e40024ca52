//! Whether a provider may fetch what a request names by address: an image is a way out like any other, to a host that the
//! request chooses.

use hyper::StatusCode;

use crate::gate::plan::Step;
use crate::gate::policy::Attempt;
use crate::gate::refusal::Refusal;
use crate::provider::{Ask, Door};
use crate::run::capability::Capability;

/// Refuses `ask` unless every model that may be asked is trusted with addresses, or all hosts are granted.
pub(super) fn check(attempt: &Attempt, ask: &Ask, steps: &[Step]) -> Result<(), Refusal> {
    if steps.iter().all(|step| step.addresses) {
        return Ok(());
    }
    match ask.addresses.iter().find(|address| !is_granted(attempt, address)) {
        None => Ok(()),
        Some(address) => {
            let shown: String = address.chars().take(200).collect();
            let message = format!("the provider would fetch {shown:?}, which is a way out that nothing grants");
            let refusal = Refusal::new(StatusCode::BAD_REQUEST, "provider_side_access", message)
                .hint("send the image itself, as a data: URL")
                .with("param", "messages");
            Err(match endpoint(address).and_then(|endpoint| Capability::parse(&endpoint).ok()) {
                Some(capability) => refusal.with("capability", capability.to_string()),
                None => refusal,
            })
        }
    }
}

/// What opens a door at the provider, as a refusal.
pub(super) fn refused(door: &Door) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, door.code, door.to_string()).with("param", door.param.as_str())
}

/// `net:host:port` of an address.
fn endpoint(address: &str) -> Option<String> {
    let url = reqwest::Url::parse(address).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    Some(format!("net:{}:{}", url.host_str()?, url.port_or_known_default()?))
}

fn is_granted(attempt: &Attempt, address: &str) -> bool {
    let Some(Ok(wanted)) = endpoint(address).map(|endpoint| Capability::parse(&endpoint)) else { return false };
    let now = chrono::Utc::now();
    attempt.grants.iter().any(|grant| grant.capability == wanted && !grant.is_over(now))
}
