//! Finding the key of the person at the keyboard, and signing with it.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use ssh_key::public::KeyData;
use ssh_key::{HashAlg, PrivateKey, SshSig};
use zeroize::Zeroizing;

use super::agent::Agent;
use super::allowed::AllowedSigners;
use super::armor;
use super::error::SignatureError;
use super::key_file;
use super::settings::{Settings, default_keys};

/// Asks for the passphrase of a key file; nothing where nobody can be asked.
pub type Passphrase<'a> = &'a dyn Fn(&Path) -> Option<Zeroizing<String>>;

/// `SHA256:…`, as `ssh-keygen -l` prints it.
#[must_use]
pub fn fingerprint(key: &KeyData) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// A key that can sign, and the name it signs as.
#[derive(Debug)]
pub struct Signer {
    name: String,
    key: KeyData,
    by: By,
}

#[derive(Debug)]
enum By {
    Agent(Agent),
    File(Box<PrivateKey>),
}

/// A key that may be used, and where it is.
struct Candidate {
    key: KeyData,
    agent: Option<Agent>,
    file: Option<PathBuf>,
}

impl Signer {
    /// The key that `settings` name; otherwise the first that `allowed` lets sign for `namespace` now, of the agent's and
    /// then of the usual files. `operator` is the name to sign as where nothing else says it.
    ///
    /// # Errors
    /// [`SignatureError::NoKey`], or why the key that was named cannot be used.
    pub fn find(
        settings: &Settings,
        allowed: &AllowedSigners,
        namespace: &str,
        operator: &str,
        passphrase: Passphrase<'_>,
    ) -> Result<Self, SignatureError> {
        let now = Utc::now();
        let agent = Agent::of_environment();
        let mut looked = match &agent {
            Ok(None) => "SSH_AUTH_SOCK is not set".to_owned(),
            Ok(Some((_, keys))) => format!("the ssh-agent has {} key(s)", keys.len()),
            Err(error) => error.to_string(),
        };
        let agent = agent.ok().flatten();
        let held = |key: &KeyData| {
            agent.as_ref().filter(|(_, keys)| keys.iter().any(|(held, _)| held == key)).map(|(agent, _)| agent.clone())
        };
        let of_file = |path: &Path| -> Result<Candidate, SignatureError> {
            let key = key_file::public_of(path)?.key_data().clone();
            Ok(Candidate { agent: held(&key), key, file: Some(path.to_owned()) })
        };
        if let Some(path) = &settings.key {
            let candidate = of_file(path)?;
            let name = name_of(settings, allowed, &candidate.key, namespace, operator, now)?;
            return Self::take(candidate, name, passphrase);
        }
        let of_agent = agent.iter().flat_map(|(agent, keys)| {
            keys.iter().map(|(key, _)| Candidate { key: key.clone(), agent: Some(agent.clone()), file: None })
        });
        let mut files = 0;
        let of_files = default_keys().into_iter().filter_map(|path| of_file(&path).ok()).inspect(|_| files += 1);
        let mut nearest = None;
        for candidate in of_agent.chain(of_files).collect::<Vec<_>>() {
            match name_of(settings, allowed, &candidate.key, namespace, operator, now) {
                Ok(name) => return Self::take(candidate, name, passphrase),
                Err(error @ SignatureError::Unknown { .. }) => nearest = nearest.or(Some(error)),
                // Listed, and yet not good: that is what the person wants to hear of.
                Err(error) => return Err(error),
            }
        }
        looked.push_str(&format!(", and {files} of the usual key files were there"));
        if let Some(error) = nearest {
            looked.push_str(&format!("; {error}"));
        }
        Err(SignatureError::NoKey { namespace: namespace.to_owned(), looked })
    }

    fn take(candidate: Candidate, name: String, passphrase: Passphrase<'_>) -> Result<Self, SignatureError> {
        let by = match (candidate.agent, candidate.file) {
            (Some(agent), _) => By::Agent(agent),
            (None, Some(path)) => {
                let key = key_file::open(&path, passphrase)?;
                if *key.public_key().key_data() != candidate.key {
                    let reason = "is not the private half of the .pub file beside it".to_owned();
                    return Err(SignatureError::KeyFile { path, reason });
                }
                By::File(Box::new(key))
            }
            (None, None) => {
                return Err(SignatureError::NoKey { namespace: String::new(), looked: "nothing".to_owned() });
            }
        };
        Ok(Self { name, key: candidate.key, by })
    }

    /// The name it signs as.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `SHA256:…`.
    #[must_use]
    pub fn key(&self) -> String {
        fingerprint(&self.key)
    }

    /// The armoured signature over `message`.
    ///
    /// # Errors
    /// [`SignatureError::Agent`] and those of a key that does not fit.
    pub fn sign(&self, namespace: &str, message: &[u8]) -> Result<String, SignatureError> {
        let unfit = |error: ssh_key::Error| SignatureError::Format(error.to_string());
        let data = SshSig::signed_data(namespace, HashAlg::Sha512, message).map_err(unfit)?;
        let signature = match &self.by {
            By::Agent(agent) => agent.sign(&self.key, &data)?,
            By::File(key) => key_file::sign(key, &data)?,
        };
        armor::write(&SshSig::new(self.key.clone(), namespace, HashAlg::Sha512, signature).map_err(unfit)?)
    }
}

/// The name under which `key` may sign now.
fn name_of(
    settings: &Settings,
    allowed: &AllowedSigners,
    key: &KeyData,
    namespace: &str,
    operator: &str,
    now: DateTime<Utc>,
) -> Result<String, SignatureError> {
    if let Some(name) = &settings.name {
        return allowed.permit(key, namespace, name, &[now]).map(|_| name.clone());
    }
    if allowed.permit(key, namespace, operator, &[now]).is_ok() {
        return Ok(operator.to_owned());
    }
    let names = allowed.entries().iter().filter(|entry| entry.key == *key).filter_map(|entry| entry.name());
    let mut lacks = None;
    for name in names {
        match allowed.permit(key, namespace, name, &[now]) {
            Ok(_) => return Ok(name.to_owned()),
            Err(error) => lacks = lacks.or(Some(error)),
        }
    }
    Err(lacks.unwrap_or(match allowed.permit(key, namespace, operator, &[now]) {
        Err(error) => error,
        Ok(_) => SignatureError::Unknown { key: fingerprint(key) },
    }))
}
