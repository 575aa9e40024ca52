//! The smaller grammars: tools, mounts, secrets, actions and model globs.

use std::fmt;

const NAME: &str = "a name holds `a-z`, `0-9`, `.`, `_` and `-`, starts and ends with a letter or digit, and has at \
                    most 64 characters";

fn check_name(text: &str) -> Result<(), &'static str> {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let inner = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b));
    if inner && text.starts_with(edge) && text.ends_with(edge) && text.len() <= 64 { Ok(()) } else { Err(NAME) }
}

/// The name of a package set that `taskforge.toml` defines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ToolName(String);

impl ToolName {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        check_name(text).map(|()| Self(text.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ToolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name that an agent gives one of its schedules: with the agent's own it begins the names of its runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScheduleName(String);

impl ScheduleName {
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        const RULE: &str = "a schedule has a name of 1 to 30 characters `a-z`, `0-9` and `-`, the first one no `-`";
        let inner = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let fits = inner && !text.is_empty() && text.len() <= 30 && !text.starts_with('-');
        if fits { Ok(Self(text.to_owned())) } else { Err(RULE) }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ScheduleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a container may do below a mounted folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MountMode {
    ReadOnly,
    ReadWrite,
}

impl MountMode {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "ro",
            Self::ReadWrite => "rw",
        }
    }
}

/// A folder of the host. Whether it lies below an allowed root is for the configuration to say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mount {
    path: String,
    mode: MountMode,
}

impl Mount {
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        const PATH: &str = "a mount is an absolute path of letters, digits, `.`, `_`, `+`, `@` and `-` in folders \
                            separated by single slashes, without `.` and `..`";
        let (path, mode) = text.rsplit_once(':').ok_or("a mount ends with `:ro` or `:rw`")?;
        let mode = match mode {
            "ro" => MountMode::ReadOnly,
            "rw" => MountMode::ReadWrite,
            _ => return Err("a mount ends with `:ro` or `:rw`"),
        };
        let folder = |name: &str| {
            let inner = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+@-".contains(&b));
            inner && !matches!(name, "" | "." | "..") && !name.starts_with('-')
        };
        if !path.strip_prefix('/').ok_or(PATH)?.split('/').all(folder) {
            return Err(PATH);
        }
        Ok(Self { path: path.to_owned(), mode })
    }

    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Where a container has it: a place of its own, so that it covers nothing of the image.
    #[must_use]
    pub fn target(&self) -> String {
        format!("/mnt{}", self.path)
    }

    #[must_use]
    pub const fn mode(&self) -> MountMode {
        self.mode
    }
}

impl fmt::Display for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path, self.mode.as_str())
    }
}

/// What a secret of the vault is called: as a file, in settings and in grants.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretName(String);

impl SecretName {
    /// # Errors
    /// The rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        check_name(text).map(|()| Self(text.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a gate does on an agent's behalf: lower-case words separated by dots.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionName(String);

impl ActionName {
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let word = |word: &str| {
            word.starts_with(|c: char| c.is_ascii_lowercase())
                && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b))
        };
        if text.len() <= 128 && text.split('.').all(word) {
            return Ok(Self(text.to_owned()));
        }
        Err("an action is lower-case words separated by dots, each starting with a letter")
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ActionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which models: only `*` is special, and stands for any number of characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelGlob(String);

impl ModelGlob {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let inner = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:/@+-*".contains(&b));
        if inner && text.len() <= 128 && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '*') {
            return Ok(Self(text.to_owned()));
        }
        Err(
            "a model holds letters, digits, `.`, `_`, `:`, `/`, `@`, `+`, `-` and `*` (for anything), at most 128, and \
             starts with a letter, a digit or `*`",
        )
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModelGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
