//! Embeddings: `POST /api/embed`.

use serde::Deserialize;
use serde_json::json;

use super::error::said;
use crate::provider::embedding::{self, Embedding, Vector};
use crate::provider::reading::{Reading, Said};

/// The request's body.
pub(crate) fn request(asked: &Embedding, model: &str) -> Vec<u8> {
    let mut body = json!({"model": model, "input": asked.inputs});
    if let Some(dimensions) = asked.dimensions {
        body["dimensions"] = dimensions.into();
    }
    body.to_string().into_bytes()
}

/// Reads the answer.
pub(crate) struct Vectors {
    pub(crate) model: String,
    pub(crate) base64: bool,
    /// How many texts were sent.
    pub(crate) inputs: usize,
}

impl Reading for Vectors {
    fn whole(&mut self, body: &[u8]) -> Result<Vec<u8>, Said> {
        #[derive(Deserialize)]
        struct All {
            embeddings: Vec<Vector>,
            #[serde(default)]
            prompt_eval_count: Option<u64>,
        }
        embedding::check(body, self.inputs)?;
        let all: All = serde_json::from_slice(body).map_err(|e| embedding::garbled(body, &e, said))?;
        embedding::answer(&all.embeddings, &self.model, self.base64, all.prompt_eval_count)
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
