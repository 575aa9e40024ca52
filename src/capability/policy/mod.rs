//! The written rules that answer requests before a person has to: `policies/*.yaml`, read strictly and applied
//! strictly. Of the rules that fit a request the strictest decides (`deny`, then `ask`, then `allow`); without a rule a
//! person is asked; with policies that cannot be read everything is denied.
//!
//! Pure: it is handed the files' bytes, and says what they say.

mod check;
mod expect;
mod fits;
mod names;
mod problem;
mod read;
mod rule;
#[cfg(test)]
mod tests;

use crate::run::canonical;
use crate::run::capability::Capability;
use crate::run::id::Digest;
use crate::run::ruling::{Effect, Ruling};

pub use expect::{Expectation, Expectations, Missed};
pub use problem::PolicyProblem;
pub use rule::{Place, Rule};

/// What a ruling says when no rule fits.
const NO_RULE: &str = "no rule";

/// What is asked for, as rules see it.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// With the version that it would get, where that is known.
    pub capability: &'a Capability,
    /// What a grant would bring with it and is not there yet: the packages that it needs. Only `deny` and `ask` look here.
    pub brings: &'a [Capability],
    /// The workflow's name.
    pub workflow: &'a str,
    /// The role of the agent that asks, if it has one.
    pub role: Option<&'a str>,
}

impl<'a> Asked<'a> {
    /// `capability` alone, asked for by a node of `workflow`.
    #[must_use]
    pub const fn alone(capability: &'a Capability, workflow: &'a str, role: Option<&'a str>) -> Self {
        Self { capability, brings: &[], workflow, role }
    }
}

/// All policies of a registry.
#[derive(Debug, Clone)]
pub struct Policies {
    rules: Vec<Rule>,
    problems: Vec<PolicyProblem>,
    digest: Digest,
}

impl Policies {
    /// The policies in `files`: names without a folder, and bytes. Sorted by name, whatever the order here.
    #[must_use]
    pub fn parse(mut files: Vec<(String, Vec<u8>)>) -> Self {
        files.sort();
        let digest = Self::digest_of(&files);
        let (mut rules, mut problems) = (Vec::new(), Vec::new());
        for (name, bytes) in &files {
            match read::file(name, bytes) {
                Ok(found) => rules.extend(found),
                Err(found) => problems.extend(found),
            }
        }
        Self { rules, problems, digest }
    }

    /// The [`digest`](Self::digest) of files that are sorted by name.
    #[must_use]
    pub fn digest_of(files: &[(String, Vec<u8>)]) -> Digest {
        let digests: Vec<_> = files.iter().map(|(name, bytes)| serde_json::json!([name, Digest::of(bytes)])).collect();
        canonical::digest("taskforge-policies-v1", &digests.into())
    }

    /// Policies that could not even be read from the disk, because of `problem`.
    #[must_use]
    pub fn unreadable(problem: PolicyProblem) -> Self {
        let digest = Digest::of(problem.to_string().as_bytes());
        Self { rules: Vec::new(), problems: vec![problem], digest }
    }

    /// These policies with files that nothing vouches for: `reason` says so of a file. What it allows is asked about then;
    /// what it denies stays denied.
    #[must_use]
    pub fn holding_back(mut self, reason: impl Fn(&str) -> Option<String>) -> Self {
        for rule in self.rules.iter_mut().filter(|rule| rule.effect == Effect::Allow) {
            if let Some(reason) = reason(&rule.place.file) {
                (rule.effect, rule.because) = (Effect::Ask, format!("it would allow this, but {reason}"));
            }
        }
        self
    }

    /// SHA-256 over the names and contents of all files.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Why these policies deny everything; empty if they can be read.
    #[must_use]
    pub fn problems(&self) -> &[PolicyProblem] {
        &self.problems
    }

    /// What is likely not meant: rules that say the same twice, contradict each other, or never decide.
    #[must_use]
    pub fn doubts(&self) -> Vec<PolicyProblem> {
        check::doubts(&self.rules)
    }

    /// The rules that fit `asked`, the one that decides first.
    #[must_use]
    pub fn fitting(&self, asked: &Asked<'_>) -> Vec<&Rule> {
        let mut found: Vec<&Rule> = self.rules.iter().filter(|rule| rule.fits(asked)).collect();
        // Stable: of equally strict ones the first in the order of the files.
        found.sort_by_key(|rule| std::cmp::Reverse(rule.effect));
        found
    }

    /// The answer to `asked`.
    #[must_use]
    pub fn rule_on(&self, asked: &Asked<'_>) -> Ruling {
        let policies = self.digest.clone();
        if let Some(problem) = self.problems.first() {
            let because = format!("the policies cannot be read: {problem}");
            return Ruling { effect: Effect::Deny, rule: None, because, policies, until: None };
        }
        let strictest = self
            .rules
            .iter()
            .filter(|rule| rule.fits(asked))
            .reduce(|decides, rule| if rule.effect > decides.effect { rule } else { decides });
        match strictest {
            Some(rule) => Ruling {
                effect: rule.effect,
                rule: Some(rule.place.to_string()),
                because: rule.because.clone(),
                policies,
                until: None,
            },
            None => Ruling { effect: Effect::Ask, rule: None, because: NO_RULE.to_owned(), policies, until: None },
        }
    }
}
