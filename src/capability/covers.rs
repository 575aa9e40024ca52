//! Whether what a person was shown once covers what is asked for now: nothing may be given that they did not see.

use super::review::Review;
use crate::image::{AptPin, Lock, NpmPin, PipPin};

/// Sentences of an effect that are about the run and not about what is granted.
const OF_THE_RUN: [&str; 3] = [
    "For node ",
    "The agent is ",
    "The files below, copied when this was shown, are run in a container of their own, of run ",
];

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
        if self.schedule.is_some() || now.schedule.is_some() {
            return Err("a schedule is decided on by itself".to_owned());
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::edited::Edited;
    use super::super::tests::{gate_review, pip, recipe, request};
    use super::*;
    use crate::image::Recipe;
    use crate::run::capability::Capability;
    use crate::run::id::{Digest, NodeId, RunId};

    /// The review of `pip:pygal` that leads from `before` to `after`, of a run and a node of its own.
    fn packages(run: &str, before: Option<&Recipe>, after: &Recipe) -> Review {
        let mut asked = request();
        (asked.run, asked.node) = (RunId::parse(run).unwrap(), NodeId::parse(run).unwrap());
        let (by, why) = (format!("node {run}"), format!("why {run}"));
        Review::of_packages(asked, by, why, "ask (no rule)".to_owned(), &[], after, before, None)
    }

    #[test]
    fn the_same_files_are_covered_in_whatever_run_and_from_wherever_they_come() {
        let (six, pygal) = (pip("six", "1.16.0"), pip("pygal", "3.1.3"));
        let shown = packages("one", None, &recipe(vec![six.clone(), pygal.clone()], vec![]));
        let other = packages("two", None, &recipe(vec![six.clone(), pygal.clone()], vec![]));
        assert_eq!(shown.covers(&other), Ok(()));
        let elsewhere = PipPin { url: None, ..pygal.clone() };
        assert_eq!(shown.covers(&packages("two", None, &recipe(vec![six.clone(), elsewhere], vec![]))), Ok(()));
        // Less than was shown, since that run has the other already.
        let before = recipe(vec![six.clone()], vec![]);
        assert_eq!(shown.covers(&packages("two", Some(&before), &recipe(vec![six, pygal], vec![]))), Ok(()));
    }

    #[test]
    fn a_file_that_was_not_shown_is_named_whatever_its_name_and_version_say() {
        let (six, pygal) = (pip("six", "1.16.0"), pip("pygal", "3.1.3"));
        let shown = packages("one", None, &recipe(vec![pygal.clone()], vec![]));
        let refused = |pins: Vec<PipPin>, before: Option<&Recipe>| {
            shown.covers(&packages("two", before, &recipe(pins, vec![]))).unwrap_err()
        };
        assert_eq!(
            refused(vec![pygal.clone(), six.clone()], None),
            "this file was not shown: six-1.16.0-py3-none-any.whl"
        );
        let other_bytes = PipPin { sha256: Digest::of(b"other bytes"), ..pygal.clone() };
        assert!(refused(vec![other_bytes], None).contains("pygal-3.1.3"));
        assert!(refused(vec![pip("pygal", "3.1.4")], None).contains("pygal-3.1.4"));
        // What that run has is its own, in that version and no other.
        let old = recipe(vec![pip("six", "1.15.0")], vec![]);
        assert!(refused(vec![pygal, six], Some(&old)).contains("six-1.16.0"));
    }

    #[test]
    fn another_thing_another_effect_another_list_and_another_way_are_not_covered() {
        let way = |text: &str| gate_review(text, "x");
        let shown = way("net:a.example:443");
        assert_eq!(shown.covers(&way("net:a.example:443")), Ok(()));
        assert!(shown.covers(&way("net:a.example:444")).unwrap_err().contains("it is about net:a.example:443"));
        let mut more = way("net:a.example:443");
        more.effect.push("Everything else, too.".to_owned());
        assert_eq!(shown.covers(&more), Err("this was not shown: Everything else, too.".to_owned()));
        assert_eq!(more.covers(&shown), Ok(()), "less is covered");
        let capability = vec![Capability::parse("net:a.example:443").unwrap()];
        let mut edited = way("net:a.example:443");
        edited.edited = Some(Edited { by: "operator:ada".to_owned(), asked: capability.clone(), list: capability });
        assert!(edited.covers(&shown).is_err() && shown.covers(&edited).is_err());
        let built = packages("one", None, &recipe(vec![pip("pygal", "3.1.3")], vec![]));
        let mut without = built.clone();
        without.lock = None;
        assert!(built.covers(&without).is_err() && without.covers(&built).is_err());
    }
}
