//! Every wire against its golden files in `tests/fixtures/wires/`: what is sent for a request, what becomes of an
//! answer, a stream and an error. The files of a provider are written after its public documentation.
//!
//! A case is a folder. `asked.json` becomes `sent.json`; `answer.json` becomes `reply.json`; `stream.txt` becomes
//! `chunks.txt`; `error.json` becomes `error-reply.json`. For Anthropic's clients the same become `message.json`,
//! `events.txt` and `error-message.json`. `openai/` passes byte for byte, and has what the records take from it in
//! `facts.json`. `TASKFORGE_WRITE_WIRES=1` writes what comes out.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use hyper::{HeaderMap, StatusCode};
use proptest::prelude::*;
use serde_json::Value;

use super::chat::{Message, Request, Untranslatable, again};
use super::embedding::Embedding;
use super::messages::{self, Reworded};
use super::reading::{About, Reading};
use super::translate::translate;
use super::{
    Answer, Ask, Assembly, Events, MaxTokensField, OpenAi, Outcome, Outgoing, Provider as _, ProviderError, Room,
    Target, Thinking, Wire, anthropic, client, gemini, ollama,
};

const WIRES: [&str; 3] = ["anthropic", "gemini", "ollama"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wires")
}

fn reading(wire: &str, include_usage: bool) -> Box<dyn Reading> {
    let about = About { model: "asked".to_owned(), created: 1_700_000_000, include_usage, first_call: 3 };
    match wire {
        "anthropic" => Box::new(anthropic::Answer::new(about)),
        "gemini" => Box::new(gemini::Answer::new(about)),
        _ => Box::new(ollama::Answer::new(about)),
    }
}

fn sent(wire: &str, asked: &[u8]) -> Result<Value, Untranslatable> {
    let asked = Request::parse(asked)?;
    match wire {
        "anthropic" => anthropic::request(&asked, "real", &Target::default()),
        "gemini" => gemini::request(&asked, "real", None),
        _ => ollama::request(&asked, "real", None),
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

/// What comes out of an answer of these pieces: its status, its bytes, and how it broke off.
fn through(
    wire: &str,
    status: u16,
    pieces: Vec<Vec<u8>>,
    streamed: bool,
    usage: bool,
) -> (u16, Vec<u8>, Option<String>) {
    carry(reading(wire, usage), status, pieces, streamed)
}

fn carry(
    reading: Box<dyn Reading>,
    status: u16,
    pieces: Vec<Vec<u8>>,
    streamed: bool,
) -> (u16, Vec<u8>, Option<String>) {
    let body = stream::iter(pieces.into_iter().map(|piece| Ok::<_, ProviderError>(Bytes::from(piece)))).boxed();
    let answer =
        Answer { status: StatusCode::from_u16(status).unwrap(), headers: HeaderMap::new(), body, failed: None };
    wait(async {
        let mut answer = match translate("p", answer, reading, streamed, &Room::default()).await {
            Ok(answer) => answer,
            // It failed before it said anything.
            Err(error) => return (502, Vec::new(), Some(error.to_string())),
        };
        let (mut whole, mut broken) = (Vec::new(), None);
        while let Some(piece) = answer.body.next().await {
            match piece {
                Ok(piece) => whole.extend_from_slice(&piece),
                Err(error) => broken = Some(error.to_string()),
            }
        }
        (answer.status.as_u16(), whole, broken)
    })
}

/// Compares with the golden file, or writes it.
fn golden(path: &Path, got: &str) {
    if std::env::var_os("TASKFORGE_WRITE_WIRES").is_some() {
        std::fs::write(path, got).unwrap();
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(got, expected, "{}", path.display());
}

fn pretty(json: &[u8]) -> String {
    let value: Value = serde_json::from_slice(json).unwrap();
    format!("{}\n", serde_json::to_string_pretty(&value).unwrap())
}

fn cases(wire: &str) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(root().join(wire)).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = folders.filter(|path| path.is_dir()).collect();
    folders.sort();
    assert!(folders.len() > 10, "{wire}");
    folders
}

/// The chunks put together, without what only streams or only whole answers say.
fn assembled(chunks: &[u8]) -> Option<Value> {
    let (mut events, mut assembly) = (Events::default(), Assembly::default());
    events.push(chunks, |data| assembly.push(data));
    assembly.finish()
}

#[test]
fn requests_are_put_into_each_providers_words() {
    for wire in WIRES {
        for case in cases(wire) {
            if let Ok(asked) = std::fs::read(case.join("asked.json")) {
                let sent = sent(wire, &asked).unwrap_or_else(|e| panic!("{}: {e}", case.display()));
                golden(&case.join("sent.json"), &pretty(sent.to_string().as_bytes()));
            }
        }
    }
}

#[test]
fn what_a_provider_would_refuse_is_refused_by_name() {
    let user = serde_json::json!([{"role": "user", "content": "x"}]);
    let tool = serde_json::json!([{"type": "function", "function": {"name": "f"}}]);
    for (wire, more, param) in [
        ("anthropic", serde_json::json!({"messages": [{"role": "user", "content": ""}]}), "messages[0].content"),
        (
            "anthropic",
            serde_json::json!({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": ""}]}]}),
            "messages[1].content",
        ),
        ("anthropic", serde_json::json!({"reasoning_effort": "low", "temperature": 0.5}), "temperature"),
        (
            "anthropic",
            serde_json::json!({"reasoning_effort": "low", "tools": tool, "tool_choice": "required"}),
            "tool_choice",
        ),
        ("gemini", serde_json::json!({"stop": ["a", "b", "c", "d", "e", "f"]}), "stop"),
    ] {
        let mut asked = serde_json::json!({"model": "m", "messages": user});
        asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let refused = sent(wire, asked.to_string().as_bytes()).unwrap_err();
        assert_eq!(refused.param, param, "{asked}: {refused}");
    }
    let fine =
        br#"{"model":"m","messages":[{"role":"user","content":"x"}],"reasoning_effort":"low","temperature":1.0}"#;
    assert!(sent("anthropic", fine).is_ok());
}

#[test]
fn answers_and_errors_come_back_in_openais() {
    for wire in WIRES {
        for case in cases(wire) {
            if let Ok(answer) = std::fs::read(case.join("answer.json")) {
                let (status, reply, broken) = through(wire, 200, vec![answer], false, false);
                assert_eq!(broken, None);
                golden(&case.join("reply.json"), &format!("{status}\n{}", pretty(&reply)));
            }
            if let Ok(error) = std::fs::read(case.join("error.json")) {
                for streamed in [false, true] {
                    let (status, reply, broken) = through(wire, 429, vec![error.clone()], streamed, false);
                    assert_eq!((status, broken), (429, None));
                    golden(&case.join("error-reply.json"), &pretty(&reply));
                }
            }
        }
    }
}

#[test]
fn streams_come_back_as_chunks_however_they_are_cut() {
    for wire in WIRES {
        for case in cases(wire) {
            let Ok(raw) = std::fs::read(case.join("stream.txt")) else { continue };
            let (_, chunks, broken) = through(wire, 200, vec![raw.clone()], true, true);
            let end = broken.clone().map_or_else(String::new, |why| format!("broken: {why}\n"));
            golden(&case.join("chunks.txt"), &format!("{}{end}", String::from_utf8(chunks.clone()).unwrap()));
            let bytes = raw.iter().map(|byte| vec![*byte]).collect();
            assert_eq!(
                through(wire, 200, bytes, true, true),
                (200, chunks.clone(), broken.clone()),
                "{}",
                case.display()
            );
            assert_eq!(broken.is_none(), chunks.ends_with(b"data: [DONE]\n\n"), "{}", case.display());
            // A stream and a whole answer of the same words are the same answer, usage included, asked for or not.
            let Ok(answer) = std::fs::read(case.join("answer.json")) else { continue };
            let whole: Value = serde_json::from_slice(&through(wire, 200, vec![answer], false, false).1).unwrap();
            for usage in [true, false] {
                let (_, chunks, _) = through(wire, 200, vec![raw.clone()], true, usage);
                let mut together = assembled(&chunks).unwrap();
                // Streams begin with empty text.
                if together["choices"][0]["message"]["content"] == "" {
                    together["choices"][0]["message"]["content"] = Value::Null;
                }
                let same = |value: &Value| super::canonical(value, false);
                assert_eq!(same(&together), same(&whole), "{}", case.display());
            }
        }
    }
}

#[test]
fn what_a_provider_cannot_do_has_a_name() {
    for wire in WIRES {
        let all: Vec<Value> =
            serde_json::from_slice(&std::fs::read(root().join(wire).join("refused.json")).unwrap()).unwrap();
        for case in all {
            let error = sent(wire, case["asked"].to_string().as_bytes()).err();
            let error = error.unwrap_or_else(|| panic!("{wire} took {}", case["asked"]));
            assert_eq!(
                (error.code, error.param.as_str()),
                (case["code"].as_str().unwrap(), case["param"].as_str().unwrap()),
                "{wire}: {error}"
            );
        }
    }
}

fn reworded(wire: &str) -> Box<dyn Reading> {
    Box::new(Reworded::new((wire != "openai").then(|| reading(wire, true))))
}

#[test]
fn an_answer_without_an_id_gets_one_of_its_own() {
    let gemini = br#"{"candidates": [{"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}]}"#;
    let ollama = br#"{"model": "m", "created_at": "2026-01-31T10:00:00Z", "message": {"content": "hi"}, "done": true}"#;
    for (wire, answer) in [("gemini", &gemini[..]), ("ollama", &ollama[..])] {
        let id = || {
            let (_, reply, _) = through(wire, 200, vec![answer.to_vec()], false, false);
            serde_json::from_slice::<Value>(&reply).unwrap()["id"].as_str().unwrap().to_owned()
        };
        let (one, other) = (id(), id());
        assert!(one.len() > 20 && one != other, "{wire}: {one} {other}");
        let event = [b"data: ", answer, b"\n\n"].concat();
        let streamed = if wire == "gemini" { event } else { [answer, b"\n"].concat() };
        let (_, chunks, _) = through(wire, 200, vec![streamed], true, false);
        assert!(String::from_utf8(chunks).unwrap().contains("\"id\":\"chatcmpl-01"), "{wire}");
    }
}

#[test]
fn anthropics_clients_get_its_messages_and_events_from_everybody() {
    for wire in ["openai", "gemini", "ollama"] {
        for case in cases(wire) {
            if let Ok(answer) = std::fs::read(case.join("answer.json")) {
                let (status, message, _) = carry(reworded(wire), 200, vec![answer], false);
                golden(&case.join("message.json"), &format!("{status}\n{}", pretty(&message)));
            }
            if let Ok(error) = std::fs::read(case.join("error.json")) {
                let (status, message, _) = carry(reworded(wire), 429, vec![error], true);
                golden(&case.join("error-message.json"), &format!("{status}\n{}", pretty(&message)));
            }
            if let Ok(raw) = std::fs::read(case.join("stream.txt")) {
                let (_, events, broken) = carry(reworded(wire), 200, vec![raw.clone()], true);
                let end = broken.clone().map_or_else(String::new, |why| format!("broken: {why}\n"));
                golden(&case.join("events.txt"), &format!("{}{end}", String::from_utf8(events.clone()).unwrap()));
                let bytes = raw.iter().map(|byte| vec![*byte]).collect();
                assert_eq!(carry(reworded(wire), 200, bytes, true), (200, events.clone(), broken.clone()));
                assert_eq!(broken.is_none(), String::from_utf8(events).unwrap().contains("message_stop"));
            }
        }
    }
}

#[test]
fn models_of_one_provider_are_asked_in_the_ways_that_they_know() {
    let asked = |effort: &str| {
        let body = serde_json::json!({"model": "m", "messages": [{"role": "user", "content": "x"}], "reasoning_effort": effort});
        Request::parse(body.to_string().as_bytes()).unwrap()
    };
    let adaptive = Target { thinking: Thinking::Adaptive, ..Target::default() };
    let of = |effort: &str| anthropic::request(&asked(effort), "real", &adaptive).unwrap();
    for (effort, word) in [("minimal", "low"), ("low", "low"), ("medium", "medium"), ("high", "high"), ("xhigh", "max")]
    {
        let body = of(effort);
        assert_eq!(body["thinking"], serde_json::json!({"type": "adaptive"}), "{body:#}");
        assert_eq!(body["output_config"]["effort"], word, "{body:#}");
    }
    assert!(of("none").get("thinking").is_none() && of("none").get("output_config").is_none());
    let budget = anthropic::request(&asked("low"), "real", &Target::default()).unwrap();
    assert_eq!(budget["thinking"], serde_json::json!({"type": "enabled", "budget_tokens": 4096}));
    let bounded = messages::request(
        br#"{"model": "m", "max_tokens": 7, "messages": [{"role": "user", "content": "x"}], "output_config": {"effort": "high"}}"#,
    )
    .unwrap();
    assert_eq!(again(&bounded, "real", MaxTokensField::MaxTokens)["max_tokens"], 7);
    let usual = again(&bounded, "real", MaxTokensField::default());
    assert_eq!((&usual["max_completion_tokens"], &usual["reasoning_effort"]), (&7.into(), &"high".into()));
}

/// A call of another model's, or over a wire that has no place for a signature: Gemini's models from the third generation on
/// refuse a history with one.
#[test]
fn calls_without_a_signature_go_back_to_gemini_with_the_word_for_that() {
    let call = |id: &str, signature: Option<&str>| {
        let mut call = serde_json::json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
        if let Some(signature) = signature {
            call["extra_content"] = serde_json::json!({"google": {"thought_signature": signature}});
        }
        call
    };
    let sent = |model: &str, first: Option<&str>| {
        let body = serde_json::json!({"model": "m", "messages": [
            {"role": "user", "content": "x"},
            {"role": "assistant", "tool_calls": [call("a", first), call("b", None)]},
            {"role": "tool", "tool_call_id": "a", "content": "1"}, {"role": "tool", "tool_call_id": "b", "content": "2"}
        ]});
        let body = gemini::request(&Request::parse(body.to_string().as_bytes()).unwrap(), model, None).unwrap();
        let parts = body["contents"][1]["parts"].as_array().unwrap().clone();
        parts.into_iter().map(|part| part.get("thoughtSignature").cloned()).collect::<Vec<_>>()
    };
    let unsigned = Some("skip_thought_signature_validator".into());
    assert_eq!(sent("gemini-3-pro-preview", None), [unsigned.clone(), None]);
    assert_eq!(sent("gemini-3.5-flash", None), [unsigned, None]);
    assert_eq!(sent("gemini-3-pro", Some("c2ln")), [Some("c2ln".into()), None]);
    assert_eq!(sent("gemini-2.5-pro", None), [None, None]);
    assert_eq!(sent("gemini-embedding-001", None), [None, None]);
}

#[test]
fn anthropics_requests_are_put_into_everybodys_words() {
    let root = root().join("messages");
    for case in ["text", "tools", "image", "reasoning", "json"] {
        let asked = messages::request(&std::fs::read(root.join(case).join("asked.json")).unwrap()).unwrap();
        let all = serde_json::json!({
            "openai": again(&asked, "real", MaxTokensField::default()), "gemini": gemini::request(&asked, "real", None).unwrap(),
            "ollama": ollama::request(&asked, "real", None).unwrap(),
        });
        golden(&root.join(case).join("sent.json"), &pretty(all.to_string().as_bytes()));
        // What is said again on OpenAI's wire is read as the same request.
        let read = Request::parse(again(&asked, "real", MaxTokensField::default()).to_string().as_bytes()).unwrap();
        // How much room is left is of the text that it was read from.
        let mut expected = Request { include_usage: asked.stream, values: read.values, ..asked };
        for message in &mut expected.messages {
            if let Message::Assistant(assistant) = message {
                assistant.reasoning.clear();
            }
        }
        assert_eq!(read, expected, "{case}");
    }
    let refused: Vec<Value> = serde_json::from_slice(&std::fs::read(root.join("refused.json")).unwrap()).unwrap();
    for case in refused {
        let error = messages::request(case["asked"].to_string().as_bytes()).err();
        let error = error.unwrap_or_else(|| panic!("taken: {}", case["asked"]));
        let expected = (case["code"].as_str().unwrap(), case["param"].as_str().unwrap());
        assert_eq!((error.code, error.param.as_str()), expected, "{error}");
    }
}

#[test]
fn openais_own_wire_passes_and_the_records_take_what_it_says() {
    let client = client(Path::new("/nonexistent")).unwrap();
    let provider = OpenAi::new("p", "http://127.0.0.1:1/v1", None, std::time::Duration::from_secs(1), client).unwrap();
    for case in cases("openai") {
        if let Ok(asked) = std::fs::read(case.join("asked.json")) {
            let (ask, body) = (Ask::parse(Wire::Chat, &asked).unwrap(), Bytes::from(asked));
            let request = Outgoing { wire: Wire::Chat, headers: HeaderMap::new(), body: body.clone(), ask };
            let sent = provider.prepare(&request, &Target::default()).unwrap();
            assert_eq!((sent.body(), sent.path.as_str()), (&body, "/chat/completions"));
        }
        let mut facts = Outcome::default();
        if let Ok(answer) = std::fs::read(case.join("answer.json")) {
            facts.absorb(&answer);
            let told = facts.clone();
            if let Ok(raw) = std::fs::read(case.join("stream.txt")) {
                facts = Outcome::default();
                Events::default().push(&raw, |data| facts.absorb(data));
                assert_eq!(facts, told, "{}", case.display());
            }
        } else if let Ok(raw) = std::fs::read(case.join("stream.txt")) {
            Events::default().push(&raw, |data| facts.absorb(data));
        }
        let told = serde_json::json!({"finishReason": facts.finish_reason, "usage": facts.usage, "error": facts.error});
        golden(&case.join("facts.json"), &pretty(told.to_string().as_bytes()));
    }
}

#[test]
fn embeddings_are_put_into_each_providers_words_and_back() {
    for wire in ["gemini", "ollama"] {
        let case = root().join("embeddings").join(wire);
        let asked = Embedding::parse(&std::fs::read(case.join("asked.json")).unwrap()).unwrap();
        let model = "real".to_owned();
        let sent = match wire {
            "gemini" => gemini::embedding::request(&asked, &model),
            _ => ollama::embedding::request(&asked, &model),
        };
        golden(&case.join("sent.json"), &pretty(&sent));
        for base64 in [true, false] {
            let model = model.clone();
            let reading: Box<dyn Reading> = match wire {
                "gemini" => Box::new(gemini::embedding::Vectors { model, base64, inputs: 8 }),
                _ => Box::new(ollama::embedding::Vectors { model, base64, inputs: 8 }),
            };
            let answer = std::fs::read(case.join("answer.json")).unwrap();
            let (status, reply, _) = carry(reading, 200, vec![answer], false);
            let name = if base64 { "reply-base64.json" } else { "reply.json" };
            golden(&case.join(name), &format!("{status}\n{}", pretty(&reply)));
        }
    }
    for (body, param) in [
        (r#"{"model":"m","input":[1,2]}"#, "input"),
        (r#"{"model":"m","input":[]}"#, "input"),
        (r#"{"model":"m","input":"x","encoding_format":"int8"}"#, "encoding_format"),
        (r#"{"model":"m","input":"x","task":"y"}"#, "task"),
    ] {
        assert_eq!(Embedding::parse(body.as_bytes()).unwrap_err().param, param);
    }
}

#[test]
fn what_fails_before_it_says_anything_is_no_answer() {
    for (wire, raw) in [
        (
            "anthropic",
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n",
        ),
        ("gemini", "data: {\"error\":{\"code\":503,\"message\":\"Overloaded\",\"status\":\"UNAVAILABLE\"}}\n\n"),
        ("ollama", "{\"error\":\"Overloaded\"}\n"),
    ] {
        let (status, said, broken) = through(wire, 200, vec![raw.into()], true, true);
        assert_eq!((status, said.len()), (502, 0), "{wire}");
        assert!(broken.unwrap().contains("Overloaded"), "{wire}");
    }
}

#[test]
fn an_event_that_is_too_long_is_a_cut_and_not_a_gap() {
    for wire in WIRES {
        let pieces = vec![b"data: \"".to_vec(), vec![b'x'; 9 << 20], b"\"\n\n".to_vec()];
        let (_, _, broken) = through(wire, 200, pieces, true, false);
        assert!(broken.unwrap().contains("larger"), "{wire}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// Upstreams are as hostile as agents.
    #[test]
    fn no_answer_makes_a_panic(wire in 0usize..3, case in 0usize..40, at in 0usize..4000, byte in any::<u8>(), cut in any::<bool>()) {
        let wire = WIRES[wire];
        let folders = cases(wire);
        let case = &folders[case % folders.len()];
        for name in ["answer.json", "stream.txt", "error.json", "asked.json"] {
            let Ok(mut bytes) = std::fs::read(case.join(name)) else { continue };
            let at = at % bytes.len();
            if cut { bytes.truncate(at) } else { bytes[at] = byte }
            if name == "asked.json" {
                let _ = sent(wire, &bytes);
                continue;
            }
            for streamed in [true, false] {
                let _ = through(wire, 200, vec![bytes.clone()], streamed, true);
            }
            let _ = through(wire, 500, vec![bytes], false, true);
        }
    }
}
