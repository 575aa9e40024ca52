//! The identity: the private keys that open a registry's vault, in a file as `age-keygen` writes it, in the user's
//! configuration folder and never in a registry; readable by its owner alone, or behind a passphrase, or both. One that is
//! behind a passphrase can be unlocked until the next restart, as a copy on tmpfs.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use age::secrecy::ExposeSecret as _;
use age::x25519;
use chrono::{DateTime, SecondsFormat, Utc};
use zeroize::Zeroizing;

use super::cipher::{self, Closed};
use super::error::VaultError;
use crate::registry::{Registry, private, project};

/// The largest identity file that is read, in bytes.
const LARGEST: usize = 64 << 10;
/// Names a file of mode 0600 with the passphrase, for whoever cannot be asked.
const PASSPHRASE_FILE: &str = "TASKFORGE_VAULT_PASSPHRASE_FILE";

/// Asks a person for the passphrase of a file; nothing where nobody can be asked.
pub type Passphrase<'a> = &'a dyn Fn(&Path) -> Option<Zeroizing<String>>;

/// Opened keys, the newest first.
pub struct Identities {
    keys: Vec<x25519::Identity>,
    path: PathBuf,
}

impl std::fmt::Debug for Identities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identities({})", self.path.display())
    }
}

/// Where the identity of a registry's vault is.
///
/// # Errors
/// [`VaultError::NoHome`]; when the registry has no id.
pub fn identity_path(registry: &Registry) -> Result<PathBuf, VaultError> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let config = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")));
    let folder = config.ok_or(VaultError::NoHome)?.join("taskforge/vault");
    Ok(folder.join(format!("{}.key", registry.id()?)))
}

impl Identities {
    /// A new pair that nobody knows yet.
    pub(super) fn make(path: PathBuf) -> Self {
        Self { keys: vec![x25519::Identity::generate()], path }
    }

    /// Opens the identity of the vault: an unlocked copy, or the file itself, with its passphrase where it has one.
    ///
    /// # Errors
    /// [`VaultError::NoIdentity`], [`VaultError::IdentityMode`], [`VaultError::IdentityOwner`], [`VaultError::Locked`],
    /// [`VaultError::WrongPassphrase`], [`VaultError::Identity`].
    pub fn open(registry: &Registry, passphrase: Passphrase<'_>) -> Result<Self, VaultError> {
        let path = identity_path(registry)?;
        if let Some(unlocked) = unlocked(registry)? {
            match read(&unlocked) {
                Err(VaultError::NoIdentity { .. }) => {}
                read => return Self::parse(&path, &read?),
            }
        }
        let bytes = read(&path)?;
        if !cipher::is_age(&bytes) {
            return Self::parse(&path, &bytes);
        }
        Self::parse(&path, &decrypt(&path, &bytes, passphrase)?.0)
    }

    /// The lines of keys: `#` begins a comment.
    fn parse(path: &Path, bytes: &[u8]) -> Result<Self, VaultError> {
        let unfit = |reason: &str| VaultError::Identity { path: path.to_owned(), reason: reason.to_owned() };
        let text = std::str::from_utf8(bytes).map_err(|_| unfit("it is no text"))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let keys: Result<Vec<_>, _> = lines
            .map(|line| {
                x25519::Identity::from_str(line).map_err(|_| unfit("a line is no X25519 key: AGE-SECRET-KEY-1…"))
            })
            .collect();
        let keys = keys?;
        if keys.is_empty() {
            return Err(unfit("it holds no key"));
        }
        Ok(Self { keys, path: path.to_owned() })
    }

    pub(super) fn keys(&self) -> &[x25519::Identity] {
        &self.keys
    }

    /// The public half of the newest key.
    #[must_use]
    pub fn recipient(&self) -> String {
        self.keys.first().map(|key| key.to_public().to_string()).unwrap_or_default()
    }

    /// A new key before the others.
    pub(super) fn renew(mut self) -> Self {
        self.keys.insert(0, x25519::Identity::generate());
        self
    }

    /// The newest key alone.
    pub(super) fn newest(mut self) -> Self {
        self.keys.truncate(1);
        self
    }

    /// Writes the file, mode 0600; behind `passphrase` if there is one.
    pub(super) fn write(&self, passphrase: Option<&str>, now: DateTime<Utc>) -> Result<(), VaultError> {
        let text = self.text(now);
        if let Some(folder) = self.path.parent() {
            project::make_durable_folders(folder, 0o700)?;
        }
        let bytes = match passphrase {
            Some(passphrase) => Zeroizing::new(
                cipher::to_passphrase(passphrase, text.as_bytes())
                    .map_err(|reason| VaultError::Identity { path: self.path.clone(), reason })?,
            ),
            None => Zeroizing::new(text.as_bytes().to_vec()),
        };
        Ok(project::write_durable_mode(&self.path, &bytes, 0o600)?)
    }

    fn text(&self, now: DateTime<Utc>) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(128 * (self.keys.len() + 1)));
        text.push_str(&format!("# created: {}\n", now.to_rfc3339_opts(SecondsFormat::Secs, true)));
        text.push_str(&format!("# public key: {}\n", self.recipient()));
        for key in &self.keys {
            text.push_str(key.to_string().expose_secret());
            text.push('\n');
        }
        text
    }
}

/// The file, if it is this user's and nobody else's.
fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let io = |source| VaultError::Io { action: "read", path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(VaultError::NoIdentity { path: path.to_owned() });
        }
        Err(error) => return Err(io(error)),
    };
    let found = file.metadata().map_err(io)?;
    if found.mode() & 0o077 != 0 {
        return Err(VaultError::IdentityMode { path: path.to_owned(), mode: found.mode() & 0o7777 });
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(VaultError::IdentityOwner { path: path.to_owned(), uid: found.uid() });
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
    file.take(LARGEST as u64 + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() > LARGEST {
        let reason = "it is larger than 64 KiB".to_owned();
        return Err(VaultError::Identity { path: path.to_owned(), reason });
    }
    Ok(bytes)
}

/// What a file behind a passphrase holds, and the passphrase.
fn decrypt(
    path: &Path,
    sealed: &[u8],
    passphrase: Passphrase<'_>,
) -> Result<(Zeroizing<Vec<u8>>, Zeroizing<String>), VaultError> {
    let phrase = match std::env::var_os(PASSPHRASE_FILE).filter(|file| !file.is_empty()) {
        Some(file) => {
            let bytes = read(Path::new(&file))?;
            let unfit = |_| VaultError::Identity { path: file.into(), reason: "it is no text".to_owned() };
            Zeroizing::new(std::str::from_utf8(&bytes).map_err(unfit)?.trim_end_matches(['\n', '\r']).to_owned())
        }
        None => passphrase(path).ok_or_else(|| VaultError::Locked { path: path.to_owned() })?,
    };
    match cipher::open_by_passphrase(sealed, &phrase, LARGEST) {
        Ok(plain) => Ok((plain, phrase)),
        Err(Closed::NotForUs) => Err(VaultError::WrongPassphrase { path: path.to_owned() }),
        Err(Closed::Damaged(reason)) => Err(VaultError::Identity { path: path.to_owned(), reason }),
    }
}

/// The passphrase that the identity's file is behind, checked; none if it is behind none.
pub(super) fn passphrase_of(
    registry: &Registry,
    passphrase: Passphrase<'_>,
) -> Result<Option<Zeroizing<String>>, VaultError> {
    let path = identity_path(registry)?;
    let bytes = read(&path)?;
    match cipher::is_age(&bytes) {
        true => decrypt(&path, &bytes, passphrase).map(|(_, phrase)| Some(phrase)),
        false => Ok(None),
    }
}

/// Where an unlocked copy would be; nothing where there is no tmpfs.
fn unlocked(registry: &Registry) -> Result<Option<PathBuf>, VaultError> {
    let name = format!("vault-{}.key", registry.id()?);
    Ok(private::folders().map(|folder| folder.join(&name)).find(|path| path.exists()))
}

/// Keeps the opened keys on tmpfs until [`lock`] or a restart; where. Nothing if the identity is behind no passphrase.
///
/// # Errors
/// [`VaultError::NoTmpfs`] and those of opening the identity.
pub fn unlock(registry: &Registry, passphrase: Passphrase<'_>) -> Result<Option<PathBuf>, VaultError> {
    let path = identity_path(registry)?;
    let bytes = read(&path)?;
    if !cipher::is_age(&bytes) {
        return Ok(None);
    }
    let (plain, _) = decrypt(&path, &bytes, passphrase)?;
    Identities::parse(&path, &plain)?;
    let io = |source| VaultError::Io { action: "make a folder for", path: path.clone(), source };
    let folder = private::folder().map_err(io)?.ok_or(VaultError::NoTmpfs)?;
    let copy = folder.join(format!("vault-{}.key", registry.id()?));
    project::write_durable_mode(&copy, &plain, 0o600)?;
    Ok(Some(copy))
}

/// Removes the unlocked copy; whether there was one.
///
/// # Errors
/// When it cannot be removed.
pub fn lock(registry: &Registry) -> Result<bool, VaultError> {
    let mut was = false;
    while let Some(path) = unlocked(registry)? {
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(VaultError::Io { action: "remove", path, source });
            }
            _ => was = true,
        }
    }
    Ok(was)
}
