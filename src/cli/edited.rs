//! `approve --only` and `--edit`: another list of what was asked for, resolved and shown before it can be decided on.

use std::fmt::Write as _;
use std::process::Command;

use crate::engine::{self, Trial, Waiting};
use crate::failure::{Failure, Kind};
use crate::registry::Registry;
use crate::run::capability::{Capability, CapabilityKind};

use super::terminal;

/// Where the list comes from.
#[derive(Debug, Clone)]
pub(crate) enum Edit {
    Only(Vec<Capability>),
    InEditor,
}

/// What became of making a list.
pub(crate) enum Made {
    /// The editor left none.
    Nothing,
    /// It is the list that the request has already.
    Same,
    Tried(Box<Trial>),
}

/// Tries another list of what waits. Nothing of it is journaled before somebody decides on it.
pub(crate) fn make(registry: &Registry, waiting: &Waiting, edit: &Edit) -> Result<Made, Failure> {
    let list = match edit {
        Edit::Only(list) => list.clone(),
        Edit::InEditor => {
            let now = engine::list_of(registry, waiting)?;
            match in_editor(waiting, &now)? {
                list if list.is_empty() => return Ok(Made::Nothing),
                list => list,
            }
        }
    };
    Ok(match engine::try_list(registry, waiting, list)? {
        None => Made::Same,
        Some(trial) => Made::Tried(Box::new(trial)),
    })
}

/// The capabilities of `--only`, given once or several times, with several in one. A comma is a part of what stands before it
/// unless a capability begins behind it: `pip:a,pip:b` are two, `llm:gemini-*,tokens=5` is one.
pub(crate) fn listed(values: &[String]) -> Result<Vec<Capability>, Failure> {
    let mut texts: Vec<String> = Vec::new();
    for value in values {
        for (place, part) in value.split(',').enumerate() {
            match texts.last_mut() {
                Some(before) if place > 0 && !begins(part) => {
                    before.push(',');
                    before.push_str(part);
                }
                _ => texts.push(part.to_owned()),
            }
        }
    }
    let wrong = |text: &str, error: &dyn std::fmt::Display| {
        Failure::new(Kind::Usage, format!("`--only {text}`: {error}")).hint("`--only` may be given several times")
    };
    texts.iter().map(|text| Capability::parse(text).map_err(|error| wrong(text, &error))).collect()
}

/// Whether a capability of any kind begins here.
fn begins(text: &str) -> bool {
    let kind = text.split_once(':').map_or("", |(kind, _)| kind);
    CapabilityKind::ALL.into_iter().any(|known| known.as_str() == kind)
}

/// The list as somebody left it in their editor.
fn in_editor(waiting: &Waiting, now: &[Capability]) -> Result<Vec<Capability>, Failure> {
    if !terminal::is_interactive() {
        return Err(
            Failure::new(Kind::Usage, "there is no terminal for an editor here").hint("`--only` takes the list")
        );
    }
    let mut text = String::new();
    for one in now {
        let _ = writeln!(text, "{one}");
    }
    let _ = write!(
        text,
        "\n# What request {} of run {} would be granted, one a line. Take lines out, or write others;\n\
         # it is resolved anew and shown before anything is decided. Without a line nothing is decided.\n",
        waiting.id, waiting.run
    );
    let failed = |what: &str| Failure::new(Kind::Failed, format!("the list cannot be edited: {what}"));
    let folder = tempfile::tempdir().map_err(|error| failed(&error.to_string()))?;
    let path = folder.path().join("list");
    std::fs::write(&path, &text).map_err(|error| failed(&error.to_string()))?;
    let named = |name: &str| std::env::var(name).ok().filter(|editor| !editor.trim().is_empty());
    let editor = named("VISUAL").or_else(|| named("EDITOR")).unwrap_or_else(|| "vi".to_owned());
    // As git does: the variable may hold arguments, too.
    let status = Command::new("sh").arg("-c").arg(format!("{editor} \"$1\"")).arg("editor").arg(&path).status();
    match status {
        Ok(status) if status.success() => {}
        Ok(status) => return Err(failed(&format!("`{editor}` ended with {status}"))),
        Err(error) => return Err(failed(&format!("`{editor}`: {error}"))),
    }
    let left = std::fs::read_to_string(&path).map_err(|error| failed(&error.to_string()))?;
    let lines = left.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| Capability::parse(line).map_err(|error| Failure::new(Kind::Usage, error.to_string()))).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_comma_parts_capabilities_and_no_capability() {
        let read = |values: &[&str]| {
            let values: Vec<String> = values.iter().map(ToString::to_string).collect();
            listed(&values).map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        for (values, list) in [
            (&["pip:a,pip:b"][..], &["pip:a", "pip:b"][..]),
            (&["pip:a", "npm:@x/b@1.0.0,apt:jq"], &["pip:a", "npm:@x/b@1.0.0", "apt:jq"]),
            (&["llm:foo*,requests=9,tokens=5"], &["llm:foo*,requests=9,tokens=5"]),
            (&["llm:foo*,tokens=5,llm:bar"], &["llm:foo*,tokens=5", "llm:bar"]),
            (&["budget:agent,requests=50"], &["budget:agent,requests=50"]),
            (
                &["action:github.pr.comment,repo=octo/demo,limit=5/hour"],
                &["action:github.pr.comment,repo=octo/demo,limit=5/hour"],
            ),
        ] {
            assert_eq!(read(values).unwrap(), list, "{values:?}");
        }
        for wrong in [&["pip:a,b"][..], &["pip:a,"], &[",pip:a"], &[""], &["pip:a,tokens=5"], &["nonsense"]] {
            assert_eq!(read(wrong).unwrap_err().kind, Kind::Usage, "{wrong:?}");
        }
    }
}
