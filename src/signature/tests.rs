#![allow(clippy::unwrap_used)]

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::Path;

use chrono::{TimeZone as _, Utc};
use proptest::prelude::*;
use ssh_key::public::KeyData;

use super::*;

fn nobody(_: &Path) -> Option<zeroize::Zeroizing<String>> {
    None
}

/// A key of our own making, who may sign with it, and the folder that it lies in.
fn key() -> (tempfile::TempDir, ssh_key::PublicKey, AllowedSigners) {
    let folder = tempfile::tempdir().unwrap();
    let key = make_key(&folder.path().join("key"), "", None).unwrap();
    let allowed = AllowedSigners::parse(format!("ada {}\n", key.to_openssh().unwrap()).as_bytes()).unwrap();
    (folder, key, allowed)
}

fn signer(folder: &Path, allowed: &AllowedSigners) -> Signer {
    let settings = Settings { key: Some(folder.join("key")), name: None };
    Signer::find(&settings, allowed, DECISION, "somebody", &nobody).unwrap()
}

#[test]
fn what_is_signed_verifies_and_nothing_else_does() {
    let (folder, key, allowed) = key();
    let armoured = signer(folder.path(), &allowed).sign(DECISION, b"yes").unwrap();
    let now = [Utc::now()];
    let verify = |allowed: &AllowedSigners, namespace, name, message: &[u8]| {
        allowed.verify(namespace, name, message, armoured.as_bytes(), &now)
    };
    let proof = verify(&allowed, DECISION, "ada", b"yes").unwrap();
    assert_eq!((proof.name.as_str(), proof.key), ("ada", fingerprint(key.key_data())));
    assert!(matches!(verify(&allowed, DECISION, "ada", b"no"), Err(SignatureError::Forged)));
    assert!(matches!(verify(&allowed, UNLOCK, "ada", b"yes"), Err(SignatureError::Namespace { .. })));
    assert!(matches!(verify(&allowed, DECISION, "eve", b"yes"), Err(SignatureError::Name { .. })));
    let none = AllowedSigners::default();
    assert!(matches!(verify(&none, DECISION, "ada", b"yes"), Err(SignatureError::Unknown { .. })));
}

#[test]
fn any_changed_byte_of_a_signature_is_noticed() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let (folder, _, allowed) = key();
    let armoured = signer(folder.path(), &allowed).sign(DECISION, b"yes").unwrap();
    let lines: Vec<&str> = armoured.lines().collect();
    let raw = STANDARD.decode(lines[1..lines.len() - 1].concat()).unwrap();
    let armour = |raw: &[u8]| {
        let text = STANDARD.encode(raw);
        let inside: Vec<&str> = text.as_bytes().chunks(70).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("{}\n{}\n{}\n", lines[0], inside.join("\n"), lines[lines.len() - 1])
    };
    let counts = |raw: &[u8]| allowed.verify(DECISION, "ada", b"yes", armour(raw).as_bytes(), &[]).is_ok();
    assert!(counts(&raw));
    for at in 0..raw.len() {
        let mut changed = raw.clone();
        changed[at] ^= 1;
        assert!(!counts(&changed), "byte {at} may be anything");
        assert!(!counts(&raw[..at]), "cut at {at}");
    }
    assert!(!counts(&[&raw[..], b"x"].concat()), "more behind it");
}

#[test]
fn both_ends_of_a_validity_belong_to_it() {
    let (_folder, key, _) = key();
    let text = format!("ada valid-after=\"20260101Z\",valid-before=\"20260201Z\" {}", key.to_openssh().unwrap());
    let allowed = AllowedSigners::parse(text.as_bytes()).unwrap();
    let at = |day, second| Utc.with_ymd_and_hms(2026, 1, day, 0, 0, second).unwrap();
    let permit = |times: &[_]| allowed.permit(key.key_data(), DECISION, "ada", times);
    let end = Utc.with_ymd_and_hms(2026, 2, 1, 0, 0, 0).unwrap();
    assert!(permit(&[at(1, 0), at(15, 0), end]).is_ok());
    let second = chrono::Duration::seconds(1);
    assert!(matches!(permit(&[at(15, 0), at(1, 0) - second]), Err(SignatureError::NotYet { .. })));
    assert!(matches!(permit(&[at(15, 0), end + second]), Err(SignatureError::Expired { .. })));
}

#[test]
fn a_second_line_can_allow_what_a_first_does_not() {
    let (_folder, key, _) = key();
    let key_text = key.to_openssh().unwrap();
    let text = format!("ada valid-before=\"20200101Z\" {key_text}\nada namespaces=\"taskforge-decision\" {key_text}\n");
    let allowed = AllowedSigners::parse(text.as_bytes()).unwrap();
    assert_eq!(allowed.permit(key.key_data(), DECISION, "ada", &[Utc::now()]).unwrap().line, 2);
    // The nearest miss is what is said.
    let missed = allowed.permit(key.key_data(), UNLOCK, "ada", &[Utc::now()]);
    assert!(matches!(missed, Err(SignatureError::Expired { line: 1, .. })), "{missed:?}");
}

#[test]
fn an_encrypted_key_is_opened_by_its_passphrase_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let key = make_key(&path, "", Some("open sesame")).unwrap();
    let allowed = AllowedSigners::parse(format!("ada {}", key.to_openssh().unwrap()).as_bytes()).unwrap();
    let settings = Settings { key: Some(path.clone()), name: None };
    let find = |phrase: &'static str| {
        let said = move |_: &Path| (!phrase.is_empty()).then(|| zeroize::Zeroizing::new(phrase.to_owned()));
        Signer::find(&settings, &allowed, DECISION, "ada", &said)
    };
    assert!(matches!(find(""), Err(SignatureError::NoPassphrase { .. })));
    assert!(matches!(find("wrong"), Err(SignatureError::KeyFile { .. })));
    let armoured = find("open sesame").unwrap().sign(DECISION, b"yes").unwrap();
    assert!(allowed.verify(DECISION, "ada", b"yes", armoured.as_bytes(), &[Utc::now()]).is_ok());
    assert!(make_key(&path, "", None).is_err(), "a key was written over");
}

/// An agent that gives `answer` to whatever it is asked.
fn agent_that_says(answer: Vec<u8>) -> (tempfile::TempDir, Agent) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut length = [0; 4];
        stream.read_exact(&mut length).unwrap();
        let mut asked = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut asked).unwrap();
        stream.write_all(&answer).unwrap();
    });
    (folder, Agent::at(&socket))
}

fn framed(answer: &[u8]) -> Vec<u8> {
    [&u32::try_from(answer.len()).unwrap().to_be_bytes()[..], answer].concat()
}

#[test]
fn an_agent_s_answer_is_not_believed() {
    let many = [&[12][..], &u32::MAX.to_be_bytes()].concat();
    let cut = [&[12][..], &1u32.to_be_bytes(), &9u32.to_be_bytes(), b"x"].concat();
    for (answer, reason) in [
        (vec![0, 0, 0, 0], "an answer of 0 bytes"),
        (u32::MAX.to_be_bytes().to_vec(), "an answer of 4294967295 bytes"),
        (vec![0, 0], "failed to fill"),
        (framed(&[12]), "cut short"),
        (framed(&many), "says that it holds"),
        (framed(&cut), "cut short"),
        (framed(&[5]), "answers with 5"),
    ] {
        let (_folder, agent) = agent_that_says(answer);
        let said = agent.keys().unwrap_err().to_string();
        assert!(said.contains(reason), "{said} instead of {reason}");
    }
    let (_own, key, _) = key();
    // A signature of the right form that the key did not make.
    let string = |bytes: &[u8]| framed(bytes);
    let forged = string(&[string(b"ssh-ed25519"), string(&[7; 64])].concat());
    for (answer, reason) in [
        (framed(&[&[14][..], &forged].concat()), "what it gave is no signature"),
        (framed(&[&[14][..], &forged, b"x"].concat()), "cut short"),
        (framed(&[14, 0, 0, 0, 1, 0]), "cannot be read"),
        (framed(&[5]), "refuses to sign"),
        (framed(&[6]), "something else"),
    ] {
        let (_folder, agent) = agent_that_says(answer);
        let said = agent.sign(key.key_data(), b"yes").unwrap_err().to_string();
        assert!(said.contains(reason), "{said} instead of {reason}");
    }
}

#[test]
fn an_rsa_key_that_is_too_short_signs_nothing() {
    // The least that counts is ring's 2,048 bits; OpenSSH of long ago made 1,024.
    let number = |bytes: &[u8]| ssh_key::Mpint::from_positive_bytes(bytes).unwrap();
    let key = KeyData::Rsa(ssh_key::public::RsaPublicKey { e: number(&[1, 0, 1]), n: number(&[0xff; 128]) });
    let algorithm = ssh_key::Algorithm::Rsa { hash: Some(ssh_key::HashAlg::Sha512) };
    let signature = ssh_key::Signature::new(algorithm, vec![1; 128]).unwrap();
    assert!(matches!(check::check_raw(&key, &signature, b"yes"), Err(SignatureError::Forged)));
    // SHA-1 is no signature at all.
    assert!(ssh_key::Signature::new(ssh_key::Algorithm::Rsa { hash: None }, vec![1; 256]).is_err());
}

proptest! {
    #[test]
    fn any_line_is_read_or_refused(text in "(ada |\"a b\" |\\*,!x )?(namespaces=\"[a-z,*!]{0,8}\"|valid-before=\"[0-9Z]{0,15}\"|cert-authority)?,? ?(ssh-ed25519|ssh-rsa|x)? ?\\PC{0,30}") {
        let _ = AllowedSigners::parse(text.as_bytes());
    }
}
