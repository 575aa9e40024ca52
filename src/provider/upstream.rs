//! An HTTP upstream: sends what it is given and passes the answer on as it comes. Adds nothing but what it is told,
//! follows no redirect, uses no proxy.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use hyper::HeaderMap;
use reqwest::redirect::Policy;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::guard::forwardable_answer;
use super::sent::{Noted, Sent};
use super::{Answer, ProviderError};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(15);

/// The HTTP client of all upstreams of a gate. `bundle` is the PEM file of the trusted roots; without one no TLS
/// upstream is trusted, and plain ones work.
///
/// # Errors
/// When the bundle is there and cannot be read, or TLS cannot be set up.
pub fn client(bundle: &Path) -> Result<reqwest::Client, ProviderError> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls(bundle)?)
        .http1_only()
        .no_proxy()
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .tcp_nodelay(true)
        .connect_timeout(CONNECT)
        .pool_idle_timeout(Duration::from_secs(60))
        .build()
        .map_err(|e| ProviderError::Tls(e.without_url().to_string()))
}

/// What a gate trusts when it speaks TLS: the roots of `bundle`, and nobody without one.
///
/// # Errors
/// As [`client`].
pub fn tls(bundle: &Path) -> Result<rustls::ClientConfig, ProviderError> {
    let mut roots = rustls::RootCertStore::empty();
    if bundle.exists() {
        let tls = |e: rustls::pki_types::pem::Error| ProviderError::Tls(format!("{}: {e}", bundle.display()));
        for certificate in CertificateDer::pem_file_iter(bundle).map_err(tls)? {
            // A bundle may hold a root that the verifier cannot use (an old curve); the others still count.
            let _ = roots.add(certificate.map_err(tls)?);
        }
    }
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| ProviderError::Tls(e.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// One upstream.
#[derive(Clone)]
pub(super) struct Upstream {
    pub(super) name: String,
    /// Without a slash at its end.
    base: String,
    /// How long it may stay silent, before the head and between two pieces of the body.
    silence: Duration,
    client: reqwest::Client,
}

impl Upstream {
    /// An upstream at `base` (`http://127.0.0.1:11434/v1`).
    ///
    /// # Errors
    /// When `base` is not an HTTP URL, or holds credentials, a query or a fragment.
    pub(super) fn new(
        name: &str,
        base: &str,
        silence: Duration,
        client: reqwest::Client,
    ) -> Result<Self, ProviderError> {
        let unusable = |reason: &str| ProviderError::Unusable { provider: name.to_owned(), reason: reason.to_owned() };
        let base = base.trim_end_matches('/').to_owned();
        let url = reqwest::Url::parse(&base).map_err(|e| unusable(&format!("its base URL: {e}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(unusable("its base URL is neither http nor https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(unusable("its base URL holds credentials; they belong in a key file"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(unusable("its base URL holds a query; paths are put behind it"));
        }
        Ok(Self { name: name.to_owned(), base, silence, client })
    }

    /// Posts `body` to `path`, which begins with a slash, below the base URL. `silence` is this request's own patience.
    pub(super) async fn send(
        &self,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
        silence: Option<Duration>,
        sent: &Sent,
    ) -> Result<Answer, ProviderError> {
        let silence = silence.unwrap_or(self.silence);
        let url = reqwest::Url::parse(&format!("{}{path}", self.base)).map_err(|e| ProviderError::Unusable {
            provider: self.name.clone(),
            reason: format!("its URL for this model: {e}"),
        })?;
        let body = reqwest::Body::wrap(Noted { bytes: Some(body).filter(|body| !body.is_empty()), sent: sent.clone() });
        let sending = self.client.post(url).headers(headers).body(body).send();
        let response = match tokio::time::timeout(silence, sending).await {
            Ok(Ok(response)) => response,
            Ok(Err(e)) => {
                let reached = sent.is_set() && !e.is_connect();
                return Err(ProviderError::Unreachable { provider: self.name.clone(), reached, reason: words(e) });
            }
            Err(_) if !sent.is_set() => {
                let reason = format!("there was no connection within {} ms", silence.as_millis());
                return Err(ProviderError::Unreachable { provider: self.name.clone(), reached: false, reason });
            }
            Err(_) => {
                return Err(ProviderError::Silent { provider: self.name.clone(), seconds: silence.as_secs() });
            }
        };
        let (status, headers) = (response.status(), forwardable_answer(response.headers().clone()));
        let provider = self.name.clone();
        let body = stream::unfold(Some(response), move |response| {
            let provider = provider.clone();
            async move {
                let mut response = response?;
                match tokio::time::timeout(silence, response.chunk()).await {
                    Ok(Ok(Some(chunk))) => Some((Ok(chunk), Some(response))),
                    Ok(Ok(None)) => None,
                    Ok(Err(e)) => Some((Err(ProviderError::Cut { provider, reason: words(e) }), None)),
                    Err(_) => Some((Err(ProviderError::Silent { provider, seconds: silence.as_secs() }), None)),
                }
            }
        });
        Ok(Answer { status, headers, body: body.boxed(), failed: None })
    }
}

/// An error's words down to its cause; reqwest's own say little more than "error sending request".
fn words(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text.chars().take(500).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn refuses_a_base_that_is_no_plain_url() {
        let client = client(Path::new("/nonexistent")).unwrap();
        for (base, good) in [
            ("http://127.0.0.1:1/v1/", true),
            ("https://models.example/v1", true),
            ("ftp://models.example", false),
            ("http://user:word@models.example", false),
            ("http://models.example/?a=b", false),
            ("not a url", false),
        ] {
            assert_eq!(Upstream::new("x", base, CONNECT, client.clone()).is_ok(), good, "{base}");
        }
    }
}
