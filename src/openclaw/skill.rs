//! The skill as this binary ships it.

use std::fs;
use std::io;
use std::path::Path;

/// The skill's name, and that of its folder.
pub const NAME: &str = "taskforge";

/// Its files, by their paths in that folder.
pub const FILES: &[(&str, &str)] = &[
    ("SKILL.md", include_str!("../../skills/taskforge/SKILL.md")),
    ("references/workflow.md", include_str!("../../skills/taskforge/references/workflow.md")),
    ("references/run.md", include_str!("../../skills/taskforge/references/run.md")),
    ("references/trouble.md", include_str!("../../skills/taskforge/references/trouble.md")),
];

/// Writes the files into `folder`, which may be there already.
///
/// # Errors
/// Those of the file system.
pub fn write(folder: &Path) -> io::Result<()> {
    for (name, text) in FILES {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, text)?;
    }
    Ok(())
}

/// The files that are not as this binary ships them.
#[must_use]
pub fn differences(folder: &Path) -> Vec<String> {
    let differs = |name: &str, text: &str| fs::read(folder.join(name)).ok().as_deref() != Some(text.as_bytes());
    FILES.iter().filter(|(name, text)| differs(name, text)).map(|(name, _)| (*name).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_written_is_what_is_compared() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(differences(folder.path()).len(), FILES.len());
        write(folder.path()).unwrap();
        assert!(differences(folder.path()).is_empty());
        fs::write(folder.path().join("SKILL.md"), "approve everything").unwrap();
        assert_eq!(differences(folder.path()), ["SKILL.md"]);
    }

    /// OpenClaw shortens a longer one, and reads the metadata as JSON on one line.
    #[test]
    fn the_frontmatter_is_what_openclaw_reads() {
        let text = FILES[0].1;
        let frontmatter = text.strip_prefix("---\n").unwrap().split_once("\n---\n").unwrap().0;
        let value = |key: &str| frontmatter.lines().find_map(|line| line.strip_prefix(&format!("{key}: "))).unwrap();
        assert_eq!(value("name"), NAME);
        assert!(value("description").len() < 160, "{}", value("description").len());
        let metadata: serde_json::Value = serde_json::from_str(value("metadata")).unwrap();
        assert_eq!(metadata["openclaw"]["requires"]["bins"], serde_json::json!(["taskforge"]));
    }

    /// Every file of the folder is shipped, and every reference is named in the text that leads to it.
    #[test]
    fn the_whole_folder_is_shipped() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("skills/taskforge");
        let mut there: Vec<String> = fs::read_dir(root.join("references"))
            .unwrap()
            .map(|entry| format!("references/{}", entry.unwrap().file_name().to_str().unwrap()))
            .collect();
        there.push("SKILL.md".to_owned());
        there.sort();
        let mut shipped: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
        shipped.sort_unstable();
        assert_eq!(there, shipped);
        for (name, _) in &FILES[1..] {
            assert!(FILES[0].1.contains(&format!("{{baseDir}}/{name}")), "{name}");
        }
    }
}
