//! Which distribution this machine runs, from `/etc/os-release` (os-release(5)).

use super::error::BaseError;

/// A distribution whose packages make a base image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Distribution {
    pub kind: Kind,
    /// The release's code name, as in `bookworm`: what its package archive calls a suite.
    pub suite: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Debian,
    Ubuntu,
}

impl Kind {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Debian => "debian",
            Self::Ubuntu => "ubuntu",
        }
    }

    /// What the archive's release files call themselves.
    pub(super) const fn origin(self) -> &'static str {
        match self {
            Self::Debian => "Debian",
            Self::Ubuntu => "Ubuntu",
        }
    }

    /// The components that hold Python and pip.
    pub(super) const fn components(self) -> &'static str {
        match self {
            Self::Debian => "main",
            Self::Ubuntu => "main,universe",
        }
    }

    /// The archive's keys, on the host and in the image alike.
    pub(super) const fn keyring(self) -> &'static str {
        match self {
            Self::Debian => "/usr/share/keyrings/debian-archive-keyring.gpg",
            Self::Ubuntu => "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
        }
    }
}

impl Distribution {
    /// This machine's.
    pub(super) fn of_this_machine() -> Result<Self, BaseError> {
        let path = "/etc/os-release";
        let text = std::fs::read_to_string(path).map_err(|source| BaseError::Io {
            path: path.to_owned(),
            doing: "read",
            source,
        })?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self, BaseError> {
        let value = |key: &str| {
            text.lines()
                .filter_map(|line| line.trim().split_once('='))
                .find(|(name, _)| *name == key)
                .map(|(_, value)| value.trim_matches(['"', '\'']))
        };
        let unknown = || {
            let name = value("PRETTY_NAME").or_else(|| value("ID")).unwrap_or("an unknown system");
            BaseError::Distribution { name: name.chars().take(80).collect() }
        };
        let kind = match value("ID") {
            Some("debian") => Kind::Debian,
            Some("ubuntu") => Kind::Ubuntu,
            _ => return Err(unknown()),
        };
        let suite = value("VERSION_CODENAME").unwrap_or_default();
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if suite.is_empty() || suite.len() > 40 || !suite.bytes().all(plain) {
            return Err(unknown());
        }
        Ok(Self { kind, suite: suite.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_two_we_know() {
        let debian = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_CODENAME=bookworm\n";
        assert_eq!(Distribution::parse(debian).unwrap(), Distribution { kind: Kind::Debian, suite: "bookworm".into() });
        let ubuntu = "ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=\"noble\"\nUBUNTU_CODENAME=noble\n";
        assert_eq!(Distribution::parse(ubuntu).unwrap(), Distribution { kind: Kind::Ubuntu, suite: "noble".into() });
    }

    #[test]
    fn others_are_named() {
        let error = Distribution::parse("ID=fedora\nPRETTY_NAME=\"Fedora Linux 43\"\n").unwrap_err();
        assert!(error.to_string().starts_with("this machine runs Fedora Linux 43"), "{error}");
        for bad in ["", "ID=debian\n", "ID=debian\nVERSION_CODENAME=a b\n", "ID=debian\nVERSION_CODENAME=--x;y\n"] {
            assert!(Distribution::parse(bad).is_err(), "{bad:?}");
        }
    }
}
