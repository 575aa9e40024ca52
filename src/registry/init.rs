//! `taskforge init`: a new registry. Never touches one that exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::error::{Error, Result};
use super::project::{write_durable_new, write_synced};
use super::{Registry, disk, make_folder};

/// What a new registry is made with.
#[derive(Debug, Clone, Default)]
pub struct InitOptions {
    /// Starter files below `workflows/`: a name and a text each.
    pub workflows: Vec<(String, String)>,
    /// The `taskforge.toml` to write instead of the commented default. Its `id` line is replaced by a fresh one.
    pub config: Option<String>,
}

const GITIGNORE: &str = "\
# Machine-local, secret or large. What a reviewer wants to see is everything else.
/.taskforge/
.tmp-*
.run.lock
runs/*/gate/
runs/*/deployments/*/gate/
runs/*/deployments/*/files/
runs/*/deployments/*/starts/*/*.log
runs/*/nodes/*/workspace/
runs/*/nodes/*/attempts/*/stdout.log
runs/*/nodes/*/attempts/*/stderr.log
images/*/build.log
";

const GITATTRIBUTES: &str = "\
# A journal is a chain of bytes: git must neither change its line ends nor merge two of them.
runs/** -text -merge
agents/** -text -merge
roles/** -text
skills/** -text
# A decision is signed to the byte.
decisions/** -text
grants/** -text
";

impl Registry {
    /// Makes a registry at `path`: folders, `taskforge.toml` with a random id, `.gitignore`, `.gitattributes` and the
    /// starters. The folder may exist and hold other files; those of the same name are kept.
    ///
    /// # Errors
    /// [`Error::AlreadyRegistry`] if there is a `taskforge.toml`; [`Error::Remote`]; those of the file system.
    pub fn init(path: &Path, options: &InitOptions) -> Result<Self> {
        fs::create_dir_all(path).map_err(Error::io("create", path))?;
        let root = path.canonicalize().map_err(Error::io("find", path))?;
        let registry = Self::at(&root);
        registry.require_local()?;
        let layout = registry.layout();
        if layout.config().symlink_metadata().is_ok() {
            return Err(Error::AlreadyRegistry { path: root });
        }
        for (name, _) in &options.workflows {
            super::beneath::check(name)?;
        }
        for folder in [
            layout.workflows(),
            layout.roles(),
            layout.policies(),
            layout.decisions(),
            layout.grants(),
            layout.images(),
            layout.runs(),
        ] {
            make_folder(&folder, 0o755)?;
        }
        registry.make_local_folders()?;
        for (name, text) in &options.workflows {
            write_starter(&layout.workflows().join(name), text)?;
        }
        let folders: BTreeSet<&Path> =
            options.workflows.iter().filter_map(|(name, _)| Path::new(name).parent()).collect();
        for folder in folders {
            let folder = layout.workflows().join(folder);
            disk::sync_dir(&folder).map_err(Error::io("sync", &folder))?;
        }
        write_starter(&root.join(".gitignore"), GITIGNORE)?;
        write_starter(&root.join(".gitattributes"), GITATTRIBUTES)?;
        // Last, with a sync of the folder: a registry is one when this file stands, and two `init` at once make one.
        let config = config_text(options.config.as_deref());
        match write_durable_new(&layout.config(), config.as_bytes()) {
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(Error::AlreadyRegistry { path: root });
            }
            other => other?,
        }
        Ok(registry)
    }
}

fn write_starter(path: &Path, text: &str) -> Result<()> {
    if path.symlink_metadata().is_ok() {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    }
    // Its folder is synced once, when all of them stand in it.
    write_synced(path, text.as_bytes())
}

fn config_text(given: Option<&str>) -> String {
    let id = format!("id = \"{}\"", ulid::Ulid::generate());
    let template = given.unwrap_or(super::config::TEMPLATE);
    let mut found = false;
    let mut lines: Vec<&str> = template.lines().collect();
    for line in &mut lines {
        if line.trim_start().starts_with('[') {
            break;
        }
        if !found && line.split('=').next().is_some_and(|key| key.trim() == "id") {
            *line = &id;
            found = true;
        }
    }
    if !found {
        lines.insert(0, &id);
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn options() -> InitOptions {
        InitOptions { workflows: vec![("hello.task.md".into(), "---\n---\n".into())], config: None }
    }

    #[test]
    fn makes_a_registry_once() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("new/deep");
        let registry = Registry::init(&root, &options()).unwrap();
        let text = fs::read_to_string(root.join("taskforge.toml")).unwrap();
        assert_eq!(registry.config().unwrap().id, registry.id().unwrap());
        assert!(!registry.is_bare());
        assert!(root.join("workflows/hello.task.md").is_file());
        assert_eq!(fs::metadata(root.join(".taskforge")).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(root.join(".taskforge/kill/spare")).unwrap().len(), 4096);
        assert!(fs::read_to_string(root.join(".gitattributes")).unwrap().contains("runs/** -text -merge"));
        let again = Registry::init(&root, &options()).unwrap_err();
        assert!(matches!(again, Error::AlreadyRegistry { .. }));
        assert_eq!(fs::read_to_string(root.join("taskforge.toml")).unwrap(), text);
        let found = Registry::resolve(None, &root.join("runs")).unwrap();
        assert_eq!(found.id().unwrap(), registry.id().unwrap());
    }

    #[test]
    fn two_registries_have_two_ids_also_from_one_text() {
        let folder = tempfile::tempdir().unwrap();
        let text = "format = 1\nid = \"x\"\napprovals = \"operator\"\n";
        let options = InitOptions { config: Some(text.into()), ..InitOptions::default() };
        let ids = ["a", "b"].map(|name| Registry::init(&folder.path().join(name), &options).unwrap().id().unwrap());
        assert_ne!(ids[0], ids[1]);
    }

    #[test]
    fn files_of_the_person_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".gitignore"), "mine\n").unwrap();
        Registry::init(folder.path(), &options()).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join(".gitignore")).unwrap(), "mine\n");
    }

    #[test]
    fn a_starter_cannot_leave_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let options = InitOptions { workflows: vec![("../x".into(), String::new())], config: None };
        assert!(matches!(Registry::init(&folder.path().join("r"), &options), Err(Error::BadPath { .. })));
        assert!(!folder.path().join("r/taskforge.toml").exists());
    }

    #[test]
    fn of_many_at_once_one_wins() {
        let folder = tempfile::tempdir().unwrap();
        let won = std::thread::scope(|scope| {
            let racers: Vec<_> =
                (0..8).map(|_| scope.spawn(|| Registry::init(folder.path(), &options()).is_ok())).collect();
            racers.into_iter().filter_map(|racer| racer.join().ok()).filter(|won| *won).count()
        });
        assert_eq!(won, 1);
    }
}
