//! Embeddings: `POST …/models/MODEL:batchEmbedContents`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::error::said;
use crate::provider::embedding::{self, Embedding, Vector};
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
        #[derive(Deserialize)]
        struct All {
            embeddings: Vec<One>,
        }
        #[derive(Deserialize)]
        struct One {
            values: Vector,
        }
        let all: All = serde_json::from_slice(body)
            .map_err(|e| Said::garbled(format!("its answer is no list of embeddings: {e}")))?;
        let vectors: Vec<Vector> = all.embeddings.into_iter().map(|one| one.values).collect();
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
