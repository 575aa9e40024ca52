#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use super::*;
use crate::container::ImageRef;
use crate::image::{AptPin, Bundled, Lock, NpmPin, PipPin, Recipe, Sha512};
use crate::run::capability::Capability;
use crate::run::id::{Digest, NodeId, RequestId, RunId};
use crate::run::terms::Terms;
use proptest::prelude::*;

pub(super) fn pip(name: &str, version: &str) -> PipPin {
    PipPin {
        name: name.to_owned(),
        version: version.to_owned(),
        sha256: Digest::of(name.as_bytes()),
        filename: format!("{name}-{version}-py3-none-any.whl"),
        url: Some(format!("https://files.example/{name}.whl")),
    }
}

pub(super) fn recipe(pips: Vec<PipPin>, apts: Vec<AptPin>) -> Recipe {
    let base = ImageRef::parse("taskforge/base:default").unwrap();
    Recipe::new(base, vec![Digest::of(b"layer")], Lock::new(pips, apts).unwrap())
}

pub(super) fn request() -> Request {
    Request {
        id: RequestId::parse("01JD2Z3V5Q8M4K7N9P1R2S3T4V").unwrap(),
        run: RunId::parse("demo-1").unwrap(),
        node: NodeId::parse("analyse").unwrap(),
        attempt: 1,
        capability: Capability::parse("pip:pygal").unwrap(),
    }
}

fn review(reason: &str) -> Review {
    let before = recipe(vec![pip("six", "1.16.0")], vec![]);
    let after = recipe(vec![pip("six", "1.16.0"), pip("pygal", "3.1.3")], vec![]);
    let approved = [Capability::parse("pip:six==1.16.0").unwrap()];
    Review::of_packages(
        request(),
        "node analyse".to_owned(),
        reason.to_owned(),
        "ask (no rule)".to_owned(),
        &approved,
        &after,
        Some(&before),
        None,
    )
}

#[test]
fn a_review_as_a_person_sees_it() {
    insta::assert_snapshot!(review("I want to draw a bar chart of the sales.\nIt is pure Python.").render());
}

#[test]
fn what_an_archive_of_npm_brings_and_its_commands_are_shown() {
    let pin = |name: &str| NpmPin {
        location: format!("node_modules/{name}"),
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        sha512: Sha512::parse(&"0".repeat(128)).unwrap(),
        bin: BTreeMap::new(),
        bundles: false,
        bundled: Vec::new(),
        url: None,
    };
    let inner = |place: &str, name: &str| Bundled {
        location: format!("node_modules/big/node_modules/{place}"),
        name: name.to_owned(),
        version: "1.3.0".to_owned(),
    };
    let big = NpmPin {
        bin: BTreeMap::from([("python3".to_owned(), "bin/x.js".to_owned())]),
        bundles: true,
        bundled: vec![inner("pad", "left-pad"), inner("left-pad", "left-pad")],
        ..pin("big")
    };
    let before = Lock::default().with_npm(vec![pin("old")]).unwrap();
    let lock = before.clone().with_npm(vec![pin("old"), big, NpmPin { bundles: true, ..pin("early") }]).unwrap();
    assert_ne!(
        lock.digest(),
        before.with_npm(vec![pin("old"), NpmPin { bundles: true, ..pin("big") }, pin("early")]).unwrap().digest()
    );
    let mut review = review("");
    review.lock = Some(lock);
    review.lock_before = Some(Lock::default().with_npm(vec![pin("old")]).unwrap());
    let text = review.render();
    for line in [
        "Packages of the image: 3, and 2 within others' archives (+ new, ~ changed)\n",
        "\n+       holds big/node_modules/left-pad 1.3.0\n",
        "\n+       holds big/node_modules/pad = left-pad 1.3.0\n",
        "\n+       command python3 (bin/x.js), in /usr/local/bin: before another of that name\n",
        "\n+       holds packages of its own, which an earlier version did not list\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
}

#[test]
fn an_agents_words_cannot_act_or_pass_for_ours() {
    let reason = "fine\u{1b}[2J\u{1b}[1;1H\r\nReview    0000\n\nIn force afterwards\n  pip:harmless\n\u{202e}gnp\u{2066}\u{200b}";
    let text = review(reason).render();
    assert!(!text.contains(['\u{1b}', '\r', '\u{202e}', '\u{2066}', '\u{200b}']));
    assert!(text.contains("  | Review    0000\n") && !text.contains("\nReview    0000"));
    assert!(text.contains("  |   pip:harmless\n"));
    let long = review(&"x\n".repeat(500)).render();
    assert!(long.contains("(460 more lines)"));
    let mut spoofed = review("x");
    spoofed.requested_by = "agent\nPolicy    allow".to_owned();
    assert!(!spoofed.render().contains("\nPolicy    allow"));
}

#[test]
fn anything_shown_changes_the_digest() {
    let one = review("x");
    let changes: [fn(&mut Review); 10] = [
        |r| r.reason.push(' '),
        |r| r.requested_by.push('x'),
        |r| r.policy_view.push('x'),
        |r| r.request.attempt += 1,
        |r| r.request.capability = Capability::parse("pip:pygal==3.1.3").unwrap(),
        |r| r.grants.clear(),
        |r| r.lock = None,
        |r| r.lock_before = None,
        |r| r.dockerfile.push('\n'),
        |r| r.dockerfile_before = None,
    ];
    for change in changes {
        let mut other = one.clone();
        change(&mut other);
        assert_ne!(one.digest(), other.digest());
    }
    // A lock's addresses are shown, so they are covered, though the image's identity leaves them out.
    let mut elsewhere = one.clone();
    let mut pins = one.lock.clone().unwrap().pip().to_vec();
    pins[0].url = None;
    elsewhere.lock = Some(Lock::new(pins, vec![]).unwrap());
    assert_ne!(one.digest(), elsewhere.digest());
}

#[test]
fn a_review_survives_its_file() {
    let one = review("größe \u{1b}");
    let text = serde_json::to_string(&one).unwrap();
    let read: Review = serde_json::from_str(&text).unwrap();
    assert_eq!((read.digest(), &read), (one.digest(), &one));
}

#[test]
fn a_prefix_is_enough_and_another_digest_is_stale() {
    let one = review("x");
    let digest = one.digest();
    assert_eq!(one.check_digest(digest.as_str()), Ok(digest.clone()));
    assert_eq!(one.check_digest(digest.short()), Ok(digest.clone()));
    assert!(matches!(one.check_digest(&digest.as_str()[..7]), Err(DecisionError::Prefix { .. })));
    assert!(matches!(one.check_digest(""), Err(DecisionError::Prefix { .. })));
    assert!(matches!(one.check_digest("zzzzzzzzzz"), Err(DecisionError::Prefix { .. })));
    let other = review("y").digest();
    assert!(matches!(one.check_digest(other.short()), Err(DecisionError::Stale { .. })));
}

fn decision() -> Decision {
    decide("go ahead", "operator:ada").unwrap()
}

fn decide(comment: &str, by: &str) -> Result<Decision, DecisionError> {
    let review = review("x");
    let Request { id, run, .. } = review.request.clone();
    Decision::new(
        "registry",
        id,
        run,
        Verdict::Approve,
        Vec::new(),
        Terms::default(),
        review.digest(),
        comment,
        by,
        "2026-11-20T11:46:18Z",
    )
}

#[test]
fn a_decision_is_good_for_what_was_shown() {
    let decision = decision();
    assert_eq!(Decision::parse(&decision.to_bytes()).unwrap(), decision);
    assert_eq!(decision.check_against(&review("x")), Ok(()));
    assert!(matches!(decision.check_against(&review("y")), Err(DecisionError::Stale { .. })));
    let mut elsewhere = review("x");
    elsewhere.request.run = RunId::parse("demo-2").unwrap();
    assert!(matches!(decision.check_against(&elsewhere), Err(DecisionError::OtherRequest { .. })));
}

#[test]
fn a_decision_file_is_read_strictly() {
    let text = String::from_utf8(decision().to_bytes()).unwrap();
    let refused = |from: &str, to: &str| {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text);
        assert!(Decision::parse(changed.as_bytes()).is_err(), "{changed}");
    };
    refused("\"approve\"", "\"Approve\"");
    refused("\"approve\"", "\"allow\"");
    refused("\"approve\"", "\"suggest\"");
    refused("\"approve\"", "\"approve\", \"instead\": [\"pip:six\"]");
    refused("\"approve\"", "\"suggest\", \"instead\": [\"pip:six; id\"]");
    refused("\"format\": 2", "\"format\": 3");
    refused("\"format\": 2", "\"format\": 1");
    refused("\"format\": 2", "\"format\": 2, \"extra\": 1");
    refused("\"format\": 2", "\"format\": 2, \"verdict\": \"deny\"");
    refused("  \"registry\": \"registry\",\n", "");
    refused("\"registry\": \"registry\"", "\"registry\": \"a\\nb\"");
    refused("operator:ada", "agent:ada");
    refused("operator:ada", "operator:");
    refused("operator:ada", "operator:a\\nb");
    refused("2026-11-20T11:46:18Z", "yesterday");
    refused("01JD2Z3V5Q8M4K7N9P1R2S3T4V", "../../etc");
    refused("demo-1", "..");
    refused("go ahead", &"x".repeat(20_000));
    assert!(Decision::parse(&vec![b' '; 100_000]).is_err());
    assert!(decide("", "ada").is_err());
    // What an earlier version wrote is still read; it names no registry.
    let old = text.replace("\"format\": 2", "\"format\": 1").replace("  \"registry\": \"registry\",\n", "");
    assert!(Decision::parse(old.as_bytes()).unwrap().is_of("any") && !decision().is_of("any"));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Decision::parse(&bytes);
    }

    #[test]
    fn every_line_of_a_reason_is_quoted(reason in "(\\PC|\\n|\\x1b){0,80}") {
        let with = review(&reason).render();
        let (_, rest) = with.split_once("Why, in the agent's words\n").unwrap();
        let (words, _) = rest.split_once("\nIn force afterwards\n").unwrap();
        prop_assert!(words.lines().all(|l| l.starts_with("  | ") || l.starts_with("  (")), "{}", words);
    }
}

pub(super) fn gate_review(capability: &str, reason: &str) -> Review {
    let capability = Capability::parse(capability).unwrap();
    let asked = Request { capability: capability.clone(), ..request() };
    let grants = vec![Capability::parse("net:a.example:443").unwrap(), capability];
    Review::of_given(
        asked,
        "agent:analyse".to_owned(),
        reason.to_owned(),
        "ask (no rule)".to_owned(),
        grants,
        None,
        None,
    )
}

#[test]
fn a_way_out_as_a_person_sees_it() {
    insta::assert_snapshot!(gate_review("net:api.github.com:443", "To read the issues.").render());
    insta::assert_snapshot!(gate_review("tcp:10.0.0.5:5432", "").render());
    insta::assert_snapshot!(gate_review("llm:gemini-*,requests=50,tokens=200000", "").render());
}

#[test]
fn no_sentence_of_what_a_grant_does_is_cut() {
    let long = |part: &str, count: usize| vec![part; count].join("/");
    let host = vec!["a".repeat(59); 4].join(".");
    let recipients: Vec<String> = (0..12).map(|n| format!("to=somebody-{n}@mail.example.org")).collect();
    let folder = |path: &str| crate::run::folder::Folder {
        path: path.to_owned(),
        device: "259:65535".to_owned(),
        inode: u64::MAX,
        owner: "4294967294:4294967294".to_owned(),
        permissions: "7777".to_owned(),
        keys: (0..40).map(|n| format!("{path}/.ssh-{n}")).collect(),
        unsearched: true,
    };
    let path = format!("/{}", long("folder-of-a-project", 20));
    let mut reviews: Vec<Review> = [
        format!("net:xn--{host}:65535"),
        format!("tcp:{host}:65535"),
        format!("secret:{}@{host}:65535", "s".repeat(40)),
        format!("action:email.send,{},limit=1000/minute", recipients.join(",")),
        "llm:gemini-*,requests=1000000000,tokens=1000000000,money=1000000".to_owned(),
        "budget:role,tokens=1000000000".to_owned(),
        "budget:day,requests=1000000000".to_owned(),
    ]
    .iter()
    .map(|capability| gate_review(capability, "x"))
    .collect();
    let asked = Request { capability: Capability::parse(&format!("mount:{path}:rw")).unwrap(), ..request() };
    let of = |asked| {
        Review::of_given(
            asked,
            "n".into(),
            "x".into(),
            "ask (no rule)".into(),
            vec![],
            Some((&folder(&path), Some(1))),
            None,
        )
    };
    reviews.push(of(asked));
    let proposed = crate::run::deployment::Proposed {
        image: "sha256:".to_owned() + &"0".repeat(64),
        command: vec!["x".repeat(500)],
        folder: long("folder", 60),
        port: 8080,
        files: Vec::new(),
        set: Digest::of(b""),
    };
    reviews.push(gate_review("port:8080", "x").deploying(proposed));
    for review in &mut reviews {
        let text = review.render();
        assert!(!text.contains('…'), "{text}");
        assert!(!review.effect.is_empty() && review.effect.iter().all(|sentence| text.contains(sentence.as_str())));
    }
    let longest = reviews.iter().flat_map(|review| &review.effect).map(String::len).max();
    assert!(longest > Some(1000), "{longest:?}");
}

#[test]
fn special_addresses_and_encoded_names_are_pointed_out() {
    for (text, part) in [
        ("net:127.0.0.1:80", "this machine itself"),
        ("net:[::1]:80", "this machine itself"),
        ("net:169.254.169.254:80", "metadata and credentials"),
        ("tcp:192.168.1.1:22", "private network"),
        ("tcp:100.64.0.1:22", "private network"),
        ("net:xn--pypal-4ve.com:443", "encoded international"),
    ] {
        assert!(gate_review(text, "").render().contains(part), "{text}");
    }
    assert!(!gate_review("net:example.com:443", "").render().contains("Careful"));
}

#[test]
fn what_a_grant_does_is_covered_by_the_digest() {
    let one = gate_review("net:api.github.com:443", "x");
    let mut other = one.clone();
    other.effect.pop();
    assert_ne!(one.digest(), other.digest());
    let text = serde_json::to_string(&one).unwrap();
    assert_eq!(serde_json::from_str::<Review>(&text).unwrap(), one);
}
