//! The readers of this room as functions of bytes, for fuzzing and for tests. Nothing is sent.

use super::chat::{Request, again};
use super::embedding::Embedding;
use super::messages::{self, Reworded};
use super::reading::{About, Framing, Reading};
use super::sse::Events;
use super::{Ask, MaxTokensField, Outcome, Target, Wire, anthropic, gemini, ollama};

/// The longest event that is read here, in bytes.
const LONGEST_EVENT: usize = 1 << 20;

/// Reads a request on every wire and puts it into every provider's words; how many of them could be said.
pub(crate) fn asked(bytes: &[u8]) -> usize {
    let wires = [Wire::Chat, Wire::Messages, Wire::Embeddings];
    // Nothing else is given to the readers behind it.
    if !wires.iter().any(|wire| Ask::parse(*wire, bytes).is_ok()) {
        return 0;
    }
    let embedding = Embedding::parse(bytes);
    let mut said = embedding.map_or(0, |asked| {
        drop((gemini::embedding::request(&asked, "m"), ollama::embedding::request(&asked, "m")));
        2
    });
    for asked in [Request::parse(bytes), messages::request(bytes)].into_iter().flatten() {
        drop(again(&asked, "m", MaxTokensField::default()));
        said += usize::from(anthropic::request(&asked, "m", &Target::default()).is_ok());
        said += usize::from(gemini::request(&asked, "gemini-3-pro", None).is_ok());
        said += usize::from(ollama::request(&asked, "m", None).is_ok());
    }
    said
}

/// Reads an answer; how many bytes it becomes.
pub(crate) fn said(choice: u8, bytes: &[u8]) -> usize {
    let about = About { model: "m".to_owned(), created: 1, include_usage: choice & 8 != 0, first_call: 0 };
    let mut reading: Box<dyn Reading> = match choice % 5 {
        0 => Box::new(anthropic::Answer::new(about)),
        1 => Box::new(gemini::Answer::new(about)),
        2 => Box::new(ollama::Answer::new(about)),
        3 => Box::new(gemini::embedding::Vectors { model: about.model, base64: about.include_usage, inputs: 64 }),
        _ => Box::new(ollama::embedding::Vectors { model: about.model, base64: about.include_usage, inputs: 64 }),
    };
    if choice & 32 != 0 {
        reading = Box::new(Reworded::new((choice & 64 != 0).then_some(reading)));
    }
    let mut facts = Outcome::default();
    facts.absorb(bytes);
    let failed = reading.error(bytes).json().to_string().len();
    if choice & 16 == 0 {
        return failed + reading.whole(bytes).map_or(0, |whole| whole.len());
    }
    let mut events = match reading.framing() {
        Framing::Events => Events::bounded(LONGEST_EVENT),
        Framing::Lines => Events::lines(LONGEST_EVENT),
    };
    let (mut out, mut broken, mut size) = (Vec::new(), false, failed);
    events.push(bytes, |data| {
        // As in a stream: what is said is passed on, and after a failure nothing is read.
        broken = broken || reading.event(data, &mut out).is_err();
        size += out.len();
        out.clear();
    });
    size
}
