//! What a person says with what they do: it is for others to read, so that it says something.

/// A reason or an answer, as an argument.
pub(crate) fn words(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("says nothing: somebody reads it, now or years later".to_owned()),
        _ => Ok(text.to_owned()),
    }
}
