//! The one place where a workflow's capability names are checked.

use crate::run::capability::Capability;

/// Whether `text` names a capability: `kind:name`, by the grammar that a request has to meet too.
pub(super) fn check_capability(text: &str) -> Result<(), String> {
    Capability::parse(text).map(drop).map_err(|error| error.to_string())
}
