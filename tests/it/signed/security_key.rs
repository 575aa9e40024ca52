//! Signatures as security keys make them, without one: made by the rules of PROTOCOL.u2f, judged by the real tool.

use ring::digest::{SHA256, digest};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use ssh_key::public::{Ed25519PublicKey, KeyData, SkEd25519};
use ssh_key::{Algorithm, HashAlg, LineEnding, PublicKey, Signature, SshSig};

use super::*;

const PRESENT: u8 = 1;

/// A key that no hardware holds, and its public half.
fn stick() -> (Ed25519KeyPair, KeyData) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let public = Ed25519PublicKey(pair.public_key().as_ref().try_into().unwrap());
    (pair, KeyData::SkEd25519(SkEd25519::new(public, "ssh:")))
}

fn touch(pair: &Ed25519KeyPair, key: &KeyData, flags: u8, message: &[u8]) -> Vec<u8> {
    let data = SshSig::signed_data(DECISION, HashAlg::Sha512, message).unwrap();
    let state = [flags, 0, 0, 0, 9];
    let said = [digest(&SHA256, b"ssh:").as_ref(), &state, digest(&SHA256, &data).as_ref()].concat();
    let raw = [pair.sign(&said).as_ref(), &state].concat();
    let signature = Signature::new(Algorithm::SkEd25519, raw).unwrap();
    SshSig::new(key.clone(), DECISION, HashAlg::Sha512, signature).unwrap().to_pem(LineEnding::LF).unwrap().into_bytes()
}

#[test]
fn a_security_key_decides_when_it_is_touched() {
    let scene = scene();
    let (pair, key) = stick();
    allow(&scene, &format!("ada {}", PublicKey::from(key.clone()).to_openssh().unwrap()));
    let decision = asked(&scene, "r");
    put(&scene, &decision, Some(&touch(&pair, &key, 0, &bytes(&decision))));
    scene.tf(&["tick", "r"]).ok();
    let said = scene.events("r", "input.rejected")[0]["data"]["reason"].to_string();
    assert!(said.contains("without touching"), "{said}");
    let mut other = decision.clone();
    other["comment"] = "changed".into();
    put(&scene, &other, Some(&touch(&pair, &key, PRESENT, &bytes(&decision))));
    scene.tf(&["tick", "r"]).ok();
    assert_eq!(status(&scene, "r"), "waiting");
    put(&scene, &decision, Some(&touch(&pair, &key, PRESENT, &bytes(&decision))));
    ssh_keygen_verifies(&scene, "ada", DECISION, &scene.path(&path_of(&decision)));
    scene.tf(&["tick", "r"]).ok();
    assert_eq!(decision_of(&scene, "r")["proven"], true);
    scene.is_sound("r");
}
