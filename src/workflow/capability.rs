//! The one place where a workflow's capability names are checked: by the grammar that a request has to meet too.

use crate::run::capability::{Capability, CapabilityKind};
use crate::run::nearest::nearest;

/// Whether `text` names a capability: `kind:name`. The error completes a sentence that begins with the name.
pub(crate) fn check_capability(text: &str) -> Result<(), String> {
    let error = match Capability::parse(text) {
        Ok(Capability::Port(_)) => {
            return Err("is a deployment; write it as `deploy: {port: …, command: […]}`".to_owned());
        }
        Ok(Capability::Schedule(_)) => {
            return Err("is what a hired agent asks for, with a time and a task; here a `[watch.NAME]` of taskforge.toml does it".to_owned());
        }
        Ok(capability) => return capability.check().map_err(|why| format!("is refused: {why}")),
        Err(error) => error,
    };
    let kinds = CapabilityKind::ALL.map(CapabilityKind::as_str);
    let kind = text.split_once(':').map_or(text, |(kind, _)| kind);
    match nearest(kind, kinds).filter(|_| !kinds.contains(&kind)) {
        Some(near) => Err(format!("has an unknown kind; did you mean `{near}:`?")),
        None => Err(format!("is refused: {error}")),
    }
}
