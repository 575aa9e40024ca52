//! A run whose agent uses secrets and actions that it never sees: asked, granted, used, revoked.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::{identity, set, vault};
use crate::gate::tls::{TlsServer, answer, fixture};
use crate::gate::upstream::Upstream;
use crate::granted::stage::{PRELUDE, RUN, complete, hear, records, said, tick_until, wait_for_request};
use crate::scene::Scene;

const TOKEN: &str = "ghp_5up3rS3cr3tT0kenOfTheVault0123456789";

/// [`crate::granted::stage::stage`] with a vault.
pub fn stage(script: &str) -> Scene {
    let scene = vault();
    let command = json!(["python3", "-c", format!("{PRELUDE}{ACT}\n{script}")]);
    scene.commands("granted", &[("work", &format!("command: {command}"), &["said.txt"])]);
    let bundle = fixture("ca.pem").display().to_string();
    scene.set("extraCa = \"auto\"", &format!("extraCa = \"{bundle}\""));
    scene
}

/// `act(name, **arguments)` gives the exit code and what the verb printed.
pub const ACT: &str = r#"
def act(name, *more, **arguments):
    verb = ["/taskforge/bin/taskforge", "agent", "action", name, *more]
    verb += [f"--arg={key}={value}" for key, value in arguments.items()]
    done = subprocess.run(verb, capture_output=True, text=True)
    return done.returncode, json.loads(done.stdout or "{}")
def code(done):
    return done[1].get("error", {}).get("code")
"#;

fn authorization(head: &str) -> String {
    let line = head.lines().find(|line| line.to_lowercase().starts_with("authorization:"));
    line.map_or_else(String::new, |line| line["authorization:".len()..].trim().to_owned())
}

#[test]
fn a_secret_is_asked_for_granted_used_and_taken_back() {
    let server = TlsServer::start(|got, stream| answer(stream, "200 OK", "", got.head.as_bytes()));
    let host = format!("127.0.0.1:{}", server.port);
    let scene = stage(&format!(
        r#"
url = "http://127.0.0.1:4180/to/{host}/api"
say(get(url))
say(ask("secret:service-token@{host}")[0])
body = get(url)
say("Bearer ****" in body, "5up3r" in body)
say("used")
import time
while get(url) != "capability_required":
    time.sleep(0.05)
say("gone")
"#
    ));
    set(&scene, "service-token", TOKEN);
    scene.start("granted", RUN);
    wait_for_request(&scene);
    let (id, _) = scene.the_one(RUN);
    let shown = scene.tf(&["approve", &id, "--show"]).ok();
    shown.says(&format!("Asked     secret:service-token@{host}"));
    shown.says("with the secret service-token in the header authorization, behind `Bearer`");
    shown.says("It never has the secret").says("this machine itself");
    scene.approve(RUN);
    hear(&scene, "used");
    assert_eq!(said(&scene), ["capability_required", "0", "True False", "used"]);
    assert_eq!(authorization(&server.got()[0].head), format!("Bearer {TOKEN}"));
    // Another value reaches the gate that runs with the next tick.
    set(&scene, "service-token", "another-t0ken-of-the-vault");
    tick_until(&scene, "the other value", || {
        (authorization(&server.got().last().unwrap().head) == "Bearer another-t0ken-of-the-vault").then_some(())
    });
    scene.tf(&["capability", "revoke", &id, "--reason", "that is enough"]).ok();
    hear(&scene, "gone");
    complete(&scene);
    assert_eq!(records(&scene, "egress.allowed")[0]["secrets"], json!(["service-token"]));
    scene.is_sound(RUN);
}

#[test]
fn an_action_is_asked_for_granted_done_once_and_shown() {
    let server = Upstream::start(|got, wire| {
        if got.head.starts_with("GET /repos/octo/demo/pulls/7 ") {
            return wire.json(r#"{"number": 7}"#);
        }
        assert!(got.head.starts_with("POST /repos/octo/demo/issues/7/comments "), "{}", got.head);
        wire.answer("201 Created", "application/json", r#"{"id": 1, "html_url": "u"}"#);
    });
    let scene = stage(
        r#"
say(code(act("github.pr.comment", repo="octo/demo", number=7, body="fine")))
say(ask("action:github.pr.merge,repo=octo/demo")[0], ask("action:github.pr.comment")[0])
say(ask("action:github.pr.comment,repo=octo/demo,limit=2/hour")[0])
done = act("github.pr.comment", repo="octo/demo", number=7, body="fine")
say(done[0], done[1]["repeated"], done[1]["result"]["id"])
say(act("github.pr.comment", repo="octo/demo", number=7, body="fine")[1]["repeated"])
say(code(act("github.pr.comment", repo="octo/other", number=7, body="fine")))
say(code(act("github.pr.comment", repo="octo/demo/../x", number=7, body="fine")))
say(act("github.pr.comment", "--key", "again", repo="octo/demo", number=7, body="fine")[0])
say(code(act("github.pr.comment", repo="octo/demo", number=7, body="a third")))
listed = subprocess.run(["/taskforge/bin/taskforge", "agent", "action"], capture_output=True, text=True).stdout
say(json.loads(listed)["actions"][0]["rules"]["limit"])
"#,
    );
    set(&scene, "github-token", TOKEN);
    let settings = scene.read("taskforge.toml");
    scene.write(
        "taskforge.toml",
        format!(
            "{settings}\n[actions.github]\nbaseUrl = \"http://127.0.0.1:{}\"\ntoken = \"vault:github-token\"\n",
            server.port
        ),
    );
    scene.start("granted", RUN);
    wait_for_request(&scene);
    let (id, _) = scene.the_one(RUN);
    let shown = scene.tf(&["approve", &id, "--show"]).ok();
    shown.says("The gate does github.pr.comment for it, with a credential that only the gate has.");
    shown.says("In the repositories octo/demo, and no others.").says("At most 2/hour.");
    scene.approve(RUN);
    complete(&scene);
    let expected = [
        "action_not_allowed",
        "2 2",
        "0",
        "0 False 1",
        "True",
        "arguments_not_allowed",
        "bad_arguments",
        "0",
        "action_limit",
        "2/hour",
    ];
    assert_eq!(said(&scene), expected);
    assert_eq!(server.got().iter().filter(|got| got.head.starts_with("POST")).count(), 2);
    assert!(server.got().iter().all(|got| authorization(&got.head) == format!("Bearer {TOKEN}")));
    let log = scene.tf(&["action", "log", RUN, "--json"]).ok().json();
    let standings: Vec<&str> =
        log["actions"].as_array().unwrap().iter().map(|act| act["standing"].as_str().unwrap()).collect();
    assert_eq!(standings, ["denied", "done", "denied", "denied", "done", "denied"]);
    let text = scene.tf(&["action", "log", RUN, "--action", "github.pr.comment", "--node", "work"]).ok();
    text.says("octo/demo#7").says(&format!("request {id}")).says("nothing allows github.pr.comment");
    assert_eq!(scene.tf(&["action", "log", RUN, "--node", "other"]).ok().stdout, "No actions.\n");
    let seq = log["actions"][1]["record"]["seq"].to_string();
    let one = scene.tf(&["action", "show", RUN, &seq, "--json"]).ok().json();
    assert_eq!((&one["action"]["arguments"]["body"], &one["action"]["result"]["id"]), (&json!("fine"), &json!(1)));
    scene.tf(&["action", "show", RUN, &seq]).ok().says("\"repo\": \"octo/demo\"").says("action.done");
    scene.tf(&["action", "show", RUN, "99999"]).exits(3);
    scene.is_sound(RUN);
}

#[test]
fn an_action_that_was_taken_back_is_done_no_more() {
    let server = Upstream::start(|_, wire| {
        wire.answer("201 Created", "application/json", r#"{"id": 1, "html_url": "u"}"#);
    });
    let scene = stage(
        r#"
comment = dict(repo="octo/demo", number=7, body="fine")
say(code(act("github.pr.comment", **comment)))
say(ask("action:github.pr.comment,repo=octo/demo")[0])
say(act("github.pr.comment", **comment)[0])
import time
# What was done is only repeated from the record, so that nothing is sent while it waits.
while code(act("github.pr.comment", **comment)) != "action_not_allowed":
    time.sleep(0.05)
say("gone")
"#,
    );
    set(&scene, "github-token", TOKEN);
    let settings = scene.read("taskforge.toml");
    let port = server.port;
    let github = format!("baseUrl = \"http://127.0.0.1:{port}\"\ntoken = \"vault:github-token\"\n");
    scene.write("taskforge.toml", format!("{settings}\n[actions.github]\n{github}"));
    scene.start("granted", RUN);
    wait_for_request(&scene);
    let (id, _) = scene.the_one(RUN);
    scene.approve(RUN);
    tick_until(&scene, "the comment", || (said(&scene).len() == 3).then_some(()));
    scene.tf(&["capability", "revoke", &id, "--reason", "that is enough"]).ok();
    complete(&scene);
    assert_eq!(said(&scene), ["action_not_allowed", "0", "0", "gone"]);
    // The look whether 7 is a pull request's number, and the comment.
    assert_eq!(server.got().len(), 2);
    scene.is_sound(RUN);
}

#[test]
fn a_providers_key_comes_from_the_vault_and_a_locked_one_waits() {
    let server = Upstream::start(|_, wire| {
        wire.json(
            json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0,
                "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}]})
            .to_string(),
        );
    });
    let script = r#"
ask_model = urllib.request.Request("http://127.0.0.1:4180/v1/chat/completions", headers={"content-type": "application/json"},
    data=json.dumps({"model": "scripted", "messages": [{"role": "user", "content": "hi"}]}).encode())
say(json.load(urllib.request.urlopen(ask_model))["choices"][0]["message"]["content"])
"#;
    let scene = stage(script);
    let model =
        format!("model = {{ name = \"scripted\", baseUrl = \"{}\", key = \"vault:model-key\" }}", server.base());
    scene.set("model = \"recorded\"", &model);
    // It is not there: the node waits, and no attempt has begun.
    scene
        .tf(&["run", "start", "granted", "--run-id", RUN, "--detach"])
        .ok()
        .complains("there is no secret `model-key`");
    let missing = scene.tf(&["tick", RUN, "--json"]).exits(3).error();
    assert!(missing["message"].as_str().unwrap().contains("there is no secret `model-key`"), "{missing}");
    assert_eq!(scene.events(RUN, "node.dispatching").len(), 0);
    set(&scene, "model-key", TOKEN);
    // It is, and the identity is not: it waits on.
    let away = scene.outside("away.key");
    fs::rename(identity(&scene), &away).unwrap();
    scene.tf(&["tick", RUN]).exits(3).complains("there is no identity");
    assert!(server.got().is_empty());
    assert_eq!(scene.events(RUN, "node.dispatching").len(), 0);
    fs::rename(&away, identity(&scene)).unwrap();
    complete(&scene);
    assert_eq!(said(&scene), ["hello"]);
    assert_eq!(authorization(&server.got()[0].head), format!("Bearer {TOKEN}"));
    scene.is_sound(RUN);
    // One key, please; and a key itself is none.
    for (key, part) in [
        ("key = \"vault:a\", keyEnv = \"B\"", "one of them"),
        (&format!("key = \"{TOKEN}\""), "expected a model's name"),
    ] {
        let text = scene.read("taskforge.toml").replace("key = \"vault:model-key\"", key);
        let before = scene.read("taskforge.toml");
        scene.write("taskforge.toml", text);
        let refused = scene.tf(&["llm", "models", "--json"]).exits(2).error();
        let message = refused["message"].as_str().unwrap();
        assert!(message.contains(part) && !message.contains(TOKEN), "{message}");
        scene.write("taskforge.toml", before);
    }
}

#[test]
fn a_gate_has_the_keys_of_what_its_run_can_reach_and_a_grant_brings_one_more() {
    let server = Upstream::start(|_, wire| {
        wire.json(
            json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0,
                "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}]})
            .to_string(),
        );
    });
    let scene = stage(
        r#"
def chat(model):
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}]}).encode()
    asked = urllib.request.Request("http://127.0.0.1:4180/v1/chat/completions", data=body, headers={"content-type": "application/json"})
    return json.load(urllib.request.urlopen(asked))["choices"][0]["message"]["content"]
say(chat("scripted"))
say(ask("llm:other-large")[0])
say(chat("other-large"))
"#,
    );
    let model =
        format!("model = {{ name = \"scripted\", baseUrl = \"{}\", key = \"vault:model-key\" }}", server.base());
    scene.set("model = \"recorded\"", &model);
    let provider = |name: &str| {
        let (base, key) = (server.base(), format!("vault:{name}-key"));
        format!(
            "\n[llm.providers.{name}]\nkind = \"openai\"\nbaseUrl = \"{base}\"\nkey = \"{key}\"\n\n[[llm.models]]\nmatch = \"{name}-*\"\nprovider = \"{name}\"\n"
        )
    };
    // Before the first rule: the last one takes every name.
    let more = format!("{}{}\n[[llm.models]]", provider("other"), provider("third"));
    scene.write("taskforge.toml", scene.read("taskforge.toml").replacen("[[llm.models]]", &more, 1));
    // Of the third there is no key, and nobody here needs it.
    set(&scene, "model-key", TOKEN);
    set(&scene, "other-key", "another-t0ken-of-the-vault");
    scene.start("granted", RUN);
    wait_for_request(&scene);
    let secrets = || scene.json(&format!("runs/{RUN}/gate/policy.json"))["secrets"].as_object().unwrap().clone();
    assert_eq!(secrets().keys().collect::<Vec<_>>(), ["vault:model-key"]);
    scene.approve(RUN);
    complete(&scene);
    assert_eq!(said(&scene), ["hello", "0", "hello"]);
    let seen: Vec<String> = server.got().iter().map(|got| authorization(&got.head)).collect();
    assert_eq!(seen, [format!("Bearer {TOKEN}"), "Bearer another-t0ken-of-the-vault".to_owned()]);
    scene.is_sound(RUN);
}

#[test]
fn a_role_allows_what_its_config_names_and_an_agent_has_counts_of_its_own() {
    let server = Upstream::start(|_, wire| wire.answer("201 Created", "application/json", r#"{"id": 1}"#));
    let scene = vault();
    set(&scene, "github-token", TOKEN);
    let settings = scene.read("taskforge.toml");
    let service = format!("baseUrl = \"http://127.0.0.1:{}\"\ntoken = \"vault:github-token\"\n", server.port);
    scene.write("taskforge.toml", format!("{settings}\n[actions.github]\n{service}"));
    let config = "config: {github: {repositories: [octo/*], verdicts: [COMMENT]}, limits: {github.pr.comment: 1/hour}}";
    let actions = format!("allowedActions: [github.pr.comment, github.review.submit]\n{config}");
    crate::hired::hire(&scene, "ada", &actions);
    let script = r#"
say(act("github.pr.comment", repo="octo/demo", number=7, body="fine")[0])
say(code(act("github.pr.comment", repo="evil/demo", number=7, body="fine")))
say(code(act("github.pr.comment", repo="octo/demo", number=7, body="another")))
say(act("github.review.submit", repo="octo/demo", number=7, verdict="COMMENT", body="fine")[0])
say(code(act("github.review.submit", repo="octo/demo", number=7, verdict="APPROVE", body="fine")))
say(code(act("github.pr.list", repo="octo/demo")))
"#;
    let command = json!(["python3", "-c", format!("{PRELUDE}{ACT}\n{script}")]);
    scene.commands("granted", &[("work", &format!("command: {command}\nagent: ada"), &["said.txt"])]);
    scene.start("granted", RUN);
    complete(&scene);
    let expected = ["0", "arguments_not_allowed", "action_limit", "0", "arguments_not_allowed", "action_not_allowed"];
    assert_eq!(said(&scene), expected);
    assert_eq!(server.got().iter().filter(|got| got.head.starts_with("POST")).count(), 2);
    assert_eq!(records(&scene, "action.requested")[0]["by"], "agent ada");
}

/// A mail server that takes each mail whole and says nothing of it; how many it has.
fn silent_mail_server() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, mails) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let count = mails.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut answers = stream.try_clone().unwrap();
            let _ = answers.write_all(b"220 silent\r\n");
            let (mut lines, mut data) = (BufReader::new(stream), false);
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|length| length > 0) {
                let said = match (data, line.trim_end()) {
                    (true, ".") => {
                        count.fetch_add(1, Ordering::SeqCst);
                        break;
                    }
                    (true, _) => "",
                    (false, "DATA") => {
                        data = true;
                        "354 go on\r\n"
                    }
                    (false, _) => "250 ok\r\n",
                };
                let _ = answers.write_all(said.as_bytes());
                line.clear();
            }
        }
    });
    (port, mails)
}

/// An agent that sends a mail of which nobody knows whether it is sent, and goes on with `script`; and how many were.
fn unclear_mail(script: &str) -> (Scene, Arc<AtomicUsize>) {
    let (port, mails) = silent_mail_server();
    let begin = r#"
import time
mail = {"to": "ada@example.org", "subject": "once", "body": "b"}
say(ask("action:email.send,to=ada@example.org")[0])
say(act("email.send", **mail)[0] != 0, code(act("email.send", **mail)))
say("unclear")
"#;
    let scene = stage(&format!("{begin}{script}"));
    let settings = scene.read("taskforge.toml");
    let service =
        format!("[actions.email]\nserver = \"127.0.0.1:{port}\"\ntls = \"none\"\nfrom = \"agent@example.org\"\n");
    scene.write("taskforge.toml", format!("{settings}\n{service}"));
    scene.start("granted", RUN);
    wait_for_request(&scene);
    scene.approve(RUN);
    hear(&scene, "unclear");
    (scene, mails)
}

#[test]
fn what_is_unclear_is_told_to_people_and_warned_of_at_the_end() {
    let (scene, _) = unclear_mail("");
    complete(&scene);
    let warned = scene.tf(&["audit", "verify", RUN]).ok();
    warned
        .says("whether email.send to ada@example.org by node work was done is not known")
        .says("taskforge action settle");
}

#[test]
fn an_agent_hears_how_a_person_settled_what_was_unclear() {
    let (scene, mails) = unclear_mail(
        r#"
done = act("email.send", **mail)
while done[0] != 0:
    time.sleep(0.1)
    done = act("email.send", **mail)
say(done[1]["repeated"], done[1]["result"]["settled"], done[1]["result"]["comment"])
"#,
    );
    let standing =
        || scene.tf(&["action", "log", RUN, "--action", "email.send", "--json"]).ok().json()["actions"][0].clone();
    let act = standing();
    assert_eq!(act["standing"], "unclear", "{act}");
    let seq = act["record"]["seq"].to_string();
    let listed = |more: &[&str]| {
        let found = scene.tf(&[&["action", "log", RUN, "--json"], more].concat()).ok().json();
        found["actions"].as_array().unwrap().len()
    };
    assert_eq!((listed(&["--unclear"]), listed(&["--denied"]), listed(&["--denied", "--unclear"])), (1, 0, 1));
    assert_eq!((listed(&["--since", "2h"]), listed(&["--since", "2999-01-01T00:00:00Z"])), (1, 0));
    assert_eq!((listed(&["--last", "1"]), listed(&["--last", "0"])), (1, 0));
    scene.tf(&["action", "log", RUN, "--since", "soon"]).exits(2).complains("is neither a time");
    let command = format!("taskforge action settle {RUN} {seq} --done|--not-done --comment TEXT");
    scene.tf(&["run", "show", RUN]).ok().says(&command);
    let doctor = scene.tf(&["doctor"]).printed();
    assert!(doctor.contains(&command), "{doctor}");
    scene.tf(&["action", "settle", RUN, &seq, "--comment", "x"]).exits(2);
    scene.tf(&["action", "settle", RUN, "99999", "--done", "--comment", "x"]).exits(3);
    scene.tf(&["action", "settle", RUN, &seq, "--done", "--comment", "It is in the outbox."]).ok();
    assert!(!scene.tf(&["run", "show", RUN]).ok().stdout.contains(&command), "it is settled");
    complete(&scene);
    assert_eq!(said(&scene), ["0", "True action_unclear", "unclear", "True done It is in the outbox."]);
    assert_eq!(mails.load(Ordering::SeqCst), 1);
    assert_eq!(scene.events(RUN, "action.settled").len(), 1);
    // What is settled is settled.
    assert_ne!(scene.tf(&["action", "settle", RUN, &seq, "--not-done", "--comment", "no"]).any(), Some(0));
    scene.is_sound(RUN);
}
