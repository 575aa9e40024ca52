//! The folders a model may name in the file tools, as it names them and where they are.

use std::path::{Component, Path, PathBuf};

/// `/workspace` (writable, and what relative paths are relative to), `/inputs` and `/taskforge/role` (read-only) and
/// `/tmp` (writable).
#[derive(Debug, Clone)]
pub struct Roots {
    roots: [Root; 4],
}

#[derive(Debug, Clone)]
pub(crate) struct Root {
    name: &'static str,
    pub(crate) at: PathBuf,
    pub(crate) writable: bool,
}

impl Roots {
    /// The folders of a container, with the workspace at `workspace`.
    #[must_use]
    pub fn with_workspace(workspace: PathBuf) -> Self {
        Self::at(workspace, "/inputs".into(), "/tmp".into())
    }

    /// Other folders under the same names, for tests.
    #[must_use]
    pub fn at(workspace: PathBuf, inputs: PathBuf, tmp: PathBuf) -> Self {
        let root = |name, at, writable| Root { name, at, writable };
        let roots = [
            root("/workspace", workspace, true),
            root("/inputs", inputs, false),
            root("/tmp", tmp, true),
            root("/taskforge/role", "/taskforge/role".into(), false),
        ];
        Self { roots }
    }

    pub(crate) fn workspace(&self) -> &Path {
        &self.roots[0].at
    }

    /// The root that `path` names, and the path beneath it, which has only plain components.
    ///
    /// # Errors
    /// A sentence for the model.
    pub(crate) fn locate(&self, path: &str) -> Result<(&Root, PathBuf), String> {
        if path.len() > 4096 || path.contains('\0') {
            return Err("the path is longer than 4096 bytes or holds a NUL".into());
        }
        let absolute = Path::new("/workspace").join(path);
        let found = self.roots.iter().find_map(|root| Some((root, absolute.strip_prefix(root.name).ok()?)));
        let Some((root, beneath)) = found else {
            return Err(format!("{path}: only /workspace, /inputs and /tmp can be named here"));
        };
        let mut plain = PathBuf::new();
        for component in beneath.components() {
            match component {
                Component::Normal(name) => plain.push(name),
                Component::CurDir => {}
                _ => return Err(format!("{path}: `..` cannot be used here")),
            }
        }
        if plain.as_os_str().is_empty() {
            return Err(format!("{path}: is a folder; list it with the shell"));
        }
        Ok((root, plain))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn located(path: &str) -> Result<PathBuf, String> {
        let roots = Roots::at("/w".into(), "/i".into(), "/t".into());
        roots.locate(path).map(|(root, beneath)| root.at.join(beneath))
    }

    #[test]
    fn names_lead_to_places() {
        assert_eq!(located("a/b").unwrap(), Path::new("/w/a/b"));
        assert_eq!(located("/workspace/./a").unwrap(), Path::new("/w/a"));
        assert_eq!(located("/inputs/gather/x.csv").unwrap(), Path::new("/i/gather/x.csv"));
        for bad in ["", ".", "/workspace", "../x", "/workspace/../etc/passwd", "/etc/passwd", "/inputsx/y", "a/../../b"]
        {
            assert!(located(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_leads_out(path in "(/|workspace|inputs|tmp|\\.|\\.\\.|a){0,12}") {
            if let Ok(place) = located(&path) {
                prop_assert!(["/w/", "/i/", "/t/"].iter().any(|root| place.to_str().unwrap().starts_with(root)));
                prop_assert!(!place.components().any(|component| component == Component::ParentDir));
            }
        }
    }
}
