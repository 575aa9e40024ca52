//! Indexes that do not answer, do not end, or answer with something else than they said.

use std::time::Duration;

use taskforge::image::{Cause, Error, Lock, Resolution};

use super::index::{Answer, Index, Wheel};
use super::{Place, why};

async fn lock(place: &Place, index: &Index, capability: &str) -> Lock {
    match place.resolve_with(&Lock::default(), capability, Some(&index.simple())).await {
        Resolution::Lock(lock) => lock,
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
