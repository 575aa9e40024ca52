//! Whether what a person was shown once covers what is asked for now: nothing may be given that they did not see.

use super::review::Review;
use crate::image::{AptPin, Lock, NpmPin, PipPin};

/// Sentences of an effect that are about the run and not about what is granted.
const OF_THE_RUN: [&str; 2] = ["For node ", "The agent is "];

impl Review {
    /// Whether a grant upon this review may stand for what `now` shows: the same capability, with the same effect, and of
    /// packages no file that was not shown, by its digest.
    ///
    /// # Errors
    /// What is not covered, for a person.
    pub fn covers(&self, now: &Self) -> Result<(), String> {
        if self.request.capability != now.request.capability {
            return Err(format!("it is about {}", self.request.capability));
        }
        if self.edited.is_some() || now.edited.is_some() {
            return Err("its list was edited".to_owned());
        }
        if self.deployment != now.deployment {
            return Err("another image, command or file would be deployed".to_owned());
        }
        let of_the_run = |line: &&String| OF_THE_RUN.iter().any(|start| line.starts_with(start));
        if let Some(line) = now.effect.iter().filter(|line| !of_the_run(line)).find(|line| !self.effect.contains(line))
        {
            return Err(format!("this was not shown: {line}"));
        }
        match (&self.lock, &now.lock) {
            (None, None) => Ok(()),
            (Some(shown), Some(lock)) => {
                let nothing = Lock::default();
                let before = now.lock_before.as_ref().unwrap_or(&nothing);
                more(shown, lock, before).map_or(Ok(()), |file| Err(format!("this file was not shown: {file}")))
            }
            _ => Err("it comes by another way now".to_owned()),
        }
    }
}

/// The first file of `lock` that is neither in `before` nor was `shown`.
fn more<'a>(shown: &Lock, lock: &'a Lock, before: &Lock) -> Option<&'a str> {
    let has_pip = |lock: &Lock, pin: &PipPin| lock.pip().iter().any(|other| same_pip(other, pin));
    let has_apt = |lock: &Lock, pin: &AptPin| lock.apt().iter().any(|other| same_apt(other, pin));
    let has_npm = |lock: &Lock, pin: &NpmPin| lock.npm().iter().any(|other| same_npm(other, pin));
    let pip = lock.pip().iter().find(|pin| !has_pip(before, pin) && !has_pip(shown, pin));
    let apt = || lock.apt().iter().find(|pin| !has_apt(before, pin) && !has_apt(shown, pin));
    let npm = || lock.npm().iter().find(|pin| !has_npm(before, pin) && !has_npm(shown, pin));
    pip.map(|pin| pin.filename.as_str())
        .or_else(|| apt().map(|pin| pin.filename.as_str()))
        .or_else(|| npm().map(|pin| pin.location.as_str()))
}

// Where a file came from does not matter beside what it is.

fn same_pip(a: &PipPin, b: &PipPin) -> bool {
    PipPin { url: None, ..a.clone() } == PipPin { url: None, ..b.clone() }
}

fn same_apt(a: &AptPin, b: &AptPin) -> bool {
    AptPin { url: None, ..a.clone() } == AptPin { url: None, ..b.clone() }
}

fn same_npm(a: &NpmPin, b: &NpmPin) -> bool {
    NpmPin { url: None, ..a.clone() } == NpmPin { url: None, ..b.clone() }
}
