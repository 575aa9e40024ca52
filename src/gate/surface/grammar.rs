//! Which capabilities can be asked for here, in their canonical form.

/// The canonical form of `text`.
///
/// # Errors
/// The rule that `text` breaks.
pub(super) fn check_capability(text: &str) -> Result<String, String> {
    let (kind, name) = text.split_once(':').ok_or("a capability is a kind and a name, such as pip:pandas")?;
    match kind {
        "pip" => pip(name).map(|name| format!("pip:{name}")),
        "apt" => apt(name).map(|name| format!("apt:{name}")),
        _ => Err("this gate takes requests for packages: pip:<name> or apt:<name>".to_owned()),
    }
}

/// A name of PEP 508, normalised as PEP 503 says, and at most one exact version.
fn pip(text: &str) -> Result<String, String> {
    let (name, version) = match text.split_once("==") {
        Some((name, version)) => (name, Some(version)),
        None => (text, None),
    };
    let letters = |b: u8| b.is_ascii_alphanumeric();
    let fits = (1..=100).contains(&name.len())
        && name.bytes().all(|b| letters(b) || b"-_.".contains(&b))
        && name.bytes().next().is_some_and(letters)
        && name.bytes().last().is_some_and(letters);
    if !fits {
        return Err("a Python package's name is letters, digits, `.`, `_` and `-`, as in pip:scikit-learn".to_owned());
    }
    let mut normal = String::new();
    for c in name.chars() {
        match c {
            '-' | '_' | '.' if normal.ends_with('-') => {}
            '-' | '_' | '.' => normal.push('-'),
            c => normal.push(c.to_ascii_lowercase()),
        }
    }
    match version {
        None => Ok(normal),
        Some(version) if version_fits(version, b".!+-_") => Ok(format!("{normal}=={}", version.to_ascii_lowercase())),
        Some(_) => Err("a version is exact, as in pip:pandas==2.2.3".to_owned()),
    }
}

/// A package name of Debian's policy (5.6.7), and at most one exact version.
fn apt(text: &str) -> Result<String, String> {
    let (name, version) = match text.split_once('=') {
        Some((name, version)) => (name, Some(version)),
        None => (text, None),
    };
    let fits = (2..=100).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+.-".contains(&b))
        && name.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if !fits {
        return Err("a Debian package's name is lower-case letters, digits, `+`, `-` and `.`".to_owned());
    }
    match version {
        None => Ok(name.to_owned()),
        Some(version) if version_fits(version, b".+-~:") => Ok(format!("{name}={version}")),
        Some(_) => Err("a version is exact, as in apt:graphviz=2.42.2-7".to_owned()),
    }
}

fn version_fits(version: &str, others: &[u8]) -> bool {
    (1..=100).contains(&version.len())
        && version.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
        && version.bytes().all(|b| b.is_ascii_alphanumeric() || others.contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn canonical_forms() {
        for (text, expected) in [
            ("pip:Scikit_Learn", "pip:scikit-learn"),
            ("pip:a--b", "pip:a-b"),
            ("pip:pandas==2.2.3", "pip:pandas==2.2.3"),
            ("apt:g++", "apt:g++"),
            ("apt:graphviz=2.42.2-7", "apt:graphviz=2.42.2-7"),
        ] {
            assert_eq!(check_capability(text).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "pip",
            "pip:",
            "pip:-x",
            "pip:x>=1",
            "pip:x==",
            "pip:x==-1",
            "pip:a b",
            "pip:a;b",
            "pip:../x",
            "apt:X",
            "apt:-x",
            "apt:a",
            "net:example.com:443",
            "pip:x\n",
            "pip:x==1;id",
            "pip:x @ https://x",
        ] {
            assert!(check_capability(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_canonical_form_is_its_own(text in "(pip|apt):[A-Za-z0-9._+-]{1,12}(==?[0-9a-z.]{1,5})?") {
            if let Ok(canonical) = check_capability(&text) {
                prop_assert_eq!(check_capability(&canonical), Ok(canonical));
            }
        }
    }
}
