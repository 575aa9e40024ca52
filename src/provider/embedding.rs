//! `POST /v1/embeddings` in OpenAI's words, for the providers that have another wire for it.
//!
//! Wire: <https://platform.openai.com/docs/api-reference/embeddings>.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::chat::Untranslatable;
use super::reading::Said;

/// Texts that become vectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Embedding {
    pub(crate) inputs: Vec<String>,
    pub(crate) dimensions: Option<u64>,
    /// The vectors are wanted as base64 of little-endian 32-bit floats: what OpenAI's own client asks for.
    pub(crate) base64: bool,
}

impl Embedding {
    /// Reads a request's body.
    ///
    /// # Errors
    /// What is not of the wire's shape, and inputs as token numbers: those are OpenAI's models' only.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Untranslatable> {
        let body: Result<Map<String, Value>, _> = serde_json::from_slice(body);
        let mut body = body.map_err(|e| Untranslatable::malformed("body", format!("is not a JSON object: {e}")))?;
        let inputs = match body.shift_remove("input") {
            Some(Value::String(text)) => Some(vec![text]),
            Some(Value::Array(all)) => all.into_iter().map(text).collect(),
            _ => None,
        };
        let inputs = inputs.filter(|inputs| !inputs.is_empty());
        let inputs = inputs.ok_or_else(|| Untranslatable::value("input", "is neither a text nor a list of texts"))?;
        if inputs.len() > MOST_INPUTS {
            return Err(Untranslatable::value("input", format!("holds more than {MOST_INPUTS} texts")));
        }
        let base64 = match body.shift_remove("encoding_format").as_ref().and_then(Value::as_str) {
            None | Some("float") => false,
            Some("base64") => true,
            Some(_) => return Err(Untranslatable::value("encoding_format", "is neither float nor base64")),
        };
        let dimensions = body.shift_remove("dimensions").filter(|d| !d.is_null());
        let number =
            |d: Value| d.as_u64().ok_or_else(|| Untranslatable::malformed("dimensions", "is not a whole number"));
        let dimensions = dimensions.map(number).transpose()?;
        body.retain(|key, value| !value.is_null() && !matches!(key.as_str(), "model" | "user"));
        match body.keys().next() {
            None => Ok(Self { inputs, dimensions, base64 }),
            Some(key) => Err(Untranslatable::parameter(key.chars().take(64).collect::<String>(), "has no counterpart")),
        }
    }
}

/// Why an answer is no list of embeddings, with what the provider said instead.
pub(crate) fn garbled(body: &[u8], error: &serde_json::Error, said: fn(&[u8]) -> Said) -> Said {
    // Nothing of a real answer, which may be large, is said again.
    let named = said(&body[..body.len().min(4096)]);
    match named.raw.is_null() {
        true => Said::garbled(format!("its answer is no list of embeddings ({error}): {}", named.message)),
        false => named,
    }
}

/// The most texts of one request: as many as OpenAI takes.
const MOST_INPUTS: usize = 2048;

/// Looks at an answer before it is read: a list in it for each of `inputs` texts, and a few around them. An empty list
/// takes two bytes of an answer and twelve times that in memory.
pub(crate) fn check(answer: &[u8], inputs: usize) -> Result<(), Said> {
    let lists = answer.iter().filter(|byte| **byte == b'[').count();
    match lists > inputs + 16 {
        true => Err(Said::garbled("its answer holds more vectors than were asked for")),
        false => Ok(()),
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// A vector as an answer holds it: as numbers a few bytes each, never as a tree of values.
pub(crate) type Vector = Vec<f32>;

/// The answer: one vector an input, and the tokens read where the provider counts them.
pub(crate) fn answer(vectors: &[Vector], model: &str, base64: bool, tokens: Option<u64>) -> Result<Vec<u8>, Said> {
    #[derive(Serialize)]
    struct One<'v> {
        object: &'static str,
        index: usize,
        embedding: Numbers<'v>,
    }
    #[derive(Serialize)]
    struct All<'v> {
        object: &'static str,
        data: Vec<One<'v>>,
        model: &'v str,
        usage: Option<Value>,
    }
    let mut data = Vec::with_capacity(vectors.len());
    for (index, vector) in vectors.iter().enumerate() {
        if vector.iter().any(|number| !number.is_finite()) {
            return Err(Said::garbled("its answer holds a vector with a number that is none"));
        }
        let embedding = if base64 { Numbers::Text(encoded(vector)) } else { Numbers::Plain(vector) };
        data.push(One { object: "embedding", index, embedding });
    }
    let usage = tokens.map(|tokens| json!({"prompt_tokens": tokens, "total_tokens": tokens}));
    serde_json::to_vec(&All { object: "list", data, model, usage }).map_err(|e| Said::garbled(e.to_string()))
}

/// How a vector was asked for.
#[derive(Serialize)]
#[serde(untagged)]
enum Numbers<'v> {
    Plain(&'v [f32]),
    Text(String),
}

fn encoded(numbers: &[f32]) -> String {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    STANDARD.encode(bytes)
}
