//! Container names. A name is the idempotency key of a start: the same attempt always has the same name, so that two
//! starts of it meet at the Engine, and one of them adopts what the other made.

use sha2::{Digest as _, Sha256};

use crate::run::id::{NodeId, RequestId, RunId};

/// `tf-<slug>-<16 hex>`: what people see is the slug, what counts is the hex, from SHA-256 over registry id, run, node
/// and attempt (decimal), each preceded by its length in bytes as a little-endian u64, so that no two sets of parts
/// run together into the same bytes.
#[must_use]
pub fn name_for(registry: &str, run: &str, node: &str, attempt: Option<u32>, slug: &str) -> String {
    let attempt = attempt.map(|n| n.to_string()).unwrap_or_default();
    let mut hasher = Sha256::new();
    for part in [registry, run, node, &attempt] {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let hex: String = hasher.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("tf-{}-{hex}", slugged(slug))
}

/// The name of an agent's container: the slug is the node's id.
#[must_use]
pub fn agent_name(registry: &str, run: &RunId, node: &NodeId, attempt: u32) -> String {
    name_for(registry, run.as_str(), node.as_str(), Some(attempt), node.as_str())
}

/// The name of a run's gate.
#[must_use]
pub fn gate_name(registry: &str, run: &RunId) -> String {
    name_for(registry, run.as_str(), "", None, "gate")
}

/// What stands in place of a node where a container is of a deployment; no node's id holds a slash.
#[must_use]
pub fn deployment_label(deployment: &RequestId) -> String {
    format!("deployment/{deployment}")
}

/// The name of the container of a deployment's start: the slug is the id of the node that proposed it.
#[must_use]
pub fn deployment_name(registry: &str, run: &RunId, deployment: &RequestId, number: u32, node: &NodeId) -> String {
    name_for(registry, run.as_str(), &deployment_label(deployment), Some(number), node.as_str())
}

/// The name of a deployment's own gate.
#[must_use]
pub fn deployment_gate_name(registry: &str, run: &RunId, deployment: &RequestId) -> String {
    name_for(registry, run.as_str(), &deployment_label(deployment), None, "gate")
}

/// Whether a name has the form of [`name_for`]'s; only such a name is put into a request's path.
pub(crate) fn is_ours(name: &str) -> bool {
    name.len() <= 64
        && name.strip_prefix("tf-").is_some_and(|rest| {
            !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        })
}

/// Whether a text can be a container's name or id at all, by the Engine's grammar. What people type is put into a
/// request's path only after this.
pub(crate) fn is_addressable(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    name.len() <= 255 && name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric()) && name.bytes().all(plain)
}

/// At most 32 characters of `[a-z0-9-]`; whatever else was there becomes a dash. The Engine's own grammar is wider,
/// but a name also stands in host names and in terminals.
fn slugged(text: &str) -> String {
    let mut slug = String::with_capacity(32);
    for c in text.chars().take(32) {
        let c = c.to_ascii_lowercase();
        slug.push(if c.is_ascii_alphanumeric() { c } else { '-' });
    }
    let slug = slug.trim_matches('-');
    if slug.is_empty() { "x".to_owned() } else { slug.to_owned() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_is_stable() {
        let (run, node) = (RunId::parse("demo-1").unwrap(), NodeId::parse("gather").unwrap());
        assert_eq!(agent_name("01J", &run, &node, 1), "tf-gather-d17105579e386c22");
        assert_eq!(gate_name("01J", &run), "tf-gate-ed5caabadaf95e2c");
    }

    #[test]
    fn what_people_type_stays_in_its_place() {
        for good in ["tf-gather-0011223344556677", "a1b2", "A_b.c"] {
            assert!(is_addressable(good));
        }
        for bad in ["", ".", "..", "../images", "a/b", "a?b", "a%2f", "a#b", "a b", "-a", "\u{e9}", &"a".repeat(256)] {
            assert!(!is_addressable(bad), "{bad:?}");
        }
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(name_for("a", "bc", "d", Some(1), "x"), name_for("ab", "c", "d", Some(1), "x"));
        assert_ne!(name_for("a", "b", "c1", Some(2), "x"), name_for("a", "b", "c", Some(12), "x"));
        assert_ne!(name_for("a", "b", "c", None, "x"), name_for("a", "b", "c", Some(0), "x"));
    }

    proptest! {
        #[test]
        fn any_slug_makes_a_name_the_engine_takes(slug in "\\PC{0,80}") {
            let name = name_for("r", "run", "node", Some(3), &slug);
            prop_assert!(name.len() <= 52);
            prop_assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
        }
    }
}
