//! The example: the orders are reproducible, and the scripted model works from what it is told, not from memory.

use std::fs;

use serde_json::{Value, json};

use crate::desk::{Decision, Desk, prompt, request};
use crate::model_server::{ModelServer, python, repository};

fn orders() -> String {
    fs::read_to_string(repository("examples/sales.csv")).unwrap()
}

#[test]
fn the_script_makes_the_committed_orders() {
    let made = python().arg(repository("examples/make-sales.py")).output().unwrap();
    assert!(made.status.success());
    assert!(made.stdout == orders().as_bytes(), "run `python3 examples/make-sales.py > examples/sales.csv`");
}

#[test]
fn the_orders_have_the_faults_of_real_ones() {
    let orders = orders();
    let rows: Vec<Vec<&str>> = orders.lines().skip(1).map(|line| line.split(',').collect()).collect();
    assert!(rows.len() > 3000);
    let mut ids: Vec<&str> = rows.iter().map(|row| row[0]).collect();
    ids.dedup();
    assert!(ids.len() < rows.len(), "no order stands there twice");
    assert!(rows.iter().any(|row| row.contains(&"")), "no value is missing");
}

/// Works on all three nodes; the reports of `analyse` and `wrap-up`.
fn run(desk: &mut Desk) -> (String, String) {
    for node in ["gather", "analyse", "wrap-up"] {
        let (_, refusal) = desk.work(node);
        assert_eq!(refusal, None, "{node}");
    }
    (desk.read("analyse/report.md"), desk.read("wrap-up/report.md"))
}

#[test]
fn an_approved_package_draws_the_chart() {
    let server = ModelServer::start(&[]);
    let mut desk = Desk::new(&server, &orders(), Decision::Approved);
    let (report, summary) = run(&mut desk);
    assert!(report.contains("Net revenue: **780,754.01** from 2969 orders."), "{report}");
    assert!(report.contains("- The chart was drawn with pygal."), "{report}");
    assert!(summary.contains("Net revenue is 780,754.01 from 2969 orders."), "{summary}");
    assert!(desk.read("analyse/chart.svg").contains("<!-- pygal -->"));
    let [(capability, reason)] = &desk.asked[..] else { panic!("asked {} times", desk.asked.len()) };
    assert_eq!(capability, "pip:pygal==3.1.3");
    assert!(reason.contains("No module named 'pygal'") && reason.contains("capability_required"), "{reason}");
}

#[test]
fn a_denial_stands_in_the_report_with_its_words() {
    let server = ModelServer::start(&[]);
    let mut desk = Desk::new(&server, &orders(), Decision::Denied("No new packages before the audit."));
    let (report, _) = run(&mut desk);
    assert!(report.contains("without pygal"), "{report}");
    assert!(report.contains("denied: No new packages before the audit."), "{report}");
    assert!(desk.read("analyse/chart.svg").contains("<polyline"));
}

#[test]
fn other_orders_make_another_report() {
    let server = ModelServer::start(&[]);
    let all = orders();
    let half: Vec<&str> = all.lines().enumerate().filter(|(n, _)| n % 2 == 0).map(|(_, line)| line).collect();
    let (report, summary) = run(&mut Desk::new(&server, &half.join("\n"), Decision::Approved));
    assert!(!report.contains("780,754.01") && report.contains("1506 rows were read"), "{report}");
    assert!(!summary.contains("780,754.01"), "{summary}");
}

#[test]
fn nothing_is_asked_for_without_the_refused_installation() {
    let server = ModelServer::start(&[]);
    let mut desk = Desk::new(&server, &orders(), Decision::Approved);
    desk.work("gather");
    let (mut messages, _) = desk.work("analyse");
    let installation = messages.iter().position(|message| message.to_string().contains("pip install")).unwrap();
    messages.drain(installation..installation + 2);
    messages.truncate(installation + 1);
    let (status, answer) = server.chat(&request(&messages));
    assert_eq!(status, 400);
    assert!(answer["error"]["message"].as_str().unwrap().contains("would not have answered"), "{answer}");
}

/// The first turn of `gather`, with the given results of its two calls.
fn after_first_look(server: &ModelServer, head: &Value, count: &Value) -> (u16, Value) {
    let mut messages = vec![json!({"role": "user", "content": prompt("gather")})];
    let (_, answer) = server.chat(&request(&messages));
    messages.push(answer["choices"][0]["message"].clone());
    for (id, result) in [("call_1", head), ("call_2", count)] {
        messages.push(json!({"role": "tool", "tool_call_id": id, "content": result.to_string()}));
    }
    server.chat(&request(&messages))
}

#[test]
fn results_that_do_not_serve_are_refused() {
    let server = ModelServer::start(&[]);
    let shell = |stdout: &str| json!({"exit": 0, "stdout": stdout, "stderr": "", "truncated": false, "refused": []});
    let head = shell("order_id,units\nA1,3\n");
    assert_eq!(after_first_look(&server, &head, &shell("2\n")).0, 200);
    let absent = json!({"exit": 1, "stdout": "", "stderr": "no such file", "truncated": false});
    for (head, count, words) in [
        (&head, shell("many\n"), "not a number"),
        (&absent, shell("2\n"), "exit code 1: no such file"),
        (&head, json!({"error": {"code": "too_large"}}), "the tool failed"),
        (&head, json!("fine"), "not an object"),
        (&head, json!({"exit": 0}), "a shell result has exit, stdout and stderr"),
        (&head, json!({"exit": 0, "stdout": "2\n", "stderr": "", "truncated": true}), "was cut"),
        (&shell(""), shell("2\n"), "no header"),
    ] {
        let (status, answer) = after_first_look(&server, head, &count);
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(status == 400 && message.contains(words), "{words}: {status} {answer}");
    }
}

#[test]
fn an_interrupted_call_is_made_again() {
    let server = ModelServer::start(&[]);
    let head = json!({"exit": 0, "stdout": "order_id,units\nA1,3\n", "stderr": "", "truncated": false, "refused": []});
    let cut = json!({"error": "interrupted: the attempt ended before this finished"});
    let (status, answer) = after_first_look(&server, &head, &cut);
    assert_eq!(status, 200, "{answer}");
    let calls = answer["choices"][0]["message"]["tool_calls"].as_array().unwrap();
    let [call] = &calls[..] else { panic!("{answer}") };
    assert_eq!(call["id"], "call_3");
    assert!(call["function"]["arguments"].as_str().unwrap().contains("wc -l"), "{answer}");
}

#[test]
fn requests_that_are_none_are_refused() {
    let server = ModelServer::start(&[]);
    for body in ["", "[]", "{", r#"{"messages": 3}"#, r#"{"messages": [7]}"#, r#"{"messages": [{"role": "user"}]}"#] {
        let (status, answer) = server.request("POST", "/v1/chat/completions", None, body);
        assert_eq!(status, 400, "{body}: {answer}");
    }
    let asked = json!({"messages": [{"role": "user", "content": prompt("gather")}]});
    let (status, answer) = server.chat(&asked);
    assert!(status == 400 && answer.to_string().contains("the tool shell is needed"), "{answer}");
    assert_eq!(server.request("GET", "/v2/models", None, "").0, 404);
}

#[test]
fn a_stream_says_the_same() {
    let server = ModelServer::start(&[]);
    let mut asked = request(&[json!({"role": "user", "content": prompt("gather")})]);
    let (_, whole) = server.chat(&asked);
    asked["stream"] = json!(true);
    let (status, stream) = server.request("POST", "/v1/chat/completions", None, &asked.to_string());
    assert_eq!(status, 200);
    assert!(stream.ends_with("data: [DONE]\n\n"), "{stream}");
    let mut arguments = [String::new(), String::new()];
    for event in stream.lines().filter_map(|line| line.strip_prefix("data: {")) {
        let event: Value = serde_json::from_str(&format!("{{{event}")).unwrap();
        for call in event["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let index = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
            arguments[index].push_str(call["function"]["arguments"].as_str().unwrap());
        }
    }
    for (index, arguments) in arguments.iter().enumerate() {
        let call = &whole["choices"][0]["message"]["tool_calls"][index];
        assert_eq!(call["function"]["arguments"], json!(arguments));
    }
}

#[test]
fn a_required_key_is_required() {
    let server = ModelServer::start(&["--require-key", "sk-example"]);
    assert!(server.base_url().starts_with("http://127.0.0.1:"));
    assert_eq!(server.request("GET", "/v1/models", None, "").0, 401);
    assert_eq!(server.request("GET", "/v1/models", Some("sk-other"), "").0, 401);
    let (status, models) = server.request("GET", "/v1/models", Some("sk-example"), "");
    assert!(status == 200 && models.contains("scripted-analyst"), "{models}");
}
