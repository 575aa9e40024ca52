//! Reads a provider's answer as a chat completion, and says it again on Anthropic's wire.

use serde_json::Value;

use super::events::Events as Told;
use super::kind::error_type;
use super::reply::{failure, message};
use crate::provider::Values;
use crate::provider::reading::{Framing, Reading, Said, parse, read};
use crate::provider::sse::Events;

/// One answer.
pub(crate) struct Reworded {
    /// How the provider's own words are read; `None` where it speaks OpenAI's.
    inner: Option<Box<dyn Reading>>,
    told: Told,
}

impl Reworded {
    pub(crate) fn new(inner: Option<Box<dyn Reading>>) -> Self {
        Self { inner, told: Told::default() }
    }
}

impl Reading for Reworded {
    fn framing(&self) -> Framing {
        self.inner.as_ref().map_or(Framing::Events, |inner| inner.framing())
    }

    fn whole(&mut self, body: &[u8]) -> Result<Vec<u8>, Said> {
        let inner = self.inner.as_mut().map(|inner| inner.whole(body)).transpose()?;
        let body = inner.as_deref().unwrap_or(body);
        let completion = read(body, |body| Said::of(body, "/error/type", "/error/message"))?;
        let values = Values::beside(body).map_err(|error| Said::garbled(error.to_string()))?;
        Ok(message(&completion, values)?.to_string().into_bytes())
    }

    fn event(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), Said> {
        let Some(inner) = &mut self.inner else { return self.told.chunk(data, out) };
        let mut chunks = Vec::new();
        let read = inner.event(data, &mut chunks);
        let mut told = Ok(());
        Events::bounded(usize::MAX).push(&chunks, |data| {
            if told.is_ok() {
                told = self.told.chunk(data, out);
            }
        });
        told.and(read)
    }

    fn used(&self, body: &[u8]) -> Option<Value> {
        match &self.inner {
            Some(inner) => inner.used(body),
            None => parse(body, "its answer").ok()?.get("usage").filter(|usage| usage.is_object()).cloned(),
        }
    }

    fn spent(&self) -> Option<Value> {
        self.inner.as_ref().map_or_else(|| self.told.spent(), |inner| inner.spent())
    }

    fn held(&self) -> usize {
        self.inner.as_ref().map_or(0, |inner| inner.held())
    }

    fn is_over(&self) -> bool {
        self.told.over
    }

    fn error(&self, body: &[u8]) -> Said {
        match &self.inner {
            Some(inner) => inner.error(body),
            None => Said::of(body, "/error/type", "/error/message"),
        }
    }

    fn kind_of(&self, status: u16) -> Option<&'static str> {
        Some(error_type(status))
    }

    fn failure(&self, said: &Said) -> Value {
        failure(said)
    }

    fn broken(&self, said: &Said) -> Vec<u8> {
        format!("event: error\ndata: {}\n\n", failure(said)).into_bytes()
    }
}
