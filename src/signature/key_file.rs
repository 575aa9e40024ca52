//! Private keys in OpenSSH's own format. Signs with Ed25519 and with ECDSA over P-256 and P-384; the rest is an agent's
//! business.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use ssh_key::private::{EcdsaKeypair, Ed25519Keypair, Ed25519PrivateKey, KeypairData};
use ssh_key::public::{Ed25519PublicKey, KeyData};
use ssh_key::{Algorithm, Cipher, EcdsaCurve, Kdf, LineEnding, PrivateKey, PublicKey, Signature};
use zeroize::Zeroizing;

use super::error::SignatureError;
use super::signer::Passphrase;

const LARGEST: u64 = 64 << 10;

fn unfit(path: &Path, reason: impl ToString) -> SignatureError {
    SignatureError::KeyFile { path: path.to_owned(), reason: reason.to_string() }
}

/// `path` without `.pub`, and with it.
fn pair(path: &Path) -> (PathBuf, PathBuf) {
    let private =
        if path.extension().is_some_and(|ext| ext == "pub") { path.with_extension("") } else { path.to_owned() };
    let mut public = private.clone().into_os_string();
    public.push(".pub");
    (private, PathBuf::from(public))
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, SignatureError> {
    let mut bytes = Zeroizing::new(Vec::new());
    let file = fs::File::open(path).map_err(|error| unfit(path, error))?;
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| unfit(path, error))?;
    if bytes.len() as u64 > LARGEST { Err(unfit(path, "is larger than 64 KiB")) } else { Ok(bytes) }
}

/// The public key of the pair that `path` names by either of its files.
///
/// # Errors
/// [`SignatureError::KeyFile`].
pub fn public_of(path: &Path) -> Result<PublicKey, SignatureError> {
    let (private, public) = pair(path);
    if public.exists() {
        let bytes = read(&public)?;
        let text = std::str::from_utf8(&bytes).map_err(|error| unfit(&public, error))?;
        return PublicKey::from_openssh(text.trim()).map_err(|error| unfit(&public, error));
    }
    // The public half stands outside of what a passphrase locks.
    let key = PrivateKey::from_openssh(read(&private)?.as_slice()).map_err(|error| unfit(&private, error))?;
    Ok(key.public_key().clone())
}

/// The private key of the pair that `path` names, unlocked.
pub(super) fn open(path: &Path, passphrase: Passphrase<'_>) -> Result<PrivateKey, SignatureError> {
    let (path, _) = pair(path);
    let mode = fs::metadata(&path).map_err(|error| unfit(&path, error))?.mode();
    if mode & 0o077 != 0 {
        return Err(unfit(&path, format!("others may read it (mode {:04o}): `chmod 600`", mode & 0o7777)));
    }
    let key = PrivateKey::from_openssh(read(&path)?.as_slice()).map_err(|error| unfit(&path, error))?;
    if !signs(key.public_key().key_data()) {
        let kind = key.algorithm();
        return Err(unfit(&path, format!("a key of type {} signs through an ssh-agent: `ssh-add`", kind.as_str())));
    }
    if !key.is_encrypted() {
        return Ok(key);
    }
    let Some(phrase) = passphrase(&path) else { return Err(SignatureError::NoPassphrase { path }) };
    key.decrypt(phrase.as_bytes()).map_err(|_| unfit(&path, "is not opened by this passphrase"))
}

/// Whether a file of such a key is enough to sign: others sign through an agent.
#[must_use]
pub fn signs(key: &KeyData) -> bool {
    match key {
        KeyData::Ed25519(_) => true,
        KeyData::Ecdsa(key) => key.curve() != EcdsaCurve::NistP521,
        _ => false,
    }
}

pub(super) fn sign(key: &PrivateKey, data: &[u8]) -> Result<Signature, SignatureError> {
    let failed = |reason: String| SignatureError::Format(reason);
    let made = match key.key_data() {
        KeypairData::Ed25519(pair) => {
            let seed = Zeroizing::new(pair.private.to_bytes());
            let pair = Ed25519KeyPair::from_seed_and_public_key(seed.as_slice(), &pair.public.0)
                .map_err(|error| failed(error.to_string()))?;
            Signature::new(Algorithm::Ed25519, pair.sign(data).as_ref())
        }
        KeypairData::Ecdsa(pair) => {
            let (curve, by) = match pair {
                EcdsaKeypair::NistP256 { .. } => (EcdsaCurve::NistP256, &ECDSA_P256_SHA256_FIXED_SIGNING),
                EcdsaKeypair::NistP384 { .. } => (EcdsaCurve::NistP384, &ECDSA_P384_SHA384_FIXED_SIGNING),
                EcdsaKeypair::NistP521 { .. } => return Err(SignatureError::Unsupported("P-521".to_owned())),
            };
            let random = SystemRandom::new();
            let (private, public) = (pair.private_key_bytes(), pair.public_key_bytes());
            let pair = EcdsaKeyPair::from_private_key_and_public_key(by, private, public, &random)
                .map_err(|error| failed(error.to_string()))?;
            let fixed = pair.sign(&random, data).map_err(|error| failed(error.to_string()))?;
            let (r, s) = fixed.as_ref().split_at(fixed.as_ref().len() / 2);
            Signature::new(Algorithm::Ecdsa { curve }, [integer(r), integer(s)].concat())
        }
        other => {
            let kind = other.algorithm().map(|kind| kind.as_str().to_owned());
            return Err(SignatureError::Unsupported(kind.unwrap_or_else(|_| "encrypted".to_owned())));
        }
    };
    made.map_err(|error| failed(error.to_string()))
}

/// A positive number as an SSH integer: no zeros in front but the one that keeps it positive.
fn integer(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let number = &number[zeros..];
    let positive = number.first().is_some_and(|byte| byte & 0x80 != 0);
    let length = u32::try_from(number.len() + usize::from(positive)).unwrap_or(u32::MAX);
    [length.to_be_bytes().as_slice(), if positive { &[0] } else { &[] }, number].concat()
}

/// Makes an Ed25519 key in `path`, mode 0600, and its public half in `path.pub`; neither may be there.
///
/// # Errors
/// [`SignatureError::KeyFile`].
pub fn make(path: &Path, comment: &str, passphrase: Option<&str>) -> Result<PublicKey, SignatureError> {
    let random = SystemRandom::new();
    let mut seed = Zeroizing::new([0u8; 32]);
    random.fill(seed.as_mut_slice()).map_err(|error| unfit(path, error))?;
    let ring = Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).map_err(|error| unfit(path, error))?;
    let public: [u8; 32] = ring.public_key().as_ref().try_into().map_err(|error| unfit(path, error))?;
    let both = Ed25519Keypair { public: Ed25519PublicKey(public), private: Ed25519PrivateKey::from_bytes(&seed) };
    let mut key = PrivateKey::new(KeypairData::Ed25519(both), comment).map_err(|error| unfit(path, error))?;
    let public = key.public_key().clone();
    if let Some(passphrase) = passphrase {
        let mut salt = vec![0u8; 16];
        random.fill(&mut salt).map_err(|error| unfit(path, error))?;
        let mut check = [0u8; 4];
        random.fill(&mut check).map_err(|error| unfit(path, error))?;
        // OpenSSH's own cipher and rounds.
        let kdf = Kdf::Bcrypt { salt, rounds: 16 };
        key = key
            .encrypt_with(Cipher::Aes256Ctr, kdf, u32::from_be_bytes(check), passphrase.as_bytes())
            .map_err(|error| unfit(path, error))?;
    }
    let text = key.to_openssh(LineEnding::LF).map_err(|error| unfit(path, error))?;
    let (private, beside) = pair(path);
    let line = public.to_openssh().map_err(|error| unfit(path, error))?;
    write_new(&private, text.as_bytes(), 0o600)?;
    write_new(&beside, format!("{line}\n").as_bytes(), 0o644)?;
    Ok(public)
}

/// Writes a public key to `path`, in place of what is there.
///
/// # Errors
/// [`SignatureError::KeyFile`].
pub fn write_public(path: &Path, key: &PublicKey) -> Result<(), SignatureError> {
    let line = key.to_openssh().map_err(|error| unfit(path, error))?;
    let _ = fs::remove_file(path);
    write_new(path, format!("{line}\n").as_bytes(), 0o644)
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), SignatureError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| unfit(folder, error))?;
    }
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(|error| unfit(path, error))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|error| unfit(path, error))
}
