//! The roles and skills that come with the program: what `role new --from` starts from.

use crate::run::id::{RoleName, SkillName};

/// A role that ships, as the text of its file.
#[derive(Debug, Clone, Copy)]
pub struct Shipped {
    pub name: &'static str,
    pub text: &'static str,
}

/// All of them, by name.
pub const SHIPPED: [Shipped; 3] = [
    Shipped { name: "code-review-engineer", text: include_str!("../../roles/code-review-engineer.role.md") },
    Shipped { name: "customer-support", text: include_str!("../../roles/customer-support.role.md") },
    Shipped { name: "secretary", text: include_str!("../../roles/secretary.role.md") },
];

const SKILLS: [(&str, &str); 4] = [
    ("answer-messages", include_str!("../../roles/skills/answer-messages/SKILL.md")),
    ("keep-memory", include_str!("../../roles/skills/keep-memory/SKILL.md")),
    ("review-pull-requests", include_str!("../../roles/skills/review-pull-requests/SKILL.md")),
    ("write-mail", include_str!("../../roles/skills/write-mail/SKILL.md")),
];

/// The shipped role of this name.
#[must_use]
pub fn shipped(name: &RoleName) -> Option<Shipped> {
    SHIPPED.into_iter().find(|role| role.name == name.as_str())
}

/// The text of the shipped skill of this name.
#[must_use]
pub fn shipped_skill(name: &SkillName) -> Option<&'static str> {
    SKILLS.into_iter().find(|(own, _)| *own == name.as_str()).map(|(_, text)| text)
}

/// `text`, which is the file of a role, as that of the role `name`: the line of its `role` key is another, and nothing
/// else. None if no line is `role:` at the first column.
#[must_use]
pub fn renamed(text: &str, name: &RoleName) -> Option<String> {
    let mut found = false;
    let lines: Vec<String> = text
        .split('\n')
        .map(|line| {
            if !found && line.starts_with("role:") {
                found = true;
                return format!("role: {name}");
            }
            line.to_owned()
        })
        .collect();
    found.then(|| lines.join("\n"))
}
