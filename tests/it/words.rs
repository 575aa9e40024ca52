//! What a person says, and what they are told: of decisions that cannot count, of lists, of what was decided on long ago.

use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::{Value, json};

use crate::scene::{Scene, text};

const RUN: &str = "r";

/// A workflow whose one node declares so many hosts, which are asked for before it starts.
pub fn hosts(scene: &Scene, count: usize) {
    let hosts: Vec<String> = (1..=count).map(|n| format!("\"net:h{n}.example:443\"")).collect();
    declares(scene, &hosts.join(", "));
}

fn declares(scene: &Scene, capabilities: &str) {
    let container = format!("command: [\"true\"]\ncapabilities: [{capabilities}]");
    scene.commands("hosts", &[("work", &container, &[])]);
}

/// A run that waits for a word on each of so many hosts.
fn asked(count: usize) -> Scene {
    let scene = Scene::new();
    hosts(&scene, count);
    scene.start("hosts", RUN);
    assert_eq!(scene.waiting(RUN).len(), count);
    scene
}

/// The id and the digest of what waits for a capability.
fn waits(scene: &Scene, what: &str) -> (String, String) {
    let waiting = scene.waiting(RUN);
    let item = waiting.iter().find(|item| item["what"] == what).unwrap_or_else(|| panic!("{what}: {waiting:#?}"));
    (text(&item["id"]), text(&item["digest"]))
}

/// A decision as somebody would write it by hand.
fn word(scene: &Scene, what: &str, verdict: &str) -> Value {
    let (id, digest) = waits(scene, what);
    let at = chrono::Utc::now().to_rfc3339();
    json!({
        "format": 2, "registry": scene.id(), "request": id, "run": RUN, "verdict": verdict, "digest": digest,
        "comment": "by hand", "by": "operator:grace", "at": at,
    })
}

fn put(scene: &Scene, word: &Value) {
    scene.write(&format!("decisions/{}.json", word["request"].as_str().unwrap()), word.to_string());
}

fn journal(scene: &Scene) -> String {
    scene.read(&format!("runs/{RUN}/events.jsonl"))
}

#[test]
fn what_cannot_be_a_decision_stands_aside_under_a_name_of_its_own_and_is_told() {
    let scene = asked(6);
    std::fs::create_dir_all(scene.path("decisions")).unwrap();
    let place = |n: usize| scene.path(&format!("decisions/{}.json", waits(&scene, &format!("net:h{n}.example:443")).0));
    let fifo = |n: usize| assert!(Command::new("mkfifo").arg(place(n)).status().unwrap().success());
    fifo(1);
    std::fs::create_dir(place(2)).unwrap();
    symlink("/etc/hostname", place(3)).unwrap();
    std::fs::write(place(4), "").unwrap();
    std::fs::File::create(place(5)).unwrap().set_len(200 << 20).unwrap();
    let ticked = scene.tf(&["tick", RUN]).ok();
    let reasons = [
        "it is no regular file",
        "it is a folder",
        "it is a symbolic link",
        "EOF while parsing",
        "it has 209715200 bytes",
    ];
    for (n, reason) in reasons.iter().enumerate() {
        let (id, _) = waits(&scene, &format!("net:h{}.example:443", n + 1));
        ticked.complains(&format!("warning: run r: a decision on {id} does not count: "));
        ticked.complains(reason);
        scene.tf(&["inbox"]).ok().complains(&format!("a decision on {id} does not count: ")).complains(reason);
        scene.tf(&["run", "show", RUN]).ok().says(&format!("a decision on {id} does not count: ")).says(reason);
        scene.tf(&["capability", "show", &id]).ok().says(reason);
        scene.tf(&["capability", "history", &id]).ok().says("decision rejected").says(reason);
        let told = scene.waiting(RUN).into_iter().find(|item| item["id"] == id.as_str()).unwrap();
        assert!(told["rejected"][0]["reason"].as_str().unwrap().contains(reason), "{told}");
    }
    let shown = scene.show(RUN);
    assert_eq!(shown["rejectedDecisions"].as_array().unwrap().len(), 5);
    // The same again is another one.
    fifo(1);
    let again = scene.tf(&["tick", RUN, "--json"]).ok().json();
    assert_eq!(again["runs"][0]["rejected"].as_array().unwrap().len(), 1, "{again}");
    let rejected = scene.events(RUN, "input.rejected");
    let mut names: Vec<&str> = rejected.iter().map(|event| event["data"]["input"].as_str().unwrap()).collect();
    assert!(names.iter().all(|name| scene.path(&format!("decisions/{name}")).symlink_metadata().is_ok()));
    let digests: std::collections::BTreeSet<&str> =
        names.iter().map(|name| name.split(".rejected-").nth(1).unwrap()).collect();
    assert_eq!(digests.len(), 6, "{names:?}");
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 6);
    // It matters until somebody has decided.
    let (id, digest) = waits(&scene, "net:h1.example:443");
    scene.tf(&["deny", &id, "--digest", &digest, "-m", "no"]).ok();
    assert!(!scene.tf(&["inbox"]).ok().stderr.contains(&id));
    assert_eq!(scene.show(RUN)["rejectedDecisions"].as_array().unwrap().len(), 4);
    scene.tf(&["capability", "show", &id]).ok().says("it is no regular file");
    scene.tf(&["audit", "verify", RUN]).ok().says("sound");
}

#[test]
fn a_file_that_denies_or_suggests_names_what_stands_there_and_no_time_to_come() {
    let scene = asked(4);
    let mut denied = word(&scene, "net:h1.example:443", "deny");
    denied["digest"] = json!("0".repeat(64));
    put(&scene, &denied);
    let mut suggested = word(&scene, "net:h2.example:443", "suggest");
    suggested["digest"] = json!("0".repeat(64));
    suggested["instead"] = json!(["net:b.example:443"]);
    put(&scene, &suggested);
    let mut tomorrow = word(&scene, "net:h3.example:443", "approve");
    tomorrow["at"] = json!((chrono::Utc::now() + chrono::Duration::days(1)).to_rfc3339());
    put(&scene, &tomorrow);
    let ticked = scene.tf(&["tick", RUN]).ok();
    assert_eq!(scene.waiting(RUN).len(), 4, "none of them counts");
    ticked.complains("is not what stands there now").complains("what is not said yet does not count");
    assert_eq!(scene.events(RUN, "input.rejected").len(), 3);
    // With the right digest and a time that has come they do.
    for what in ["net:h1.example:443", "net:h2.example:443", "net:h3.example:443"] {
        let verdict = if what.starts_with("net:h1") { "deny" } else { "suggest" };
        let mut right = word(&scene, what, verdict);
        if verdict == "suggest" {
            right["instead"] = json!(["net:b.example:443"]);
        }
        put(&scene, &right);
    }
    scene.tf(&["tick", RUN]).ok();
    assert_eq!(scene.events(RUN, "capability.denied").len(), 1);
    assert_eq!(scene.events(RUN, "capability.superseded").len(), 2);
    assert_eq!(scene.events(RUN, "input.rejected").len(), 3, "no more than before");
    scene.tf(&["audit", "verify", RUN]).ok();
}

#[test]
fn a_list_that_a_rule_denies_is_refused_and_the_request_stays_what_it_was() {
    let scene = asked(2);
    let (id, digest) = waits(&scene, "net:h1.example:443");
    scene.write(
        "policies/p.yaml",
        "format: 1\nrules:\n- {effect: deny, kind: net, name: '*.internal:*', because: not from here}\n",
    );
    let before = journal(&scene);
    let refused = scene.tf(&["approve", &id, "--only", "net:a.internal:443"]).exits(7);
    refused.complains("net:a.internal:443 is denied: deny by p.yaml:3: not from here");
    scene.tf(&["approve", &id, "--only", "net:a.internal:443", "--digest", &digest]).exits(7).complains("p.yaml:3");
    // Nor does a look at another list, or a word on something else, leave anything.
    let shown = scene.tf(&["approve", &id, "--only", "net:b.example:443"]).ok();
    shown.says("Edited    net:b.example:443");
    scene.tf(&["approve", &id, "--only", "net:b.example:443", "--digest", &digest]).exits(6);
    assert_eq!(journal(&scene), before);
    assert_eq!(waits(&scene, "net:h1.example:443").1, digest, "it is what it was");
    let shown = scene.tf(&["approve", &id, "--only", "net:b.example:443", "--json"]).ok().json();
    scene.tf(&["approve", &id, "--only", "net:b.example:443", "--digest", shown["digest"].as_str().unwrap()]).ok();
    let listed = scene.tf(&["capability", "show", &id, "--json"]).ok().json();
    assert_eq!((&listed["status"], &listed["list"]), (&json!("applied"), &json!(["net:b.example:443"])));
    assert_eq!(listed["asDecided"], true);
    let history = scene.tf(&["capability", "history", &id]).ok();
    history.says("as net:b.example:443").says(&digest[..12]);
    scene.tf(&["audit", "verify", RUN]).ok();
}

#[test]
fn a_comma_inside_a_capability_is_no_end_of_it() {
    let scene = Scene::new();
    declares(&scene, "\"llm:foo*,requests=50,tokens=9000\", \"net:h.example:443\"");
    scene.start("hosts", RUN);
    let (id, _) = waits(&scene, "llm:foo*,requests=50,tokens=9000");
    let only = ["approve", &id, "--only", "llm:foo*,requests=5,tokens=70", "--json"];
    let shown = scene.tf(&only).ok().json();
    assert_eq!(shown["review"]["edited"]["list"], json!(["llm:foo*,requests=5,tokens=70"]));
    scene.tf(&["approve", &id, "--only", "llm:foo*", "--only", "llm:bar"]).exits(7).complains("is for one");
    scene.tf(&["approve", &id, "--only", "llm:foo*,nonsense"]).exits(2);
}

#[test]
fn what_was_decided_on_can_be_shown_when_it_is_long_over() {
    let scene = asked(4);
    let (granted, digest) = waits(&scene, "net:h1.example:443");
    let pages = scene.tf(&["approve", &granted, "--show"]).ok().stdout;
    scene.tf(&["approve", &granted, "--digest", &digest, "-m", "for the test"]).ok();
    let page = |id: &str| scene.tf(&["approve", id, "--show"]).ok();
    page(&granted).says(pages.trim_end()).says(&format!("Decided on exactly this: {digest}"));
    let as_json = scene.tf(&["approve", &granted, "--show", "--json"]).ok().json();
    assert_eq!((&as_json["digest"], &as_json["asDecided"]), (&json!(digest), &json!(true)));
    let shown = scene.tf(&["capability", "show", &granted]).ok();
    shown.says("What was decided on").says(&format!("Review    {digest}")).says("Policy    ask (no rule)");
    shown.says("The gate connects it to h1.example, port 443");
    scene.tf(&["capability", "revoke", &granted, "--reason", "that is enough"]).ok();
    let shown = scene.tf(&["capability", "show", &granted]).ok();
    shown.says("Revoked   by operator:ada, ").says("that is enough").says(&format!("Review    {digest}"));
    page(&granted).says("Decided on exactly this");
    scene.tf(&["capability", "history", &granted]).ok().says("that is enough").says(&digest[..12]);
    // What was named instead stands there, too.
    let (id, digest) = waits(&scene, "net:h2.example:443");
    let suggest = |what: &str| scene.tf(&["suggest", &id, what, "--digest", &digest, "-m", "the same is there"]);
    suggest("net:h2.example:443").exits(7).complains("asks for net:h2.example:443 already");
    suggest("net:b.example:443").ok();
    scene.tf(&["capability", "show", &id]).ok().says("Instead   net:b.example:443").says("the same is there");
    scene.tf(&["capability", "history", &id]).ok().says("instead net:b.example:443: the same is there");
    // Of what nobody has decided there is nothing to show of a decision.
    let (id, _) = waits(&scene, "net:h3.example:443");
    assert!(!scene.tf(&["capability", "show", &id]).ok().stdout.contains("decided on"));
    scene.tf(&["approve", "nope", "--show"]).exits(3);
}

#[test]
fn words_say_something_and_names_name_something() {
    let scene = asked(3);
    let (id, digest) = waits(&scene, "net:h1.example:443");
    for words in ["", "  \n"] {
        scene.tf(&["deny", &id, "--digest", &digest, "-m", words]).exits(2).complains("says nothing");
        scene.tf(&["capability", "revoke", &id, "--reason", words]).exits(2).complains("says nothing");
        scene.tf(&["kill", "--reason", words]).exits(2).complains("says nothing");
        scene.tf(&["unlock", "--reason", words]).exits(2).complains("says nothing");
    }
    scene.tf(&["kill", "--status"]).ok().says("Armed");
    scene.tf(&["capability", "show", "nope"]).exits(3).complains("there is no request called `nope`");
    scene.tf(&["capability", "history", "nope"]).exits(3).complains("there is no request called `nope`");
    scene.tf(&["review", "--run", "nope"]).exits(3).complains("there is no run `nope`");
    scene.write("answers", format!("approve {id} {digest}\n"));
    scene.tf(&["review", "--run", "nope", "--answers", "answers"]).exits(3).complains("there is no run `nope`");
    assert_eq!(scene.waiting(RUN).len(), 3);
    scene.write("answers", format!("approve {id} 0123\n"));
    let refused = scene.tf(&["review", "--answers", "answers"]).exits(2);
    refused.complains("line 1 of the answers: `0123` has 4 digits of the digest, and 12 are needed");
}

#[test]
fn answers_of_one_run_count_as_they_were_shown() {
    let scene = asked(4);
    let line = |n: usize, verb: &str| {
        let (id, digest) = waits(&scene, &format!("net:h{n}.example:443"));
        format!("{verb} {id} {digest} as we said\n")
    };
    let stale = format!("approve {} {}\n", waits(&scene, "net:h4.example:443").0, "0".repeat(64));
    scene.write("answers", [line(1, "approve"), stale, line(2, "approve"), line(3, "deny")].concat());
    let answered = scene.tf(&["review", "--answers", "answers", "--json"]).exits(6).json();
    let answers = answered["answers"].as_array().unwrap();
    let verdicts: Vec<&Value> = answers.iter().map(|answer| &answer["decision"]["verdict"]).collect();
    assert_eq!(verdicts, [&json!("approved"), &Value::Null, &json!("approved"), &json!("denied")]);
    assert_eq!(scene.waiting(RUN).len(), 1);
    scene.tf(&["audit", "verify", RUN]).ok();
}

#[test]
fn of_a_list_the_second_word_on_one_request_does_not_count() {
    let scene = asked(3);
    let (id, digest) = waits(&scene, "net:h1.example:443");
    scene.write("answers", format!("# mine\n\napprove {id} {digest}\ndeny {id} {digest} on second thought\n"));
    scene.tf(&["review", "--answers", "answers"]).exits(7).says(": approved net:h1").says(": not decided: ");
    assert_eq!(scene.events(RUN, "capability.approved").len(), 1);
    assert_eq!(scene.events(RUN, "capability.denied").len(), 0);
}

#[test]
fn two_deployments_on_one_port_are_told_apart() {
    let scene = Scene::new();
    let deploys =
        |word: &str| format!("command: [\"true\"]\ndeploy: {{port: 8000, command: [serve, {word}], folder: .}}");
    scene.commands("hosts", &[("one", &deploys("this"), &[]), ("two", &deploys("that"), &[])]);
    scene.start("hosts", RUN);
    scene.tick_until(RUN, |shown| shown["requests"].as_array().unwrap().len() == 2);
    let listed = scene.tf(&["capability", "list"]).ok();
    listed.says("port:8000 (serve this)").says("port:8000 (serve that)");
}

/// Who reads a reason later has something to read.
#[test]
fn an_empty_reason_is_none() {
    let scene = asked(1);
    let (id, digest) = waits(&scene, "net:h1.example:443");
    for arguments in [
        &["deny", &id, "--digest", &digest, "-m", ""][..],
        &["capability", "revoke", &id, "--reason", " "],
        &["kill", "--reason", ""],
        &["unlock", "--reason", ""],
        &["agent", "offboard", "ada", "--reason", ""],
        &["deployment", "stop", &id, "--reason", ""],
        &["run", "cancel", RUN, "--reason", ""],
        &["watch", "revoke", "w", "--reason", ""],
        &["llm", "redact", RUN, "1", "--reason", ""],
        &["agent", "request", "pip:six", "--reason", ""],
    ] {
        scene.tf(arguments).exits(2).complains("says nothing");
    }
    assert_eq!(waits(&scene, "net:h1.example:443").0, id);
}
