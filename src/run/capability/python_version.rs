//! Python's public versions: PEP 440, normalised as its "Normalization" section says.

use std::fmt;

const RULE: &str = "an exact Python version follows `==`: numbers separated by dots, then at most a pre-, post- and \
                    dev-release, such as `2.2.3`, `1.0rc1` or `1.0.post2` (no `*`, no local part after `+`)";

/// A public version: `[N!]N(.N)*[{a|b|rc}N][.postN][.devN]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PythonVersion {
    epoch: u64,
    release: Vec<u64>,
    pre: Option<(&'static str, u64)>,
    post: Option<u64>,
    dev: Option<u64>,
}

impl PythonVersion {
    /// Parses a version in any spelling that PEP 440 allows; `1.0.ALPHA-1` is `1.0a1`.
    ///
    /// # Errors
    /// The rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let lower = text.to_ascii_lowercase();
        let mut rest = lower.strip_prefix('v').unwrap_or(&lower);
        let epoch = match rest.split_once('!') {
            Some((epoch, after)) => {
                rest = after;
                number(epoch)?
            }
            None => 0,
        };
        let mut release = vec![take_number(&mut rest).ok_or(RULE)??];
        while let Some(after) = rest.strip_prefix('.').filter(|r| r.starts_with(|c: char| c.is_ascii_digit())) {
            rest = after;
            release.push(take_number(&mut rest).ok_or(RULE)??);
        }
        // Longest spelling first, since `a` begins `alpha` and `c` is another name of `rc`.
        let pre = take_part(
            &mut rest,
            &[
                ("alpha", "a"),
                ("beta", "b"),
                ("preview", "rc"),
                ("pre", "rc"),
                ("rc", "rc"),
                ("a", "a"),
                ("b", "b"),
                ("c", "rc"),
            ],
        )?;
        let implicit_post = rest.strip_prefix('-').filter(|r| r.starts_with(|c: char| c.is_ascii_digit()));
        let post = if let Some(after) = implicit_post {
            rest = after;
            Some(take_number(&mut rest).ok_or(RULE)??)
        } else {
            take_part(&mut rest, &[("post", ""), ("rev", ""), ("r", "")])?.map(|(_, n)| n)
        };
        let dev = take_part(&mut rest, &[("dev", "")])?.map(|(_, n)| n);
        if !rest.is_empty() {
            return Err(RULE);
        }
        Ok(Self { epoch, release, pre, post, dev })
    }

    /// Whether both name the same release: trailing zeros do not count (PEP 440, "Version matching").
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        let trimmed = |version: &Self| {
            let mut version = version.clone();
            while version.release.len() > 1 && version.release.last() == Some(&0) {
                version.release.pop();
            }
            version
        };
        trimmed(self) == trimmed(other)
    }
}

/// Takes `[.-_]?name[.-_]?N?` off the front of `rest`; a number left out is 0.
fn take_part(rest: &mut &str, names: &[(&str, &'static str)]) -> Result<Option<(&'static str, u64)>, &'static str> {
    let bare = rest.strip_prefix(['.', '-', '_']).unwrap_or(rest);
    let Some((after, canonical)) = names.iter().find_map(|(name, as_)| bare.strip_prefix(name).map(|a| (a, *as_)))
    else {
        return Ok(None);
    };
    *rest = after;
    let mut numbered = after.strip_prefix(['.', '-', '_']).unwrap_or(after);
    let count = match take_number(&mut numbered) {
        Some(count) => {
            *rest = numbered;
            count?
        }
        None => 0,
    };
    Ok(Some((canonical, count)))
}

/// Takes the digits off the front of `rest`; `None` if there are none.
fn take_number(rest: &mut &str) -> Option<Result<u64, &'static str>> {
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, after) = rest.split_at(end);
    if digits.is_empty() {
        return None;
    }
    *rest = after;
    Some(number(digits))
}

fn number(digits: &str) -> Result<u64, &'static str> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(RULE);
    }
    digits.parse().map_err(|_| RULE)
}

impl fmt::Display for PythonVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.epoch > 0 {
            write!(f, "{}!", self.epoch)?;
        }
        for (i, number) in self.release.iter().enumerate() {
            write!(f, "{}{number}", if i == 0 { "" } else { "." })?;
        }
        if let Some((name, number)) = self.pre {
            write!(f, "{name}{number}")?;
        }
        if let Some(number) = self.post {
            write!(f, ".post{number}")?;
        }
        match self.dev {
            Some(number) => write!(f, ".dev{number}"),
            None => Ok(()),
        }
    }
}
