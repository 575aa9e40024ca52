//! A skill: `skills/<name>/SKILL.md`, in the form that OpenClaw and others read. Its frontmatter names and describes it;
//! nothing else of it is understood here, since it is a text for a model.

use serde::Serialize;

use crate::run::id::SkillName;
use crate::workflow::check::Check;
use crate::workflow::problem::{Problem, Problems, Spot};
use crate::workflow::tree::{self, Value, Yaml};
use crate::workflow::{fields, frontmatter};

/// The largest skill, in bytes.
pub const SKILL_LIMIT: u64 = 64 * 1024;

/// A skill, read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skill {
    pub name: SkillName,
    /// When to use it, in a sentence.
    pub description: String,
    /// The whole file, as it was read.
    #[serde(skip)]
    pub text: String,
}

impl Skill {
    /// Parses the `SKILL.md` of the skill `name`.
    ///
    /// # Errors
    /// Every problem: no frontmatter, another name, no description, too large.
    pub fn parse(name: &SkillName, file_label: &str, text: &str) -> Result<Self, Problems> {
        let normal = frontmatter::normalised(text);
        let fail = |problems: Vec<Problem>| Problems::new(file_label, problems, &normal);
        let start = Spot { line: 1, column: 1 };
        if text.len() as u64 > SKILL_LIMIT {
            let message = format!("the skill has {} bytes, and {SKILL_LIMIT} are the most", text.len());
            return Err(fail(vec![Problem::new(start, message, None)]));
        }
        let cut = frontmatter::split(&normal).map_err(|problem| fail(vec![problem]))?;
        let root = tree::parse(cut.yaml, cut.lines_before).map_err(|problem| fail(vec![problem]))?;
        let mut check = Check::default();
        let description = description(&mut check, &root, name);
        match (description, check.into_problems()) {
            (Some(description), problems) if problems.is_empty() => {
                Ok(Self { name: name.clone(), description, text: text.to_owned() })
            }
            (_, problems) => Err(fail(problems)),
        }
    }
}

/// Other programs' keys are theirs: only what we show is looked at.
fn description(check: &mut Check, root: &Yaml, name: &SkillName) -> Option<String> {
    let entries = fields::free(check, root, "the skill's frontmatter");
    let find = |key: &str| entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value);
    match find("name").map(|yaml| (&yaml.value, yaml.spot)) {
        Some((Value::Text(own), _)) if own == name.as_str() => {}
        Some((_, spot)) => check.problem(spot, format!("`name` is not `{name}`, as its folder is called")),
        None => check.problem(root.spot, "the skill has no `name`"),
    }
    let Some(yaml) = find("description") else {
        check.problem(root.spot, "the skill has no `description`");
        return None;
    };
    let text = check.text(yaml, "`description`")?;
    let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let fits = !one_line.is_empty()
        && one_line.chars().count() <= 1024
        && !one_line.chars().any(crate::workflow::text::is_unsafe);
    if !fits {
        check.problem(yaml.spot, "`description` is empty, longer than 1024 characters, or holds control characters");
        return None;
    }
    Some(one_line)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(text: &str) -> Result<Skill, String> {
        let name = SkillName::parse("tidy-up").unwrap();
        Skill::parse(&name, "s", text).map_err(|problems| problems.to_string())
    }

    #[test]
    fn reads_what_is_shown_and_leaves_the_rest() {
        let text = "---\nname: tidy-up\ndescription: >\n  Tidy\n  up.\nmetadata: {openclaw: {}}\n---\nDo it.\n";
        let skill = parse(text).unwrap();
        assert_eq!((skill.description.as_str(), skill.text.as_str()), ("Tidy up.", text));
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, part) in [
            ("Do it.", "does not start with a line of `---`"),
            ("---\nname: other\ndescription: x\n---\n", "`name` is not `tidy-up`"),
            ("---\nname: tidy-up\n---\n", "no `description`"),
            ("---\nname: tidy-up\ndescription: \"\\e[2J\"\n---\n", "control characters"),
        ] {
            let problem = parse(text).unwrap_err();
            assert!(problem.contains(part), "{problem}");
        }
        let large = format!("---\nname: tidy-up\ndescription: x\n---\n{}", "x".repeat(70_000));
        assert!(parse(&large).unwrap_err().contains("65536 are the most"));
    }
}
