//! An OpenAI-compatible upstream: bytes go through in both directions. Adds the key and takes off what a hop owns;
//! changes nothing else but the model's name, where the table gives it another.

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};

use super::chat::{Counted, Untranslatable, again, asking};
use super::checked::checked;
use super::keys::header;
use super::messages::{self, Reworded};
use super::rename::rename;
use super::translate::translate;
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
        let Prepared { path, mut headers, body, ask, silence, reading, sent, room } = request;
        if let Some(key) = &self.key {
            headers.insert(AUTHORIZATION, header(&self.upstream.name, "Bearer ", key)?);
        }
        let answer = self.upstream.send(&path, headers, body, silence, &sent).await?;
        let kind = answer.headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        let events = kind.get(..17).is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/event-stream"));
        // Of OpenAI's own wire only streams are read, to take the chunk out that nobody asked for.
        let passes = ask.wire == Wire::Chat && !(events && answer.status.is_success());
        match reading.filter(|_| !passes) {
            None => checked(&self.upstream.name, answer, ask.wire, &room).await,
            Some(reading) => translate(&self.upstream.name, answer, reading, ask.stream, &room).await,
        }
    }
}

impl Provider for OpenAi {
    fn prepare(&self, request: &Outgoing, target: &Target) -> Result<Prepared, Untranslatable> {
        if request.wire == Wire::Messages {
            let asked = messages::request(&request.body)?;
            if asked.sampling.top_k.is_some() {
                return Err(Untranslatable::parameter("top_k", "has no counterpart at this provider"));
            }
            let body = again(&asked, target.model.as_deref().unwrap_or(&request.ask.model), target.max_tokens_field);
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            return Ok(Prepared {
                path: Wire::Chat.path().to_owned(),
                headers,
                body: body.to_string().into(),
                reading: Some(Box::new(Reworded::new(None))),
                ..Prepared::unchanged(request, target)
            });
        }
        let mut prepared = Prepared::unchanged(request, target);
        if let Some(model) = &target.model {
            prepared.body = rename(&prepared.body, model)
                .ok_or_else(|| Untranslatable::malformed("model", "cannot be found in the body"))?;
        }
        if target.counts && request.wire == Wire::Chat && request.ask.stream && !request.ask.include_usage {
            prepared.body = asking(&prepared.body)?;
            prepared.reading = Some(Box::new(Counted::default()));
        }
        Ok(prepared)
    }

    fn complete(&self, request: Prepared) -> BoxFuture<'_, Result<Answer, ProviderError>> {
        self.send(request).boxed()
    }

    fn mask(&self) -> Mask {
        self.key.as_ref().map_or_else(Mask::none, |key| Mask::of_forms(key.expose()))
    }
}
