//! A workflow with its parameters filled in.

use std::collections::BTreeMap;

use serde::Serialize;
use thiserror::Error;

use super::params::{Param, ParamValue, TEXT_LIMIT};
use super::template;
use super::text::{alternatives, shown};
use super::workflow::Workflow;
use crate::run::id::NodeId;
use crate::run::nearest::nearest;

/// What a run starts with.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rendered {
    /// Every declared parameter, given or by default.
    pub params: BTreeMap<String, ParamValue>,
    /// The prompts of the nodes that have one.
    pub prompts: BTreeMap<NodeId, String>,
}

/// Why given parameters do not fit a workflow.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParamError {
    #[error("there is no param {}{}", shown(name), near.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    Unknown { name: String, near: Option<String> },
    #[error("param `{name}` is not given, and has no default")]
    Missing { name: String },
    #[error("param `{name}` must be {wanted}, and is {}", shown(given))]
    Type { name: String, wanted: &'static str, given: String },
    #[error("param `{name}` must be {wanted}, and is {}", shown(given))]
    Choice { name: String, wanted: String, given: String },
    #[error("param `{name}` is longer than {TEXT_LIMIT} bytes")]
    TooLong { name: String },
    #[error("with these params the prompt of node `{node}` {why}")]
    Prompt { node: NodeId, why: String },
}

impl Workflow {
    /// Checks the `given` parameters, as texts from a command line, and fills them in.
    ///
    /// # Errors
    /// Everything that does not fit, at once.
    pub fn render(&self, given: &BTreeMap<String, String>) -> Result<Rendered, Vec<ParamError>> {
        let empty = BTreeMap::new();
        let declared = self.params.as_ref().unwrap_or(&empty);
        let mut errors = Vec::new();
        for name in given.keys().filter(|name| !declared.contains_key(*name)) {
            let near = nearest(name, declared.keys().map(String::as_str)).map(str::to_owned);
            errors.push(ParamError::Unknown { name: name.clone(), near });
        }
        let mut params = BTreeMap::new();
        for (name, param) in declared {
            match value(name, param, given.get(name)) {
                Ok(value) => drop(params.insert(name.clone(), value)),
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut prompts = BTreeMap::new();
        for node in &self.nodes {
            let Some(prompt) = &node.prompt else { continue };
            let rendered = if self.params.is_some() { template::render(prompt, &params) } else { Ok(prompt.clone()) };
            let node_id = node.id.clone();
            match rendered {
                Ok(text) if text.trim().is_empty() && !prompt.trim().is_empty() => {
                    errors.push(ParamError::Prompt { node: node_id, why: "is empty".to_owned() });
                }
                Ok(text) => drop(prompts.insert(node_id, text)),
                Err(fault) => errors.push(ParamError::Prompt { node: node_id, why: fault.message }),
            }
        }
        if errors.is_empty() { Ok(Rendered { params, prompts }) } else { Err(errors) }
    }
}

fn value(name: &str, param: &Param, given: Option<&String>) -> Result<ParamValue, ParamError> {
    let name = name.to_owned();
    let Some(given) = given else {
        return param.default.clone().ok_or(ParamError::Missing { name });
    };
    if given.len() > TEXT_LIMIT {
        return Err(ParamError::TooLong { name });
    }
    let Some(value) = param.kind.parse(given) else {
        return Err(ParamError::Type { name, wanted: param.kind.noun(), given: given.clone() });
    };
    if !param.choices.is_empty() && !param.choices.contains(&value) {
        let choices: Vec<String> = param.choices.iter().take(20).map(ToString::to_string).collect();
        let choices: Vec<&str> = choices.iter().map(String::as_str).collect();
        return Err(ParamError::Choice { name, wanted: alternatives(&choices), given: given.clone() });
    }
    Ok(value)
}
