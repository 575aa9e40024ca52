//! Provider keys: read from the file on tmpfs that only the gate mounts, held in memory that is wiped, never printed.

use std::collections::HashMap;
use std::fmt;
use std::io::Read;
use std::path::Path;

use hyper::header::HeaderValue;
use zeroize::Zeroizing;

use super::ProviderError;

/// The largest secrets file that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// One key; its `Debug` shows nothing of it.
#[derive(Clone)]
pub struct Key(Zeroizing<String>);

impl Key {
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The key's text, for the header of an upstream request and for nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// The header value `before` + key, which is never printed.
pub(super) fn header(provider: &str, before: &str, key: &Key) -> Result<HeaderValue, ProviderError> {
    let text = Zeroizing::new(format!("{before}{}", key.expose()));
    let mut value = HeaderValue::from_str(&text).map_err(|_| {
        let reason = "its key holds characters that a header cannot".to_owned();
        ProviderError::Unusable { provider: provider.to_owned(), reason }
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// The keys of `keys.json`: an object of names and texts.
#[derive(Debug, Default, Clone)]
pub struct Keys(HashMap<String, Key>);

impl Keys {
    /// Reads `keys.json` in `folder`. No file means no keys.
    ///
    /// # Errors
    /// When the file is there and cannot be read, is too large, or is not an object of texts. The words never hold
    /// any of its contents.
    pub fn load(folder: &Path) -> Result<Self, ProviderError> {
        let path = folder.join("keys.json");
        let read = |source| ProviderError::Read { path: path.clone(), source };
        let file = match std::fs::File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(read(e)),
        };
        let mut text = Zeroizing::new(Vec::new());
        file.take(LARGEST + 1).read_to_end(&mut text).map_err(read)?;
        if text.len() as u64 > LARGEST {
            return Err(read(std::io::Error::other("the secrets file is larger than a MiB")));
        }
        let keys: HashMap<String, String> = serde_json::from_slice(&text)
            .map_err(|_| read(std::io::Error::other("the secrets file is not a JSON object of texts")))?;
        Ok(Self(keys.into_iter().map(|(name, key)| (name, Key::new(key))).collect()))
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Key> {
        self.0.get(name)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn reads_names_and_shows_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Keys::load(folder.path()).unwrap().get("a").is_none());
        std::fs::write(folder.path().join("keys.json"), r#"{"a":"sk-secret"}"#).unwrap();
        let keys = Keys::load(folder.path()).unwrap();
        assert_eq!(keys.get("a").unwrap().expose(), "sk-secret");
        assert!(!format!("{keys:?}").contains("secret"));
    }

    #[test]
    fn errors_hold_nothing_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("keys.json"), r#"{"a":"sk-hush-hush","b":7}"#).unwrap();
        let error = Keys::load(folder.path()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hush"));
    }
}
