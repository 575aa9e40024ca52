//! What an upstream says with status 200 and is no answer: an error with its words, never an assistant's text, and somebody
//! else may be asked.

use serde_json::{Value, json};
use taskforge::gate::records::Kind;
use taskforge::gate::{Ceilings, Fallback, ModelRule, ProviderSpec};

use super::upstream::{Upstream, Wire};
use super::world::{World, chat, completion, endpoint, wait};

const HALF: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"half an ans\"},\"finish_reason\":null}]}\n\n";

fn streamed(model: &str) -> Value {
    let mut body = chat("hi");
    (body["stream"], body["model"]) = (true.into(), model.into());
    body
}

fn events(wire: &mut Wire, pieces: &[&str]) {
    wire.stream_head();
    for piece in pieces {
        wire.chunk(piece);
    }
    wire.end_chunks();
}

/// What is said instead of an answer, with the words that have to come through.
const NO_ANSWERS: [(&str, &str, &str); 5] = [
    ("error", r#"{"error":{"message":"I failed though 200","code":503}}"#, "I failed though 200"),
    ("page", "<html>captive portal</html>", "captive portal"),
    ("garbage", "not json at all", "not json at all"),
    ("nothing", "", "nothing"),
    ("other", r#"{"status":"starting up"}"#, "starting up"),
];

#[test]
fn what_is_no_answer_is_an_error_with_the_providers_words_on_every_wire() {
    let upstream = Upstream::start(|got, wire| {
        let text = format!("{}{}", got.head, String::from_utf8_lossy(&got.body));
        let said = NO_ANSWERS.iter().find(|(name, ..)| text.contains(&format!("say {name}"))).unwrap();
        wire.answer("200 OK", "text/html", said.1);
    });
    let mut world = World::new(&upstream.base());
    for (model, spec) in [
        ("mc", ProviderSpec::Anthropic(endpoint(&upstream.base()))),
        ("mg", ProviderSpec::Gemini(endpoint(&upstream.base()))),
        ("mo", ProviderSpec::Ollama(endpoint(&upstream.base()))),
    ] {
        world.policy.providers.insert(model.into(), spec);
        world.policy.models.insert(0, ModelRule::new(model, model));
    }
    world.policy.attempts[0].limits.llm_requests = 1000;
    let world = world.start();
    let mut asked = 0;
    for (name, _, words) in NO_ANSWERS {
        for model in ["m", "mc", "mg", "mo"] {
            for path in ["/v1/chat/completions", "/v1/messages"] {
                asked += 1;
                let text = format!("say {name}");
                let body = json!({"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": text}]});
                let got = world.post(path, &body);
                let at = format!("{name} at {model} on {path}: {got:?}");
                assert_eq!(got.status, 502, "{at}");
                let error = got.json()["error"].to_string();
                // An object of the provider's that is no answer of its wire is not told in full where it is translated.
                if !(name == "other" && (model != "m" || path == "/v1/messages")) {
                    assert!(error.contains(words), "{at}");
                }
                wait("the record", || world.traffic().of(&Kind::LlmError).count() == asked);
                let record = world.traffic().of(&Kind::LlmError).last().cloned().unwrap();
                assert!(!record.text("message").unwrap().is_empty(), "{at}: {record:?}");
            }
        }
    }
    assert_eq!(world.traffic().of(&Kind::LlmResponse).count(), 0);
    assert_eq!(upstream.got().len(), asked);
}

#[test]
fn a_stream_that_ends_in_mid_sentence_is_cut_and_no_answer() {
    let upstream = Upstream::start(|_, wire| events(wire, &[HALF]));
    let world = World::new(&upstream.base()).start();
    let got = world.chat(&streamed("m"));
    assert_eq!((got.status, got.whole), (200, false), "an SDK sees that it broke off: {got:?}");
    let error = &world.records(&Kind::LlmError, 1)[0];
    assert!(error.text("message").unwrap().contains("ended before"), "{error:?}");
    assert_eq!(world.body(error), HALF.as_bytes());
}

#[test]
fn a_stream_with_a_finish_reason_and_no_done_is_whole() {
    let last = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    let upstream = Upstream::start(move |_, wire| events(wire, &[HALF, last]));
    let world = World::new(&upstream.base()).start();
    let got = world.chat(&streamed("m"));
    assert!(got.whole);
    assert_eq!(got.body, format!("{HALF}{last}").as_bytes());
    world.records(&Kind::LlmResponse, 1);
}

#[test]
fn a_stream_that_begins_with_an_error_is_asked_for_elsewhere_and_none_that_has_begun_is() {
    let failing = Upstream::start(|got, wire| {
        let error = "data: {\"error\":{\"message\":\"first words\",\"code\":503}}\n\n";
        let begun = String::from_utf8_lossy(&got.body).contains("begun");
        let before = if begun { HALF } else { ": hm\n\n" };
        events(wire, &[before, error]);
    });
    let other = Upstream::start(|_, wire| {
        events(
            wire,
            &[
                "data: {\"choices\":[{\"delta\":{\"content\":\"well\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
            ],
        );
    });
    let mut world = World::new(&failing.base());
    world.policy.providers.insert("other".into(), ProviderSpec::Openai(endpoint(&other.base())));
    let fallback = vec![Fallback { provider: "other".into(), model: None }];
    world.policy.models.insert(0, ModelRule { fallback, ..ModelRule::new("mf", "up") });
    let world = world.start();
    let got = world.chat(&streamed("mf"));
    assert!(got.status == 200 && got.whole && String::from_utf8_lossy(&got.body).contains("well"), "{got:?}");
    let error = &world.records(&Kind::LlmError, 1)[0];
    assert!(error.text("message").unwrap().contains("first words"), "{error:?}");
    // Without somebody else it is an error with a status.
    let got = world.chat(&streamed("m"));
    assert_eq!(got.status, 502);
    assert!(got.json()["error"]["message"].as_str().unwrap().contains("first words"));
    let mut begun = streamed("mf");
    begun["user"] = "begun".into();
    let got = world.chat(&begun);
    assert!(got.status == 200 && !got.whole, "{got:?}");
    assert_eq!(other.got().len(), 1);
}

#[test]
fn an_error_with_status_200_is_asked_for_elsewhere() {
    let failing = Upstream::start(|_, wire| wire.json(r#"{"error":{"message":"no"}}"#));
    let other = Upstream::start(|_, wire| wire.json(completion("well").to_string()));
    let mut world = World::new(&failing.base());
    world.policy.providers.insert("other".into(), ProviderSpec::Openai(endpoint(&other.base())));
    let fallback = vec![Fallback { provider: "other".into(), model: None }];
    world.policy.models.insert(0, ModelRule { fallback, retries: 2, ..ModelRule::new("mf", "up") });
    let world = world.start();
    let mut body = chat("hi");
    body["model"] = "mf".into();
    assert_eq!(world.chat(&body).status, 200);
    assert_eq!((failing.got().len(), other.got().len()), (1, 1));
}

#[test]
fn an_answer_that_cannot_be_read_is_paid_for_once() {
    let upstream = Upstream::start(|_, wire| {
        let message = json!({"id": "m1", "type": "message", "role": "assistant", "model": "x", "stop_reason": "end_turn",
            "content": [{"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}],
            "usage": {"input_tokens": 1000, "output_tokens": 9000}});
        wire.json(message.to_string());
    });
    let mut world = World::new(&upstream.base());
    world.policy.providers.insert("claude".into(), ProviderSpec::Anthropic(endpoint(&upstream.base())));
    let fallback = vec![Fallback { provider: "up".into(), model: None }];
    world.policy.models.insert(0, ModelRule { retries: 2, fallback, ..ModelRule::new("m", "claude") });
    world.policy.ceilings = Ceilings { tokens: Some(5000), ..Ceilings::default() };
    let world = world.start();
    let got = world.say("hi");
    assert_eq!(got.status, 502);
    let error = &world.records(&Kind::LlmError, 1)[0];
    assert_eq!(error.fields["usage"]["completion_tokens"], 9000, "{error:?}");
    assert_eq!(upstream.got().len(), 1, "an answer that has begun is never asked for twice");
    assert_eq!(world.say("more").code(), "budget_exhausted");
}

#[test]
fn a_stream_whose_usage_a_budget_needs_is_counted_though_nobody_asked() {
    let upstream = Upstream::start(|got, wire| {
        let asked = String::from_utf8_lossy(&got.body).contains("include_usage\":true");
        let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":50000}}\n\n";
        let last = "data: {\"choices\":[{\"delta\":{\"content\":\"ok\"},\"finish_reason\":\"stop\"}]}\n\n";
        events(wire, &[HALF, last, if asked { usage } else { ": no\n\n" }, "data: [DONE]\n\n"]);
    });
    let mut world = World::new(&upstream.base()).start();
    let plain = world.chat(&streamed("m"));
    assert!(!String::from_utf8_lossy(&upstream.got()[0].body).contains("stream_options"), "bytes pass as they are");
    assert!(plain.whole);
    world.policy.ceilings = Ceilings { tokens: Some(40_000), ..Ceilings::default() };
    world.apply();
    let got = world.chat(&streamed("m"));
    let text = String::from_utf8(got.body.clone()).unwrap();
    assert!(got.whole && text.ends_with("data: [DONE]\n\n"), "{text}");
    assert!(!text.contains("\"choices\":[],") && text.contains("half an ans"), "{text}");
    assert_eq!(world.records(&Kind::LlmResponse, 2)[1].fields["usage"]["completion_tokens"], 50_000);
    assert_eq!(world.chat(&streamed("m")).code(), "budget_exhausted");
}

#[test]
fn what_a_gate_did_not_live_to_see_is_estimated() {
    let upstream = Upstream::start(|_, wire| wire.wait_until_cut());
    let mut world = World::new(&upstream.base());
    world.policy.ceilings = Ceilings { tokens: Some(1000), ..Ceilings::default() };
    world.policy.write(&world.dir()).unwrap();
    let gate = super::crash::spawn(&world);
    let mut client = world.client();
    client.send("POST", "/v1/chat/completions", "", chat(&"long ".repeat(1000)).to_string().as_bytes());
    wait("the upstream to have it", || upstream.got().len() == 1);
    drop(gate);
    client.ended();
    std::fs::remove_file(world.dir().join("status.json")).unwrap();
    world.launch();
    world.wait_in_force();
    assert_eq!(world.say("more").code(), "budget_exhausted");
    let usage = &world.traffic().usage()[&("gather".to_owned(), "m".to_owned())];
    assert!(usage.prompt_tokens > 1000, "{usage:?}");
}

#[test]
fn whose_account_it_is_stays_with_the_gate() {
    let upstream = Upstream::start(|_, wire| {
        let body = completion("x").to_string();
        wire.write(format!(
            "HTTP/1.1 200 OK\r\nset-cookie: sid=abc\r\nopenai-organization: acme\r\nx-request-id: r1\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ));
    });
    let world = World::new(&upstream.base()).start();
    let mut client = world.client();
    let body = chat("hi").to_string();
    client.send("POST", "/v1/chat/completions", "content-encoding: gzip\r\n", body.as_bytes());
    let got = client.answer().unwrap();
    assert_eq!((got.header("set-cookie"), got.header("openai-organization")), (None, None));
    assert_eq!(got.header("x-request-id").as_deref(), Some("r1"));
    assert!(!upstream.got()[0].head.to_lowercase().contains("content-encoding"));
}
