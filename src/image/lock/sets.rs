//! Locks as sets: what several hold together, and what one holds beyond another. A package is known by its name and
//! architecture, or by its place; which file it is does not matter here, since what is there is kept by every resolver.

use super::super::error::Error;
use super::super::npm_pin::NpmPin;
use super::super::pins::{AptPin, PipPin};
use super::Lock;

fn same_pip(a: &PipPin, b: &PipPin) -> bool {
    a.name == b.name
}

fn same_apt(a: &AptPin, b: &AptPin) -> bool {
    (&a.name, &a.arch) == (&b.name, &b.arch)
}

fn same_npm(a: &NpmPin, b: &NpmPin) -> bool {
    a.location == b.location
}

fn is<T: PartialEq>(file: impl Fn(&T) -> T, a: &T, b: &T) -> bool {
    file(a) == file(b)
}

fn only<T: Clone>(of: &[T], keep: impl Fn(&T) -> bool) -> Vec<T> {
    of.iter().filter(|pin| keep(pin)).cloned().collect()
}

impl Lock {
    /// What this lock holds and `other` does not, by the very file, from wherever that comes.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        let pip = |pin: &PipPin| PipPin { url: None, ..pin.clone() };
        let apt = |pin: &AptPin| AptPin { url: None, ..pin.clone() };
        let npm = |pin: &NpmPin| NpmPin { url: None, ..pin.clone() };
        Self {
            pip: only(&self.pip, |pin| !other.pip.iter().any(|there| is(pip, pin, there))),
            apt: only(&self.apt, |pin| !other.apt.iter().any(|there| is(apt, pin, there))),
            npm: only(&self.npm, |pin| !other.npm.iter().any(|there| is(npm, pin, there))),
        }
    }

    /// What of this lock `other` holds too, in whatever version.
    #[must_use]
    pub fn common(&self, other: &Self) -> Self {
        Self {
            pip: only(&self.pip, |pin| other.pip.iter().any(|other| same_pip(pin, other))),
            apt: only(&self.apt, |pin| other.apt.iter().any(|other| same_apt(pin, other))),
            npm: only(&self.npm, |pin| other.npm.iter().any(|other| same_npm(pin, other))),
        }
    }

    /// This lock, and what `other` holds that it has not.
    ///
    /// # Errors
    /// [`Error::Format`] if both do not go together: two places of npm have a command of the same name.
    pub fn plus(&self, other: &Self) -> Result<Self, Error> {
        let (mut pip, mut apt, mut npm) = (self.pip.clone(), self.apt.clone(), self.npm.clone());
        pip.extend(only(&other.pip, |pin| !self.pip.iter().any(|own| same_pip(own, pin))));
        apt.extend(only(&other.apt, |pin| !self.apt.iter().any(|own| same_apt(own, pin))));
        npm.extend(only(&other.npm, |pin| !self.npm.iter().any(|own| same_npm(own, pin))));
        let together = Self::new(pip, apt).and_then(|lock| lock.with_npm(npm));
        together.map_err(|error| Error::format("a set of packages", error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::tests::{apt, npm, pip};
    use super::*;

    fn lock(pips: &[&str], apts: &[&str], npms: &[&str]) -> Lock {
        let pips = pips.iter().map(|name| pip(name, "1.0")).collect();
        let apts = apts.iter().map(|name| apt(name, "1.0")).collect();
        let npms = npms.iter().map(|name| npm(name, "1.0.0")).collect();
        Lock::new(pips, apts).unwrap().with_npm(npms).unwrap()
    }

    #[test]
    fn sets_of_all_kinds_are_added_taken_away_and_compared() {
        let first = lock(&["a", "b"], &["jq"], &["x"]);
        let both = lock(&["a", "b", "c"], &["jq", "graphviz"], &["x", "y"]);
        let second = both.minus(&first);
        assert_eq!(second, lock(&["c"], &["graphviz"], &["y"]));
        assert_eq!(first.plus(&second).unwrap(), both);
        assert_eq!(second.plus(&first).unwrap(), both, "in whatever order");
        assert_eq!(both.common(&first), first);
        assert_eq!(both.minus(&both), Lock::default());
    }

    #[test]
    fn what_is_there_stays_and_another_file_is_a_difference() {
        let old = Lock::new(vec![pip("a", "1.0")], vec![]).unwrap();
        let new = Lock::new(vec![pip("a", "2.0")], vec![]).unwrap();
        assert_eq!(old.plus(&new).unwrap(), old);
        assert_eq!(new.minus(&old), new);
        assert_eq!(new.common(&old), new);
        let elsewhere = Lock::new(vec![PipPin { url: None, ..pip("a", "1.0") }], vec![]).unwrap();
        assert_eq!(elsewhere.minus(&old), Lock::default(), "the same file from another place");
    }
}
