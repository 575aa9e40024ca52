//! Paths within a run's folder, as the helper takes them.

use super::error::SpecError;
use crate::workflow::RelativePath;

/// A path as the helper leaves it: without white space around it, backslashes as slashes, one leading `./` dropped.
///
/// # Errors
/// The helper's, for an empty path, an absolute one, and one that holds `..`.
pub fn relative(path: &str) -> Result<String, SpecError> {
    let clean = path.trim().replace('\\', "/");
    if clean.is_empty() {
        return Err(SpecError::EmptyPath);
    }
    let clean = clean.strip_prefix("./").unwrap_or(&clean);
    if clean.starts_with('/') {
        return Err(SpecError::AbsolutePath(path.to_owned()));
    }
    if clean.split('/').any(|component| component == "..") {
        return Err(SpecError::EscapingPath(path.to_owned()));
    }
    Ok(clean.to_owned())
}

/// A path that [`relative`] has let pass, without the slashes and dots in it that mean nothing.
pub(super) fn strict(node: &str, path: &str) -> Result<String, SpecError> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let refused = |why| SpecError::Path { node: node.to_owned(), path: path.to_owned(), why };
    Ok(RelativePath::parse(&parts.join("/")).map_err(refused)?.as_str().to_owned())
}
