//! Embeddings: `POST …/models/MODEL:batchEmbedContents`.

use serde::{Deserialize, Serialize};

use super::error::said;
use crate::provider::embedding::{self, Embedding, Vector};
use crate::provider::reading::{Reading, Said};

#[derive(Serialize)]
struct Batch<'a> {
    requests: Vec<Asked<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Asked<'a> {
    model: &'a str,
    content: Content<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimensionality: Option<u64>,
}

#[derive(Serialize)]
struct Content<'a> {
    parts: [Part<'a>; 1],
}

#[derive(Serialize)]
struct Part<'a> {
    text: &'a str,
}

/// The request's body, written without a tree: each text is an object of four levels here.
pub(crate) fn request(asked: &Embedding, model: &str) -> Vec<u8> {
    let model = format!("models/{model}");
    let texts = asked.inputs.iter();
    let requests = texts.map(|text| Asked {
        model: &model,
        content: Content { parts: [Part { text }] },
        output_dimensionality: asked.dimensions,
    });
    let requests = requests.collect();
    // Writing texts and numbers into memory does not fail.
    serde_json::to_vec(&Batch { requests }).unwrap_or_default()
}

/// Reads the answer. This wire counts no tokens.
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
            embeddings: Vec<One>,
        }
        #[derive(Deserialize)]
        struct One {
            values: Vector,
        }
        embedding::check(body, self.inputs)?;
        let all: All = serde_json::from_slice(body).map_err(|e| embedding::garbled(body, &e, said))?;
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
