//! The features: what is asked, where it has to stand in what a provider gets, what has to come back.

use serde_json::{Value, json};
use taskforge::provider::{Assembly, Events};

use super::super::http::Answer;
use super::scripted::{COMPLETION_TOKENS, PROMPT_TOKENS, Say, Trouble, WORDS};

/// A pointer into the body that a provider gets, and what has to stand there.
type Places = Vec<(&'static str, Value)>;

/// One row of the table.
pub struct Feature {
    pub name: &'static str,
    pub path: &'static str,
    /// It is tried streamed, too.
    pub streams: bool,
    pub asked: Value,
    pub answer: Say,
    /// OpenAI, Anthropic, Gemini, Ollama.
    sent: [Places; 4],
    back: Back,
}

/// What has to come back.
enum Back {
    /// What the upstream said, all of it.
    Same,
    Vectors,
    /// An HTTP error with the provider's words, and no assistant's text.
    Error,
    /// A broken answer that nobody takes for a whole one; a stream says why in the provider's words.
    Broken {
        says: bool,
    },
    /// The same on Anthropic's wire.
    Message,
}

impl Feature {
    pub fn sent(&self, provider: &str) -> Places {
        let at = super::PROVIDERS.iter().position(|known| *known == provider).unwrap();
        self.sent[at].clone()
    }

    pub fn came_back(&self, got: &Answer, stream: bool, at: &str) {
        let text = String::from_utf8_lossy(&got.body).into_owned();
        match &self.back {
            Back::Same => {
                assert!(got.status == 200 && got.whole, "{at}: {got:?}");
                self.same(&completion(got, stream), at);
            }
            Back::Vectors => {
                let body = got.json();
                for (n, vector) in self.answer.vectors.iter().enumerate() {
                    assert_eq!(body["data"][n]["embedding"], json!(vector), "{at}: {body}");
                }
            }
            Back::Error => {
                let error = got.json();
                assert_eq!((got.status, error["error"]["message"].as_str()), (429, Some(WORDS)), "{at}");
                assert_eq!(error["type"] == "error", self.path == "/v1/messages", "{at}: {error}");
                assert!(got.json().get("choices").is_none(), "{at}: {text}");
            }
            Back::Broken { says } => {
                assert!(!text.contains("[DONE]") && !text.contains("message_stop"), "{at}: {text}");
                if stream {
                    assert!(!got.whole, "{at}: {got:?}");
                    assert_eq!(text.contains(WORDS), *says, "{at}: {text}");
                } else {
                    assert_eq!((got.status, got.code().as_str()), (502, "upstream_error"), "{at}");
                }
            }
            Back::Message => {
                assert!(got.status == 200 && got.whole, "{at}: {got:?}");
                self.same_message(&anthropics(got, stream), at);
            }
        }
    }

    fn same_message(&self, message: &Value, at: &str) {
        let say = &self.answer;
        let of = |kind: &str| {
            message["content"].as_array().unwrap().iter().filter(|block| block["type"] == kind).collect::<Vec<_>>()
        };
        let words =
            |kind: &str, key: &str| of(kind).iter().map(|block| block[key].as_str().unwrap()).collect::<String>();
        assert_eq!(words("text", "text"), say.text, "{at}: {message}");
        assert_eq!(words("thinking", "thinking"), say.reasoning, "{at}: {message}");
        let calls = of("tool_use");
        assert_eq!(calls.len(), say.calls.len(), "{at}: {message}");
        for (call, (name, input)) in calls.iter().zip(&say.calls) {
            assert_eq!((&call["name"], &call["input"]), (&json!(name), input), "{at}");
            assert!(!call["id"].as_str().unwrap().is_empty(), "{at}");
        }
        let end = if say.calls.is_empty() { "end_turn" } else { "tool_use" };
        assert_eq!((&message["stop_reason"], &message["type"]), (&json!(end), &json!("message")), "{at}");
        let usage = (&message["usage"]["input_tokens"], &message["usage"]["output_tokens"]);
        assert_eq!(usage, (&json!(PROMPT_TOKENS), &json!(COMPLETION_TOKENS)), "{at}: {message}");
    }

    fn same(&self, completion: &Value, at: &str) {
        let message = &completion["choices"][0]["message"];
        let say = &self.answer;
        assert_eq!(message["content"].as_str().unwrap_or_default(), say.text, "{at}: {completion}");
        assert_eq!(message["reasoning_content"].as_str().unwrap_or_default(), say.reasoning, "{at}: {completion}");
        assert_eq!(completion["choices"][0]["finish_reason"], say.finish, "{at}: {completion}");
        let calls = message["tool_calls"].as_array().cloned().unwrap_or_default();
        assert_eq!(calls.len(), say.calls.len(), "{at}: {completion}");
        for (call, (name, arguments)) in calls.iter().zip(&say.calls) {
            assert_eq!(call["function"]["name"], *name, "{at}");
            let got: Value = serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
            assert_eq!(got, *arguments, "{at}");
            assert!(!call["id"].as_str().unwrap().is_empty(), "{at}");
        }
        let usage = &completion["usage"];
        let tokens = (usage["prompt_tokens"].as_u64(), usage["completion_tokens"].as_u64());
        assert_eq!(tokens, (Some(PROMPT_TOKENS), Some(COMPLETION_TOKENS)), "{at}: {usage}");
    }
}

fn completion(got: &Answer, stream: bool) -> Value {
    if !stream {
        return got.json();
    }
    assert!(got.body.ends_with(b"data: [DONE]\n\n"));
    let (mut events, mut assembly) = (Events::default(), Assembly::default());
    events.push(&got.body, |data| assembly.push(data));
    assembly.finish().unwrap()
}

/// A message of Anthropic's, put together if it came as events.
fn anthropics(got: &Answer, stream: bool) -> Value {
    if !stream {
        return got.json();
    }
    let (mut message, mut inputs) = (Value::Null, std::collections::BTreeMap::<usize, String>::new());
    let mut ended = false;
    Events::default().push(&got.body, |data| {
        let event: Value = serde_json::from_slice(data).unwrap();
        let at = event["index"].as_u64().unwrap_or(0) as usize;
        match event["type"].as_str().unwrap() {
            "message_start" => message = event["message"].clone(),
            "content_block_start" => {
                assert_eq!(message["content"].as_array().unwrap().len(), at);
                message["content"].as_array_mut().unwrap().push(event["content_block"].clone());
            }
            "content_block_delta" => {
                let delta = &event["delta"];
                for key in ["text", "thinking"] {
                    if let Some(more) = delta[key].as_str() {
                        let whole = format!("{}{more}", message["content"][at][key].as_str().unwrap());
                        message["content"][at][key] = whole.into();
                    }
                }
                inputs.entry(at).or_default().push_str(delta["partial_json"].as_str().unwrap_or_default());
            }
            "message_delta" => {
                message["stop_reason"] = event["delta"]["stop_reason"].clone();
                for (key, count) in event["usage"].as_object().unwrap() {
                    message["usage"][key] = count.clone();
                }
            }
            "message_stop" => ended = true,
            _ => {}
        }
    });
    for (at, input) in inputs.iter().filter(|(_, input)| !input.is_empty()) {
        message["content"][at]["input"] = serde_json::from_str(input).unwrap();
    }
    message["type"] = "message".into();
    assert!(ended);
    message
}

fn say() -> Say {
    Say { text: "Fine, thanks.", finish: "stop", ..Say::default() }
}

fn asked(more: &Value) -> Value {
    let mut asked = json!({"messages": [{"role": "user", "content": "How are you?"}]});
    for (key, value) in more.as_object().unwrap() {
        asked[key] = value.clone();
    }
    asked
}

fn row(name: &'static str, more: &Value, sent: [Places; 4]) -> Feature {
    let path = "/v1/chat/completions";
    Feature { name, path, streams: true, asked: asked(more), answer: say(), sent, back: Back::Same }
}

fn nowhere() -> [Places; 4] {
    [vec![], vec![], vec![], vec![]]
}

const IMAGE: &str = "iVBORw0KGgo=";

pub fn features() -> Vec<Feature> {
    let mut all = requests();
    all.extend(answers());
    all
}

fn tool() -> Value {
    json!({"type": "function", "function": {"name": "look", "description": "Looks", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}}})
}

fn strict() -> Value {
    let mut tool = tool();
    tool["function"]["strict"] = true.into();
    tool
}

fn requests() -> Vec<Feature> {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false});
    let image = |url: &str| json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url}}]}]});
    let turns = json!({"messages": [
        {"role": "user", "content": "Where?"},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "look", "arguments": "{\"at\":\"x\"}"}},
            {"id": "b", "type": "function", "function": {"name": "look", "arguments": "{\"at\":\"y\"}"}}]},
        {"role": "tool", "tool_call_id": "a", "content": "{\"seen\":1}"},
        {"role": "tool", "tool_call_id": "b", "content": "{\"seen\":2}"}], "tools": [tool()]});
    let thought = json!({"messages": [
        {"role": "user", "content": "Where?"},
        {"role": "assistant", "content": "There.", "reasoning_content": "Hm.", "reasoning_details": [{"type": "reasoning.text", "text": "Hm.", "signature": "c2ln", "format": "anthropic-claude-v1"}], "extra_content": {"google": {"thought_signature": "c2ln"}}},
        {"role": "user", "content": "Sure?"}]});
    vec![
        row(
            "system prompt",
            &json!({"messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]}),
            [
                vec![("/messages/0/content", json!("Be kind."))],
                vec![("/system/0/text", json!("Be kind.")), ("/messages/0/content/0/text", json!("Hi"))],
                vec![("/systemInstruction/parts/0/text", json!("Be kind.")), ("/contents/0/parts/0/text", json!("Hi"))],
                vec![
                    ("/messages/0", json!({"role": "system", "content": "Be kind."})),
                    ("/messages/1/content", json!("Hi")),
                ],
            ],
        ),
        row(
            "system message after others",
            &json!({"messages": [{"role": "user", "content": "Hi"}, {"role": "system", "content": "Be kind."}, {"role": "user", "content": "Well?"}]}),
            [
                vec![("/messages/1/content", json!("Be kind."))],
                vec![],
                vec![],
                vec![("/messages/1/content", json!("Be kind."))],
            ],
        ),
        row(
            "several turns",
            &json!({"messages": [{"role": "user", "content": "1"}, {"role": "assistant", "content": "2"}, {"role": "user", "content": "3"}]}),
            [
                vec![("/messages/1/content", json!("2"))],
                vec![
                    ("/messages/1", json!({"role": "assistant", "content": [{"type": "text", "text": "2"}]})),
                    ("/messages/2/content/0/text", json!("3")),
                ],
                vec![
                    ("/contents/1", json!({"role": "model", "parts": [{"text": "2"}]})),
                    ("/contents/2/parts/0/text", json!("3")),
                ],
                vec![
                    ("/messages/1", json!({"role": "assistant", "content": "2"})),
                    ("/messages/2/content", json!("3")),
                ],
            ],
        ),
        row(
            "tools offered",
            &json!({"tools": [tool()]}),
            [
                vec![("/tools/0/function/name", json!("look"))],
                vec![("/tools/0/name", json!("look")), ("/tools/0/input_schema/properties/at/type", json!("string"))],
                vec![
                    ("/tools/0/functionDeclarations/0/name", json!("look")),
                    ("/tools/0/functionDeclarations/0/parametersJsonSchema/properties/at/type", json!("string")),
                ],
                vec![
                    ("/tools/0/function/name", json!("look")),
                    ("/tools/0/function/parameters/properties/at/type", json!("string")),
                ],
            ],
        ),
        row(
            "strict tools",
            &json!({"tools": [strict()]}),
            [
                vec![("/tools/0/function/strict", json!(true))],
                vec![("/tools/0/strict", json!(true))],
                vec![("/toolConfig/functionCallingConfig/mode", json!("VALIDATED"))],
                vec![],
            ],
        ),
        row(
            "a call required",
            &json!({"tools": [tool()], "tool_choice": "required"}),
            [
                vec![("/tool_choice", json!("required"))],
                vec![("/tool_choice", json!({"type": "any"}))],
                vec![("/toolConfig/functionCallingConfig/mode", json!("ANY"))],
                vec![],
            ],
        ),
        row(
            "a call of one tool required",
            &json!({"tools": [tool()], "tool_choice": {"type": "function", "function": {"name": "look"}}}),
            [
                vec![("/tool_choice/function/name", json!("look"))],
                vec![("/tool_choice", json!({"type": "tool", "name": "look"}))],
                vec![("/toolConfig/functionCallingConfig/allowedFunctionNames", json!(["look"]))],
                vec![],
            ],
        ),
        row(
            "no parallel calls",
            &json!({"tools": [tool()], "parallel_tool_calls": false}),
            [
                vec![("/parallel_tool_calls", json!(false))],
                vec![("/tool_choice/disable_parallel_tool_use", json!(true))],
                vec![],
                vec![],
            ],
        ),
        row(
            "results of parallel calls",
            &turns,
            [
                vec![("/messages/3/tool_call_id", json!("b"))],
                vec![
                    ("/messages/1/content/1/input/at", json!("y")),
                    ("/messages/2/content/0/tool_use_id", json!("a")),
                    (
                        "/messages/2/content/1",
                        json!({"type": "tool_result", "tool_use_id": "b", "content": "{\"seen\":2}"}),
                    ),
                ],
                vec![
                    ("/contents/1/parts/1/functionCall/args/at", json!("y")),
                    ("/contents/2/parts/0/functionResponse/id", json!("a")),
                    (
                        "/contents/2/parts/1/functionResponse",
                        json!({"id": "b", "name": "look", "response": {"seen": 2}}),
                    ),
                ],
                vec![
                    ("/messages/1/tool_calls/1/function/arguments/at", json!("y")),
                    ("/messages/2/tool_call_id", json!("a")),
                    ("/messages/3/content", json!("{\"seen\":2}")),
                ],
            ],
        ),
        row(
            "images",
            &image(&format!("data:image/png;base64,{IMAGE}")),
            [
                vec![("/messages/0/content/1/image_url/url", json!(format!("data:image/png;base64,{IMAGE}")))],
                vec![(
                    "/messages/0/content/1/source",
                    json!({"type": "base64", "media_type": "image/png", "data": IMAGE}),
                )],
                vec![("/contents/0/parts/1/inlineData", json!({"mimeType": "image/png", "data": IMAGE}))],
                vec![("/messages/0/images", json!([IMAGE]))],
            ],
        ),
        row(
            "images by address",
            &image("https://images.example/a.png"),
            [
                vec![("/messages/0/content/1/image_url/url", json!("https://images.example/a.png"))],
                vec![("/messages/0/content/1/source/url", json!("https://images.example/a.png"))],
                vec![],
                vec![],
            ],
        ),
        row(
            "any JSON object",
            &json!({"response_format": {"type": "json_object"}}),
            [
                vec![("/response_format/type", json!("json_object"))],
                vec![],
                vec![("/generationConfig/responseMimeType", json!("application/json"))],
                vec![("/format", json!("json"))],
            ],
        ),
        row(
            "JSON by a schema",
            &json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}}),
            [
                vec![("/response_format/json_schema/schema", schema.clone())],
                vec![("/output_config/format/schema", schema.clone())],
                vec![("/generationConfig/responseJsonSchema", schema.clone())],
                vec![("/format", schema.clone())],
            ],
        ),
        row(
            "reasoning asked for",
            &json!({"reasoning_effort": "medium"}),
            [
                vec![("/reasoning_effort", json!("medium"))],
                vec![("/thinking", json!({"type": "enabled", "budget_tokens": 8192}))],
                vec![("/generationConfig/thinkingConfig", json!({"includeThoughts": true, "thinkingBudget": 8192}))],
                vec![("/think", json!(true))],
            ],
        ),
        row(
            "reasoning given back",
            &thought,
            [
                vec![("/messages/1/reasoning_content", json!("Hm."))],
                vec![("/messages/1/content/0", json!({"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}))],
                vec![("/contents/1/parts/0", json!({"text": "There.", "thoughtSignature": "c2ln"}))],
                vec![("/messages/1/thinking", json!("Hm."))],
            ],
        ),
        row(
            "most tokens",
            &json!({"max_completion_tokens": 9}),
            [
                vec![("/max_completion_tokens", json!(9))],
                vec![("/max_tokens", json!(9))],
                vec![("/generationConfig/maxOutputTokens", json!(9))],
                vec![("/options/num_predict", json!(9))],
            ],
        ),
        row(
            "stop sequences",
            &json!({"stop": ["END"]}),
            [
                vec![("/stop", json!(["END"]))],
                vec![("/stop_sequences", json!(["END"]))],
                vec![("/generationConfig/stopSequences", json!(["END"]))],
                vec![("/options/stop", json!(["END"]))],
            ],
        ),
        row(
            "temperature and top_p",
            &json!({"temperature": 0.5, "top_p": 0.25}),
            [
                vec![("/top_p", json!(0.25))],
                vec![("/temperature", json!(0.5)), ("/top_p", json!(0.25))],
                vec![("/generationConfig/temperature", json!(0.5)), ("/generationConfig/topP", json!(0.25))],
                vec![("/options/temperature", json!(0.5)), ("/options/top_p", json!(0.25))],
            ],
        ),
        row(
            "a temperature above 1",
            &json!({"temperature": 1.5}),
            [
                vec![("/temperature", json!(1.5))],
                vec![],
                vec![("/generationConfig/temperature", json!(1.5))],
                vec![("/options/temperature", json!(1.5))],
            ],
        ),
        row(
            "seed",
            &json!({"seed": 5}),
            [
                vec![("/seed", json!(5))],
                vec![],
                vec![("/generationConfig/seed", json!(5))],
                vec![("/options/seed", json!(5))],
            ],
        ),
        row(
            "penalties",
            &json!({"presence_penalty": 0.5}),
            [
                vec![("/presence_penalty", json!(0.5))],
                vec![],
                vec![("/generationConfig/presencePenalty", json!(0.5))],
                vec![("/options/presence_penalty", json!(0.5))],
            ],
        ),
        row("several answers (`n`)", &json!({"n": 2}), [vec![("/n", json!(2))], vec![], vec![], vec![]]),
        row(
            "log probabilities",
            &json!({"logprobs": true}),
            [vec![("/logprobs", json!(true))], vec![], vec![], vec![]],
        ),
    ]
}

fn answers() -> Vec<Feature> {
    let base = || row("", &json!({}), nowhere());
    let end = |name, finish| Feature { name, answer: Say { finish, ..say() }, ..base() };
    let trouble =
        |name, trouble, back| Feature { name, answer: Say { trouble: Some(trouble), ..say() }, back, ..base() };
    let calls = vec![("look", json!({"at": "x", "deep": [1, {"ü": null}]})), ("look", json!({"at": "y"}))];
    let called = calls.clone();
    let message = |more: Value| {
        let mut asked = asked(&more);
        asked["max_tokens"] = 9.into();
        Feature { path: "/v1/messages", asked, back: Back::Message, ..base() }
    };
    let vectors = vec![vec![0.25, -1.5], vec![3.0, 0.125]];
    vec![
        Feature { name: "parallel calls answered", answer: Say { calls, finish: "tool_calls", ..say() }, ..base() },
        Feature { name: "reasoning answered", answer: Say { reasoning: "They ask how I am.", ..say() }, ..base() },
        end("the end: stop", "stop"),
        end("the end: length", "length"),
        Feature {
            answer: Say { finish: "content_filter", text: "I can", ..say() },
            ..end("the end: content_filter", "stop")
        },
        Feature { name: "usage", ..base() },
        trouble("an error's status and words", Trouble::Refuses, Back::Error),
        trouble("an error in the middle of an answer", Trouble::Fails, Back::Broken { says: true }),
        trouble("an answer cut off", Trouble::IsCut, Back::Broken { says: false }),
        Feature {
            name: "`/v1/embeddings`",
            path: "/v1/embeddings",
            streams: false,
            asked: json!({"input": ["one", "two"], "dimensions": 2}),
            answer: Say { vectors, ..Say::default() },
            sent: [
                vec![("/input/1", json!("two")), ("/dimensions", json!(2))],
                vec![],
                vec![
                    ("/requests/1/content/parts/0/text", json!("two")),
                    ("/requests/1/outputDimensionality", json!(2)),
                ],
                vec![("/input/1", json!("two")), ("/dimensions", json!(2))],
            ],
            back: Back::Vectors,
        },
        Feature {
            name: "`/v1/messages`: words, thoughts, calls",
            answer: Say { reasoning: "Hm.", calls: called, finish: "tool_calls", ..say() },
            ..message(json!({}))
        },
        Feature {
            name: "`/v1/messages`: system, tools and results",
            sent: [
                vec![
                    ("/messages/0", json!({"role": "system", "content": "Be kind."})),
                    ("/messages/3", json!({"role": "tool", "tool_call_id": "a", "content": "one"})),
                    ("/messages/4/content", json!("{\"error\":\"two\"}")),
                    ("/tools/0/function/parameters/properties/at/type", json!("string")),
                    ("/max_completion_tokens", json!(9)),
                ],
                vec![("/system", json!("Be kind.")), ("/messages/2/content/1/is_error", json!(true))],
                vec![
                    ("/systemInstruction/parts/0/text", json!("Be kind.")),
                    ("/contents/2/parts/1/functionResponse/response", json!({"error": "two"})),
                    ("/generationConfig/maxOutputTokens", json!(9)),
                ],
                vec![
                    ("/messages/0/content", json!("Be kind.")),
                    ("/messages/3/tool_name", json!("look")),
                    ("/messages/4/content", json!("{\"error\":\"two\"}")),
                    ("/options/num_predict", json!(9)),
                ],
            ],
            ..message(json!({
                "system": "Be kind.",
                "tools": [{"name": "look", "input_schema": {"type": "object", "properties": {"at": {"type": "string"}}}}],
                "messages": [
                    {"role": "user", "content": "Where?"},
                    {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "look", "input": {}}, {"type": "tool_use", "id": "b", "name": "look", "input": {"at": "y"}}]},
                    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "one"}, {"type": "tool_result", "tool_use_id": "b", "is_error": true, "content": [{"type": "text", "text": "two"}]}]},
                ],
            }))
        },
        Feature {
            name: "`/v1/messages`: `top_k`",
            sent: [
                vec![],
                vec![("/top_k", json!(5))],
                vec![("/generationConfig/topK", json!(5))],
                vec![("/options/top_k", json!(5))],
            ],
            ..message(json!({"top_k": 5}))
        },
        Feature {
            name: "`/v1/messages`: an error's status and words",
            back: Back::Error,
            answer: Say { trouble: Some(Trouble::Refuses), ..say() },
            ..message(json!({}))
        },
        Feature {
            name: "`/v1/messages`: an error in the middle of an answer",
            back: Back::Broken { says: true },
            answer: Say { trouble: Some(Trouble::Fails), ..say() },
            ..message(json!({}))
        },
        Feature {
            name: "`/v1/messages`: an answer cut off",
            back: Back::Broken { says: false },
            answer: Say { trouble: Some(Trouble::IsCut), ..say() },
            ..message(json!({}))
        },
    ]
}
