//! Rules that can be read and are likely not meant: names that nothing can have, rules that contradict each other.

use super::names;
use super::problem::PolicyProblem;
use super::read::Reader;
use super::rule::Rule;
use crate::run::capability::CapabilityKind;
use crate::run::ruling::Effect;

impl Reader<'_> {
    /// `rule`, with names as capabilities write them; what no capability of its kind can be is a problem.
    pub(super) fn checked(&mut self, mut rule: Rule) -> Rule {
        let line = rule.place.line;
        let packages = |kind: &CapabilityKind| kind.needs_image() && *kind != CapabilityKind::Tool;
        if !rule.versions.is_empty() && !rule.kinds.iter().all(packages) {
            self.wrong::<()>(line, "`version` is for `apt`, `pip` and `npm` alone");
        }
        let counted = |kind: &CapabilityKind| matches!(kind, CapabilityKind::Llm | CapabilityKind::Budget);
        if !rule.at_most.is_empty() && !rule.kinds.iter().all(counted) {
            self.wrong::<()>(line, "`atMost` is for `llm` and `budget` alone");
        }
        if !rule.at_most.is_empty() && rule.effect != Effect::Allow {
            self.wrong::<()>(
                line,
                "`atMost` is for `allow`: what asks for more is asked about or denied by another rule",
            );
        }
        for name in &mut rule.names {
            match names::canonical(&rule.kinds, name) {
                Ok(canonical) => *name = canonical,
                Err(reason) => drop(self.wrong::<()>(line, reason)),
            }
        }
        rule
    }
}

/// Pairs of rules that ask the same question: with another answer they contradict each other, with the same one of them
/// is idle. And what is allowed after all of its kind was denied.
pub(super) fn doubts(rules: &[Rule]) -> Vec<PolicyProblem> {
    let mut found = Vec::new();
    for (place, rule) in rules.iter().enumerate() {
        let same = rules[..place].iter().find(|earlier| asks_the_same(earlier, rule));
        let (file, line) = (&rule.place.file, rule.place.line);
        match same {
            Some(earlier) if earlier.effect == rule.effect => {
                found.push(PolicyProblem::new(file, line, format!("says what {} says", earlier.place)));
            }
            Some(earlier) => {
                let text = format!("says {} where {} says {}", rule.effect, earlier.place, earlier.effect);
                let strict = earlier.effect.max(rule.effect);
                found.push(PolicyProblem::new(file, line, format!("{text}; {strict} decides")));
            }
            None => {
                if let Some(stricter) = rules.iter().find(|other| other.effect > rule.effect && covers(other, rule)) {
                    let text = format!("never decides: {} says {} to all of it", stricter.place, stricter.effect);
                    found.push(PolicyProblem::new(file, line, text));
                }
            }
        }
    }
    found
}

fn asks_the_same(one: &Rule, other: &Rule) -> bool {
    one.kinds == other.kinds
        && one.names == other.names
        && one.versions == other.versions
        && one.workflows == other.workflows
        && one.roles == other.roles
        && one.at_most == other.at_most
}

/// Whether `wide` fits all that `narrow` does; only where that is plain to see.
fn covers(wide: &Rule, narrow: &Rule) -> bool {
    let all = |wide: &[String], narrow: &[String]| {
        let one = |text: &String| wide.iter().any(|glob| crate::provider::glob_matches(glob, text));
        !narrow.is_empty() && narrow.iter().all(one)
    };
    let within = |wide: &[String], narrow: &[String]| wide.is_empty() || all(wide, narrow);
    narrow.kinds.iter().all(|kind| wide.kinds.contains(kind))
        && all(&wide.names, &narrow.names)
        && within(&wide.versions, &narrow.versions)
        && within(&wide.workflows, &narrow.workflows)
        && within(&wide.roles, &narrow.roles)
}
