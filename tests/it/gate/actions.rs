//! Actions upon GitHub's REST shapes: allowed by rules, on record first, done once, the credential nowhere but on its way.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use serde_json::{Value, json};
use taskforge::gate::records::Kind;
use taskforge::gate::{AllowedAction, Counted, Endpoint, Grant};
use taskforge::run::capability::{ActionLimit, ActionRules, Capability};
use taskforge::run::id::RequestId;

use super::crash;
use super::http::Answer;
use super::upstream::{Got, Upstream, Wire};
use super::world::{World, wait};

const TOKEN: &str = "ghp_0nlyTh3G4teH4sThisT0ken";

/// A server with one repository, `octo/demo`, and its comments and reviews.
struct Github {
    server: Upstream,
    comments: Arc<Mutex<Vec<Value>>>,
}

impl Github {
    /// `before` may answer a request itself, by its number and its first line.
    fn start(before: impl Fn(usize, &str, &Got, &mut Wire) -> bool + Send + Sync + 'static) -> Self {
        let comments = Arc::<Mutex<Vec<Value>>>::default();
        let (all, count) = (comments.clone(), AtomicUsize::new(0));
        let server = Upstream::start(move |got, wire| {
            let line = got.head.lines().next().unwrap_or_default().to_owned();
            if before(count.fetch_add(1, Ordering::SeqCst), &line, got, wire) {
                return;
            }
            serve(&line, got, wire, &all);
        });
        Self { server, comments }
    }

    fn quiet() -> Self {
        Self::start(|_, _, _, _| false)
    }

    fn base(&self) -> String {
        format!("http://127.0.0.1:{}/api/v3", self.server.port)
    }

    fn comments(&self) -> Vec<Value> {
        self.comments.lock().unwrap().clone()
    }
}

fn serve(line: &str, got: &Got, wire: &mut Wire, comments: &Mutex<Vec<Value>>) {
    let mut words = line.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let number = |key: &str| {
        query.split('&').find_map(|pair| pair.strip_prefix(&format!("{key}="))?.parse::<usize>().ok()).unwrap_or(1)
    };
    let pull = |n: usize| {
        json!({"number": n, "title": format!("t{n}"), "state": "open", "body": "b", "user": {"login": "ada"},
        "head": {"ref": "f", "sha": "a".repeat(40), "repo": {"full_name": "octo/demo"}}, "base": {"ref": "main", "sha": "b".repeat(40)},
        "_links": {"self": "…"}})
    };
    let page = |all: Vec<Value>, wire: &mut Wire| {
        let (size, at) = (number("per_page"), number("page"));
        let part: Vec<Value> = all.iter().skip((at - 1) * size).take(size).cloned().collect();
        let link = if at * size < all.len() { "link: <http://evil.test/steal?page=2>; rel=\"next\"\r\n" } else { "" };
        let body = json!(part).to_string();
        wire.write(format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{link}content-length: {}\r\n\r\n{body}",
            body.len()
        ));
    };
    match (method, path) {
        ("GET", "/api/v3/repos/octo/demo") => {
            wire.json(json!({"full_name": "octo/demo", "private": true, "owner": {}}).to_string())
        }
        ("GET", "/api/v3/repos/octo/demo/pulls") => page((1..=230).map(pull).collect(), wire),
        ("GET", "/api/v3/repos/octo/demo/pulls/7") => wire.json(pull(7).to_string()),
        ("GET", "/api/v3/repos/octo/demo/pulls/7/files") => {
            page(vec![json!({"filename": "a.rs", "status": "modified", "patch": "@@", "raw_url": "https://…"})], wire);
        }
        ("GET", "/api/v3/repos/octo/demo/issues/7/comments" | "/api/v3/repos/octo/demo/pulls/7/reviews") => {
            page(comments.lock().unwrap().clone(), wire);
        }
        ("POST", "/api/v3/repos/octo/demo/issues/7/comments" | "/api/v3/repos/octo/demo/pulls/7/reviews") => {
            let mut comment: Value = serde_json::from_slice(&got.body).unwrap();
            let mut all = comments.lock().unwrap();
            comment["id"] = (all.len() + 1).into();
            comment["html_url"] = "https://github.test/octo/demo/pull/7#1".into();
            all.push(comment.clone());
            wire.answer("201 Created", "application/json", comment.to_string());
        }
        _ => wire.answer("404 Not Found", "application/json", r#"{"message":"Not Found"}"#),
    }
}

fn rule(name: &str, by: &str) -> AllowedAction {
    let rules = ActionRules {
        repositories: vec!["octo/demo".into(), "octo/other-*".into()],
        verdicts: vec!["COMMENT".into(), "REQUEST_CHANGES".into()],
        ..ActionRules::default()
    };
    AllowedAction { by: by.into(), name: name.into(), rules, counts: Vec::new() }
}

const ALL: [&str; 6] = [
    "github.pr.list",
    "github.pr.read",
    "github.pr.files",
    "github.repo.read",
    "github.pr.comment",
    "github.review.submit",
];

/// A gate that may do everything there is on `octo/demo`, and is not started.
fn prepared(github: &Github) -> World {
    let mut world = World::new("http://127.0.0.1:1/v1");
    std::fs::write(world.root.path().join("secrets/keys.json"), json!({"vault:gh": TOKEN}).to_string()).unwrap();
    world.policy.services.github =
        Some(Endpoint { base_url: github.base(), key: Some("vault:gh".into()), timeout_ms: None });
    world.policy.attempts[0].actions = ALL.map(|name| rule(name, "role reviewer")).into();
    world
}

fn act(world: &World, name: &str, arguments: &Value) -> Answer {
    world.post(&format!("/taskforge/v1/actions/{name}"), &json!({"arguments": arguments}))
}

fn comment(text: &str) -> Value {
    json!({"repo": "octo/demo", "number": 7, "body": text})
}

#[test]
fn reads_and_writes_with_a_credential_that_is_nowhere_else() {
    let github = Github::quiet();
    let world = prepared(&github).start();
    let listed = act(&world, "github.pr.list", &json!({"repo": "octo/demo"})).json();
    assert_eq!(listed["result"]["pulls"].as_array().unwrap().len(), 230, "all pages");
    assert_eq!(
        (&listed["result"]["truncated"], &listed["result"]["pulls"][229]["number"]),
        (&json!(false), &json!(230))
    );
    let read = act(&world, "github.pr.read", &json!({"repo": "octo/demo", "number": 7})).json();
    assert_eq!((&read["result"]["user"], &read["result"]["head"]["sha"]), (&json!("ada"), &json!("a".repeat(40))));
    assert!(read["result"].get("_links").is_none());
    let files = act(&world, "github.pr.files", &json!({"repo": "octo/demo", "number": "7"})).json();
    assert_eq!(files["result"]["files"], json!([{"filename": "a.rs", "status": "modified", "patch": "@@"}]));
    assert_eq!(
        act(&world, "github.repo.read", &json!({"repo": "Octo/Demo"})).status,
        502,
        "the server knows one spelling"
    );
    assert_eq!(act(&world, "github.repo.read", &json!({"repo": "octo/demo"})).json()["result"]["private"], true);
    let done = act(&world, "github.pr.comment", &comment("fine"));
    assert_eq!(done.status, 200, "{}", done.json());
    let review = json!({"repo": "octo/demo", "number": 7, "verdict": "REQUEST_CHANGES", "body": "no", "commit": "c".repeat(40),
        "comments": [{"path": "a.rs", "line": 3, "body": "here"}]});
    assert_eq!(act(&world, "github.review.submit", &review).status, 200);
    let written = github.comments();
    assert!(written[0]["body"].as_str().unwrap().starts_with("fine\n\n<!-- taskforge:"), "{written:?}");
    assert_eq!((&written[1]["event"], &written[1]["commit_id"]), (&json!("REQUEST_CHANGES"), &json!("c".repeat(40))));
    assert_eq!(written[1]["comments"], json!([{"path": "a.rs", "line": 3, "side": "RIGHT", "body": "here"}]));

    for got in github.server.got() {
        assert!(got.head.contains(&format!("authorization: Bearer {TOKEN}\r\n")), "{}", got.head);
        assert!(!got.head.contains("evil"), "{}", got.head);
    }
    let intents: Vec<_> = world.traffic().of(&Kind::ActionRequested).cloned().collect();
    assert_eq!(intents.len(), 7);
    let intent = &intents[5];
    assert_eq!(
        (intent.text("action"), intent.text("target"), intent.text("by")),
        (Some("github.pr.comment"), Some("octo/demo#7"), Some("role reviewer"))
    );
    assert_eq!(serde_json::from_slice::<Value>(&world.body(intent)).unwrap(), comment("fine"));
    for (path, bytes) in world.files() {
        assert!(!bytes.windows(TOKEN.len()).any(|part| part == TOKEN.as_bytes()), "{}", path.display());
    }
}

#[test]
fn an_issue_that_is_no_pull_request_gets_no_comment() {
    let github = Github::quiet();
    let world = prepared(&github).start();
    let refused = act(&world, "github.pr.comment", &json!({"repo": "octo/demo", "number": 8, "body": "fine"}));
    assert_eq!((refused.status, refused.code().as_str()), (502, "service_refused"));
    let error = refused.json()["error"].clone();
    assert!(error["message"].as_str().unwrap().starts_with("#8 is no pull request"), "{error}");
    assert_eq!((&error["status"], &error["unclear"]), (&json!(404), &Value::Null));
    assert!(github.server.got().iter().all(|got| got.head.starts_with("GET ")));
    assert_eq!(world.records(&Kind::ActionFailed, 1)[0].fields.get("unclear"), None);
}

#[test]
fn nothing_is_allowed_that_no_rule_names() {
    let github = Github::quiet();
    let mut world = prepared(&github);
    world.policy.attempts[0].actions.clear();
    let mut world = world.start();
    let denied = act(&world, "github.pr.comment", &comment("x"));
    assert_eq!((denied.status, denied.code().as_str()), (403, "action_not_allowed"));
    assert_eq!(denied.json()["error"]["capability"], "action:github.pr.comment,repo=octo/demo");
    world.policy.attempts[0].actions = ALL.map(|name| rule(name, "role reviewer")).into();
    world.policy.attempts[0].actions.push(AllowedAction {
        by: "role reviewer".into(),
        name: "github.pr.merge".into(),
        rules: ActionRules::default(),
        counts: Vec::new(),
    });
    world.apply();
    let with = |key: &str, value: Value| {
        let mut arguments = comment("x");
        arguments[key] = value;
        arguments
    };
    for (name, arguments, status, code) in [
        ("github.pr.merge", comment("x"), 404, "no_such_action"),
        ("github.pr.close", comment("x"), 404, "no_such_action"),
        ("github.push", comment("x"), 404, "no_such_action"),
        ("github.pr.comment", with("repo", json!("octo/secret")), 403, "arguments_not_allowed"),
        ("github.pr.comment", with("repo", json!("evil/demo")), 403, "arguments_not_allowed"),
        ("github.pr.comment", with("repo", json!("octo/other-/x")), 422, "bad_arguments"),
        ("github.pr.comment", with("repo", json!("octo/demo/../secret")), 422, "bad_arguments"),
        ("github.pr.comment", with("repo", json!("octo/demo?x=y")), 422, "bad_arguments"),
        ("github.pr.comment", with("repo", json!("octo/demo#")), 422, "bad_arguments"),
        ("github.pr.comment", with("repo", json!("octo/%2e%2e")), 422, "bad_arguments"),
        ("github.pr.comment", with("repo", json!("octo/..")), 422, "bad_arguments"),
        ("github.pr.comment", with("repo", json!("octo/demo/actions/runs/1/approve?x=")), 422, "bad_arguments"),
        ("github.pr.comment", with("repo", json!("http://evil.test/octo/demo")), 422, "bad_arguments"),
        ("github.pr.comment", with("repo", json!("octo\u{2215}demo")), 422, "bad_arguments"),
        ("github.pr.comment", with("number", json!("7/../8")), 422, "bad_arguments"),
        ("github.pr.comment", with("number", json!(0)), 422, "bad_arguments"),
        ("github.pr.comment", with("number", json!(-7)), 422, "bad_arguments"),
        ("github.pr.comment", with("event", json!("APPROVE")), 422, "bad_arguments"),
        ("github.pr.comment", with("body", json!("  ")), 422, "bad_arguments"),
        ("github.review.submit", with("verdict", json!("APPROVE")), 403, "arguments_not_allowed"),
        ("github.review.submit", with("verdict", json!("approve")), 422, "bad_arguments"),
        ("github.review.submit", with("verdict", json!(null)), 422, "bad_arguments"),
    ] {
        let refused = act(&world, name, &arguments);
        assert_eq!((refused.status, refused.code().as_str()), (status, code), "{name} {arguments}");
    }
    assert!(github.server.got().is_empty(), "nothing left");
    let denied = world.traffic().of(&Kind::ActionDenied).count();
    assert_eq!((denied, world.traffic().of(&Kind::ActionRequested).count()), (23, 0));
    assert_eq!(world.traffic().of(&Kind::RequestRefused).count(), 0, "one record each");
    let listed = world.get("/taskforge/v1/actions").json();
    assert_eq!(listed["actions"][5]["rules"]["verdicts"], json!(["COMMENT", "REQUEST_CHANGES"]));
}

#[test]
fn the_same_thing_is_done_once_unless_it_is_said_to_be_another() {
    let github = Github::quiet();
    let mut world = prepared(&github).start();
    let first = act(&world, "github.pr.comment", &comment("once")).json();
    let again = act(&world, "github.pr.comment", &comment("once")).json();
    assert_eq!(
        (&first["repeated"], &again["repeated"], &first["result"]),
        (&json!(false), &json!(true), &again["result"])
    );
    // Through a restart of the gate as well.
    world.restart();
    assert_eq!(act(&world, "github.pr.comment", &comment("once")).json()["repeated"], true);
    assert_eq!(github.comments().len(), 1);
    let keyed = |key: &str, text: &str| {
        world.post("/taskforge/v1/actions/github.pr.comment", &json!({"arguments": comment(text), "key": key}))
    };
    assert_eq!(keyed("k1", "once").json()["repeated"], false);
    assert_eq!(keyed("k1", "once").json()["repeated"], true);
    assert_eq!(keyed("k1", "something else").code(), "key_reused");
    let denied = world.records(&Kind::ActionDenied, 1);
    assert_eq!(denied.last().unwrap().text("code"), Some("key_reused"));
    assert_eq!(keyed("k2", "once").json()["repeated"], false);
    assert_eq!(github.comments().len(), 3);
    assert_eq!(keyed("k2", "in other words").code(), "key_reused");
    assert_eq!(github.comments().len(), 3);
    // Eight at once are one.
    let answers: Vec<Value> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..8).map(|_| scope.spawn(|| act(&world, "github.pr.comment", &comment("at once")).json())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(answers.iter().filter(|answer| answer["repeated"] == false).count(), 1, "{answers:?}");
    assert_eq!(github.comments().len(), 4);
    // Another node says what it says.
    let mut other = world.attempt("b1", "write", 1);
    other.actions = world.policy.attempts[0].actions.clone();
    world.policy.attempts.push(other);
    world.apply();
    let body = json!({"arguments": comment("once")}).to_string();
    let answer =
        super::http::request(&world.socket("b1"), "POST", "/taskforge/v1/actions/github.pr.comment", body.as_bytes());
    assert_eq!(answer.json()["repeated"], false);
}

#[test]
fn what_may_have_been_done_is_looked_for_through_a_kill_and_not_done_twice() {
    // The first comment arrives, and its answer never comes.
    let (arrived, has_arrived) = mpsc::channel();
    let arrived = Mutex::new(arrived);
    let github = Github::start(move |count, line, _, wire| {
        if count == 1 && line.starts_with("POST") {
            arrived.lock().unwrap().send(()).unwrap();
            wire.wait_until_cut();
            return true;
        }
        false
    });
    let mut world = prepared(&github);
    world.policy.write(&world.dir()).unwrap();
    let gate = crash::spawn(&world);
    let body = json!({"arguments": comment("once")}).to_string();
    let mut client = world.client();
    client.send("POST", "/taskforge/v1/actions/github.pr.comment", "", body.as_bytes());
    has_arrived.recv().unwrap();
    let intent = world.records(&Kind::ActionRequested, 1).remove(0);
    // SIGKILL, while the intent is on record and nothing else is.
    drop(gate);
    assert!(client.ended());
    assert_eq!(world.traffic().of(&Kind::ActionDone).count(), 0);
    let gate = crash::spawn(&world);
    // It is not there yet; it may still come.
    let unclear = act(&world, "github.pr.comment", &comment("once"));
    assert_eq!((unclear.status, unclear.code().as_str()), (409, "action_unclear"));
    assert!(unclear.header("retry-after").is_some());
    // And it does.
    let late = format!("once\n\n<!-- taskforge:{} -->", intent.text("key").unwrap());
    github.comments.lock().unwrap().push(json!({"id": 99, "body": late, "html_url": "u"}));
    let found = act(&world, "github.pr.comment", &comment("once")).json();
    assert_eq!((&found["repeated"], &found["result"]["id"]), (&json!(true), &json!(99)));
    assert_eq!(world.records(&Kind::ActionDone, 1)[0].fields["found"], true);
    assert_eq!(act(&world, "github.pr.comment", &comment("once")).json()["result"]["id"], 99);
    assert_eq!((github.comments().len(), world.traffic().of(&Kind::ActionRequested).count()), (1, 1));
    drop(gate);
    // Of what is known not to have arrived, and long enough ago, another try is one.
    std::fs::write(world.root.path().join("settles"), "0").unwrap();
    world.policy.generation += 1;
    world.policy.write(&world.dir()).unwrap();
    let _gate = crash::spawn(&world);
    assert_eq!(act(&world, "github.pr.comment", &comment("another")).json()["repeated"], false);
    assert_eq!(github.comments().len(), 2);
}

#[test]
fn a_server_that_falls_over_is_looked_at_before_it_is_asked_again() {
    let github = Github::start(|_, line, got, wire| {
        // Once for each comment: it is written and then lost, or not written at all.
        static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());
        let body = String::from_utf8_lossy(&got.body).into_owned();
        if line.starts_with("POST") && body.contains("falls") && !SEEN.lock().unwrap().contains(&body) {
            SEEN.lock().unwrap().push(body);
            wire.answer("502 Bad Gateway", "text/html", "<h1>oops</h1>");
            return true;
        }
        false
    });
    let world = prepared(&github);
    std::fs::write(world.root.path().join("settles"), "0").unwrap();
    let world = world.start();
    let failed = act(&world, "github.pr.comment", &comment("falls"));
    assert_eq!((failed.status, failed.code().as_str()), (502, "service_error"));
    assert_eq!(failed.json()["error"]["unclear"], true);
    assert_eq!(world.records(&Kind::ActionFailed, 1)[0].fields["unclear"], true);
    let done = act(&world, "github.pr.comment", &comment("falls"));
    assert_eq!((done.status, github.comments().len()), (200, 1), "{}", done.json());
    assert!(
        github.server.got().iter().any(|got| got.head.starts_with("GET /api/v3/repos/octo/demo/issues/7/comments?"))
    );
    // Under a key it is looked for in whatever words; what was not there has not used the key, and what was done has.
    let keyed = |text: &str| {
        world.post("/taskforge/v1/actions/github.pr.comment", &json!({"arguments": comment(text), "key": "k"}))
    };
    assert_eq!(keyed("falls in these words").status, 502);
    assert_eq!(keyed("in other words").json()["repeated"], false);
    assert_eq!(github.comments().len(), 2);
    assert_eq!(keyed("falls in these words").code(), "key_reused");
    assert_eq!(github.comments().len(), 2);
}

#[test]
fn what_servers_refuse_is_told_and_a_redirect_gets_no_credential() {
    let elsewhere = Upstream::start(|_, wire| wire.json("{}"));
    let port = elsewhere.port;
    let github = Github::start(move |_, line, _, wire| {
        let head = |status: &str, more: &str| format!("HTTP/1.1 {status}\r\n{more}content-length: 2\r\n\r\n{{}}");
        if line.contains("/octo/other-moved") {
            wire.write(head("301 Moved Permanently", &format!("location: http://127.0.0.1:{port}/repos/x/y\r\n")));
        } else if line.contains("/octo/other-busy") {
            wire.write(head("429 Too Many Requests", "retry-after: 30\r\n"));
        } else if line.contains("/octo/other-limit") {
            wire.write(head("403 Forbidden", "x-ratelimit-remaining: 0\r\nx-ratelimit-reset: 99999999999\r\n"));
        } else if line.contains("/octo/other-junk") {
            wire.answer("200 OK", "text/plain", "not json");
        } else if line.contains("/octo/other-down") {
            wire.answer("503 Service Unavailable", "text/plain", "down");
        } else {
            return false;
        }
        true
    });
    let world = prepared(&github).start();
    for (repo, status, code) in [
        ("octo/other-moved", 502, "moved"),
        ("octo/other-busy", 429, "rate_limited"),
        ("octo/other-limit", 429, "rate_limited"),
        ("octo/other-junk", 502, "service_error"),
        ("octo/other-down", 502, "service_error"),
        ("octo/other-none", 502, "service_refused"),
    ] {
        for (name, more) in [("github.pr.read", json!({})), ("github.pr.comment", json!({"body": "b"}))] {
            if (name, code) == ("github.pr.comment", "service_error") {
                continue;
            }
            let mut arguments = json!({"repo": repo, "number": 7});
            arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let refused = act(&world, name, &arguments);
            assert_eq!((refused.status, refused.code().as_str()), (status, code), "{name} {repo}: {}", refused.json());
        }
    }
    let busy = act(&world, "github.pr.comment", &json!({"repo": "octo/other-busy", "number": 7, "body": "b"}));
    assert_eq!(busy.header("retry-after").as_deref(), Some("30"));
    assert!(elsewhere.got().is_empty());
    assert!(github.comments().is_empty());
    assert_eq!(
        github.server.got().iter().filter(|got| got.head.contains("other-down")).count(),
        3,
        "what reads is asked again"
    );
}

#[test]
fn an_intent_that_cannot_be_recorded_is_not_done() {
    let github = Github::quiet();
    let world = prepared(&github).start();
    assert_eq!(act(&world, "github.pr.comment", &comment("first")).status, 200);
    let (bodies, aside) = (world.dir().join("bodies"), world.dir().join("aside"));
    std::fs::rename(&bodies, &aside).unwrap();
    // Too large to stand in the record itself, and nowhere to put it.
    let second = comment(&"x".repeat(10_000));
    let refused = act(&world, "github.pr.comment", &second);
    assert_eq!((refused.status, refused.code().as_str()), (507, "record_failed"), "{}", refused.json());
    assert_eq!(github.comments().len(), 1);
    std::fs::rename(&aside, &bodies).unwrap();
    assert_eq!(act(&world, "github.pr.comment", &second).json()["repeated"], false);
    assert_eq!(github.comments().len(), 2);
}

#[test]
fn a_limit_holds_over_runs_and_restarts_and_a_revocation_at_once() {
    let github = Github::quiet();
    let mut limited = rule("github.pr.comment", "role reviewer");
    limited.rules.limit = Some(ActionLimit::parse("2/hour").unwrap());
    let mut world = prepared(&github);
    world.policy.attempts[0].actions = vec![limited.clone()];
    let mut world = world.start();
    assert_eq!(act(&world, "github.pr.comment", &comment("one")).status, 200);
    // What is done already takes nothing.
    assert_eq!(act(&world, "github.pr.comment", &comment("one")).status, 200);
    world.restart();
    // Another run of the same role, whose gate counts in the same place.
    let mut other = prepared(&github);
    other.spent = world.spent.clone();
    other.policy.attempts[0].actions = vec![limited];
    let other = other.start();
    assert_eq!(act(&other, "github.pr.comment", &comment("two")).status, 200);
    for gate in [&world, &other] {
        let limit = act(gate, "github.pr.comment", &comment("three"));
        assert_eq!((limit.status, limit.code().as_str()), (429, "action_limit"));
        let wait: u64 = limit.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=3600).contains(&wait), "{wait}");
    }
    assert_eq!(github.comments().len(), 2);
    // By a grant, until it is taken back.
    let id = "01JD2Z3V5Q8M4K7N9P1R2S3T4V";
    world.policy.attempts[0].actions = vec![rule("github.pr.comment", &format!("request {id}"))];
    world.policy.attempts[0].grants = vec![Grant {
        until: None,
        request: RequestId::parse(id).unwrap(),
        capability: Capability::parse("action:github.pr.comment,repo=octo/demo").unwrap(),
    }];
    world.apply();
    assert_eq!(act(&world, "github.pr.comment", &comment("by grant")).status, 200);
    world.policy.attempts[0].actions.clear();
    world.policy.attempts[0].grants.clear();
    world.apply();
    assert_eq!(act(&world, "github.pr.comment", &comment("too late")).code(), "action_not_allowed");
    world.kill();
    wait("the kill to be in force", || act(&world, "github.pr.comment", &comment("dead")).code() == "killed");
    assert_eq!(github.comments().len(), 3);
}

#[test]
fn a_service_that_is_not_set_up_and_a_secret_that_is_not_there_are_named() {
    let github = Github::quiet();
    let mut world = prepared(&github);
    world.policy.services.github = None;
    let mut world = world.start();
    let missing = act(&world, "github.pr.comment", &comment("x"));
    assert_eq!((missing.status, missing.code().as_str()), (503, "service_missing"));
    world.policy.services.github =
        Some(Endpoint { base_url: github.base(), key: Some("vault:none".into()), timeout_ms: None });
    world.apply();
    let missing = act(&world, "github.pr.comment", &comment("x"));
    assert!(missing.json()["error"]["message"].as_str().unwrap().contains("vault:none"), "{}", missing.json());
    assert!(github.server.got().is_empty());
}

#[test]
fn the_same_thing_in_other_words_is_the_same_thing() {
    let github = Github::quiet();
    let world = prepared(&github).start();
    assert_eq!(act(&world, "github.pr.comment", &comment("once")).json()["repeated"], false);
    for same in [
        json!({"repo": "octo/demo", "number": "7", "body": "once"}),
        json!({"repo": "Octo/Demo", "number": 7, "body": "once"}),
    ] {
        let again = act(&world, "github.pr.comment", &same).json();
        assert_eq!(again["repeated"], true, "{again}");
    }
    assert_eq!(github.comments().len(), 1);
    let review = |more: Value| {
        let mut arguments = json!({"repo": "octo/demo", "number": 7, "verdict": "COMMENT", "body": "b"});
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        act(&world, "github.review.submit", &arguments).json()["repeated"].clone()
    };
    assert_eq!(review(json!({})), false);
    assert_eq!(review(json!({"commit": null, "comments": []})), true);
    assert_eq!(review(json!({"comments": [{"path": "a", "line": 1, "body": "x"}]})), false);
    assert_eq!(review(json!({"comments": [{"path": "a", "line": "1", "body": "x", "side": "RIGHT"}]})), true);
}

#[test]
fn an_answer_that_says_nothing_of_what_was_written_is_no_success() {
    let github = Github::start(|_, line, got, wire| {
        static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());
        let body = String::from_utf8_lossy(&got.body).into_owned();
        if line.starts_with("POST") && !SEEN.lock().unwrap().contains(&body) {
            SEEN.lock().unwrap().push(body);
            wire.answer("200 OK", "text/html", "<h1>Sign in to the proxy</h1>");
            return true;
        }
        false
    });
    let world = prepared(&github);
    std::fs::write(world.root.path().join("settles"), "0").unwrap();
    let world = world.start();
    let unclear = act(&world, "github.pr.comment", &comment("lost"));
    assert_eq!((unclear.status, &unclear.json()["error"]["unclear"]), (502, &json!(true)), "{}", unclear.json());
    assert_eq!(github.comments().len(), 0);
    let done = act(&world, "github.pr.comment", &comment("lost"));
    assert_eq!((done.status, github.comments().len()), (200, 1), "{}", done.json());
}

#[test]
fn what_is_done_for_others_counts_against_their_limits() {
    let github = Github::quiet();
    let mut world = prepared(&github);
    let above = Counted { by: "agent ada".into(), limit: ActionLimit::parse("3/hour").unwrap() };
    let actions = ["role worker", "role helper"].map(|by| {
        let mut own = rule("github.pr.comment", by);
        own.rules.limit = Some(ActionLimit::parse("2/hour").unwrap());
        own.counts = vec![above.clone()];
        own
    });
    world.policy.attempts[0].actions = vec![actions[0].clone()];
    let mut other = world.attempt("b1", "write", 1);
    other.actions = vec![actions[1].clone()];
    world.policy.attempts.push(other);
    let world = world.start();
    let helped = |text: &str| {
        let body = json!({"arguments": comment(text)}).to_string();
        super::http::request(&world.socket("b1"), "POST", "/taskforge/v1/actions/github.pr.comment", body.as_bytes())
    };
    assert_eq!(act(&world, "github.pr.comment", &comment("1")).status, 200);
    assert_eq!(act(&world, "github.pr.comment", &comment("2")).status, 200);
    assert!(act(&world, "github.pr.comment", &comment("3")).json().to_string().contains("by role worker"));
    assert_eq!(helped("4").status, 200);
    // Its own limit has room; that of the one they both work for has none.
    let refused = helped("5");
    assert_eq!((refused.status, refused.code().as_str()), (429, "action_limit"));
    assert!(refused.json().to_string().contains("by agent ada"), "{}", refused.json());
    assert_eq!(github.comments().len(), 3);
}

#[test]
fn a_list_is_bounded_in_all_and_its_texts_are_short() {
    let github = Github::start(|_, line, _, wire| {
        if !line.contains("/pulls?") {
            return false;
        }
        let pull = json!({"number": 1, "title": "t", "body": "x".repeat(70_000), "head": {}, "base": {}});
        let body = json!(vec![pull; 100]).to_string();
        wire.write(format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nlink: <http://x.test>; rel=\"next\"\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ));
        true
    });
    let world = prepared(&github).start();
    let listed = act(&world, "github.pr.list", &json!({"repo": "octo/demo"}));
    assert_eq!(listed.status, 200);
    let result = &listed.json()["result"];
    assert_eq!((result["pulls"].as_array().unwrap().len(), &result["truncated"]), (300, &json!(true)));
    assert_eq!(github.server.got().len(), 3, "16 MiB are the most");
    let first = &result["pulls"][0];
    assert!(first["body"].as_str().unwrap().len() < 2100 && first["truncated"] == true, "{first}");
    assert!(first["title"] == "t");
}
