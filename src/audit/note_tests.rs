//! Notes that are right, and ones that are not.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use ring::signature::Ed25519KeyPair;

use super::*;

fn pair(seed: u8) -> (Vkey, Ed25519KeyPair) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    (Vkey::of("taskforge/reg", &pair).unwrap(), pair)
}

fn checkpoint() -> Checkpoint {
    let head = Head { at: 1234, digest: Digest::of(b"x"), seq: 7 };
    Checkpoint { origin: Checkpoint::origin("reg", "demo-1"), head }
}

fn note() -> String {
    let (key, pair) = pair(1);
    checkpoint().sign(&key, &pair)
}

#[test]
fn the_format() {
    let (key, _) = pair(1);
    let note = note();
    let start =
        "taskforge/reg/demo-1\n1234\nLXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE=\nseq 7\n\n\u{2014} taskforge/reg ";
    assert!(note.starts_with(start) && note.ends_with('\n'), "{note}");
    assert_eq!(Checkpoint::open(note.as_bytes(), std::slice::from_ref(&key)), Ok(checkpoint()));
    assert_eq!(checkpoint().run(), Some("demo-1"));
    assert_eq!(Vkey::parse(&key.to_string()), Ok(key));
    // The example of the signed-note specification.
    let known = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    assert_eq!(Vkey::parse(known).unwrap().to_string(), known);
    let text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    let signature = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
    let note = format!("{text}\n\u{2014} PeterNeumann {signature}\n");
    let (signed, signatures) = split(note.as_bytes()).unwrap();
    let key = Vkey::parse(known).unwrap();
    assert_eq!((signed, signatures[0].0, signatures[0].1), (text, "PeterNeumann", key.hash()));
    assert!(UnparsedPublicKey::new(&ED25519, key.key).verify(text.as_bytes(), &signatures[0].2).is_ok());
}

#[test]
fn one_known_signature_is_enough_and_a_wrong_one_of_a_known_key_too_much() {
    let ((one, first), (two, second)) = (pair(1), pair(2));
    let note = note();
    let other = checkpoint().sign(&two, &second);
    let both = format!("{note}{}\n", other.lines().last().unwrap());
    assert_eq!(Checkpoint::open(both.as_bytes(), std::slice::from_ref(&two)), Ok(checkpoint()));
    assert_eq!(Checkpoint::open(both.as_bytes(), &[one.clone(), two.clone()]), Ok(checkpoint()));
    assert!(matches!(Checkpoint::open(note.as_bytes(), std::slice::from_ref(&two)), Err(NoteError::Unknown(_))));
    let mut later = checkpoint();
    later.head.at += 1;
    let wrong = later.sign(&one, &first);
    let mixed = format!("{other}{}\n", wrong.lines().last().unwrap());
    assert!(
        Checkpoint::open(mixed.as_bytes(), std::slice::from_ref(&two)).is_ok(),
        "a key that is not known says nothing"
    );
    assert!(matches!(Checkpoint::open(mixed.as_bytes(), &[one, two]), Err(NoteError::Forged(_))));
}

#[test]
fn each_changed_byte_is_refused() {
    let (key, _) = pair(1);
    let note = note().into_bytes();
    for at in 0..note.len() {
        for flip in [1, 2, 0x20, 0x80] {
            let mut changed = note.clone();
            changed[at] ^= flip;
            assert!(Checkpoint::open(&changed, std::slice::from_ref(&key)).is_err(), "byte {at}");
        }
        assert!(Checkpoint::open(&note[..at], std::slice::from_ref(&key)).is_err(), "cut to {at}");
    }
}

#[test]
fn keys_that_are_none() {
    let (key, _) = pair(1);
    let line = key.to_string();
    for bad in
        [String::new(), line.replace("reg", "rag"), line.replace("+A", "+B"), format!("{line}A"), format!(" {line}")]
    {
        assert!(Vkey::parse(&bad).is_err(), "{bad}");
    }
    assert_eq!(Vkey::parse_all(&format!("\n{line}\n\n{line}\n")).unwrap().len(), 2);
}

proptest! {
    #[test]
    fn the_parser_takes_anything(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let (key, _) = pair(1);
        prop_assert!(Checkpoint::open(&bytes, &[key]).is_err());
        let _ = Vkey::parse_all(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn and_what_is_almost_a_note(at in 0_usize..300, cut in 0_usize..40, noise in "[ \\n=—+/a-z0-9é\u{1f600}]{0,20}") {
        let (key, _) = pair(1);
        let note = note();
        let mut characters: Vec<char> = note.chars().collect();
        let at = at.min(characters.len());
        characters.splice(at..(at + cut).min(note.chars().count()), noise.chars());
        let changed: String = characters.into_iter().collect();
        let opened = Checkpoint::open(changed.as_bytes(), std::slice::from_ref(&key));
        prop_assert!(opened.is_err() || opened == Ok(checkpoint()));
        let _ = Vkey::parse(&changed);
    }
}
