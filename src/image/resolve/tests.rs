#![allow(clippy::unwrap_used)]

use super::apt::read_uris;
use super::npm::{Read, read_lock};
use super::pip::{cause, missing, read_report};
use super::*;
use proptest::prelude::*;

const DIGEST: &str = "c25f3fda201207ed98b1d63686f2d81b9dfeb99f1ab2d1d35fb3f7b6a1c107dc";

fn report(url: &str, hashes: &str, name: &str) -> String {
    format!(
        r#"{{"version":"1","pip_version":"23.0","install":[{{"download_info":{{"url":"{url}","archive_info":{{"hash":"x","hashes":{hashes}}}}},"requested":true,"metadata":{{"name":"{name}","version":"1.0+cpu","description":"…"}}}}],"environment":{{}}}}"#
    )
}

#[test]
fn reads_pips_report() {
    let hashes = format!(r#"{{"sha256":"{DIGEST}"}}"#);
    let text = report("https://me:secret@host/x/Py_Gal-1.0%2Bcpu-py3-none-any.whl#sha256=1", &hashes, "Py_Gal");
    let pins = read_report(text.as_bytes()).unwrap();
    assert_eq!(pins[0].name, "py-gal");
    assert_eq!(pins[0].filename, "Py_Gal-1.0+cpu-py3-none-any.whl");
    assert_eq!(pins[0].url.as_deref(), Some("https://host/x/Py_Gal-1.0%2Bcpu-py3-none-any.whl"));
    assert_eq!(pins[0].sha256.as_str(), DIGEST);
    assert!(Lock::new(pins, vec![]).is_ok());
}

#[test]
fn refuses_a_report_without_digests_or_with_another_shape() {
    let url = "https://host/a.whl";
    assert!(read_report(report(url, "{}", "a").as_bytes()).is_err());
    assert!(read_report(report(url, r#"{"sha256":"zz"}"#, "a").as_bytes()).is_err());
    assert!(read_report(report(url, &format!(r#"{{"sha256":"{DIGEST}"}}"#), "../a").as_bytes()).is_err());
    assert!(read_report(b"{\"version\":\"2\",\"install\":[]}").is_err());
    assert!(read_report(b"[]").is_err());
}

#[test]
fn reads_npms_lock_with_what_lies_within_archives() {
    let integrity = format!("sha512-{}==", "A".repeat(86));
    let own = format!(r#""resolved":"https://host/x.tgz","integrity":"{integrity}""#);
    let text = format!(
        r#"{{"lockfileVersion":3,"packages":{{"":{{}},
        "node_modules/big":{{"version":"1.0.0",{own},"bin":{{"big":"./big.js"}}}},
        "node_modules/big/node_modules/left-pad":{{"version":"1.3.0","inBundle":true}},
        "node_modules/big/node_modules/left-pad/node_modules/@a/b":{{"name":"c","version":"2.0.0","inBundle":true}},
        "node_modules/elsewhere":{{"version":"1.0.0",{own},"optional":true,"os":"aix"}},
        "node_modules/elsewhere/node_modules/x":{{"version":"1.0.0","inBundle":true,"optional":true}}}}}}"#
    );
    let Read::Pins(pins, _) = read_lock(text.as_bytes(), &["big"]).unwrap() else { panic!() };
    assert_eq!(pins.len(), 1);
    let inner: Vec<_> = pins[0].bundled.iter().map(|i| (i.place(), i.name.as_str(), i.version.as_str())).collect();
    let left_pad = "big/node_modules/left-pad";
    let nested = "big/node_modules/left-pad/node_modules/@a/b";
    assert_eq!(inner, [(left_pad, "left-pad", "1.3.0"), (nested, "c", "2.0.0")]);
    assert!(Lock::default().with_npm(pins).is_ok());
}

#[test]
fn knows_pips_words() {
    let none = "ERROR: Could not find a version that satisfies the requirement a==9 (from versions: 1)\n\
                ERROR: No matching distribution found for a==9\n";
    assert_eq!(cause(none), Cause::DoesNotExist);
    let (name, version) = missing(none).unwrap();
    assert_eq!((name.as_str(), version.as_deref()), ("a", Some("9")));
    let (name, version) = missing("ERROR: No matching distribution found for Zope.Interface>=4 (from x)").unwrap();
    assert_eq!((name.as_str(), version), ("zope-interface", None));
    assert!(missing("ERROR: No matching distribution found for --x").is_none());
    assert_eq!(
        cause(&format!("WARNING: Retrying (Retry(total=0)) after connection broken\n{none}")),
        Cause::Unreachable
    );
    assert_eq!(
        cause("ERROR: Cannot install a and b because these package versions have conflicting dependencies."),
        Cause::Conflict
    );
}

#[test]
fn reads_apts_addresses() {
    let text = format!(
        "'http://u:p@host/pool/v/vim/vim_9.0%2bb_amd64.deb' vim_2%3a9.0+b-1_amd64.deb 719960 SHA256:{DIGEST}\n\n\
         'http://host/pool/j/jq_1.6_all.deb' jq_1.6_all.deb 5 SHA256:{DIGEST}\n"
    );
    let pins = read_uris(&text).unwrap();
    assert_eq!((pins[0].name.as_str(), pins[0].version.as_str(), pins[0].arch.as_str()), ("vim", "2:9.0+b-1", "amd64"));
    assert_eq!(pins[0].url.as_deref(), Some("http://host/pool/v/vim/vim_9.0%2bb_amd64.deb"));
    assert_eq!(pins[1].size, 5);
    assert!(Lock::new(vec![], pins).is_ok());
    for bad in [
        "E: something",
        "'http://host/a' a_1_all.deb 5",
        "'http://host/a' a_1_all.deb 5 MD5Sum:0",
        "'http://host/a' a_1_all.deb 5 SHA256:zz",
        "'http://host/a' a_1.deb 5 SHA256:zz",
    ] {
        assert!(read_uris(bad).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn no_answer_panics(text in "\\PC{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = read_uris(&text);
        let _ = missing(&format!("No matching distribution found for {text}"));
        let _ = read_report(&bytes);
        let _ = cause(&text);
    }
}
