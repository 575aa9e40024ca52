//! A role as a child of an agent has it: what it says itself, and no more than its parent has. Pure, and the one place
//! that says what "no more" is.

use std::collections::BTreeMap;

use super::action::Action;
use super::config::{Config, Email, Github, Slack, Webhook};
use super::delegation::Delegation;
use super::glob::Glob;
use super::rate::Rate;
use super::{DayBudget, Resources, Role, Tasks};

impl Role {
    /// This role below `parent`: actions, argument rules, limits and further children are each within those of both. The
    /// prompt and the skills are its own, since words give nothing; so are rates, which are counted for each of both.
    #[must_use]
    pub fn within(&self, parent: &Self) -> Self {
        let (own, theirs) = (&self.config, &parent.config);
        let allowed_actions = common(&self.allowed_actions, &parent.allowed_actions);
        Self {
            name: self.name.clone(),
            display_name: self.display_name.clone(),
            description: self.description.clone(),
            skills: self.skills.clone(),
            capabilities: self.capabilities.clone(),
            resources: Resources {
                cpus: match (self.resources.cpus, parent.resources.cpus) {
                    (Some(own), Some(theirs)) => Some(own.min(theirs)),
                    (own, theirs) => own.or(theirs),
                },
                memory: least(self.resources.memory, parent.resources.memory),
                pids: least(self.resources.pids, parent.resources.pids),
                disk: least(self.resources.disk, parent.resources.disk),
            },
            model: self.model.clone().or_else(|| parent.model.clone()),
            tasks: Tasks {
                max_concurrent: self.tasks.max_concurrent.min(parent.tasks.max_concurrent),
                timeout: least(self.tasks.timeout, parent.tasks.timeout),
            },
            config: Config {
                github: Github {
                    repositories: globs(&own.github.repositories, &theirs.github.repositories),
                    verdicts: common(&own.github.verdicts, &theirs.github.verdicts),
                },
                slack: Slack { channels: globs(&own.slack.channels, &theirs.slack.channels) },
                email: Email { recipients: globs(&own.email.recipients, &theirs.email.recipients) },
                webhook: Webhook { urls: globs(&own.webhook.urls, &theirs.webhook.urls) },
                // How often is counted against everybody in the line, each by its own limit (`engine::allowed`): what this
                // role may do in a day stays counted where the one above has a limit by the hour.
                limits: kept(&allowed_actions, &own.limits),
                memory: own.memory,
                budget: DayBudget {
                    requests: least(own.budget.requests, theirs.budget.requests),
                    tokens: least(own.budget.tokens, theirs.budget.tokens),
                    money: match (own.budget.money, theirs.budget.money) {
                        (Some(own), Some(theirs)) => Some(own.min(theirs)),
                        (own, theirs) => own.or(theirs),
                    },
                },
                delegation: delegation(&own.delegation, &theirs.delegation),
            },
            allowed_actions,
            prompt: self.prompt.clone(),
        }
    }
}

fn common<T: PartialEq + Clone>(own: &[T], theirs: &[T]) -> Vec<T> {
    own.iter().filter(|item| theirs.contains(item)).cloned().collect()
}

/// The patterns of each side that lie within one of the other.
fn globs(own: &[Glob], theirs: &[Glob]) -> Vec<Glob> {
    let within = |glob: &&Glob, others: &[Glob]| others.iter().any(|other| glob.is_within(other));
    let mut both: Vec<Glob> = own.iter().filter(|glob| within(glob, theirs)).cloned().collect();
    let others: Vec<Glob> = theirs.iter().filter(|glob| within(glob, own) && !both.contains(glob)).cloned().collect();
    both.extend(others);
    both
}

/// The limits on what is still allowed.
fn kept(allowed: &[Action], own: &BTreeMap<Action, Rate>) -> BTreeMap<Action, Rate> {
    allowed.iter().filter_map(|action| Some((*action, *own.get(action)?))).collect()
}

/// One generation fewer, the same roles at most.
fn delegation(own: &Delegation, parent: &Delegation) -> Delegation {
    let depth = own.depth.min(parent.depth.saturating_sub(1));
    if depth == 0 {
        return Delegation::default();
    }
    Delegation { roles: common(&own.roles, &parent.roles), depth, children: own.children.min(parent.children) }
}

fn least<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::role::Verdict;
    use crate::run::id::RoleName;

    fn role() -> impl Strategy<Value = Role> {
        let actions = proptest::sample::subsequence(Action::ALL.to_vec(), 0..=16);
        let globs = proptest::collection::vec("[ab*]{1,2}/[ab*]{1,2}", 0..4);
        let verdicts = proptest::sample::subsequence(Verdict::ALL.to_vec(), 0..=3);
        let rate = ("[1-9]{1,2}", prop_oneof!["minute", "hour", "day"]).prop_map(|(n, unit)| format!("{n}/{unit}"));
        let rates = proptest::collection::btree_map(proptest::sample::select(Action::ALL.to_vec()), rate, 0..6);
        let numbers = (proptest::option::of(1u64..100), proptest::option::of(1u64..100), 1u32..5, 0u32..6, 0u32..4);
        let roles = proptest::sample::subsequence(vec!["r", "s", "t"], 0..=3);
        (actions, globs, verdicts, rates, numbers, roles).prop_map(
            |(actions, globs, verdicts, rates, numbers, roles)| {
                let (memory, tokens, at_once, depth, children) = numbers;
                let name = RoleName::parse("r").unwrap();
                let text = "---\nrole: r\ndisplayName: R\ndescription: r\n---\nx\n";
                let mut role = Role::parse(&name, "r", text).unwrap();
                role.allowed_actions = actions;
                role.resources.memory = memory;
                role.tasks.max_concurrent = at_once;
                role.config.github.repositories = globs.iter().map(|glob| Glob::repository(glob).unwrap()).collect();
                role.config.github.verdicts = verdicts;
                role.config.limits = rates.into_iter().map(|(action, rate)| (action, rate.parse().unwrap())).collect();
                role.config.budget.tokens = tokens;
                let roles = roles.into_iter().map(|role| RoleName::parse(role).unwrap()).collect();
                role.config.delegation = Delegation { roles, depth, children };
                role
            },
        )
    }

    /// Whether nothing can be done as `child` that cannot be done as `parent`.
    fn is_no_more(child: &Role, parent: &Role, repository: &str) -> Result<(), TestCaseError> {
        let at_most =
            |child: Option<u64>, parent: Option<u64>| parent.is_none_or(|most| child.is_some_and(|c| c <= most));
        for action in Action::ALL {
            prop_assert!(!child.allows(action) || parent.allows(action));
        }
        prop_assert!(!child.config.allows_repository(repository) || parent.config.allows_repository(repository));
        prop_assert!(child.config.github.verdicts.iter().all(|v| parent.config.github.verdicts.contains(v)));
        prop_assert!(at_most(child.resources.memory, parent.resources.memory));
        prop_assert!(at_most(child.config.budget.tokens, parent.config.budget.tokens));
        prop_assert!(child.tasks.max_concurrent <= parent.tasks.max_concurrent);
        let (own, theirs) = (&child.config.delegation, &parent.config.delegation);
        prop_assert!(own.roles.iter().all(|role| theirs.roles.contains(role)));
        prop_assert!(own.roles.is_empty() || own.depth < theirs.depth);
        prop_assert!(own.children <= theirs.children || own.roles.is_empty());
        Ok(())
    }

    proptest! {
        #[test]
        fn a_child_has_no_more_than_its_parent(a in role(), b in role(), text in "[ab]{1,3}/[ab]{1,3}") {
            let child = a.within(&b);
            is_no_more(&child, &b, &text)?;
            prop_assert!(!child.config.allows_repository(&text) || a.config.allows_repository(&text));
            prop_assert!(child.allowed_actions.iter().all(|action| a.allows(*action)));
            for action in Action::ALL {
                let own = a.config.limits.get(&action).filter(|_| child.allows(action));
                prop_assert_eq!(child.config.limits.get(&action), own);
            }
        }

        #[test]
        fn nor_has_a_grandchild_and_the_line_ends(mut line in proptest::collection::vec(role(), 2..9), text in "[ab]{1,3}/[ab]{1,3}") {
            let root = line.remove(0);
            let mut last = root.clone();
            for role in line {
                let child = role.within(&last);
                is_no_more(&child, &last, &text)?;
                is_no_more(&child, &root, &text)?;
                last = child;
            }
        }

        #[test]
        fn no_line_is_deeper_than_its_root_says(root in role(), other in role()) {
            let mut last = root.clone();
            let mut generations = 0;
            while !last.config.delegation.roles.is_empty() && last.config.delegation.depth > 0 {
                last = other.within(&last);
                generations += 1;
                prop_assert!(generations <= root.config.delegation.depth);
            }
        }
    }
}
