//! The labels by which a container is known to be ours, and to which attempt it belongs.

use std::collections::BTreeMap;

use super::role::Role;

/// What every label of ours starts with.
pub const LABEL_PREFIX: &str = "io.taskforge.";
pub(crate) const REGISTRY: &str = "io.taskforge.registry";
pub(crate) const SPEC: &str = "io.taskforge.spec";
pub(crate) const ROLE: &str = "io.taskforge.role";

/// Whose container this is. `run`, `node` and `attempt` are empty where they mean nothing (a build serves any run).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// The registry's id, from `taskforge.toml`.
    pub registry: String,
    pub run: String,
    pub node: String,
    pub attempt: Option<u32>,
    pub role: Role,
}

impl Labels {
    /// The labels as the Engine stores them, without the spec's digest.
    #[must_use]
    pub fn to_map(&self) -> BTreeMap<String, String> {
        let attempt = self.attempt.map(|n| n.to_string()).unwrap_or_default();
        [
            ("registry", self.registry.clone()),
            ("run", self.run.clone()),
            ("node", self.node.clone()),
            ("attempt", attempt),
            ("role", self.role.as_str().to_owned()),
        ]
        .into_iter()
        .map(|(key, value)| (format!("{LABEL_PREFIX}{key}"), value))
        .collect()
    }

    /// The labels of a container, if they are complete and well formed; `label` answers the value of a label.
    pub fn read<'a>(label: impl Fn(&str) -> Option<&'a String>) -> Option<Self> {
        let get = |key: &str| label(&format!("{LABEL_PREFIX}{key}")).cloned();
        let attempt = get("attempt")?;
        let attempt = if attempt.is_empty() { None } else { Some(attempt.parse().ok()?) };
        Some(Self {
            registry: get("registry")?,
            run: get("run")?,
            node: get("node")?,
            attempt,
            role: Role::parse(&get("role")?)?,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn come_back_as_they_went() {
        for role in Role::ALL {
            for attempt in [None, Some(0), Some(7)] {
                let labels =
                    Labels { registry: "01J".into(), run: "demo-1".into(), node: "gather".into(), attempt, role };
                let map = labels.to_map();
                assert_eq!(Labels::read(|key| map.get(key)).unwrap(), labels);
            }
        }
    }

    #[test]
    fn a_strange_label_is_no_label() {
        let mut map =
            Labels { registry: "r".into(), run: String::new(), node: String::new(), attempt: None, role: Role::Build }
                .to_map();
        map.insert(ROLE.into(), "root".into());
        assert!(Labels::read(|key| map.get(key)).is_none());
    }
}
