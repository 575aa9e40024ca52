//! `age` files: to recipients, to a passphrase, and back. Written in the binary form, read in either.

use std::io::{Read as _, Write as _};

use age::armor::ArmoredReader;
use age::secrecy::SecretString;
use age::{DecryptError, Decryptor, Encryptor, scrypt, x25519};
use zeroize::Zeroizing;

/// What `age -p` takes, as a power of two; half a second or so.
const WORK: u8 = 18;
/// The most that is done for a file that asks for it.
const MOST_WORK: u8 = 22;

/// Why nothing came out.
pub(super) enum Closed {
    /// It is for other keys, or another passphrase.
    NotForUs,
    /// It is none of `age`, or was changed.
    Damaged(String),
}

pub(super) fn to_recipients(recipients: &[x25519::Recipient], plain: &[u8]) -> Result<Vec<u8>, String> {
    let recipients = recipients.iter().map(|recipient| recipient as &dyn age::Recipient);
    seal(Encryptor::with_recipients(recipients).map_err(|error| error.to_string())?, plain)
}

pub(super) fn to_passphrase(passphrase: &str, plain: &[u8]) -> Result<Vec<u8>, String> {
    let mut recipient = scrypt::Recipient::new(SecretString::from(passphrase.to_owned()));
    recipient.set_work_factor(WORK);
    let one = std::iter::once(&recipient as &dyn age::Recipient);
    seal(Encryptor::with_recipients(one).map_err(|error| error.to_string())?, plain)
}

fn seal(encryptor: Encryptor, plain: &[u8]) -> Result<Vec<u8>, String> {
    let mut sealed = Vec::with_capacity(plain.len() + 512);
    let mut writer = encryptor.wrap_output(&mut sealed).map_err(|error| error.to_string())?;
    writer.write_all(plain).and_then(|()| writer.finish()).map_err(|error| error.to_string())?;
    Ok(sealed)
}

/// What `sealed` holds, up to `limit` bytes.
pub(super) fn open(sealed: &[u8], identities: &[x25519::Identity], limit: usize) -> Result<Zeroizing<Vec<u8>>, Closed> {
    open_with(sealed, identities.iter().map(|identity| identity as &dyn age::Identity), limit)
}

pub(super) fn open_by_passphrase(sealed: &[u8], passphrase: &str, limit: usize) -> Result<Zeroizing<Vec<u8>>, Closed> {
    let mut identity = scrypt::Identity::new(SecretString::from(passphrase.to_owned()));
    identity.set_max_work_factor(MOST_WORK);
    open_with(sealed, std::iter::once(&identity as &dyn age::Identity), limit)
}

fn open_with<'a>(
    sealed: &[u8],
    identities: impl Iterator<Item = &'a dyn age::Identity>,
    limit: usize,
) -> Result<Zeroizing<Vec<u8>>, Closed> {
    let closed = |error: DecryptError| match error {
        DecryptError::NoMatchingKeys | DecryptError::KeyDecryptionFailed | DecryptError::DecryptionFailed => {
            Closed::NotForUs
        }
        other => Closed::Damaged(other.to_string()),
    };
    let reader = Decryptor::new_buffered(ArmoredReader::new(sealed)).map_err(closed)?.decrypt(identities);
    // Room for all of it: what grows leaves copies behind.
    let mut plain = Zeroizing::new(Vec::with_capacity(limit.min(sealed.len()) + 1));
    let read = reader.map_err(closed)?.take(limit as u64 + 1).read_to_end(&mut plain);
    read.map_err(|error| Closed::Damaged(error.to_string()))?;
    if plain.len() > limit {
        return Err(Closed::Damaged(format!("it holds more than {limit} bytes")));
    }
    Ok(plain)
}

/// Whether `bytes` begin as an `age` file does, in either form.
pub(super) fn is_age(bytes: &[u8]) -> bool {
    bytes.starts_with(b"age-encryption.org/v1\n") || bytes.starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----")
}
