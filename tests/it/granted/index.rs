//! An index that is not, at the build, what it was when a person looked: each time the request fails with its reason,
//! wherever one looks, and the run stays valid.

use serde_json::{Value, json};

use super::stage::{PRELUDE, RUN, said, wait_for_request};
use crate::image::index::{Answer, Index, Wheel};
use crate::scene::{Scene, text};

/// A registry whose packages come from `index`, and whose workflow runs `script` as node `work`.
pub fn stage(index: &Index, script: &str) -> Scene {
    let scene = Scene::with_own_base();
    scene.set("extraCa = ", &format!("pipIndex = \"{}\"\nextraCa = ", index.simple()));
    let command = json!(["python3", "-c", format!("{PRELUDE}\n{script}")]);
    scene.commands("granted", &[("work", &format!("command: {command}"), &["said.txt"])]);
    scene
}

/// Asks, and ends to be started again with the image.
const ASKS: &str = "ask('pip:thing==1.0')\nsys.exit(75)";

/// Approves what waits, and what became of the request; it has failed.
fn fails_after_approval(scene: &Scene) -> Value {
    let (id, digest) = scene.the_one(RUN);
    scene.tf(&["approve", &id, "--digest", &digest]).ok();
    scene.tick_until(RUN, |shown| shown["status"] == "completed" || shown["status"] == "failed");
    let shown = scene.show(RUN);
    let request = shown["requests"][0].clone();
    assert_eq!(request["status"], "failed", "{request:#}");
    let folders: Vec<_> = std::fs::read_dir(scene.path("images")).unwrap().flatten().collect();
    assert_eq!(folders.len(), 1);
    let kept = std::fs::read_to_string(folders[0].path().join("failed.json")).unwrap();
    let reason = text(&serde_json::from_str::<Value>(&kept).unwrap()["reason"]);
    // Where a person looks.
    let events = scene.events(RUN, "capability.failed");
    assert_eq!((events.len(), &events[0]["data"]["reason"]), (1, &json!(reason)));
    let first = reason.split_whitespace().next().unwrap();
    scene.tf(&["run", "show", RUN]).ok().says(first);
    scene.tf(&["capability", "list"]).ok().says("failed");
    assert!(scene.waiting(RUN).is_empty());
    scene.is_sound(RUN);
    json!(reason)
}

/// An index that offers `thing`, whose wheel an agent has asked for.
fn asked() -> (Index, Wheel, Scene) {
    let index = Index::start();
    let wheel = Wheel::new("thing", "1.0", &[]);
    index.offer("thing", &[&wheel]);
    let scene = stage(&index, ASKS);
    scene.start("granted", RUN);
    wait_for_request(&scene);
    (index, wheel, scene)
}

#[test]
fn a_package_that_has_vanished_fails_the_build() {
    let (index, wheel, scene) = asked();
    index.take_away("/simple/thing/");
    index.take_away(&format!("/files/{}", wheel.filename));
    let reason = fails_after_approval(&scene);
    assert!(text(&reason).contains("No matching distribution found for thing==1.0"), "{reason}");
}

#[test]
fn other_bytes_behind_the_same_version_are_not_installed() {
    for redirected in [false, true] {
        let (index, wheel, scene) = asked();
        let (id, _) = scene.the_one(RUN);
        let sha256 = taskforge::run::id::Digest::of(&wheel.bytes);
        scene.tf(&["approve", &id, "--show"]).ok().says(sha256.as_str());
        let other = Wheel::new("thing", "1.0", &[("thing/evil.py", "print('other')")]);
        if redirected {
            index.put("/elsewhere", Answer::Body(other.bytes.clone()));
            index.put(&format!("/files/{}", wheel.filename), Answer::Redirect("/elsewhere".to_owned()));
        } else {
            // With a digest on the index's page that fits them.
            index.offer("thing", &[&other]);
        }
        let reason = fails_after_approval(&scene);
        assert!(text(&reason).contains("HASHES"), "{reason}");
        let stored = std::fs::read_dir(scene.path(".taskforge/packages")).unwrap().count();
        assert_eq!(stored, 0, "not one byte of it is kept");
    }
}

#[test]
fn two_runs_share_a_build_and_other_sets_build_beside_it() {
    let index = Index::start();
    for name in ["one", "two", "three"] {
        index.offer(name, &[&Wheel::new(name, "1.0", &[])]);
    }
    let scene = Scene::with_own_base();
    scene.set("extraCa = ", &format!("pipIndex = \"{}\"\nextraCa = ", index.simple()));
    let runs = [("a", "one"), ("b", "one"), ("c", "two"), ("d", "three")];
    for (run, package) in runs {
        let command = json!(["python3", "-c", format!("import {package}; print({package}.version)")]);
        let more = format!("command: {command}\ncapabilities: [\"pip:{package}==1.0\"]");
        scene.commands(package, &[("work", &more, &[])]);
        scene.start(package, run);
        scene.tick_until(run, |_| !scene.waiting(run).is_empty());
    }
    // All four at once: each approval starts its build, or finds it begun.
    let orders: Vec<(String, String)> = runs.iter().map(|(run, _)| scene.the_one(run)).collect();
    std::thread::scope(|scope| {
        for (id, digest) in &orders {
            scope.spawn(|| scene.tf(&["approve", id, "--digest", digest]).ok());
        }
    });
    for (run, _) in runs {
        scene.tick_until(run, |shown| shown["status"] == "completed");
    }
    let image = |run: &str| scene.events(run, "capability.applied")[0]["data"]["image"].clone();
    assert_eq!(image("a"), image("b"));
    let mut different = ["a", "c", "d"].map(|run| image(run).to_string());
    different.sort();
    assert!(different[0] != different[1] && different[1] != different[2], "{different:?}");
    let fetched = |name: &str| index.seen().iter().filter(|path| path.contains(&format!("/files/{name}-"))).count();
    // Once to resolve for each run, and once to build for both.
    assert_eq!((fetched("one"), fetched("two"), fetched("three")), (3, 2, 2), "{:?}", index.seen());
    let listed = scene.tf(&["image", "list", "--json"]).ok().json();
    assert_eq!(listed["images"].as_array().unwrap().len(), 3);
    for (run, _) in runs {
        scene.is_sound(run);
    }
}

/// What an agent asks for with the program that it is given, and what a person is shown of it.
#[test]
fn names_with_tricks_go_nowhere_and_draw_nothing() {
    let index = Index::start();
    let evil = "\u{1b}[2J\u{1b}[1;1H\u{1b}]0;owned\u{7}\u{202e}; touch /workspace/pwned $(touch /workspace/pwned)";
    let metadata = format!("Name: thing\nVersion: 1.0\nSummary: {evil}\nRequires-Dist: {evil}\n");
    index.offer("thing", &[&Wheel::with_metadata("thing", "1.0", &metadata, &[])]);
    let summary = format!("Name: good\nVersion: 1.0\nSummary: {evil}\nAuthor: {evil}\n");
    index.offer("good", &[&Wheel::with_metadata("good", "1.0", &summary, &[])]);
    let script = r#"
import os
if os.path.exists("asked"):
    sys.exit(0)
open("asked", "w").close()
names = ["pip:x; touch /workspace/pwned", "pip:$(touch /workspace/pwned)", "pip:`touch /workspace/pwned`", "pip:x\nRUN touch /pwned",
         "pip:x\\\nFROM scratch", "pip:x --index-url=http://x", "pip:--index-url=http://x", "pip:x#egg=y", "pip:%70ip",
         "pip:http://x/y.whl", "pip:x@http://x/y.whl", "pip:..%2fx", "pip:x?y", "pip:${HOME}", "pip:\u0440ip", "pip:x\u200by",
         "pip:\u202egnp", "pip:x\x1b[2J", "pip:x\x07", "pip:x\r", "pip:\uff50andas", "pip:pand\u0430s", "apt:x;id", "apt:x/../y", "apt:x*",
         "npm:x@file:../y", "pip:x==1.0;python_version>'3'", "pip:x==1.0 --hash=sha256:0", "pip:x=='1'", "pip:x==\u0661"]
def asked(name, *more):
    verb = ["/taskforge/bin/taskforge", "agent", "request", name, "--reason", REASON, *more]
    done = subprocess.run(verb, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr
REASON = "why\x1b[2J\u202e not\nApproved by ada"
heard = [asked(name, "--wait", "0") for name in names]
say("taken", [name for name, (code, _) in zip(names, heard) if code == 0 or code == 75])
say("drawn", [name for name, (_, words) in zip(names, heard) if any(c in words for c in "\x1b\x07\u202e\u200b")])
code, words = asked("pip:thing==1.0", "--wait", "100")
say("drawn", any(c in words for c in "\x1b\x07\u202e"), code)
say("good", asked("pip:good==1.0", "--wait", "100")[0])
say("pwned", os.path.exists("/workspace/pwned"), os.path.exists("/pwned"))
sys.exit(75)
"#;
    let scene = stage(&index, script);
    scene.start("granted", RUN);
    wait_for_request(&scene);
    let draws = |text: &str| text.chars().any(|c| c.is_control() && c != '\n' || "\u{202e}\u{200b}".contains(c));
    let (id, digest) = scene.the_one(RUN);
    let looks: [&[&str]; 5] = [
        &["inbox"],
        &["approve", &id, "--show"],
        &["capability", "list"],
        &["run", "show", RUN],
        &["audit", "log", RUN],
    ];
    for look in looks {
        let done = scene.tf(look).ok();
        assert!(!draws(&done.stdout) && !draws(&done.stderr), "{look:?}: {:?}", done.stdout);
    }
    scene.tf(&["approve", &id, "--show"]).ok().says("pip:good==1.0").says("why\\u{1b}[2J\\u{202e} not");
    scene.tf(&["approve", &id, "--digest", &digest]).ok();
    scene.tick_until(RUN, |shown| shown["status"] == "completed");
    let said = said(&scene);
    assert_eq!((&said[0][..], &said[1][..]), ("taken []", "drawn []"), "{said:?}");
    assert!(said[2].starts_with("drawn False"), "{said:?}");
    assert!(said.iter().any(|line| line == "pwned False False"), "{said:?}");
    let images: Vec<_> = std::fs::read_dir(scene.path("images")).unwrap().flatten().collect();
    assert_eq!(images.len(), 1);
    for file in ["Dockerfile", "build.log", "packages.lock", "recipe.json"] {
        let text = std::fs::read_to_string(images[0].path().join(file)).unwrap();
        assert!(!draws(&text) && !text.contains("touch"), "{file}: {text:?}");
    }
    scene.is_sound(RUN);
}

/// A person's word takes effect while something else is still looked up: its container does not wait for an index.
#[test]
fn what_is_approved_starts_while_another_request_is_being_resolved() {
    let index = Index::start();
    index.offer("thing", &[&Wheel::new("thing", "1.0", &[])]);
    index.put("/simple/slow/", Answer::Silence);
    let scene = stage(&index, ASKS);
    // Its image is there already.
    scene.commands("first", &[("work", "command: [\"true\"]\ncapabilities: [\"pip:thing==1.0\"]", &[])]);
    scene.start("first", "first");
    scene.tick_until("first", |_| !scene.waiting("first").is_empty());
    scene.approve("first");
    scene.tick_until("first", |shown| shown["status"] == "completed");
    let quick = format!("{PRELUDE}\nif ask('pip:thing==1.0', 0)[0]: sys.exit(75)\nimport thing\nsay('has it')");
    let slow = format!(
        "{PRELUDE}\nimport os, time\nwhile not os.path.exists('/workspace/go'): time.sleep(0.05)\n\
         sys.exit(75 if ask('pip:slow==1.0', 0)[0] == 75 else 0)"
    );
    let command = |script: &str| format!("command: {}", json!(["python3", "-c", script]));
    scene.commands("granted", &[("work", &command(&quick), &["said.txt"]), ("slow", &command(&slow), &[])]);
    scene.start("granted", RUN);
    wait_for_request(&scene);
    let (id, digest) = scene.the_one(RUN);
    scene.write(&format!("runs/{RUN}/nodes/slow/workspace/go"), "");
    let starts = || scene.events(RUN, "node.started").iter().filter(|event| event["nodeId"] == "work").count();
    let until = |what: &str, there: &dyn Fn() -> bool| {
        let since = std::time::Instant::now();
        while !there() {
            assert!(since.elapsed().as_secs() < 300, "waited in vain for {what}: {:#}", scene.show(RUN));
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    };
    std::thread::scope(|scope| {
        let driver = scope.spawn(|| scene.drive(RUN, 0));
        until("the index to be asked", &|| index.seen().iter().any(|path| path == "/simple/slow/"));
        scene.tf(&["approve", &id, "--digest", &digest]).ok();
        until("the second attempt", &|| starts() == 2);
        driver.join().unwrap();
    });
    assert_eq!(said(&scene), ["has it"]);
    // The other request was answered as well, and later: its index never said anything.
    let order: Vec<(String, Value)> = scene
        .journal(RUN)
        .iter()
        .map(|line| (line["event"].as_str().unwrap().to_owned(), line["nodeId"].clone()))
        .collect();
    let started = order.iter().rposition(|(event, node)| event == "node.started" && node == "work").unwrap();
    let answered = order.iter().position(|(event, _)| event == "capability.unresolvable").unwrap();
    assert!(started < answered, "{order:?}");
    scene.is_sound(RUN);
}
