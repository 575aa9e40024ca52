//! Servers that lie, are slow to end, refuse, or are not there: bounded, named, and nothing begun that should not be.

use std::net::TcpListener;

use serde_json::{Value, json};

use super::hub::{Hub, TOKEN, sha};
use super::{look, look_in_vain, runs, state_path, time_passes, watching};
use crate::gate::upstream::Wire;

fn problem(looked: &Value) -> String {
    crate::scene::text(&looked["problems"][0])
}

fn pull(number: u64, more: &Value) -> Value {
    let mut pull = json!({
        "number": number, "state": "open", "head": {"sha": sha("a")}, "base": {"repo": {"full_name": "acme/tool"}},
    });
    for (key, value) in more.as_object().unwrap() {
        pull[key] = value.clone();
    }
    pull
}

fn list(wire: &mut Wire, more: &str, body: &str) {
    wire.write(format!("HTTP/1.1 200 OK\r\n{more}content-length: {}\r\n\r\n{body}", body.len()));
}

#[test]
fn what_cannot_be_is_not_believed() {
    let hub = Hub::start();
    hub.add("acme/tool");
    let scene = watching(&hub, &["acme/tool"], "");
    let one = |more: Value| json!([pull(1, &json!({})), pull(2, &more)]).to_string();
    for (body, why) in [
        (one(json!({"base": {"repo": {"full_name": "evil/tool"}}})), "is of another repository: \"evil/tool\""),
        (one(json!({"head": {"sha": "../../etc"}})), "is no commit: \"../../etc\""),
        (one(json!({"head": {"sha": "A".repeat(40)}})), "is no commit"),
        (one(json!({"head": null})), "is no commit"),
        (one(json!({"state": "closed"})), "is not open"),
        (one(json!({"number": -1})), "has no number"),
        (one(json!({"number": 1.5})), "has no number"),
        ("{}".to_owned(), "its answer is no list"),
        ("[".repeat(100_000), "its answer is no list"),
        (format!("[\"{}\"]", "x".repeat(10 << 20)), "larger than 8 MiB"),
    ] {
        hub.before(move |_, _, wire| {
            list(wire, "etag: \"lie\"\r\n", &body);
            true
        });
        let looked = look_in_vain(&scene);
        assert!(problem(&looked).contains(why), "{why}: {looked}");
        // It waits, and is not asked before.
        let asked = hub.asked();
        let said = look(&scene);
        assert_eq!((hub.asked(), &said["failed"]), (asked, &json!(false)));
        time_passes(&scene, "reviews");
    }
    assert_eq!(runs(&scene).len(), 0);
    hub.before(|_, got, wire| {
        assert!(!got.head.contains("if-none-match"), "the tag of a lie is kept: {}", got.head);
        wire.write("HTTP/1.1 304 Not Modified\r\n\r\n");
        true
    });
    assert!(problem(&look_in_vain(&scene)).contains("was not asked that"));
    time_passes(&scene, "reviews");
    hub.honest();
    hub.push("acme/tool", 1, "a");
    assert_eq!(look(&scene)["problems"], json!([]));
    assert_eq!(runs(&scene).len(), 1);
}

#[test]
fn endless_pages_and_circles_end() {
    let hub = Hub::start();
    hub.add("acme/tool");
    let scene = watching(&hub, &["acme/tool"], "atOnce = 1");
    let more = "link: <http://127.0.0.1:1/>; rel=\"next\"\r\n";
    hub.before(move |line, _, wire| {
        let page: u64 = line.split("&page=").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        let all: Vec<Value> = (1..=100).map(|n| pull(page * 100 + n, &json!({}))).collect();
        list(wire, more, &json!(all).to_string());
        true
    });
    let looked = look(&scene);
    assert!(problem(&looked).contains("more than 1000 open pull requests"), "{looked}");
    assert_eq!((hub.asked().0, runs(&scene).len()), (10, 1));
    hub.before(move |_, _, wire| {
        list(wire, more, &json!([pull(7, &json!({}))]).to_string());
        true
    });
    let looked = look_in_vain(&scene);
    assert!(problem(&looked).contains("the same page again and again"), "{looked}");
    assert_eq!((hub.asked().0, runs(&scene).len()), (12, 1));
}

#[test]
fn what_moves_to_the_last_page_between_two_requests_is_known_already() {
    let hub = Hub::start();
    hub.add("acme/tool");
    let scene = watching(&hub, &["acme/tool"], "atOnce = 1");
    // 101 are open. The last of them changes after the first page was read: it is first by now, and the 100th, which was seen,
    // is what is left for the second.
    hub.before(move |line, _, wire| {
        let numbers = if line.contains("&page=1 ") { 1..=100 } else { 100..=100 };
        let more = if line.contains("&page=1 ") { "link: <http://127.0.0.1:1/>; rel=\"next\"\r\n" } else { "" };
        let all: Vec<Value> = numbers.map(|n| pull(n, &json!({}))).collect();
        list(wire, more, &json!(all).to_string());
        true
    });
    assert_eq!(look(&scene)["problems"], json!([]));
    assert_eq!(runs(&scene).len(), 1);
}

#[test]
fn the_credential_goes_nowhere_else_and_into_no_file() {
    let (hub, thief) = (Hub::start(), Hub::start());
    hub.add("acme/tool");
    let scene = watching(&hub, &["acme/tool"], "");
    let elsewhere = thief.base();
    hub.before(move |_, _, wire| {
        wire.write(format!("HTTP/1.1 301 Moved Permanently\r\nlocation: {elsewhere}/x\r\ncontent-length: 0\r\n\r\n"));
        true
    });
    assert!(problem(&look_in_vain(&scene)).contains("points elsewhere"));
    assert_eq!(thief.asked(), (0, 0));
    time_passes(&scene, "reviews");
    // A server that shows what it was sent.
    hub.before(|_, _, wire| {
        list(wire, "", &json!([pull(1, &json!({"title": format!("Bearer {TOKEN}")}))]).to_string());
        true
    });
    look(&scene);
    let run = runs(&scene).pop_first().unwrap();
    let told = super::task(&scene, &run);
    assert!(told.contains(": Bearer ****") && !told.contains("ghp_"), "{told}");
}

#[test]
fn one_that_asks_for_patience_gets_it() {
    let hub = Hub::start();
    for repo in ["acme/a", "acme/b", "acme/c"] {
        hub.push(repo, 1, "a");
    }
    let scene = watching(&hub, &["acme/a", "acme/b", "acme/c"], "");
    hub.before(|_, _, wire| {
        wire.write("HTTP/1.1 429 Too Many Requests\r\nretry-after: 7200\r\ncontent-length: 0\r\n\r\n");
        true
    });
    let looked = look_in_vain(&scene);
    assert!(problem(&looked).contains("asks to wait"), "{looked}");
    let until = |scene: &crate::scene::Scene| {
        let state = scene.json(&state_path("reviews"));
        let at = |value: &Value| value.as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
        at(&state["pace"]["notBefore"]) - at(&state["looked"])
    };
    assert_eq!(until(&scene), chrono::TimeDelta::hours(2));
    let asked = hub.asked();
    assert!(look(&scene)["waits"].as_str().unwrap().starts_with("until "));
    assert_eq!(hub.asked(), asked);
    // By the other header, with a last answer that went well: its work is taken up, and then it is left alone.
    time_passes(&scene, "reviews");
    let reset = chrono::Utc::now().timestamp() + 3000;
    hub.before(move |_, _, wire| {
        list(wire, &format!("x-ratelimit-remaining: 0\r\nx-ratelimit-reset: {reset}\r\n"), "[]");
        true
    });
    assert_eq!(look(&scene)["problems"], json!([]));
    let left = until(&scene).num_seconds();
    assert!((2000..=3000).contains(&left), "{left}");
}

#[test]
fn one_repository_that_is_gone_keeps_no_other_from_it() {
    let hub = Hub::start();
    hub.push("acme/a", 1, "a");
    hub.push("acme/c", 1, "a");
    let scene = watching(&hub, &["acme/a", "acme/gone", "acme/c"], "giveUp = 2");
    let looked = look_in_vain(&scene);
    assert_eq!(
        (looked["found"].as_array().unwrap().len(), problem(&looked)),
        (2, "acme/gone: the service answers 404: Not Found".into())
    );
    time_passes(&scene, "reviews");
    let looked = look_in_vain(&scene);
    assert_eq!(looked["gaveUp"], true);
    scene.tf(&["watch", "list"]).ok().says("gave up").says("acme/gone");
    // The others go on, and it is said each time what does not.
    hub.push("acme/a", 2, "a");
    let asked = hub.asked().0;
    let said = scene.tf(&["watch", "run"]).exits(9);
    said.says("acme/a#2").complains("has given up").complains("taskforge watch reset reviews");
    assert_eq!((hub.asked().0, runs(&scene).len()), (asked + 2, 3));
}

#[test]
fn a_server_that_is_down_is_given_up_and_looked_at_again_after_a_reset() {
    let hub = Hub::start();
    hub.push("acme/tool", 1, "a");
    let scene = watching(&hub, &["acme/tool", "acme/other"], "giveUp = 3");
    hub.add("acme/other");
    // Bound and never listened to by anybody who answers: connections are refused once it is dropped.
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (alive, settings) = (hub.base(), scene.read("taskforge.toml"));
    scene.write("taskforge.toml", settings.replace(&alive, &format!("http://{dead}")));
    for failure in 1..=3 {
        let looked = look_in_vain(&scene);
        assert!(problem(&looked).contains("does not answer"), "{looked}");
        assert_eq!(looked["gaveUp"], failure == 3);
        time_passes(&scene, "reviews");
    }
    let said = scene.tf(&["watch", "run"]).exits(9);
    said.complains("watch `reviews` has given up").complains("`taskforge watch reset reviews`");
    scene.tf(&["tick"]).exits(9).complains("has given up");
    scene.tf(&["watch", "list"]).ok().says("gave up");
    let doctor = scene.tf(&["doctor", "--json"]).exits(1).stdout;
    assert!(doctor.contains("watch gave up") && doctor.contains("taskforge watch reset reviews"), "{doctor}");
    scene.write("taskforge.toml", settings);
    // Up again, it is not asked: a person has to say so.
    scene.tf(&["watch", "run"]).exits(9);
    assert_eq!(hub.asked().0, 0);
    scene.tf(&["watch", "reset", "reviews", "--dry-run"]).ok().says("gave up");
    scene.tf(&["watch", "run"]).exits(9);
    scene.tf(&["watch", "reset", "reviews"]).ok();
    assert_eq!(look(&scene)["problems"], json!([]));
    assert_eq!(runs(&scene).len(), 1);
}

#[test]
fn work_that_nobody_takes_is_not_lost() {
    let hub = Hub::start();
    hub.push("acme/tool", 1, "a");
    let scene = watching(&hub, &["acme/tool"], "");
    scene.tf(&["agent", "offboard", "ada", "--reason", "moved on"]).ok();
    let looked = look_in_vain(&scene);
    assert!(problem(&looked).contains("offboarded"), "{looked}");
    assert_eq!(runs(&scene).len(), 0);
    crate::hired::hire(&scene, "bob", "");
    let settings = scene.read("taskforge.toml").replace("agent = \"ada\"", "agent = \"bob\"");
    scene.write("taskforge.toml", settings);
    // Other settings are a new beginning.
    look(&scene);
    assert_eq!(runs(&scene).len(), 1);
    // A token that is not in the vault, or the wrong one.
    scene.tf(&["secret", "rm", "hub-token"]).ok();
    let looked = look_in_vain(&scene);
    assert!(problem(&looked).contains("hub-token"), "{looked}");
    crate::vault::set(&scene, "hub-token", "wrong");
    time_passes(&scene, "reviews");
    let looked = look_in_vain(&scene);
    assert!(problem(&looked).contains("401"), "{looked}");
}

#[test]
fn a_tag_that_lies_costs_a_day_at_most_and_is_named() {
    let hub = Hub::start();
    hub.push("acme/tool", 1, "a");
    let scene = watching(&hub, &["acme/tool"], "");
    look(&scene);
    // For ever nothing has changed, if that is what it is asked.
    hub.before(|_, got, wire| {
        let asked = got.head.to_lowercase().contains("\r\nif-none-match: ");
        if asked {
            wire.write("HTTP/1.1 304 Not Modified\r\n\r\n");
        }
        asked
    });
    hub.push("acme/tool", 2, "a");
    look(&scene);
    assert_eq!((runs(&scene).len(), hub.asked()), (1, (2, 1)));
    let mut state = scene.json(&state_path("reviews"));
    let read = &mut state["parts"]["acme/tool"]["read"];
    assert!(read.is_string());
    *read = json!(chrono::Utc::now() - chrono::Duration::hours(25));
    scene.write(&state_path("reviews"), state.to_string());
    look(&scene);
    assert_eq!((runs(&scene).len(), hub.asked()), (2, (3, 1)));

    // The same tag for something else: it is taken up, and said.
    let numbers = std::sync::Arc::new(std::sync::Mutex::new(vec![1, 2]));
    let (all, count) = (numbers.clone(), std::sync::atomic::AtomicU64::new(1));
    hub.before(move |_, _, wire| {
        let pulls: Vec<Value> = all.lock().unwrap().iter().map(|n| pull(*n, &json!({}))).collect();
        let tag = if pulls.len() < 5 { 0 } else { count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) };
        list(wire, &format!("etag: \"t{tag}\"\r\n"), &json!(pulls).to_string());
        true
    });
    assert_eq!(look(&scene)["problems"], json!([]));
    numbers.lock().unwrap().push(3);
    assert!(problem(&look(&scene)).contains("its tag has not"));
    assert_eq!(runs(&scene).len(), 3);
    assert_eq!(look(&scene)["problems"], json!([]));
    // Another tag for the same, each time: nothing is begun twice.
    numbers.lock().unwrap().extend([4, 5]);
    for _ in 0..3 {
        assert_eq!(look(&scene)["problems"], json!([]));
    }
    assert_eq!(runs(&scene).len(), 5);
}
