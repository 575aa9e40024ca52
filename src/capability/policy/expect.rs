//! Expected answers, as a file that runs as a test of the policies.

use serde::Serialize;

use super::problem::PolicyProblem;
use super::read::Reader;
use super::{Asked, Policies};
use crate::run::capability::Capability;
use crate::run::ruling::{Effect, Ruling};
use crate::workflow::tree::{Value, Yaml};

/// One expected answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Expectation {
    /// From 1.
    pub line: usize,
    pub capability: Capability,
    pub workflow: String,
    pub role: Option<String>,
    pub effect: Effect,
}

/// What one file expects.
#[derive(Debug, Clone)]
pub struct Expectations {
    pub file: String,
    pub all: Vec<Expectation>,
}

/// An expectation that the policies do not meet.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Missed {
    pub file: String,
    pub expected: Expectation,
    pub found: Ruling,
}

impl Expectations {
    /// Reads a file of `format: 1` and `expect:`, a list of maps with `capability` and `effect`, and if need be
    /// `workflow` and `role`.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, Vec<PolicyProblem>> {
        let mut reader = Reader::new(file);
        let items = reader.list(bytes, "expect").unwrap_or_default();
        let all = items.iter().filter_map(|item| reader.expectation(item)).collect();
        reader.done(Self { file: file.to_owned(), all })
    }

    /// Those that `policies` do not meet.
    #[must_use]
    pub fn missed(&self, policies: &Policies) -> Vec<Missed> {
        let missed = self.all.iter().filter_map(|expected| {
            let asked = Asked::alone(&expected.capability, &expected.workflow, expected.role.as_deref());
            let found = policies.rule_on(&asked);
            let missed = Missed { file: self.file.clone(), expected: expected.clone(), found };
            (missed.found.effect != expected.effect).then_some(missed)
        });
        missed.collect()
    }
}

impl Reader<'_> {
    fn expectation(&mut self, yaml: &Yaml) -> Option<Expectation> {
        let line = yaml.spot.line;
        let Value::Map(entries) = &yaml.value else {
            return self.wrong(line, format!("an expectation is a map, not {}", yaml.value.noun()));
        };
        let [capability, workflow, role, effect] =
            self.take(entries.clone(), ["capability", "workflow", "role", "effect"]);
        let Some(capability) = capability else { return self.wrong(line, "`capability` is missing") };
        let text = self.text(&capability.value)?;
        let capability = match Capability::parse(&text) {
            Ok(capability) => capability,
            Err(error) => return self.wrong(capability.spot.line, error.to_string()),
        };
        let workflow = workflow.map_or(Some(String::new()), |entry| self.text(&entry.value))?;
        let role = match role {
            Some(entry) => Some(self.text(&entry.value)?),
            None => None,
        };
        Some(Expectation { line, capability, workflow, role, effect: self.effect(line, effect.as_ref())? })
    }
}
