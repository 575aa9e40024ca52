//! Reads a provider's answer as a chat completion, and says it again on Anthropic's wire.

use serde_json::Value;

use super::events::Events as Told;
use super::kind::error_type;
use super::reply::{failure, message};
use crate::provider::reading::{Framing, Reading, Said, parse};
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
        let completion = match &mut self.inner {
            Some(inner) => serde_json::from_slice(&inner.whole(body)?).map_err(|e| Said::garbled(e.to_string()))?,
            None => parse(body, "its answer")?,
        };
        Ok(message(&completion)?.to_string().into_bytes())
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
