//! Asked, granted, used, revoked: while one attempt runs.

use crate::signed::{DECISION, allow, make_key, public, ssh_keygen_verifies};

use super::server::Server;
use super::stage::{RUN, complete, hear, records, said, stage, stage_with, start, tick_until, wait_for_request};

#[test]
fn a_way_out_opens_for_the_running_agent_and_is_cut_when_it_is_revoked() {
    let server = Server::start();
    let host = server.host();
    let scene = stage(&format!(
        r#"
say(get("http://{host}/early"))
say(*ask("net:{host}"))
say(get("http://{host}/granted"))
held = urllib.request.urlopen("http://{host}/hold", timeout=100)
held.read(1)
say("holding")
try:
    held.read()
    say("the answer came whole")
except Exception as error:
    say("cut")
say(get("http://{host}/late"))
say(*ask("net:{host}"))
"#
    ));
    start(&scene);
    assert_eq!(said(&scene), ["capability_required"]);
    let (id, _) = scene.the_one(RUN);
    let shown = scene.tf(&["approve", &id, "--show"]).ok();
    shown.says(&format!("The gate connects it to 127.0.0.2, port {}, by HTTP and HTTPS", server.port));
    shown.says("this machine itself").says("For node work of run r1, at once").says("  | for the test");
    scene.approve(RUN);
    hear(&scene, "holding");
    // No new attempt, no image: the same container got its answer.
    assert_eq!(scene.events(RUN, "node.started").len(), 1);
    assert_eq!(scene.events(RUN, "image.building").len(), 0);
    let said_then = said(&scene);
    assert!(said_then[1].starts_with("0 ") && said_then[1].contains("'status': 'approved'"), "{said_then:?}");
    assert!(said_then[1].contains(&format!("'granted': ['net:{host}']")), "{said_then:?}");
    assert_eq!(said_then[2], "hello");
    let listed = scene.tf(&["capability", "list", "--json"]).ok().json();
    assert_eq!(
        (&listed["requests"][0]["status"], &listed["requests"][0]["by"]),
        (&"applied".into(), &"operator:ada".into())
    );

    let revoked = scene.tf(&["capability", "revoke", &id[..20], "--reason", "that is enough"]).ok();
    revoked.says(&format!("Revoked net:{host} of run r1: the gate has cut its connections."));
    // It is cut when the command returns.
    assert_eq!(records(&scene, "egress.ended").last().unwrap()["verdict"], "revoked");
    tick_until(&scene, "the server's end of it", || (server.cuts() == 1).then_some(()));
    hear(&scene, "cut");
    let event = &scene.events(RUN, "capability.revoked")[0];
    assert_eq!(
        (event["actor"].as_str(), event["data"]["reason"].as_str()),
        (Some("operator:ada"), Some("that is enough"))
    );
    scene.tf(&["capability", "revoke", &id, "--reason", "again"]).exits(7).complains("is revoked");
    scene.tf(&["capability", "revoke", "01ZZ", "--reason", "x"]).exits(3).complains("no request called");
    // What was taken back can be asked for again, and is decided again.
    wait_for_request(&scene);
    let (again, digest) = scene.the_one(RUN);
    assert_ne!(again, id);
    scene.tf(&["deny", &again, "--digest", &digest, "-m", "no more"]).ok();
    complete(&scene);
    let said = said(&scene);
    assert_eq!(said[4..6], ["cut", "capability_required"]);
    assert!(said[6].starts_with("4 ") && said[6].contains("no more"), "{said:?}");
    let seen: Vec<String> = server.seen();
    assert_eq!(seen, ["GET /granted HTTP/1.1", "GET /hold HTTP/1.1"]);
    scene.is_sound(RUN);
}

#[test]
fn a_denied_way_stays_closed() {
    let server = Server::start();
    let host = server.host();
    let scene =
        stage(&format!("say(*ask(\"net:{host}\"))\nsay(get(\"http://{host}/\"))\nsay(*ask(\"net:{host}\", 0))"));
    start(&scene);
    let (id, digest) = scene.the_one(RUN);
    scene.tf(&["deny", &id, "--digest", &digest, "-m", "use the files"]).ok();
    complete(&scene);
    let said = said(&scene);
    assert!(said[0].starts_with("4 ") && said[0].contains("use the files"), "{said:?}");
    assert_eq!(said[1], "capability_required");
    assert!(said[2].starts_with("4 "), "asking again is answered the same: {said:?}");
    assert!(server.seen().is_empty());
}

#[test]
fn a_signed_suggestion_reaches_the_agent_which_asks_for_that() {
    let server = Server::start();
    let host = server.host();
    let scene = stage(&format!(
        "say(*ask(\"net:elsewhere.example:443\"))\nsay(*ask(\"net:{host}\"))\nsay(get(\"http://{host}/\"))"
    ));
    let key = make_key(&scene.outside("home/.ssh/id_ed25519"), "ed25519", &[]);
    allow(&scene, &format!("ada {}", public(&key)));
    start(&scene);
    let (first, digest) = scene.the_one(RUN);
    let suggest =
        |instead: &str| scene.tf(&["suggest", &first, instead, "--digest", &digest, "-m", "that host has the same"]);
    suggest("net:nonsense").exits(2);
    suggest(&format!("net:{host}")).ok().says("Answered with an alternative net:elsewhere.example:443");
    ssh_keygen_verifies(&scene, "ada", DECISION, &scene.path(&format!("decisions/{first}.json")));
    suggest(&format!("net:{host}")).exits(7).complains("was decided already");
    wait_for_request(&scene);
    let (second, _) = scene.the_one(RUN);
    assert_ne!(first, second);
    scene.approve(RUN);
    complete(&scene);
    let said = said(&scene);
    assert!(said[0].starts_with("4 ") && said[0].contains("'status': 'superseded'"), "{said:?}");
    assert!(
        said[0].contains(&format!("'alternative': ['net:{host}']")) && said[0].contains("has the same"),
        "{said:?}"
    );
    assert!(said[1].contains("'status': 'approved'"), "{said:?}");
    assert_eq!(said[2], "hello");
    let listed = scene.tf(&["capability", "list", "--json"]).ok().json();
    assert_eq!(listed["requests"][0]["status"], "superseded");
    scene.tf(&["audit", "verify", RUN]).ok().says("2 signed decisions");
    scene.is_sound(RUN);
    // What one has said of a request is what its file says: another alternative is another's word.
    let file = format!("decisions/{first}.json");
    let text = scene.read(&file).replace(&format!("net:{host}"), "net:evil.example:443");
    scene.write(&file, text);
    scene.tf(&["audit", "verify", RUN]).exits(8).says("does not fit what it lies beside");
}

#[test]
fn what_the_workflow_declares_is_asked_before_the_first_attempt() {
    let server = Server::start();
    let host = server.host();
    let scene = stage_with(&format!("say(get(\"http://{host}/\"))"), &format!("capabilities: [\"net:{host}\"]"));
    start(&scene);
    assert!(scene.events(RUN, "node.started").is_empty());
    scene.approve(RUN);
    complete(&scene);
    assert_eq!(said(&scene), ["hello"]);
    // Nobody ran, so that it was in force by the word alone.
    let order: Vec<String> = scene.journal(RUN).iter().map(|line| line["event"].as_str().unwrap().to_owned()).collect();
    let at = |name: &str| order.iter().position(|event| event == name).unwrap();
    assert!(at("capability.applied") < at("node.started"), "{order:?}");
    scene.is_sound(RUN);
}

#[test]
fn an_agent_that_suspends_goes_on_with_what_was_granted_meanwhile() {
    let server = Server::start();
    let host = server.host();
    let scene =
        stage(&format!("code, _ = ask(\"net:{host}\", 0)\nif code: sys.exit(code)\nsay(get(\"http://{host}/\"))"));
    scene.start("granted", RUN);
    scene.drive(RUN, 11);
    scene.approve(RUN);
    complete(&scene);
    assert_eq!(said(&scene), ["hello"]);
    assert_eq!(scene.events(RUN, "node.started").len(), 2);
    scene.is_sound(RUN);
}

/// The container of the gate finds names as the host does; what a name leads to is judged all the same.
#[test]
fn a_name_is_looked_up_by_the_gate_and_its_address_has_to_be_granted() {
    let server = Server::at("127.0.0.1");
    let (name, address) = (format!("localhost:{}", server.port), format!("127.0.0.1:{}", server.port));
    // Past `NO_PROXY`, which keeps clients from asking the gate for this name.
    let scene = stage_with(
        &format!(
            r#"
import http.client
def ask_proxy():
    proxy = http.client.HTTPConnection("127.0.0.1", 4180)
    proxy.request("GET", "http://{name}/", headers={{"host": "{name}"}})
    answer = proxy.getresponse()
    body = answer.read().decode()
    return body if answer.status == 200 else json.loads(body)["error"]
refused = ask_proxy()
say(refused["code"])
say(ask("net:{address}")[0])
say(ask_proxy())
"#
        ),
        &format!("capabilities: [\"net:{name}\"]"),
    );
    start(&scene);
    scene.approve(RUN);
    wait_for_request(&scene);
    assert_eq!(scene.waiting(RUN)[0]["what"], format!("net:{address}"));
    scene.approve(RUN);
    complete(&scene);
    assert_eq!(said(&scene), ["address_refused", "0", "hello"]);
}

#[test]
fn a_model_can_be_granted_and_revoked() {
    let scene = stage(
        r#"
def models():
    return [model["id"] for model in json.loads(get("http://127.0.0.1:4180/v1/models"))["data"]]
def chat():
    body = json.dumps({"model": "other-1", "messages": [{"role": "user", "content": "hi"}]}).encode()
    request = urllib.request.Request("http://127.0.0.1:4180/v1/chat/completions", body, {"content-type": "application/json"})
    try:
        return get(request)
    except OSError:
        return "cut"
say(chat())
say(*ask("llm:other-*"))
say(chat())
import time
while chat() != "model_not_granted": time.sleep(0.05)
say("gone")
"#,
    );
    scene.write("workflows/other.jsonl", "");
    start(&scene);
    assert_eq!(said(&scene), ["model_not_granted"]);
    let (id, _) = scene.the_one(RUN);
    scene.tf(&["approve", &id, "--show"]).ok().says("every model whose name fits other-*");
    scene.approve(RUN);
    tick_until(&scene, "an answer", || (said(&scene).len() >= 3).then_some(()));
    // Granted, so that it goes to the provider of the settings, which is not there.
    assert_eq!(said(&scene)[2], "upstream_error");
    scene.tf(&["capability", "revoke", &id, "--reason", "done"]).ok();
    complete(&scene);
    assert_eq!(said(&scene).last().unwrap(), "gone");
}

/// What an agent has asked for is there to be seen before any tick has heard it.
#[test]
fn what_no_tick_has_taken_in_yet_is_counted() {
    let scene = stage("ask('net:untaken.example:443')");
    scene.start("granted", RUN);
    let begun = std::time::Instant::now();
    let inbox = loop {
        let inbox = scene.tf(&["inbox", "--json"]).ok().json();
        if inbox["untaken"] != serde_json::json!([]) {
            break inbox;
        }
        assert!(begun.elapsed().as_secs() < 300, "{inbox:#}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    assert_eq!(inbox["waiting"], serde_json::json!([]), "{inbox:#}");
    assert_eq!(inbox["untaken"], serde_json::json!([{"run": RUN, "messages": 1}]), "{inbox:#}");
    scene.tf(&["inbox"]).ok().says("Run r1: 1 message(s) of its agents to be taken in: `taskforge tick r1`.");
    scene.tf(&["inbox", "--run", RUN]).ok().says("1 message(s)");
    scene.tf(&["tick", RUN]).ok();
    let inbox = scene.tf(&["inbox", "--json"]).ok().json();
    assert_eq!(
        (&inbox["untaken"], inbox["waiting"].as_array().unwrap().len()),
        (&serde_json::json!([]), 1),
        "{inbox:#}"
    );
}
