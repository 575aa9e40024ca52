//! Embeddings: `POST /api/embed`.

use serde_json::{Value, json};

use super::error::said;
use crate::provider::embedding::{self, Embedding};
use crate::provider::reading::{Reading, Said};

/// The request's body.
pub(crate) fn request(asked: &Embedding, model: &str) -> Value {
    let mut body = json!({"model": model, "input": asked.inputs});
    if let Some(dimensions) = asked.dimensions {
        body["dimensions"] = dimensions.into();
    }
    body
}

/// Reads the answer.
pub(crate) struct Vectors {
    pub(crate) model: String,
    pub(crate) base64: bool,
}

impl Reading for Vectors {
    fn whole(&mut self, body: &[u8]) -> Result<Vec<u8>, Said> {
        let answer: Value =
            serde_json::from_slice(body).map_err(|e| Said::garbled(format!("its answer is not JSON: {e}")))?;
        let all = answer.get("embeddings").and_then(Value::as_array);
        let vectors: Vec<&Value> = all.ok_or_else(|| Said::garbled("its answer holds no embeddings"))?.iter().collect();
        let tokens = answer.get("prompt_eval_count").and_then(Value::as_u64);
        embedding::answer(&vectors, &self.model, self.base64, tokens)
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
