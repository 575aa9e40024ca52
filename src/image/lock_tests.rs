#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;

pub(in crate::image) fn pip(name: &str, version: &str) -> PipPin {
    PipPin {
        name: name.to_owned(),
        version: version.to_owned(),
        sha256: Digest::of(name.as_bytes()),
        filename: format!("{name}-{version}-py3-none-any.whl"),
        url: Some(format!("https://index.example/{name}.whl")),
    }
}

pub(in crate::image) fn apt(name: &str, version: &str) -> AptPin {
    AptPin {
        name: name.to_owned(),
        version: version.to_owned(),
        arch: "amd64".to_owned(),
        sha256: Digest::of(name.as_bytes()),
        size: 100,
        filename: format!("{name}_{}_amd64.deb", version.replace(':', "%3a")),
        url: None,
    }
}

pub(in crate::image) fn npm(name: &str, version: &str) -> NpmPin {
    NpmPin {
        location: format!("node_modules/{name}"),
        name: name.to_owned(),
        version: version.to_owned(),
        sha512: super::super::npm_pin::Sha512::parse(&Digest::of(name.as_bytes()).as_str().repeat(2)).unwrap(),
        bin: BTreeMap::new(),
        bundles: false,
        bundled: Vec::new(),
        url: Some(format!("https://registry.example/{name}/-/a.tgz")),
    }
}

#[test]
fn order_and_address_do_not_change_the_identity() {
    let one = Lock::new(vec![pip("b", "1"), pip("a", "2")], vec![apt("jq", "1:1.6-2")]).unwrap();
    let mut elsewhere = pip("a", "2");
    elsewhere.url = None;
    let two = Lock::new(vec![elsewhere, pip("b", "1")], vec![apt("jq", "1:1.6-2")]).unwrap();
    assert_eq!(one.digest(), two.digest());
    let other = Lock::new(vec![pip("a", "2"), pip("b", "1.1")], vec![apt("jq", "1:1.6-2")]).unwrap();
    assert_ne!(one.digest(), other.digest());
}

#[test]
fn refuses_what_could_become_an_argument_or_a_path() {
    let bad = |change: fn(&mut PipPin)| {
        let mut pin = pip("a", "1");
        change(&mut pin);
        assert!(Lock::new(vec![pin.clone()], vec![]).is_err(), "{pin:?}");
    };
    bad(|p| p.name = "--index-url".into());
    bad(|p| p.name = "A".into());
    bad(|p| p.version = "-1".into());
    bad(|p| p.version = "1 --hash".into());
    bad(|p| p.version = "1\n".into());
    bad(|p| p.filename = "../a.whl".into());
    bad(|p| p.filename = "a.tar.gz".into());
    bad(|p| p.filename = "-a.whl".into());
    bad(|p| p.filename = format!("{}.whl", "a".repeat(200)));
    bad(|p| p.url = Some("file:///etc/passwd".into()));
    bad(|p| p.url = Some("https://user:secret@host/a.whl".into()));
    bad(|p| p.url = Some("https://host/a b".into()));
    let bad = |change: fn(&mut AptPin)| {
        let mut pin = apt("jq", "1");
        change(&mut pin);
        assert!(Lock::new(vec![], vec![pin.clone()]).is_err(), "{pin:?}");
    };
    bad(|a| a.name = "jq=1".into());
    bad(|a| a.name = "-y".into());
    bad(|a| a.version = "$(id)".into());
    bad(|a| a.arch = "amd64/../..".into());
    bad(|a| a.filename = "/etc/x.deb".into());
    bad(|a| a.filename = "x.deb ".into());
    assert!(Lock::new(vec![pip("a", "1"), pip("a", "2")], vec![]).is_err());
    assert!(Lock::new(vec![], vec![apt("jq", "1"), apt("jq", "2")]).is_err());
}

#[test]
fn a_file_is_read_strictly() {
    let lock = Lock::new(vec![pip("a", "1")], vec![apt("jq", "1")]).unwrap();
    assert_eq!(Lock::parse(&lock.to_bytes()).unwrap(), lock);
    let text = String::from_utf8(lock.to_bytes()).unwrap();
    assert!(Lock::parse(text.replace("\"format\": 1", "\"format\": 2").as_bytes()).is_err());
    assert!(Lock::parse(text.replace("\"format\": 1", "\"format\": 1, \"x\": 1").as_bytes()).is_err());
    assert!(Lock::parse(text.replace("\"a\"", "\"../a\"").as_bytes()).is_err());
    assert!(Lock::parse(b"null").is_err());
}

#[test]
fn a_grant_names_the_version() {
    let lock = Lock::new(vec![pip("a", "1.5"), pip("torch", "2.1.0+cpu")], vec![apt("jq", "1:1.6-2")]).unwrap();
    let granted = |text| lock.granted(&Capability::parse(text).unwrap()).map(|c| c.to_string());
    assert_eq!(granted("pip:A").as_deref(), Some("pip:a==1.5"));
    assert_eq!(granted("pip:torch").as_deref(), Some("pip:torch"));
    assert_eq!(granted("apt:jq").as_deref(), Some("apt:jq=1:1.6-2"));
    assert_eq!(granted("pip:zzz"), None);
}

#[test]
fn an_address_is_shown_without_credentials() {
    use crate::image::pins::shown_url;
    assert_eq!(shown_url("https://u:p@host:8443/a/b.whl#sha256=1").as_deref(), Some("https://host:8443/a/b.whl"));
    assert_eq!(shown_url("https://host/a?token=secret").as_deref(), Some("https://host/a"));
    assert_eq!(shown_url("file:///a"), None);
    assert_eq!(shown_url("https://host"), None);
}

proptest! {
    #[test]
    fn a_lock_reads_back(names in prop::collection::btree_set("[a-z]{2,8}", 0..6), version in "[0-9]\\.[0-9]{1,3}") {
        let pips = names.iter().map(|n| pip(n, &version)).collect();
        let apts = names.iter().map(|n| apt(n, &version)).collect();
        let lock = Lock::new(pips, apts).unwrap();
        prop_assert_eq!(Lock::parse(&lock.to_bytes()).unwrap(), lock);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Lock::parse(&bytes);
    }
}

#[test]
fn npm_has_one_package_at_a_place_and_one_archive_a_version() {
    let lock = |pins: Vec<NpmPin>| Lock::default().with_npm(pins);
    let nested = NpmPin { location: "node_modules/b/node_modules/a".to_owned(), ..npm("a", "1.0.0") };
    let good = lock(vec![nested.clone(), npm("b", "1.0.0"), npm("a", "2.0.0")]).unwrap();
    assert_eq!(Lock::parse(&good.to_bytes()).unwrap(), good);
    let asked = Capability::parse("npm:a").unwrap();
    assert_eq!(good.granted(&asked).unwrap().to_string(), "npm:a@2.0.0");
    assert!(lock(vec![npm("a", "1.0.0"), npm("a", "2.0.0")]).is_err());
    let other = NpmPin { sha512: npm("c", "1.0.0").sha512, ..npm("a", "1.0.0") };
    assert!(lock(vec![nested, other]).is_err());
    let command = |name: &str| NpmPin { bin: BTreeMap::from([("x".into(), "x.js".into())]), ..npm(name, "1.0.0") };
    assert!(lock(vec![command("a"), command("b")]).is_err());
}

#[test]
fn a_lock_without_npm_is_what_it_was_before_there_was_one() {
    let lock = Lock::new(vec![pip("a", "1")], vec![]).unwrap();
    assert!(!String::from_utf8(lock.to_bytes()).unwrap().contains("npm"));
    assert!(lock.content().get("npm").is_none());
    assert_ne!(lock.digest(), lock.with_npm(vec![npm("a", "1.0.0")]).unwrap().digest());
}

#[test]
fn what_lies_within_an_archive_of_npm_is_a_part_of_the_lock() {
    let inner = |place: &str, name: &str| Bundled {
        location: format!("node_modules/{place}/node_modules/{name}"),
        name: name.to_owned(),
        version: "1.3.0".to_owned(),
    };
    let with = |bundled| NpmPin { bundles: true, bundled, ..npm("big", "1.0.0") };
    let lock = |pins: Vec<NpmPin>| Lock::default().with_npm(pins);
    let good = lock(vec![with(vec![inner("big", "z"), inner("big", "left-pad")]), npm("b", "1.0.0")]).unwrap();
    assert_eq!(Lock::parse(&good.to_bytes()).unwrap(), good);
    // What a rule that denies `npm:left-pad` is asked about.
    let said = |caps: Vec<Capability>| caps.iter().map(ToString::to_string).collect::<Vec<_>>();
    let unlisted = lock(vec![with(Vec::new()), npm("b", "1.0.0")]).unwrap();
    let all = ["npm:b@1.0.0", "npm:big@1.0.0", "npm:left-pad@1.3.0", "npm:z@1.3.0"];
    assert_eq!(said(good.beyond(&Lock::default())), all);
    assert_eq!(said(good.beyond(&good)), [""; 0]);
    assert_eq!(good.bundled().count(), 2);
    // Of before they were listed: as it was.
    assert!(!String::from_utf8(unlisted.to_bytes()).unwrap().contains("bundled"));
    assert!(unlisted.content()["npm"][1].get("bundled").is_none());
    assert_ne!(unlisted.digest(), good.digest());
    // Two things at one place are none.
    let nested = NpmPin { location: "node_modules/big/node_modules/z".to_owned(), ..npm("z", "1.0.0") };
    assert!(lock(vec![with(vec![inner("big", "z")]), nested]).is_err());
    assert!(lock(vec![with(vec![inner("big", "z"), inner("big", "z")])]).is_err());
    assert!(lock(vec![with(vec![inner("b", "z")]), npm("b", "1.0.0")]).is_err());
}
