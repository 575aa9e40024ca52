#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn parse(frontmatter: &str) -> Result<Role, String> {
    let text = format!("---\nrole: x\ndisplayName: X\ndescription: An x\n{frontmatter}\n---\nYou are x.\n");
    let name = RoleName::parse("x").unwrap();
    Role::parse(&name, "roles/x.role.md", &text).map_err(|problems| problems.to_string())
}

fn refused(frontmatter: &str, part: &str) {
    let problem = parse(frontmatter).expect_err(frontmatter);
    assert!(problem.contains(part), "{frontmatter}\n{problem}");
}

#[test]
fn what_is_absent_is_none() {
    let role = parse("").unwrap();
    assert!(role.skills.is_empty() && role.allowed_actions.is_empty() && role.capabilities.is_empty());
    assert_eq!((role.tasks.max_concurrent, role.tasks.timeout, role.model.as_deref()), (1, None, None));
    assert!(Action::ALL.into_iter().all(|action| !role.allows(action)));
    assert!(!role.config.allows_repository("acme/api"));
    assert_eq!(role.soul(), "# X\n\nYou are x.\n");
}

#[test]
fn every_key_is_read() {
    let role = parse(
        "skills: [a, b]\nallowedActions: [github.pr.list, github.review.submit, email.send, slack.message.send, \
         webhook.send, memory.get]\ncapabilities: ['pip:six', 'net:example.com:443']\nresources: {cpus: 0.5, memory: \
         64MiB, pids: 32, disk: 128MiB}\nmodel: recorded\ntasks: {maxConcurrent: 3, timeout: 90s}\nconfig:\n  github: \
         {repositories: ['acme/*'], verdicts: [COMMENT]}\n  email: {recipients: ['*@example.com']}\n  slack: {channels: \
         [C0123ABCD]}\n  webhook: {urls: ['https://hooks.example.com/x']}\n  limits: {email.send: 5/hour}\n  memory: \
         {prompt: 1KiB}\n  budget: {requests: 10, tokens: 1000, money: 0.5}\n  delegation: {roles: [x, y], depth: 2, \
         children: 3}",
    )
    .unwrap();
    assert_eq!(role.skills.iter().map(SkillName::as_str).collect::<Vec<_>>(), ["a", "b"]);
    assert!(role.allows(Action::EmailSend) && !role.allows(Action::EmailDraft));
    assert_eq!(role.capabilities.len(), 2);
    let resources = Resources { cpus: Some(0.5), memory: Some(64 << 20), pids: Some(32), disk: Some(128 << 20) };
    assert_eq!(role.resources, resources);
    assert_eq!(role.tasks, Tasks { max_concurrent: 3, timeout: Some(Duration::from_secs(90)) });
    assert!(role.config.allows_repository("acme/api") && !role.config.allows_repository("acme2/api"));
    assert_eq!(role.config.github.verdicts, [Verdict::Comment]);
    assert!(role.config.allows_recipient("ada@example.com") && !role.config.allows_recipient("ada@example.org"));
    assert!(role.config.allows_channel("C0123ABCD") && role.config.allows_url("https://hooks.example.com/x"));
    assert_eq!(role.config.limits[&Action::EmailSend].most(), 5);
    assert_eq!(role.config.memory.prompt, 1024);
    assert_eq!(role.config.budget, DayBudget { requests: Some(10), tokens: Some(1000), money: Some(0.5) });
    assert_eq!((role.config.delegation.depth, role.config.delegation.children), (2, 3));
}

#[test]
fn a_typo_is_named_at_its_line_with_what_was_meant() {
    let problem = parse("alowed_actions: [github.pr.list]").unwrap_err();
    assert!(problem.starts_with("roles/x.role.md:5:1: error: unknown key `alowed_actions` in the role"), "{problem}");
    assert!(problem.contains("did you mean `allowedActions`?"), "{problem}");
    refused("allowedActions: [github.pr.lst]", "did you mean `github.pr.list`?");
    refused("allowedActions: [github.pr.merge]", "there is no action `github.pr.merge`");
    refused("config: {githb: {}}", "did you mean `github`?");
    refused(
        "allowedActions: [github.review.submit]\nconfig: {github: {verdicts: [APROVE]}}",
        "did you mean `APPROVE`?",
    );
    refused("tasks: {maxConcurent: 1}", "did you mean `maxConcurrent`?");
    refused("resources: {memry: 1GiB}", "did you mean `memory`?");
    refused("resources: {wall: 1h}", "unknown key `wall`");
}

#[test]
fn a_rule_without_effect_is_refused() {
    refused("config: {github: {repositories: ['a/b']}}", "`github` of `config` of the role has no effect");
    refused("allowedActions: [github.pr.list]\nconfig: {github: {verdicts: [COMMENT]}}", "no `github.review.submit`");
    refused("config: {limits: {email.send: 5/hour}}", "has no effect: the role does not allow the action");
    refused("config: {memory: {prompt: 1KiB}}", "allows no `memory.get`");
}

#[test]
fn values_keep_to_their_grammar() {
    for (frontmatter, part) in [
        ("role: y", "duplicate key `role`"),
        ("skills: [../x]", "is not 1 to 63 lower-case letters"),
        ("skills: [a, a]", "stands twice"),
        ("skills: a", "must be a list"),
        ("capabilities: ['pip:a;b']", "is refused"),
        ("capabilities: ['pop:a']", "did you mean `pip:`?"),
        ("resources: {memory: 1MiB}", "at least 6MiB"),
        ("tasks: {maxConcurrent: 0}", "from 1 to 100"),
        ("tasks: {timeout: 5}", "needs a unit"),
        ("model: 'a b'", "white space"),
        ("allowedActions: [email.send]\nconfig: {limits: {email.send: 5/week}}", "is not a rate"),
        ("allowedActions: [email.send]\nconfig: {limits: {emial.send: 5/hour}}", "did you mean `email.send`?"),
        ("allowedActions: [email.send]\nconfig: {email: {recipients: ['a@b,c@d']}}", "is no recipient"),
        ("allowedActions: [github.pr.list]\nconfig: {github: {repositories: ['a/b/../c']}}", "is no repository"),
        ("config: {delegation: {roles: [x], depth: 6}}", "from 1 to 5"),
        ("config: {delegation: {depth: 1}}", "has no `roles`"),
        ("config: {budget: {money: 0}}", "must be a number"),
        ("allowedActions: [memory.get]\nconfig: {memory: {prompt: 1GiB}}", "at most 262144 bytes"),
    ] {
        refused(frontmatter, part);
    }
}

#[test]
fn prompts_and_files_are_bounded() {
    let name = RoleName::parse("x").unwrap();
    let of = |prompt: &str| {
        let text = format!("---\nrole: x\ndisplayName: X\ndescription: x\n---\n{prompt}\n");
        Role::parse(&name, "f", &text).map_err(|problems| problems.to_string())
    };
    assert!(of(&"x".repeat(PROMPT_LIMIT)).is_ok());
    assert!(of(&"x".repeat(PROMPT_LIMIT + 1)).unwrap_err().contains("65536 are the most"));
    assert!(of(&"x".repeat(1 << 20)).unwrap_err().contains("131072 are the most"));
    assert!(of("  \n").unwrap_err().contains("f:6:1: error: the role has no prompt"));
    assert!(of("a\u{202e}b").unwrap_err().contains("U+202E"));
    let other = RoleName::parse("y").unwrap();
    let problem = Role::parse(&other, "f", "---\nrole: x\ndisplayName: X\ndescription: x\n---\nx\n").unwrap_err();
    assert!(problem.to_string().contains("`role` is `x`, and the file is that of `y`"), "{problem}");
}

#[test]
fn what_ships_parses_with_its_skills_and_can_be_renamed() {
    let mut actions = std::collections::BTreeSet::new();
    for shipped in SHIPPED {
        let name = RoleName::parse(shipped.name).unwrap();
        let role = Role::parse(&name, shipped.name, shipped.text).unwrap_or_else(|problems| panic!("{problems}"));
        actions.extend(role.allowed_actions.iter().copied());
        for skill in &role.skills {
            Skill::parse(skill, skill.as_str(), shipped_skill(skill).unwrap()).unwrap();
        }
        let other = RoleName::parse("other").unwrap();
        let renamed = renamed(shipped.text, &other).unwrap();
        let again = Role::parse(&other, "other", &renamed).unwrap();
        assert_eq!(Role { name: role.name.clone(), ..again }, role);
    }
    assert_eq!(actions.len(), Action::ALL.len(), "each action is allowed by some role that ships");
    // A review-only role cannot say yes.
    let reviewer = shipped(&RoleName::parse("code-review-engineer").unwrap()).unwrap().text;
    assert!(!reviewer.contains("APPROVE"));
}

proptest! {
    #[test]
    fn nothing_panics_and_what_parses_is_bounded(text in ".{0,400}") {
        let name = RoleName::parse("x").unwrap();
        if let Ok(role) = Role::parse(&name, "f", &text) {
            prop_assert!(role.prompt.len() <= PROMPT_LIMIT);
        }
    }
}
