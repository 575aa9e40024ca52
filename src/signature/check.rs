//! Whether a signature fits its key and its message, by `ring`. Ed25519, ECDSA over P-256 and P-384, RSA from 2,048 bits
//! with SHA-2, and the two kinds that security keys make (PROTOCOL.u2f).

use ring::digest::{SHA256, digest};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA512,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use ssh_key::public::{EcdsaPublicKey, KeyData};
use ssh_key::{Algorithm, HashAlg, Mpint, Signature, SshSig};

use super::error::SignatureError;

/// A security key's statement that somebody touched it.
const PRESENT: u8 = 1;

/// Whether what `key` signs counts, and where: any that [`check`] takes, an RSA key from its 2,048 bits on.
///
/// # Errors
/// Why it never counts.
pub fn counts(key: &KeyData) -> Result<(), String> {
    match key {
        KeyData::Ed25519(_)
        | KeyData::Ecdsa(EcdsaPublicKey::NistP256(_) | EcdsaPublicKey::NistP384(_))
        | KeyData::SkEd25519(_)
        | KeyData::SkEcdsaSha2NistP256(_) => Ok(()),
        KeyData::Rsa(key) => {
            let bytes = key.n.as_positive_bytes().unwrap_or_default();
            let zeros = bytes.first().map_or(0, |first| first.leading_zeros() as usize);
            let bits = (bytes.len() * 8).saturating_sub(zeros);
            match bits {
                2048..=8192 => Ok(()),
                _ => Err(format!("an RSA key of {bits} bits does not count here: from 2,048 to 8,192")),
            }
        }
        other => Err(format!("a key of type {} does not count here", other.algorithm().as_str())),
    }
}

pub(super) fn check(signature: &SshSig, message: &[u8]) -> Result<(), SignatureError> {
    let data = SshSig::signed_data(signature.namespace(), signature.hash_alg(), message)
        .map_err(|error| SignatureError::Format(error.to_string()))?;
    check_raw(signature.public_key(), signature.signature(), &data)
}

/// Whether `signature` is one of `key` over `data` itself.
pub(super) fn check_raw(key: &KeyData, signature: &Signature, data: &[u8]) -> Result<(), SignatureError> {
    let bytes = signature.as_bytes();
    let forged = |_| SignatureError::Forged;
    match (key, signature.algorithm()) {
        (KeyData::Ed25519(key), Algorithm::Ed25519) => {
            UnparsedPublicKey::new(&ED25519, key.0).verify(data, bytes).map_err(forged)
        }
        (KeyData::Ecdsa(EcdsaPublicKey::NistP256(point)), Algorithm::Ecdsa { .. }) => {
            let fixed = fixed::<32>(bytes).ok_or(SignatureError::Forged)?;
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point.as_bytes()).verify(data, &fixed).map_err(forged)
        }
        (KeyData::Ecdsa(EcdsaPublicKey::NistP384(point)), Algorithm::Ecdsa { .. }) => {
            let fixed = fixed::<48>(bytes).ok_or(SignatureError::Forged)?;
            UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point.as_bytes()).verify(data, &fixed).map_err(forged)
        }
        // SHA-1, `ssh-rsa`, is refused where the signature is read.
        (KeyData::Rsa(key), Algorithm::Rsa { hash: Some(hash) }) => {
            let number = |number: &Mpint| number.as_positive_bytes().map(<[u8]>::to_vec).unwrap_or_default();
            let key = RsaPublicKeyComponents { n: number(&key.n), e: number(&key.e) };
            let by = if hash == HashAlg::Sha512 { &RSA_PKCS1_2048_8192_SHA512 } else { &RSA_PKCS1_2048_8192_SHA256 };
            key.verify(by, data, bytes).map_err(forged)
        }
        (KeyData::SkEd25519(key), Algorithm::SkEd25519) => {
            let (raw, said) = touched(bytes, key.application(), data)?;
            UnparsedPublicKey::new(&ED25519, key.public_key().0).verify(&said, raw).map_err(forged)
        }
        (KeyData::SkEcdsaSha2NistP256(key), Algorithm::SkEcdsaSha2NistP256) => {
            let (raw, said) = touched(bytes, key.application(), data)?;
            let fixed = fixed::<32>(raw).ok_or(SignatureError::Forged)?;
            let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.ec_point().as_bytes());
            key.verify(&said, &fixed).map_err(forged)
        }
        (_, algorithm) => Err(SignatureError::Unsupported(algorithm.as_str().to_owned())),
    }
}

/// Two SSH integers as the fixed form: both as `N` bytes, big end first.
fn fixed<const N: usize>(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut all = Vec::with_capacity(2 * N);
    for _ in 0..2 {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (number, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        let number = match number {
            [0, rest @ ..] => rest,
            other => other,
        };
        all.extend(std::iter::repeat_n(0, N.checked_sub(number.len())?));
        all.extend(number);
        bytes = rest;
    }
    bytes.is_empty().then_some(all)
}

/// A security key signs its application, its flags and counter (the last five bytes), and the digest of the message.
fn touched<'a>(bytes: &'a [u8], application: &str, data: &[u8]) -> Result<(&'a [u8], Vec<u8>), SignatureError> {
    let (raw, state) = bytes.split_last_chunk::<5>().ok_or(SignatureError::Forged)?;
    if state[0] & PRESENT == 0 {
        return Err(SignatureError::Untouched);
    }
    let said = [digest(&SHA256, application.as_bytes()).as_ref(), state, digest(&SHA256, data).as_ref()].concat();
    Ok((raw, said))
}
