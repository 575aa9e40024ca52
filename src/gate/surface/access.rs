//! Whether a provider may fetch what a request names by address: an image is a way out like any other, to a host that the
//! request chooses.

use hyper::StatusCode;

use crate::gate::plan::Step;
use crate::gate::policy::Attempt;
use crate::gate::refusal::Refusal;
use crate::provider::{Ask, Door, MOST_ADDRESSES};
use crate::run::capability::Capability;

/// Refuses `ask` unless every model that may be asked is trusted with addresses, or all hosts are granted.
pub(super) fn check(attempt: &Attempt, ask: &Ask, steps: &[Step]) -> Result<(), Refusal> {
    if steps.iter().all(|step| step.addresses) {
        return Ok(());
    }
    if ask.addresses.len() > MOST_ADDRESSES {
        let message = format!("the request names more than {MOST_ADDRESSES} addresses, more than are looked at");
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "too_many_addresses", message)
            .hint("send fewer at once, or the images themselves, as data: URLs")
            .with("param", "messages"));
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

/// `net:host:port` of an address that nobody reads as another one: parsers differ over backslashes, user names, what they
/// strip and what they decode.
fn endpoint(address: &str) -> Option<String> {
    let (scheme, rest) = address.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b);
    let odd = |c: char| c == '\\' || c.is_control() || c.is_whitespace();
    if !scheme.bytes().all(|b| b.is_ascii_alphabetic())
        || authority.is_empty()
        || !authority.bytes().all(plain)
        || address.contains(odd)
    {
        return None;
    }
    let url = reqwest::Url::parse(address).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    Some(format!("net:{}:{}", url.host_str()?, url.port_or_known_default()?))
}

fn is_granted(attempt: &Attempt, address: &str) -> bool {
    let Some(Ok(wanted)) = endpoint(address).map(|endpoint| Capability::parse(&endpoint)) else { return false };
    let now = chrono::Utc::now();
    attempt.grants.iter().any(|grant| grant.capability == wanted && !grant.is_over(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_can_be_read_as_another_one_has_no_endpoint() {
        for (address, expected) in [
            ("https://images.example/a?b=@c#d", Some("net:images.example:443")),
            ("HTTP://images.example:8080/a", Some("net:images.example:8080")),
            ("https://[2001:db8::1]/a", Some("net:[2001:db8::1]:443")),
            ("https://images.example\\@evil.example/", None),
            ("https://images.example@evil.example/", None),
            ("https://evil.example:x@images.example/", None),
            ("https:\\\\images.example/", None),
            ("https:/images.example/", None),
            ("https:///images.example/", None),
            (" https://images.example/", None),
            ("https://images.example/\n", None),
            ("https://ima\tges.example/", None),
            ("https://images%2eexample/", None),
            ("https://images\u{3002}example/", None),
            ("ftp://images.example/", None),
        ] {
            assert_eq!(endpoint(address).as_deref(), expected, "{address:?}");
        }
    }
}
