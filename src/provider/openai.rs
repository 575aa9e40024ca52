//! An OpenAI-compatible upstream: bytes go through in both directions. Adds the key and takes off what a hop owns;
//! changes nothing else but the model's name, where the table gives it another.

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hyper::header::AUTHORIZATION;

use super::chat::Untranslatable;
use super::keys::header;
use super::rename::rename;
use super::upstream::Upstream;
use super::{Answer, Key, Mask, Outgoing, Prepared, Provider, ProviderError, Target, Wire};

/// One OpenAI-compatible upstream.
pub struct OpenAi {
    upstream: Upstream,
    key: Option<Key>,
}

impl OpenAi {
    /// An upstream at `base` (`http://127.0.0.1:11434/v1`).
    ///
    /// # Errors
    /// When `base` is not an HTTP URL, or holds credentials.
    pub fn new(
        name: &str,
        base: &str,
        key: Option<Key>,
        silence: Duration,
        client: reqwest::Client,
    ) -> Result<Self, ProviderError> {
        Ok(Self { upstream: Upstream::new(name, base, silence, client)?, key })
    }

    async fn send(&self, request: Prepared) -> Result<Answer, ProviderError> {
        let Prepared { path, mut headers, body, silence, .. } = request;
        if let Some(key) = &self.key {
            headers.insert(AUTHORIZATION, header(&self.upstream.name, "Bearer ", key)?);
        }
        self.upstream.send(&path, headers, body, silence).await
    }
}

impl Provider for OpenAi {
    fn prepare(&self, request: &Outgoing, target: &Target) -> Result<Prepared, Untranslatable> {
        if request.wire == Wire::Messages {
            let why = "is Anthropic's own wire, which this provider does not speak; use /v1/chat/completions";
            return Err(Untranslatable::wire("/v1/messages", why));
        }
        let mut prepared = Prepared::unchanged(request, target);
        if let Some(model) = &target.model {
            prepared.body = rename(&prepared.body, model)
                .ok_or_else(|| Untranslatable::malformed("model", "cannot be found in the body"))?;
        }
        Ok(prepared)
    }

    fn complete(&self, request: Prepared) -> BoxFuture<'_, Result<Answer, ProviderError>> {
        self.send(request).boxed()
    }

    fn mask(&self) -> Mask {
        self.key.as_ref().map_or_else(Mask::none, |key| Mask::of(key.expose()))
    }
}
