//! npm's packages, by their places below `/node_modules`.

use serde_json::Value;

use super::super::npm::shown;

/// Whether `path` is where a package of npm lies: `node_modules/a`, `node_modules/@b/c/node_modules/d`.
pub(super) fn is_place(path: &str) -> bool {
    let mut parts = path.split('/');
    loop {
        match parts.next() {
            Some("node_modules") => {}
            _ => return false,
        }
        let whole = match parts.next() {
            Some(scope) if scope.starts_with('@') => parts.next().is_some_and(|name| !name.is_empty()),
            Some(name) => !name.is_empty() && !name.starts_with('.'),
            None => false,
        };
        if !whole {
            return false;
        }
        if parts.clone().next().is_none() {
            return true;
        }
    }
}

/// `name@version` of a `package.json`; of what is none, both are empty.
pub(super) fn package(bytes: &[u8]) -> String {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let said: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let field = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
    shown(&field("name"), &field("version"))
}
