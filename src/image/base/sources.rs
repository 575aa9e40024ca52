//! Where the host gets its packages from, so that the base image does too: companies have mirrors of their own, and a
//! fixed address would be wrong there. Only the distribution's own archives are taken, never a third party's.

use std::collections::BTreeMap;
use std::path::Path;

use super::distribution::Distribution;

/// What apt is asked for: a line for each index it knows.
pub(super) const FORMAT: &str = "$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)";

/// The host's mirrors as `deb …` lines, from apt's answer in [`FORMAT`]; empty if none is fit.
pub(super) fn mirrors(answer: &str, distribution: &Distribution, keyring: Option<&Path>) -> Vec<String> {
    let suites = ["", "-updates", "-security"].map(|end| format!("{}{end}", distribution.suite));
    let mut found: BTreeMap<(usize, &str, &str), Vec<&str>> = BTreeMap::new();
    for line in answer.lines() {
        let fields: Vec<&str> = line.split('|').collect();
        let [origin, uri, release, component] = fields.as_slice() else {
            continue;
        };
        // apt leaves a field as it is where it has not fetched the archive's release file yet.
        let ours = *origin == distribution.kind.origin() || origin.starts_with("$(") || origin.is_empty();
        let Some(place) = suites.iter().position(|suite| suite == release) else {
            continue;
        };
        let known = distribution.kind.components().split(',').any(|known| known == *component);
        if ours && known && is_plain_uri(uri) {
            let components = found.entry((place, *uri, *release)).or_default();
            if !components.contains(component) {
                components.push(component);
            }
        }
    }
    // Without the release itself the updates alone make no system.
    if !found.keys().any(|(place, _, _)| *place == 0) {
        return Vec::new();
    }
    let signed = keyring.map(|path| format!("[signed-by={}] ", path.display())).unwrap_or_default();
    found
        .into_iter()
        .map(|((_, uri, release), components)| format!("deb {signed}{uri} {release} {}", components.join(" ")))
        .collect()
}

/// An address over the network, in characters that mean nothing else in a line of sources.
fn is_plain_uri(uri: &str) -> bool {
    let rest = uri.strip_prefix("http://").or_else(|| uri.strip_prefix("https://"));
    // An address can hold a password (`user:password@host`), which must not go into an image.
    rest.is_some_and(|rest| {
        !rest.is_empty()
            && rest.len() < 1000
            && rest
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'/' | b':' | b'~' | b'+'))
    })
}

#[cfg(test)]
mod tests {
    use super::super::distribution::Kind;
    use super::*;

    fn bookworm() -> Distribution {
        Distribution { kind: Kind::Debian, suite: "bookworm".into() }
    }

    #[test]
    fn the_hosts_own_archives_are_taken() {
        let answer = "\
Debian|http://mirror.example/debian/|bookworm|main
Debian|http://mirror.example/debian/|bookworm|contrib
Debian|http://mirror.example/debian/|bookworm-updates|main
Debian|http://mirror.example/debian-security/|bookworm-security|main
Debian|http://mirror.example/debian/|bookworm-backports|main
Docker|https://third.example/debian/|bookworm|main
Debian|cdrom://disc/|bookworm|main
Debian|http://user:secret@mirror.example/debian/|bookworm|main
nonsense
";
        let mirrors = mirrors(answer, &bookworm(), Some(Path::new("/k.gpg")));
        assert_eq!(
            mirrors,
            [
                "deb [signed-by=/k.gpg] http://mirror.example/debian/ bookworm main",
                "deb [signed-by=/k.gpg] http://mirror.example/debian/ bookworm-updates main",
                "deb [signed-by=/k.gpg] http://mirror.example/debian-security/ bookworm-security main",
            ]
        );
    }

    #[test]
    fn ubuntu_needs_universe() {
        let noble = Distribution { kind: Kind::Ubuntu, suite: "noble".into() };
        let answer =
            "$(ORIGIN)|http://m.example/ubuntu/|noble|main\n$(ORIGIN)|http://m.example/ubuntu/|noble|universe\n";
        assert_eq!(mirrors(answer, &noble, None), ["deb http://m.example/ubuntu/ noble main universe"]);
    }

    #[test]
    fn updates_alone_are_nothing() {
        assert_eq!(
            mirrors("Debian|http://m.example/|bookworm-updates|main\n", &bookworm(), None),
            Vec::<String>::new()
        );
        assert_eq!(mirrors("", &bookworm(), None), Vec::<String>::new());
        assert_eq!(mirrors("Debian|http://m.example/ [trusted=yes]|bookworm|main\n", &bookworm(), None).len(), 0);
    }
}
