//! Packages that were granted one upon the other, and end in another order: the next attempt has what is left.

use super::index::stage as with_index;
use super::stage::{RUN, complete, said, tick_until};
use crate::image::index::{Index, Wheel};
use crate::scene::{Scene, text};

/// An agent that says which of `all` it can import, and asks for the first of `wants` that it has not been told of yet, one
/// an attempt; then for something else, as often as it is called.
fn looks(all: &[&str], wants: &[&str]) -> String {
    format!(
        r#"
import importlib.util
say(",".join(name for name in {all:?} if importlib.util.find_spec(name)) or "nothing")
count = len(open("/workspace/said.txt").read().split())
wants = {wants:?}
if count > len(wants) + 2:
    sys.exit(0)
ask(wants[count - 1] if count <= len(wants) else f"net:127.0.0.9:{{count}}", 0)
sys.exit(75)
"#
    )
}

/// Approves what waits once it is `wanted`; its id.
fn approve(scene: &Scene, wanted: &str) -> String {
    tick_until(scene, wanted, || scene.waiting(RUN).iter().any(|item| item["what"] == wanted).then_some(()));
    let (id, digest) = scene.the_one(RUN);
    scene.tf(&["approve", &id, "--digest", &digest]).ok();
    id
}

/// Denies what waits, so that the next attempt begins.
fn go_on(scene: &Scene, what: &str) {
    tick_until(scene, what, || scene.waiting(RUN).iter().any(|item| item["what"] == what).then_some(()));
    let (id, digest) = scene.the_one(RUN);
    scene.tf(&["deny", &id, "--digest", &digest, "-m", "no"]).ok();
}

fn images(scene: &Scene) -> Vec<String> {
    scene.events(RUN, "node.dispatching").iter().map(|event| text(&event["data"]["plan"]["image"])).collect()
}

#[test]
fn one_that_is_taken_back_is_in_no_later_image_though_another_was_resolved_upon_it() {
    let index = Index::start();
    for name in ["one", "two"] {
        index.offer(name, &[&Wheel::new(name, "1.0", &[])]);
    }
    let scene = with_index(&index, &looks(&["one", "two"], &["pip:one", "pip:two"]));
    scene.start("granted", RUN);
    let first = approve(&scene, "pip:one");
    let second = approve(&scene, "pip:two");
    tick_until(&scene, "the third attempt", || (said(&scene).len() == 3).then_some(()));
    let asked = index.seen().len();
    let revoked = scene.tf(&["capability", "revoke", &first, "--reason", "no more"]).ok();
    revoked.says("the next attempt is without it");
    go_on(&scene, "net:127.0.0.9:3");
    go_on(&scene, "net:127.0.0.9:4");
    complete(&scene);
    assert_eq!(said(&scene), ["nothing", "one", "one,two", "two", "two"]);
    assert_eq!(index.seen().len(), asked, "what is left is known without asking anybody");
    let images = images(&scene);
    assert!(images[3] != images[2] && images[3] != images[1] && images[3] == images[4], "{images:?}");
    // Once, and a part of what was shown.
    let relocked = scene.events(RUN, "capability.relocked");
    assert_eq!(relocked.len(), 1, "{relocked:#?}");
    assert_eq!((&relocked[0]["data"]["id"], relocked[0]["actor"].as_str()), (&second.clone().into(), Some("tick")));
    let lock = &relocked[0]["data"]["relocked"]["lock"]["pip"];
    assert_eq!((lock.as_array().unwrap().len(), text(&lock[0]["name"])), (1, "two".to_owned()));
    let kept = scene.json(&format!("runs/{RUN}/capabilities/{second}.json"));
    assert_eq!((text(&kept["status"]), text(&kept["image"])), ("applied".to_owned(), images[3].clone()));
    scene.tf(&["capability", "list", "--state", "applied"]).ok().says("pip:two");
    scene.tf(&["audit", "verify", RUN]).ok();
    scene.is_sound(RUN);
}

#[test]
fn what_another_needs_too_stays_as_long_as_that_stands() {
    let index = Index::start();
    let shared = Wheel::new("shared", "1.0", &[]);
    index.offer("shared", &[&shared, &Wheel::new("shared", "2.0", &[])]);
    for name in ["one", "two"] {
        index.offer(name, &[&Wheel::needing(name, "1.0", &["shared"])]);
    }
    let scene = with_index(&index, &looks(&["shared", "one", "two"], &["pip:shared==1.0", "pip:one", "pip:two"]));
    scene.start("granted", RUN);
    let shared = approve(&scene, "pip:shared==1.0");
    let one = approve(&scene, "pip:one");
    let two = approve(&scene, "pip:two");
    tick_until(&scene, "the fourth attempt", || (said(&scene).len() == 4).then_some(()));
    // In the order in which they were granted, which was the one that was refused.
    for id in [&shared, &one] {
        scene.tf(&["capability", "revoke", id, "--reason", "no more"]).ok();
    }
    go_on(&scene, "net:127.0.0.9:4");
    tick_until(&scene, "the fifth attempt", || (said(&scene).len() == 5).then_some(()));
    scene.tf(&["capability", "revoke", &two, "--reason", "no more"]).ok();
    go_on(&scene, "net:127.0.0.9:5");
    complete(&scene);
    assert_eq!(said(&scene)[3..], ["shared,one,two", "shared,two", "nothing"]);
    let relocked = scene.events(RUN, "capability.relocked");
    assert_eq!(relocked.last().unwrap()["data"]["relocked"]["without"].as_array().unwrap().len(), 2, "{relocked:#?}");
    scene.tf(&["audit", "verify", RUN]).ok();
    scene.is_sound(RUN);
}
