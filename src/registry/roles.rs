//! The files of roles and their skills, read bounded and never through a symlink. What stands in them is the role
//! room's to say.

use std::io;
use std::path::Path;

use super::error::{Error, Result};
use super::layout::Layout;
use super::{disk, make_folder, project};
use crate::role::{FILE_LIMIT, SKILL_LIMIT};
use crate::run::id::{RoleName, SkillName};

/// The most role files of a registry.
pub const MOST: usize = 1000;

/// The text of a role's file; none if there is none.
///
/// # Errors
/// [`Error::TooLarge`], [`Error::NotUtf8`], and those of the file system.
pub fn role(layout: &Layout, name: &RoleName) -> Result<Option<String>> {
    text(&layout.role(name), FILE_LIMIT)
}

/// The text of a skill; none if there is none.
///
/// # Errors
/// As [`role`].
pub fn skill(layout: &Layout, name: &SkillName) -> Result<Option<String>> {
    text(&layout.skill(name), SKILL_LIMIT)
}

/// A text file; none if there is none.
///
/// # Errors
/// As [`role`].
pub fn text(path: &Path, limit: u64) -> Result<Option<String>> {
    let Some(bytes) = project::read_file(path, limit)? else { return Ok(None) };
    String::from_utf8(bytes).map(Some).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
        Error::NotUtf8 { path: path.to_owned(), line }
    })
}

/// The names of the files `*.role.md` without that ending, sorted, roles or not: a name that none may have is listed to
/// be complained about.
///
/// # Errors
/// Those of the file system; no folder means no roles.
pub fn list(layout: &Layout) -> Result<Vec<String>> {
    let folder = layout.roles();
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("list", &folder)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(Error::io("list", &folder))?.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with('.') {
            names.extend(name.strip_suffix(".role.md").map(str::to_owned));
        }
        if names.len() > MOST {
            return Err(Error::BadPath { path: folder.display().to_string(), why: "holds more than 1000 roles" });
        }
    }
    names.sort();
    Ok(names)
}

/// Writes the file of a new role, and those of its skills that are not there. On disk when it returns.
///
/// # Errors
/// [`Error::Exists`] if there is a role of this name, and those of the file system.
pub fn create(layout: &Layout, name: &RoleName, text: &str, skills: &[(SkillName, &str)]) -> Result<()> {
    let path = layout.role(name);
    if path.symlink_metadata().is_ok() {
        return Err(Error::Exists { path });
    }
    make_folder(&layout.roles(), 0o755)?;
    for (skill, text) in skills {
        let path = layout.skill(skill);
        make_folder(&layout.skills(), 0o755)?;
        if let Some(folder) = path.parent() {
            make_folder(folder, 0o755)?;
        }
        keep_first(project::write_durable_new(&path, text.as_bytes()))?;
    }
    if layout.skills().exists() {
        disk::sync_dir(&layout.skills()).map_err(Error::io("sync", layout.skills()))?;
    }
    // Last: a role that stands has its skills.
    match project::write_durable_new(&path, text.as_bytes()) {
        Err(error) if error.io_kind() == Some(io::ErrorKind::AlreadyExists) => Err(Error::Exists { path }),
        other => other,
    }
}

/// What is there already is somebody's, and stays.
fn keep_first(written: Result<()>) -> Result<()> {
    match written {
        Err(error) if error.io_kind() == Some(io::ErrorKind::AlreadyExists) => Ok(()),
        other => other,
    }
}
