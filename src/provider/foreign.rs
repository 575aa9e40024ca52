//! An upstream that speaks a wire of its own: requests are put into its words before they are on record as sent, and
//! its answers into those of the agent's client.

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};

use super::chat::{Request, Untranslatable};
use super::checked::checked;
use super::embedding::Embedding;
use super::keys::header;
use super::messages::{self, Reworded};
use super::reading::{About, Reading};
use super::rename::rename;
use super::sent::Sent;
use super::translate::translate;
use super::upstream::Upstream;
use super::{
    Answer, Key, Mask, Outgoing, Prepared, Provider, ProviderError, Room, Target, Wire, anthropic, gemini, ollama,
};

const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const ANTHROPIC_KEY: HeaderName = HeaderName::from_static("x-api-key");
const GEMINI_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");

/// Which wire an upstream speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Anthropic,
    Gemini,
    Ollama,
}

/// One such upstream.
pub struct Foreign {
    dialect: Dialect,
    upstream: Upstream,
    key: Option<Key>,
}

impl Foreign {
    /// An upstream at `base`, behind which the wire's paths are put: `/messages`, `/models/MODEL:generateContent`,
    /// `/api/chat`.
    ///
    /// # Errors
    /// When `base` is not an HTTP URL, or holds credentials.
    pub fn new(
        dialect: Dialect,
        name: &str,
        base: &str,
        key: Option<Key>,
        silence: Duration,
        client: reqwest::Client,
    ) -> Result<Self, ProviderError> {
        Ok(Self { dialect, upstream: Upstream::new(name, base, silence, client)?, key })
    }

    fn messages(&self, request: &Outgoing, target: &Target) -> Result<Prepared, Untranslatable> {
        if self.dialect != Dialect::Anthropic {
            let asked = messages::request(&request.body)?;
            let mut prepared = self.say(&asked, request, target)?;
            prepared.reading = Some(Box::new(Reworded::new(prepared.reading)));
            return Ok(prepared);
        }
        let mut prepared = Prepared::unchanged(request, target);
        prepared.headers.entry(ANTHROPIC_VERSION).or_insert(HeaderValue::from_static(anthropic::VERSION));
        if let Some(model) = &target.model {
            prepared.body = rename(&prepared.body, model)
                .ok_or_else(|| Untranslatable::malformed("model", "cannot be found in the body"))?;
        }
        Ok(prepared)
    }

    /// Puts what was asked into the provider's words.
    fn say(&self, asked: &Request, request: &Outgoing, target: &Target) -> Result<Prepared, Untranslatable> {
        let model = target.model.as_deref().unwrap_or(&request.ask.model);
        let about = About {
            model: model.to_owned(),
            created: u64::try_from(chrono::Utc::now().timestamp()).unwrap_or(0),
            include_usage: asked.include_usage,
            first_call: asked.calls(),
        };
        let (path, body, reading): (_, _, Box<dyn Reading>) = match self.dialect {
            Dialect::Anthropic => {
                let body = anthropic::request(asked, model, target)?;
                ("/messages".to_owned(), body, Box::new(anthropic::Answer::new(about)))
            }
            Dialect::Gemini => {
                let verb = if asked.stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
                let path = format!("/models/{}:{verb}", segment(model)?);
                (path, gemini::request(asked, model, target.max_tokens)?, Box::new(gemini::Answer::new(about)))
            }
            Dialect::Ollama => {
                let body = ollama::request(asked, model, target.max_tokens)?;
                ("/api/chat".to_owned(), body, Box::new(ollama::Answer::new(about)))
            }
        };
        Ok(self.translated(path, body.to_string().into_bytes(), reading, request, target))
    }

    fn embeddings(&self, request: &Outgoing, target: &Target) -> Result<Prepared, Untranslatable> {
        let asked = Embedding::parse(&request.body)?;
        let model = target.model.as_deref().unwrap_or(&request.ask.model);
        let (owned, base64, inputs) = (model.to_owned(), asked.base64, asked.inputs.len());
        let (path, body, reading): (_, _, Box<dyn Reading>) = match self.dialect {
            Dialect::Anthropic => {
                let why = "is not there at this provider: it has no embeddings";
                return Err(Untranslatable::wire("/v1/embeddings", why));
            }
            Dialect::Gemini => {
                let path = format!("/models/{}:batchEmbedContents", segment(model)?);
                let reading = Box::new(gemini::embedding::Vectors { model: owned, base64, inputs });
                (path, gemini::embedding::request(&asked, model), reading)
            }
            Dialect::Ollama => {
                let reading = Box::new(ollama::embedding::Vectors { model: owned, base64, inputs });
                ("/api/embed".to_owned(), ollama::embedding::request(&asked, model), reading)
            }
        };
        Ok(self.translated(path, body, reading, request, target))
    }

    /// The headers of an agent's client are about another wire: none of them goes along.
    fn translated(
        &self,
        path: String,
        body: Vec<u8>,
        reading: Box<dyn Reading>,
        request: &Outgoing,
        target: &Target,
    ) -> Prepared {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.dialect == Dialect::Anthropic {
            headers.insert(ANTHROPIC_VERSION, HeaderValue::from_static(anthropic::VERSION));
        }
        let body = body.into();
        let (ask, silence) = (request.ask.clone(), target.silence);
        let (sent, room) = (Sent::default(), Room::default());
        Prepared { path, headers, body, ask, silence, reading: Some(reading), sent, room }
    }

    async fn send(&self, request: Prepared) -> Result<Answer, ProviderError> {
        let Prepared { path, mut headers, body, ask, silence, reading, sent, room } = request;
        if let Some(key) = &self.key {
            let (name, before) = match self.dialect {
                Dialect::Anthropic => (ANTHROPIC_KEY, ""),
                Dialect::Gemini => (GEMINI_KEY, ""),
                Dialect::Ollama => (AUTHORIZATION, "Bearer "),
            };
            headers.insert(name, header(&self.upstream.name, before, key)?);
        }
        let answer = self.upstream.send(&path, headers, body, silence, &sent).await?;
        match reading {
            None => checked(&self.upstream.name, answer, ask.wire, &room).await,
            Some(reading) => translate(&self.upstream.name, answer, reading, ask.stream, &room).await,
        }
    }
}

/// A model's name as a part of a path: an agent chooses it, so nothing in it may be read as anything else.
fn segment(model: &str) -> Result<&str, Untranslatable> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    match model.bytes().all(plain) && model.bytes().any(|b| b.is_ascii_alphanumeric()) {
        true => Ok(model),
        false => Err(Untranslatable::value("model", "holds more than letters, digits, `.`, `_` and `-`")),
    }
}

impl Provider for Foreign {
    fn prepare(&self, request: &Outgoing, target: &Target) -> Result<Prepared, Untranslatable> {
        match request.wire {
            Wire::Chat => self.say(&Request::parse(&request.body)?, request, target),
            Wire::Messages => self.messages(request, target),
            Wire::Embeddings => self.embeddings(request, target),
        }
    }

    fn complete(&self, request: Prepared) -> BoxFuture<'_, Result<Answer, ProviderError>> {
        self.send(request).boxed()
    }

    fn mask(&self) -> Mask {
        self.key.as_ref().map_or_else(Mask::none, |key| Mask::of_forms(key.expose()))
    }
}
