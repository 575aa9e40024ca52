//! Names in rules: written as capabilities write theirs, and such that some capability can have them. A rule that denies
//! what nothing is called denies nothing, and would look as if it did.

use super::fits::name_of;
use crate::provider::glob_matches;
use crate::run::capability::{Capability, CapabilityKind, known_actions, rules_of};

/// What `*` of a glob is filled with to find something that it fits, likely ones first. A glob that none of them makes a
/// name of is taken for one that fits nothing.
fn fillings(kind: CapabilityKind) -> &'static [&'static str] {
    match kind {
        CapabilityKind::Net | CapabilityKind::Tcp => &[
            "a", "80", "", "a.b", "0.0.1", "0.1", "1", "a:80", "0.0.1:80", ":80", "[::1]", "::1", ":1", "0", "443",
            ":1]:443",
        ],
        CapabilityKind::Apt => &["a", "", "1", "aa"],
        CapabilityKind::Pip => &["a", "", "1"],
        CapabilityKind::Npm => &["a", "", "@a/b", "@a", "a/b", "/a"],
        CapabilityKind::Mount => &["a", "", "/a", "a:ro", "/a:ro", "a:rw", ":ro", ":rw", "r", "w", "ro", "rw"],
        CapabilityKind::Schedule => &["a", "", "-a"],
        CapabilityKind::Port => &["", "8000", "000", "00", "0", "1", "10", "100", "80"],
        _ => &[],
    }
}

/// With more stars than this a glob is not tried: the ways to fill them would be too many.
const STARS: usize = 4;

/// `name` of a rule for all of `kinds`, as the names of such capabilities are written.
///
/// # Errors
/// Why nothing of one of them can have it, or that they would write it differently.
pub(super) fn canonical(kinds: &[CapabilityKind], name: &str) -> Result<String, String> {
    let mut written: Option<(CapabilityKind, String)> = None;
    for kind in kinds {
        let one = of_kind(*kind, name).map_err(|reason| match kinds.len() {
            1 => reason,
            _ => format!("{reason}; a rule for several kinds needs names that fit each of them"),
        })?;
        match &written {
            Some((other, first)) if *first != one => {
                return Err(format!(
                    "`{name}` is `{first}` as a `{other}` and `{one}` as a `{kind}`: write a rule for each of them"
                ));
            }
            Some(_) => {}
            None => written = Some((*kind, one)),
        }
    }
    Ok(written.map_or_else(|| name.to_owned(), |(_, text)| text))
}

fn of_kind(kind: CapabilityKind, name: &str) -> Result<String, String> {
    let text = match kind {
        CapabilityKind::Pip => name.to_ascii_lowercase().replace(['_', '.'], "-"),
        _ => name.to_owned(),
    };
    if text.contains('*') { glob(kind, name, text) } else { exact(kind, name, &text) }
}

fn glob(kind: CapabilityKind, name: &str, text: String) -> Result<String, String> {
    let known = fillings(kind);
    let parts: Vec<&str> = text.split('*').collect();
    if text.bytes().all(|byte| byte == b'*') || known.is_empty() || parts.len() > STARS + 1 {
        return Ok(text);
    }
    let network = matches!(kind, CapabilityKind::Net | CapabilityKind::Tcp);
    if network && !text.contains(':') && !text.ends_with('*') {
        return Err(format!("`{name}` fits nothing: a `{kind}` has a port, as in `{name}:443` or `{name}:*`"));
    }
    let mut meant = None;
    let mut chosen = vec![0; parts.len() - 1];
    loop {
        let mut filled = parts[0].to_owned();
        for (part, choice) in parts[1..].iter().zip(&chosen) {
            filled.push_str(known[*choice]);
            filled.push_str(part);
        }
        if let Ok(capability) = Capability::parse(&format!("{kind}:{filled}")) {
            let canonical = name_of(&capability);
            if glob_matches(&text, &canonical) {
                return Ok(text);
            }
            meant.get_or_insert(canonical);
        }
        // The last star turns fastest: where there is a port, it is the one.
        let Some(star) = chosen.iter().rposition(|choice| choice + 1 < known.len()) else { break };
        chosen[star] += 1;
        chosen[star + 1..].fill(0);
    }
    Err(match meant {
        Some(meant) => format!("`{name}` fits nothing: a name like it is written `{meant}`"),
        None => format!("`{name}` fits nothing: no `{kind}` is called like that"),
    })
}

fn exact(kind: CapabilityKind, name: &str, text: &str) -> Result<String, String> {
    // A budget is named by what it is counted in.
    let asked = match kind {
        CapabilityKind::Budget => format!("{kind}:{text}=1"),
        _ => format!("{kind}:{text}"),
    };
    let capability = Capability::parse(&asked).map_err(|error| format!("`{name}` fits nothing: {error}"))?;
    if let Capability::Action(action) = &capability
        && rules_of(action.name().as_str()).is_none()
    {
        let known: Vec<&str> = known_actions().collect();
        return Err(format!("`{name}` fits nothing: no gate can do it; it can do {}", known.join(", ")));
    }
    let canonical = name_of(&capability);
    if capability.to_string() != format!("{kind}:{canonical}") && kind != CapabilityKind::Budget {
        return Err(format!(
            "`{name}` fits nothing: a name has no version and no budget, which have keys of their own"
        ));
    }
    Ok(canonical)
}
