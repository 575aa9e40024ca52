//! dpkg's own list of what is installed.

use std::collections::BTreeMap;

use tar::EntryType;

use super::super::readback::Versions;

pub(super) const STATUS: &str = "var/lib/dpkg/status";
/// Where dpkg keeps changes that are not in its list yet, and counts as if they were.
const UPDATES: &str = "var/lib/dpkg/updates/";

/// What is there that makes dpkg's answer another than its list.
pub(super) fn odd(path: &str, kind: EntryType) -> Option<String> {
    let folder = matches!(path, "var/lib/dpkg" | "var/lib" | "var" | "var/lib/dpkg/updates");
    if folder && !kind.is_dir() {
        return Some(format!("/{path} is no folder"));
    }
    path.strip_prefix(UPDATES).map(|_| format!("/{path}: dpkg was not done with it"))
}

/// Reads `/var/lib/dpkg/status` (deb822, as dpkg writes it): `name:arch` and version, with every state but "installed"
/// spelt out. A package that stands twice has both versions, which is none that anybody wants.
pub(super) fn status(bytes: &[u8]) -> Versions {
    let text = String::from_utf8_lossy(bytes);
    let mut found = Versions::new();
    let mut fields: BTreeMap<String, String> = BTreeMap::new();
    for line in text.lines().chain([""]) {
        if !line.trim().is_empty() {
            // A line that begins with a blank goes on with the field before it.
            if let Some((name, value)) = line.split_once(':').filter(|_| !line.starts_with([' ', '\t'])) {
                fields.insert(name.to_ascii_lowercase(), value.trim().to_owned());
            }
            continue;
        }
        let said = std::mem::take(&mut fields);
        let field = |name: &str| said.get(name).map(String::as_str).unwrap_or_default();
        let state = field("status").split_whitespace().nth(2).unwrap_or("in no state");
        if said.is_empty() || state == "not-installed" {
            continue;
        }
        let name = format!("{}:{}", field("package"), field("architecture"));
        let version = field("version");
        let version = if state == "installed" { version.to_owned() } else { format!("{version} ({state})") };
        let twice = found.get(&name).map(|first| format!("{first} and {version}"));
        found.insert(name, twice.unwrap_or(version));
    }
    found
}
