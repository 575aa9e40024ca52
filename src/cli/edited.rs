//! `approve --only` and `--edit`: another list of what was asked for, resolved and shown before it can be decided on.

use std::fmt::Write as _;
use std::process::Command;

use crate::engine::{self, Waiting};
use crate::failure::{Failure, Kind};
use crate::registry::Registry;
use crate::run::capability::Capability;

use super::terminal;

/// Where the list comes from.
#[derive(Debug, Clone)]
pub(crate) enum Edit {
    Only(Vec<Capability>),
    InEditor,
}

/// Makes the list of what waits, if it is another one, and has it resolved; what waits then under the same id. Nothing, if
/// the editor left no list.
pub(crate) fn make(registry: &Registry, waiting: Waiting, edit: &Edit) -> Result<Option<Waiting>, Failure> {
    let list = match edit {
        Edit::Only(list) => list.clone(),
        Edit::InEditor => {
            let now = engine::list_of(registry, &waiting)?;
            match in_editor(&waiting, &now)? {
                list if list.is_empty() => return Ok(None),
                list => list,
            }
        }
    };
    if !engine::edit(registry, &waiting, list)? {
        return Ok(Some(waiting));
    }
    Ok(Some(engine::find_waiting(registry, waiting.id.as_str())?))
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
