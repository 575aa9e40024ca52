//! "Did you mean": what a wrong key was probably meant to be.

use crate::run::nearest::nearest;

/// serde's message about an unknown key or value, with the nearest of those it expected.
pub(super) fn with_suggestion(message: &str) -> String {
    // serde's words: unknown field `x`, expected one of `a`, `b`; or: expected `a` or `b`; or: expected `a`.
    let mut names = message.split('`').skip(1).step_by(2);
    let unknown = message.starts_with("unknown ").then(|| names.next()).flatten();
    match unknown.and_then(|wrong| nearest(wrong, names)) {
        Some(name) => format!("{message}; did you mean `{name}`?"),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_is_named() {
        let message = "unknown field `buildTimout`, expected one of `extraCa`, `buildTimeout`, `buildMemory`";
        assert!(with_suggestion(message).ends_with("; did you mean `buildTimeout`?"));
        let far = "unknown field `zzz`, expected `network`";
        assert_eq!(with_suggestion(far), far);
    }
}
