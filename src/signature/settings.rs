//! Which key a person signs with: `signing.toml` in their own configuration folder, never in a registry, which others
//! write to.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::SignatureError;

/// The variable that names a key instead of the file.
const VARIABLE: &str = "TASKFORGE_SIGNING_KEY";

/// A person's `signing.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Settings {
    /// Either half of the pair. The private one need not be there if an ssh-agent holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// The name to sign as, where `allowed_signers` has patterns or several names for the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute())
}

/// `$XDG_CONFIG_HOME/taskforge`, else `~/.config/taskforge`.
fn folder() -> Option<PathBuf> {
    let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    config.or_else(|| home().map(|home| home.join(".config"))).map(|config| config.join("taskforge"))
}

/// Where keys lie that nobody named: those of OpenSSH, and the one that `keys setup` makes.
#[must_use]
pub fn default_keys() -> Vec<PathBuf> {
    let ssh = home().map(|home| home.join(".ssh")).into_iter();
    let names = ["id_ed25519", "id_ecdsa", "id_ed25519_sk", "id_ecdsa_sk", "id_rsa"];
    ssh.flat_map(|ssh| names.map(|name| ssh.join(name)))
        .chain(folder().map(|folder| folder.join("signing_key")))
        .collect()
}

/// Writes `settings` to `path`.
///
/// # Errors
/// [`SignatureError::Settings`].
pub fn write(path: &Path, settings: &Settings) -> Result<(), SignatureError> {
    let unfit = |reason: String| SignatureError::Settings { path: path.to_owned(), reason };
    let text = toml::to_string(settings).map_err(|error| unfit(error.to_string()))?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| unfit(error.to_string()))?;
    }
    std::fs::write(path, text).map_err(|error| unfit(error.to_string()))
}

impl Settings {
    /// The file; none if there is neither HOME nor XDG_CONFIG_HOME.
    #[must_use]
    pub fn path() -> Option<PathBuf> {
        folder().map(|folder| folder.join("signing.toml"))
    }

    /// Those of the person at the keyboard; empty ones if there is no file.
    ///
    /// # Errors
    /// [`SignatureError::Settings`].
    pub fn load() -> Result<Self, SignatureError> {
        let mut settings = match Self::path() {
            Some(path) => Self::read(&path)?,
            None => Self::default(),
        };
        if let Some(key) = std::env::var_os(VARIABLE).filter(|key| !key.is_empty()) {
            settings.key = Some(PathBuf::from(key));
        }
        if let (Some(key), Some(home)) = (&settings.key, home())
            && let Ok(rest) = key.strip_prefix("~")
        {
            settings.key = Some(home.join(rest));
        }
        Ok(settings)
    }

    fn read(path: &Path) -> Result<Self, SignatureError> {
        let unfit = |reason: String| SignatureError::Settings { path: path.to_owned(), reason };
        match std::fs::read_to_string(path) {
            Ok(text) => toml::from_str(&text).map_err(|error| unfit(error.to_string())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(unfit(error.to_string())),
        }
    }
}
