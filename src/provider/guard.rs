//! Which headers cross the gate. Hop-by-hop headers end here (RFC 9110, 7.6.1), and so does everything that would
//! let an agent speak for someone else upstream: credentials, cookies, accounts, claims about where it comes from.

use hyper::HeaderMap;
use hyper::header::{CONNECTION, HeaderName};

/// Never passed on in either direction. The lengths and encodings are set anew by whoever sends.
const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// Never passed on to an upstream. `accept-encoding`, because a compressed answer could not be understood in the
/// records; `content-encoding`, because what was read here is what is to be read there.
const NOT_UPSTREAM: [&str; 19] = [
    "accept-encoding",
    "anthropic-api-key",
    "api-key",
    "authorization",
    "content-encoding",
    "content-length",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "openai-organization",
    "openai-project",
    "via",
    "x-api-key",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-goog-api-key",
    "x-real-ip",
];

fn strip_hops(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

/// The headers of an agent's request that go upstream.
pub(crate) fn forwardable_request(mut headers: HeaderMap) -> HeaderMap {
    strip_hops(&mut headers);
    for name in NOT_UPSTREAM {
        headers.remove(name);
    }
    headers
}

/// The headers of an upstream's answer that go to the agent.
fn forwardable_response(mut headers: HeaderMap) -> HeaderMap {
    strip_hops(&mut headers);
    headers
}

/// Whose account it is that an upstream answers, and what ties requests together, is nothing to an agent.
const NOT_OF_AN_ANSWER: [&str; 6] = [
    "anthropic-organization-id",
    "openai-organization",
    "openai-project",
    "set-cookie",
    "set-cookie2",
    "strict-transport-security",
];

/// The headers of a model's answer that go to the agent.
pub(super) fn forwardable_answer(headers: HeaderMap) -> HeaderMap {
    let mut headers = forwardable_response(headers);
    for name in NOT_OF_AN_ANSWER {
        headers.remove(name);
    }
    headers
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn strips_hops_named_hops_and_credentials() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Mine"),
            ("x-mine", "1"),
            ("te", "trailers"),
            ("authorization", "Bearer taskforge"),
            ("cookie", "a=b"),
            ("x-forwarded-for", "10.0.0.1"),
            ("content-type", "application/json"),
        ] {
            headers.insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        let kept = forwardable_request(headers);
        assert_eq!(kept.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["content-type"]);
    }
}
