//! Which capabilities can be asked for here, in their canonical form.

use crate::run::capability::{Capability, CapabilityKind};

/// The canonical form of `text`.
///
/// # Errors
/// The rule that `text` breaks.
pub(super) fn check_capability(text: &str) -> Result<String, String> {
    let capability = Capability::parse(text).map_err(|e| e.to_string())?;
    match capability.kind() {
        CapabilityKind::Pip | CapabilityKind::Apt => Ok(capability.to_string()),
        kind => Err(format!("nothing can grant a capability of the kind {kind} yet; packages can be asked for")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_in_canonical_form_and_nothing_else() {
        assert_eq!(check_capability("pip:Scikit_Learn").as_deref(), Ok("pip:scikit-learn"));
        assert_eq!(check_capability("apt:graphviz").as_deref(), Ok("apt:graphviz"));
        for text in ["", "pip", "pip:a;b", "apt:../x", "net:example.com:443", "secret:x@example.com"] {
            assert!(check_capability(text).is_err(), "{text}");
        }
    }
}
