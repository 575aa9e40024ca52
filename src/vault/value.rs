//! A secret's value: bytes that are wiped, and never printed.

use std::fmt;

use zeroize::Zeroizing;

use super::error::VaultError;

/// The largest value, in bytes: what a header, a password or a private key takes.
pub(crate) const LARGEST: usize = 64 << 10;

/// 1 byte to 64 KiB of UTF-8 without NULs. Its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Value(Zeroizing<String>);

impl Value {
    /// A value as it was typed or read: one newline at its end belongs to the line, not to it.
    ///
    /// # Errors
    /// [`VaultError::Value`] names the rule that it breaks, and nothing of the value.
    pub fn parse(bytes: Zeroizing<Vec<u8>>) -> Result<Self, VaultError> {
        let text = std::str::from_utf8(&bytes).map_err(|_| VaultError::Value("it is not UTF-8"))?;
        let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
        if text.is_empty() {
            return Err(VaultError::Value("it is empty"));
        }
        if text.len() > LARGEST {
            return Err(VaultError::Value("it has more than 64 KiB"));
        }
        if text.contains('\0') {
            return Err(VaultError::Value("it holds a NUL"));
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// The value itself, for a gate's file.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Value(…)")
    }
}
