//! `email.*` against a real mail server, which `tests/setup.sh ensure_smtp` gets from PyPI.

use std::io::{BufRead as _, BufReader};
use std::net::Ipv4Addr;
use std::process::{Child, ChildStdout, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use taskforge::gate::records::Kind;
use taskforge::gate::{AllowedAction, MailServer, MailTls};
use taskforge::run::capability::ActionRules;
use taskforge::run::event::Settled;

use super::tls::fixture;
use super::world::World;
use super::{crash, world::wait};
use crate::model_server::repository;
use crate::python::environment;

const PASSWORD: &str = "smtp-p4ssw0rd-of-tests";

struct Smtp {
    child: Child,
    said: BufReader<ChildStdout>,
    port: u16,
}

impl Smtp {
    fn start(mode: &str) -> Self {
        let python = environment("taskforge-smtp", "SMTP_VERSION", "ensure_smtp").join("bin/python");
        let script = repository("tests/fixtures/smtp_server.py");
        let folder = fixture("");
        let mut child = Command::new(python)
            .arg(script)
            .arg(mode)
            .arg(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        let port = serde_json::from_str::<Value>(&line).unwrap()["port"].as_u64().unwrap();
        Self { child, said, port: u16::try_from(port).unwrap() }
    }

    /// The next mail that it takes.
    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn world(server: &str, tls: MailTls, from: &str) -> World {
    let mut world = World::new("http://127.0.0.1:1/v1");
    std::fs::copy(fixture("ca.pem"), world.root.path().join("no-bundle")).unwrap();
    std::fs::write(world.root.path().join("secrets/keys.json"), json!({"vault:mail": PASSWORD}).to_string()).unwrap();
    world.policy.hosts.insert("api.test".into(), vec![Ipv4Addr::LOCALHOST.into()]);
    let login = tls != MailTls::None;
    world.policy.services.email = Some(MailServer {
        server: server.into(),
        tls,
        user: login.then(|| "agent".into()),
        key: login.then(|| "vault:mail".into()),
        from: from.into(),
    });
    let rules = ActionRules {
        recipients: ["ada@example.org", "*@team.example", "refuse@example.org"].map(str::to_owned).into(),
        ..ActionRules::default()
    };
    for name in ["email.send", "email.draft"] {
        world.policy.attempts[0].actions.push(AllowedAction {
            by: "role secretary".into(),
            name: name.into(),
            rules: rules.clone(),
            counts: Vec::new(),
        });
    }
    world
}

fn send(world: &World, arguments: &Value) -> super::http::Answer {
    world.post("/taskforge/v1/actions/email.send", &json!({"arguments": arguments}))
}

/// Headers and the decoded body.
fn parts(mail: &Value) -> (String, String) {
    let text = mail["mail"].as_str().unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let body = STANDARD.decode(body.replace("\r\n", "")).unwrap();
    (head.replace("\r\n ", " "), String::from_utf8(body).unwrap())
}

#[test]
fn mail_goes_by_tls_with_the_password_that_only_the_gate_has() {
    for (mode, tls) in [("starttls", MailTls::Starttls), ("implicit", MailTls::Implicit)] {
        let mut smtp = Smtp::start(mode);
        let world = world(&format!("api.test:{}", smtp.port), tls, "agent@example.org").start();
        let body = "Dear Ada,\n.\nyours – the agent";
        let mail = json!({"to": ["ada@example.org", "bob@team.example"], "subject": "Größe: über 75 Zeichen, damit mehr als ein Wort daraus wird, ja?", "body": body});
        let done = send(&world, &mail);
        assert_eq!(done.status, 200, "{}", done.json());
        let got = smtp.next();
        assert_eq!((got["tls"].as_bool(), got["user"].as_str()), (Some(true), Some("agent")), "{mode}");
        assert_eq!(
            (got["sender"].as_str(), &got["to"]),
            (Some("agent@example.org"), &json!(["ada@example.org", "bob@team.example"]))
        );
        let (head, said) = parts(&got);
        assert_eq!(said, body.replace('\n', "\r\n"));
        assert!(head.contains("To: ada@example.org, bob@team.example\r\n"), "{head}");
        let subject: String = head
            .lines()
            .find_map(|line| line.strip_prefix("Subject: "))
            .unwrap()
            .split(' ')
            .map(|word| String::from_utf8(STANDARD.decode(&word[10..word.len() - 2]).unwrap()).unwrap())
            .collect();
        assert_eq!(subject, mail["subject"]);
        assert!(head.lines().all(|line| line.is_ascii()));
        // The same again is the same: the server takes nothing more.
        let again = send(&world, &mail).json();
        assert_eq!((&again["repeated"], &again["result"]), (&json!(true), &done.json()["result"]));
        let other = json!({"to": "ada@example.org", "subject": "two", "body": "b"});
        assert_eq!(send(&world, &other).status, 200);
        assert!(parts(&smtp.next()).0.contains("Subject: two\r\n"));
        for (path, bytes) in world.files() {
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains(PASSWORD), "{}", path.display());
        }
    }
}

#[test]
fn who_is_not_named_gets_nothing_and_no_header_is_the_agents() {
    let mut smtp = Smtp::start("plain");
    let world = world(&format!("127.0.0.1:{}", smtp.port), MailTls::None, "agent@example.org").start();
    for (to, subject, status, code) in [
        (json!(["ada@example.org", "eve@evil.example"]), "s", 403, "arguments_not_allowed"),
        (json!("ada@team.example.evil.example"), "s", 403, "arguments_not_allowed"),
        (json!("Ada <ada@example.org>"), "s", 422, "bad_arguments"),
        (json!("ada@example.org>\r\nRCPT TO:<eve@evil.example"), "s", 422, "bad_arguments"),
        (json!("ada@example.org"), "s\r\nBcc: eve@evil.example", 422, "bad_arguments"),
        (json!("ada@example.org"), "", 422, "bad_arguments"),
        (json!([]), "s", 422, "bad_arguments"),
    ] {
        let refused = send(&world, &json!({"to": to, "subject": subject, "body": "b"}));
        assert_eq!((refused.status, refused.code().as_str()), (status, code), "{to} {subject}");
    }
    let refused =
        send(&world, &json!({"to": "ada@example.org", "cc": "eve@evil.example", "subject": "s", "body": "b"}));
    assert_eq!(refused.code(), "arguments_not_allowed");
    assert!(
        refused.json()["error"]["capability"].as_str().unwrap().ends_with("to=ada@example.org,to=eve@evil.example")
    );
    // What the server refuses before the message was not sent, to nobody.
    let refused = send(&world, &json!({"to": ["ada@example.org", "refuse@example.org"], "subject": "s", "body": "b"}));
    assert_eq!((refused.status, refused.code().as_str()), (502, "service_refused"));
    // And may be asked for again.
    let draft = json!({"to": "ada@example.org", "subject": "draft", "body": "not sent"});
    let drafted = world.post("/taskforge/v1/actions/email.draft", &json!({"arguments": draft})).json();
    assert!(drafted["result"]["message"].as_str().unwrap().contains("Subject: draft\r\n"));
    assert_eq!(send(&world, &json!({"to": "ada@example.org", "subject": "the first", "body": "b"})).status, 200);
    // Nothing of all that came before.
    assert!(parts(&smtp.next()).0.contains("Subject: the first\r\n"));
    assert_eq!(world.traffic().of(&Kind::ActionDenied).count(), 8);
}

#[test]
fn a_message_that_may_be_on_its_way_is_never_sent_again_through_a_kill() {
    let mut smtp = Smtp::start("plain");
    let mut world = world(&format!("127.0.0.1:{}", smtp.port), MailTls::None, "stall@example.org");
    world.policy.write(&world.dir()).unwrap();
    let gate = crash::spawn(&world);
    let mail = json!({"arguments": {"to": "ada@example.org", "subject": "once", "body": "b"}}).to_string();
    let mut client = world.client();
    client.send("POST", "/taskforge/v1/actions/email.send", "", mail.as_bytes());
    // The server has all of it, and does not answer.
    assert_eq!(smtp.next()["to"], json!(["ada@example.org"]));
    assert_eq!(world.records(&Kind::ActionRequested, 1).len(), 1);
    drop(gate);
    assert!(client.ended());
    let _gate = crash::spawn(&world);
    for _ in 0..2 {
        let unclear = send(&world, &json!({"to": "ada@example.org", "subject": "once", "body": "b"}));
        assert_eq!((unclear.status, unclear.code().as_str()), (409, "action_unclear"));
    }
    assert_eq!(world.records(&Kind::ActionRequested, 1).len(), 1);
    // Something else is not in its way.
    world.policy.services.email.as_mut().unwrap().from = "agent@example.org".into();
    world.apply();
    let once = json!({"to": "ada@example.org", "subject": "once", "body": "b"});
    assert_eq!(send(&world, &once).code(), "action_unclear");
    assert_eq!(send(&world, &json!({"to": "ada@example.org", "subject": "another", "body": "b"})).status, 200);
    assert!(parts(&smtp.next()).0.contains("Subject: another\r\n"));
    wait("its end to be on record", || world.traffic().of(&Kind::ActionDone).count() == 1);
    // A person has looked: it did not arrive. It is sent once more, under the same key, and not a third time.
    let (intent, key) = {
        let first = world.records(&Kind::ActionRequested, 2)[0].clone();
        (first.seq, first.text("key").unwrap().to_owned())
    };
    settle(&mut world, intent, false);
    let sent = send(&world, &once);
    assert_eq!((sent.status, sent.json()["repeated"].as_bool()), (200, Some(false)), "{}", sent.json());
    assert!(parts(&smtp.next()).0.contains(&format!("Message-ID: <{key}@")));
    let again = send(&world, &once);
    assert_eq!((again.status, again.json()["repeated"].as_bool()), (200, Some(true)));
    let failed = world.records(&Kind::ActionFailed, 1)[0].clone();
    assert_eq!((failed.text("code"), failed.text("settledBy")), (Some("settled_not_done"), Some("operator:ada")));
}

/// A person says what became of the action of record `intent`.
fn settle(world: &mut World, intent: u64, done: bool) {
    let (by, comment) = ("operator:ada".to_owned(), "looked at the server's log".to_owned());
    world.policy.settled = vec![Settled { record: intent, done, by, comment }];
    world.apply();
}

#[test]
fn what_a_person_says_was_done_is_done_and_sent_no_more() {
    let mut smtp = Smtp::start("plain");
    let mut world = world(&format!("127.0.0.1:{}", smtp.port), MailTls::None, "stall@example.org");
    world.policy.write(&world.dir()).unwrap();
    let gate = crash::spawn(&world);
    let once = json!({"to": "ada@example.org", "subject": "once", "body": "b"});
    let mut client = world.client();
    let mail = json!({"arguments": once}).to_string();
    client.send("POST", "/taskforge/v1/actions/email.send", "", mail.as_bytes());
    assert_eq!(smtp.next()["to"], json!(["ada@example.org"]));
    let intent = world.records(&Kind::ActionRequested, 1)[0].seq;
    drop(gate);
    assert!(client.ended());
    let gate = crash::spawn(&world);
    // Of another record nothing is believed for this one.
    settle(&mut world, intent + 1, true);
    assert_eq!(send(&world, &once).code(), "action_unclear");
    settle(&mut world, intent, true);
    let done = send(&world, &once).json();
    assert_eq!((&done["repeated"], &done["result"]["settled"]), (&json!(true), &json!("done")), "{done}");
    assert_eq!(done["result"]["comment"], "looked at the server's log");
    // It is on record now, whatever is said later, and through another crash.
    settle(&mut world, intent, false);
    drop(gate);
    let _gate = crash::spawn(&world);
    let again = send(&world, &once).json();
    assert_eq!((&again["record"], &again["result"]), (&done["record"], &done["result"]));
    assert_eq!(world.records(&Kind::ActionRequested, 1).len(), 1);
}

#[test]
fn a_server_without_tls_gets_no_password_and_a_wrong_one_sends_nothing() {
    let smtp = Smtp::start("plain");
    let world = world(&format!("api.test:{}", smtp.port), MailTls::Starttls, "agent@example.org").start();
    let refused = send(&world, &json!({"to": "ada@example.org", "subject": "s", "body": "b"}));
    assert_eq!((refused.status, refused.code().as_str()), (502, "service_unreachable"));
    assert!(refused.json()["error"]["message"].as_str().unwrap().contains("STARTTLS"), "{}", refused.json());
    let smtp = Smtp::start("starttls");
    let mut world = self::world(&format!("api.test:{}", smtp.port), MailTls::Starttls, "agent@example.org");
    std::fs::write(world.root.path().join("secrets/keys.json"), r#"{"vault:mail":"another-p4ssw0rd"}"#).unwrap();
    world.policy.generation = 1;
    let world = world.start();
    let refused = send(&world, &json!({"to": "ada@example.org", "subject": "s", "body": "b"}));
    assert_eq!((refused.status, refused.code().as_str()), (502, "service_refused"));
    assert!(!String::from_utf8_lossy(&refused.body).contains("p4ssw0rd"));
}

#[test]
fn a_server_that_gives_back_the_line_it_refuses_gives_the_password_to_nobody() {
    use std::io::Write as _;
    for way in ["PLAIN", "LOGIN"] {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut wire = BufReader::new(stream);
            wire.get_mut().write_all(b"220 echo\r\n").unwrap();
            let mut line = String::new();
            let mut heard = String::new();
            while wire.read_line(&mut line).unwrap_or(0) > 0 {
                let said = line.trim_end().to_owned();
                heard.push_str(&line);
                line.clear();
                let answer = match said.as_str() {
                    said if said.starts_with("EHLO") => format!("250-echo\r\n250 AUTH {way}\r\n"),
                    "AUTH LOGIN" | "YWdlbnQ=" => "334 VXNlcg==\r\n".to_owned(),
                    said => format!("535 5.7.8 refused, {PASSWORD}: {said}\r\n"),
                };
                wire.get_mut().write_all(answer.as_bytes()).unwrap();
            }
            heard
        });
        let mut world = world(&format!("127.0.0.1:{port}"), MailTls::None, "agent@example.org");
        let email = world.policy.services.email.as_mut().unwrap();
        (email.user, email.key) = (Some("agent".into()), Some("vault:mail".into()));
        let world = world.start();
        let refused = send(&world, &json!({"to": "ada@example.org", "subject": "s", "body": "b"}));
        assert_eq!((refused.status, refused.code().as_str()), (502, "service_refused"), "{}", refused.json());
        let (plain, word) = (STANDARD.encode(format!("\0agent\0{PASSWORD}")), STANDARD.encode(PASSWORD));
        let heard = server.join().unwrap();
        assert!(heard.contains(&plain) || heard.contains(&word), "the server was told: {heard}");
        let files = world.files();
        let told = std::iter::once(("the answer".to_owned(), refused.body.clone()))
            .chain(files.into_iter().map(|(path, bytes)| (path.display().to_string(), bytes)));
        for (place, bytes) in told {
            let text = String::from_utf8_lossy(&bytes);
            for form in [PASSWORD, plain.trim_end_matches('='), word.trim_end_matches('=')] {
                assert!(!text.contains(form), "{way}: {form} in {place}");
            }
        }
    }
}
