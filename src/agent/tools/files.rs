//! `read_file` and `write_file`: text, bounded, beneath the folders the model may name, and only ever regular files:
//! opening a pipe would wait for its other end.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use rustix::fs::OFlags;
use serde_json::{Value, json};

use super::beneath::Beneath;
use super::roots::Roots;

/// Bytes of a file that are given to the model.
const READ_LIMIT: u64 = 64 * 1024;
const WRITE_LIMIT: usize = 1024 * 1024;

/// `{"content","bytes","truncated"}`, `bytes` being the file's size, or `{"error"}`.
pub(crate) fn read_file(roots: &Roots, path: &str) -> Value {
    match read(roots, path) {
        Ok(value) => value,
        Err(error) => json!({"error": error}),
    }
}

/// `{"written","bytes"}` or `{"error"}`.
pub(crate) fn write_file(roots: &Roots, path: &str, content: &str) -> Value {
    match write(roots, path, content) {
        Ok(value) => value,
        Err(error) => json!({"error": error}),
    }
}

fn read(roots: &Roots, path: &str) -> Result<Value, String> {
    let (root, beneath) = roots.locate(path)?;
    let file = regular(&root.at, &beneath, OFlags::RDONLY | OFlags::NONBLOCK).map_err(told(path))?;
    let size = file.metadata().map_err(told(path))?.len();
    let mut bytes = Vec::new();
    file.take(READ_LIMIT + 1).read_to_end(&mut bytes).map_err(told(path))?;
    let truncated = bytes.len() as u64 > READ_LIMIT;
    bytes.truncate(usize::try_from(READ_LIMIT).unwrap_or(usize::MAX));
    let content = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if truncated && error.utf8_error().error_len().is_none() => {
            let whole = error.utf8_error().valid_up_to();
            String::from_utf8_lossy(&error.as_bytes()[..whole]).into_owned()
        }
        Err(_) => return Err(format!("{path}: is not UTF-8 text ({size} bytes); look at it with the shell")),
    };
    if content.contains('\0') {
        return Err(format!("{path}: is binary ({size} bytes); look at it with the shell"));
    }
    Ok(json!({"content": content, "bytes": size, "truncated": truncated}))
}

fn write(roots: &Roots, path: &str, content: &str) -> Result<Value, String> {
    let (root, beneath) = roots.locate(path)?;
    if !root.writable {
        return Err(format!("{path}: /inputs is read-only; write under /workspace"));
    }
    if content.len() > WRITE_LIMIT {
        return Err(format!("{path}: {} bytes are more than {WRITE_LIMIT}; write it with a program", content.len()));
    }
    let parents = Beneath::open(&root.at).and_then(|root| root.make_parents(&beneath));
    parents.map_err(|error| told(path)(error.into()))?;
    // Emptied only once it is known to be a regular file.
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NONBLOCK;
    let mut file = regular(&root.at, &beneath, flags).map_err(told(path))?;
    file.set_len(0).and_then(|()| file.write_all(content.as_bytes())).map_err(told(path))?;
    Ok(json!({"written": path, "bytes": content.len()}))
}

fn regular(root: &Path, beneath: &Path, flags: OFlags) -> io::Result<File> {
    let file = File::from(Beneath::open(root)?.file(beneath, flags)?);
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(io::Error::other("is a folder; list it with the shell"));
    }
    if !kind.is_file() {
        return Err(io::Error::other("is no regular file"));
    }
    Ok(file)
}

fn told(path: &str) -> impl Fn(io::Error) -> String {
    move |error| {
        let why = match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
            Some(rustix::io::Errno::XDEV | rustix::io::Errno::LOOP) => "is a link that leads elsewhere".to_owned(),
            // A pipe without a reader, opened for writing.
            Some(rustix::io::Errno::NXIO) => "is no regular file".to_owned(),
            Some(rustix::io::Errno::NOENT) => "does not exist".to_owned(),
            Some(rustix::io::Errno::ISDIR) => "is a folder".to_owned(),
            _ => error.to_string(),
        };
        format!("{path}: {why}")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::symlink;

    struct Place {
        folder: tempfile::TempDir,
        roots: Roots,
    }

    fn place() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            folder.path().join(name)
        };
        let roots = Roots::at(at("workspace"), at("inputs"), at("tmp"));
        Place { folder, roots }
    }

    #[test]
    fn what_is_written_is_read() {
        let Place { folder, roots } = place();
        let written = write_file(&roots, "out/report.md", "# größe\n");
        assert_eq!(written, json!({"written": "out/report.md", "bytes": 10}));
        assert_eq!(write_file(&roots, "/workspace/out/report.md", "x")["bytes"], 1);
        assert_eq!(
            read_file(&roots, "/workspace/out/report.md"),
            json!({"content": "x", "bytes": 1, "truncated": false})
        );
        assert_eq!(std::fs::read_to_string(folder.path().join("workspace/out/report.md")).unwrap(), "x");
        std::fs::write(folder.path().join("inputs/a.csv"), "1,2").unwrap();
        assert_eq!(read_file(&roots, "/inputs/a.csv")["content"], "1,2");
    }

    #[test]
    fn odd_files_are_errors() {
        let Place { folder, roots } = place();
        let workspace = folder.path().join("workspace");
        std::fs::write(folder.path().join("secret"), "x").unwrap();
        symlink(folder.path().join("secret"), workspace.join("link")).unwrap();
        symlink(folder.path(), workspace.join("up")).unwrap();
        std::fs::write(workspace.join("nul"), "a\0b").unwrap();
        std::fs::write(workspace.join("latin1"), b"gr\xf6\xdfe").unwrap();
        let pipe = std::process::Command::new("mkfifo").arg(workspace.join("pipe")).status().unwrap();
        assert!(pipe.success());
        for (path, part) in [
            ("link", "leads elsewhere"),
            ("up/secret", "leads elsewhere"),
            ("nul", "binary"),
            ("latin1", "not UTF-8"),
            ("pipe", "no regular file"),
            ("absent", "does not exist"),
            ("/workspace", "folder"),
            ("/etc/passwd", "only /workspace"),
            ("../secret", "`..`"),
        ] {
            let error = read_file(&roots, path)["error"].as_str().unwrap_or_default().to_owned();
            assert!(error.contains(part), "read {path}: {error:?}");
            assert!(!error.contains(folder.path().to_str().unwrap()), "{error}: names the place outside");
        }
        for (path, part) in [
            ("link", "leads elsewhere"),
            ("up/secret", "leads elsewhere"),
            ("pipe", "no regular file"),
            ("/inputs/a", "read-only"),
            ("nul/under", "Not a directory"),
        ] {
            let error = write_file(&roots, path, "y")["error"].as_str().unwrap_or_default().to_owned();
            assert!(error.contains(part), "write {path}: {error:?}");
        }
        assert_eq!(std::fs::read_to_string(folder.path().join("secret")).unwrap(), "x");
    }

    #[test]
    fn sizes_are_bounded() {
        let Place { folder, roots } = place();
        let big = format!("x{}", "ä".repeat(100_000));
        std::fs::write(folder.path().join("workspace/big"), &big).unwrap();
        let read = read_file(&roots, "big");
        assert_eq!(read["truncated"], true);
        assert_eq!(read["bytes"], 200_001);
        assert!(big.starts_with(read["content"].as_str().unwrap()));
        assert_eq!(read["content"].as_str().unwrap().len(), 64 * 1024 - 1);
        assert!(write_file(&roots, "huge", &"x".repeat(WRITE_LIMIT + 1)).get("error").is_some());
        assert!(!folder.path().join("workspace/huge").exists());
    }
}
