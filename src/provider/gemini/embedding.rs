//! Embeddings: `POST …/models/MODEL:batchEmbedContents`.

use serde_json::{Value, json};

use super::error::said;
use crate::provider::embedding::{self, Embedding};
use crate::provider::reading::{Reading, Said};

/// The request's body.
pub(crate) fn request(asked: &Embedding, model: &str) -> Value {
    let one = |text: &String| {
        let mut one = json!({"model": format!("models/{model}"), "content": {"parts": [{"text": text}]}});
        if let Some(dimensions) = asked.dimensions {
            one["outputDimensionality"] = dimensions.into();
        }
        one
    };
    json!({"requests": asked.inputs.iter().map(one).collect::<Vec<_>>()})
}

/// Reads the answer. This wire counts no tokens.
pub(crate) struct Vectors {
    pub(crate) model: String,
    pub(crate) base64: bool,
}

impl Reading for Vectors {
    fn whole(&mut self, body: &[u8]) -> Result<Vec<u8>, Said> {
        let answer: Value =
            serde_json::from_slice(body).map_err(|e| Said::garbled(format!("its answer is not JSON: {e}")))?;
        let all = answer.get("embeddings").and_then(Value::as_array);
        let all = all.ok_or_else(|| Said::garbled("its answer holds no embeddings"))?;
        let vectors: Vec<&Value> = all.iter().map(|one| one.get("values").unwrap_or(&Value::Null)).collect();
        embedding::answer(&vectors, &self.model, self.base64, None)
    }

    fn event(&mut self, _: &[u8], _: &mut Vec<u8>) -> Result<(), Said> {
        Ok(())
    }

    fn is_over(&self) -> bool {
        true
    }

    fn error(&self, body: &[u8]) -> Said {
        said(body)
    }
}
