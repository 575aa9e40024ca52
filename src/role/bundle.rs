//! A role with its skills, whole: what is pinned when an agent is hired, and frozen when a run starts.

use thiserror::Error;

use super::Role;
use super::skill::Skill;
use crate::run::id::{Digest, RoleName, SkillName};
use crate::workflow::Problems;

/// A role's file and its skills' files, parsed.
#[derive(Debug, Clone, PartialEq)]
pub struct Bundle {
    pub role: Role,
    /// The role's file, to the byte.
    pub text: String,
    /// In the order of the role.
    pub skills: Vec<Skill>,
}

/// Why files are no bundle.
#[derive(Debug, Error)]
pub enum BundleError {
    #[error(transparent)]
    Invalid(#[from] Problems),
    #[error("role `{role}` has skill `{skill}`, and there is no skills/{skill}/SKILL.md")]
    NoSkill { role: RoleName, skill: SkillName },
}

impl Bundle {
    /// Parses the role's file, and asks `read` for the text of each skill that it names.
    ///
    /// # Errors
    /// What is wrong with the role or one of its skills; those of `read`.
    pub fn parse<E: From<BundleError>>(
        name: &RoleName,
        label: &str,
        text: &str,
        mut read: impl FnMut(&SkillName) -> Result<Option<String>, E>,
    ) -> Result<Self, E> {
        let role = Role::parse(name, label, text).map_err(BundleError::from)?;
        let mut skills = Vec::with_capacity(role.skills.len());
        for skill in &role.skills {
            let missing = || BundleError::NoSkill { role: name.clone(), skill: skill.clone() };
            let text = read(skill)?.ok_or_else(missing)?;
            skills.push(Skill::parse(skill, &format!("skills/{skill}/SKILL.md"), &text).map_err(BundleError::from)?);
        }
        Ok(Self { role, text: text.to_owned(), skills })
    }

    /// The files of the bundle, relative to its folder, as the container reads them and as a reviewer sees them.
    #[must_use]
    pub fn files(&self) -> Vec<(String, String)> {
        let mut files = vec![(Self::ROLE.to_owned(), self.text.clone()), (Self::SOUL.to_owned(), self.role.soul())];
        files.extend(self.skills.iter().map(|skill| (format!("skills/{}/SKILL.md", skill.name), skill.text.clone())));
        files
    }

    /// The role's own file in a bundle's folder.
    pub const ROLE: &'static str = "role.md";
    /// What the agent is, in words.
    pub const SOUL: &'static str = "SOUL.md";

    /// SHA-256 over the names and digests of all of it: two bundles of one digest are the same role.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut listing = format!("taskforge role\n{}\n", self.role.name);
        for (path, text) in self.files() {
            listing.push_str(&format!("{path} {}\n", Digest::of(text.as_bytes())));
        }
        Digest::of(listing.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::role::{shipped, shipped_skill};

    fn bundle(change: impl Fn(String) -> String) -> Bundle {
        let name = RoleName::parse("secretary").unwrap();
        let text = shipped(&name).unwrap().text;
        let read = |skill: &SkillName| Ok::<_, BundleError>(shipped_skill(skill).map(|text| change(text.to_owned())));
        Bundle::parse(&name, "f", text, read).unwrap()
    }

    #[test]
    fn the_digest_is_of_all_its_files() {
        let plain = bundle(|text| text);
        assert_eq!(plain.digest(), bundle(|text| text).digest());
        assert_ne!(plain.digest(), bundle(|text| text + "\nmore\n").digest());
        let paths: Vec<String> = plain.files().into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths[..3], ["role.md", "SOUL.md", "skills/answer-messages/SKILL.md"]);
    }

    #[test]
    fn a_skill_that_is_not_there_is_named() {
        let name = RoleName::parse("secretary").unwrap();
        let text = shipped(&name).unwrap().text;
        let error = Bundle::parse(&name, "f", text, |_| Ok::<_, BundleError>(None)).unwrap_err();
        let said = "role `secretary` has skill `answer-messages`, and there is no skills/answer-messages/SKILL.md";
        assert_eq!(error.to_string(), said);
    }
}
