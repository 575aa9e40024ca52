//! `file` and `webhook`: the files of a folder, each once for each content. Who writes them need know nothing of us but
//! to let a file be for a moment, or to rename it into place.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::item::{Item, tame};
use super::state::{Stamped, Unread};
use crate::provider::{check_complexity_within, glob_matches};
use crate::run::id::Digest;

/// The most entries of a folder that are looked at.
const MOST: usize = 10_000;
/// The largest file, in bytes.
const LARGEST: u64 = 256 << 20;
/// The largest file of JSON, in bytes.
const LARGEST_JSON: u64 = 1 << 20;
/// How long nobody must have written to a file that has not been seen before.
const SETTLED: Duration = Duration::from_secs(2);

/// What a look into a folder came to.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) items: Vec<Item>,
    /// Files as they were seen, so that the next look need not read them.
    pub(crate) files: BTreeMap<String, Stamped>,
    /// The same of those that cannot be used.
    pub(crate) unread: BTreeMap<String, Unread>,
    /// Files that cannot be used, and why.
    pub(crate) odd: Vec<String>,
}

/// What earlier looks saw.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) files: &'a BTreeMap<String, Stamped>,
    pub(crate) unread: &'a BTreeMap<String, Unread>,
}

/// The files of `folder` whose names fit `glob`, by name. With `json` each has to hold a JSON object. `known` is what
/// earlier looks saw, and `most` how many that none of them saw are read. What cannot be used is read once: again only
/// when it is another file, or has changed.
///
/// # Errors
/// When the folder cannot be read.
pub(crate) fn look(folder: &Path, glob: &str, json: bool, known: Known<'_>, most: usize) -> io::Result<Seen> {
    let mut names = Vec::new();
    let mut seen = Seen::default();
    for entry in fs::read_dir(folder)? {
        // What is being written by programs that know how to.
        let Ok(name) = entry?.file_name().into_string() else { continue };
        let hidden = name.starts_with('.') || name.ends_with(".part") || name.ends_with(".tmp");
        if hidden || !glob_matches(glob, &name) {
            continue;
        }
        if names.len() == MOST {
            seen.odd.push(format!("the folder has more than {MOST} files; the others are not looked at"));
            break;
        }
        names.push(name);
    }
    names.sort();
    let mut read = 0;
    for name in names {
        let path = folder.join(&name);
        let Ok(meta) = path.symlink_metadata() else { continue };
        if !meta.is_file() {
            continue;
        }
        let stamp = stamp(&meta);
        if let Some(unread) = known.unread.get(&name).filter(|unread| unread.stamp == stamp) {
            seen.odd.push(format!("{}: {}", tame(&name), unread.why));
            seen.unread.insert(name, unread.clone());
            continue;
        }
        let stamped = match known.files.get(&name).filter(|known| known.stamp == stamp) {
            Some(known) => known.clone(),
            None if !is_settled(&meta) || read >= most => continue,
            None => {
                read += 1;
                match digest(&path, json) {
                    Ok(sha256) => Stamped { stamp, sha256 },
                    Err(why) => {
                        seen.odd.push(format!("{}: {why}", tame(&name)));
                        seen.unread.insert(name, Unread { stamp, why });
                        continue;
                    }
                }
            }
        };
        seen.items.push(item(&path, &name, &stamped, meta.len(), json));
        seen.files.insert(name, stamped);
    }
    Ok(seen)
}

fn item(path: &Path, name: &str, stamped: &Stamped, bytes: u64, json: bool) -> Item {
    let sha256 = &stamped.sha256;
    let fields: [(&str, Value); 3] =
        [("file", name.into()), ("sha256", sha256.as_str().into()), ("bytes", bytes.into())];
    Item {
        key: format!("{}:{name}@{sha256}", if json { "webhook" } else { "file" }),
        what: tame(name),
        fields: fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect(),
        input: Some((path.to_owned(), sha256.clone())),
    }
}

/// What a file of JSON holds, for a template, and its digest.
///
/// # Errors
/// Why it cannot be used.
pub(crate) fn body(path: &Path) -> Result<(Value, Digest), String> {
    let mut bytes = Vec::new();
    let file = open(path).map_err(|error| error.to_string())?;
    file.take(LARGEST_JSON + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > LARGEST_JSON {
        return Err("it is larger than 1 MiB".to_owned());
    }
    check_complexity_within(&bytes, 64).map_err(|error| error.to_string())?;
    match serde_json::from_slice(&bytes) {
        Ok(body @ Value::Object(_)) => Ok((body, Digest::of(&bytes))),
        Ok(_) => Err("it is no JSON object".to_owned()),
        Err(error) => Err(format!("it is no JSON: {error}")),
    }
}

/// Never through a symlink, and never waiting for the other end of a pipe.
fn open(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no file")) }
}

fn digest(path: &Path, json: bool) -> Result<Digest, String> {
    if json {
        return body(path).map(|(_, digest)| digest);
    }
    let file = open(path).map_err(|error| error.to_string())?;
    let (mut file, mut hash, mut piece, mut total) = (file.take(LARGEST + 1), Sha256::new(), vec![0; 1 << 16], 0);
    loop {
        let read = file.read(&mut piece).map_err(|error| error.to_string())?;
        if read == 0 {
            return Ok(Digest::from_bytes(&hash.finalize().into()));
        }
        total += read as u64;
        if total > LARGEST {
            return Err("it is larger than 256 MiB".to_owned());
        }
        hash.update(&piece[..read]);
    }
}

/// Other bytes have another one, unless somebody takes pains.
fn stamp(meta: &Metadata) -> String {
    let (ino, size) = (meta.ino(), meta.size());
    format!("{ino}-{size}-{}.{}-{}.{}", meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec())
}

fn is_settled(meta: &Metadata) -> bool {
    let age = meta.modified().ok().and_then(|modified| SystemTime::now().duration_since(modified).ok());
    // A time to come says nothing.
    age.is_none_or(|age| age >= SETTLED)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn put(folder: &Path, name: &str, text: &str) {
        fs::write(folder.join(name), text).unwrap();
        let file = File::options().write(true).open(folder.join(name)).unwrap();
        file.set_modified(SystemTime::now() - SETTLED * 2).unwrap();
    }

    fn nothing() -> Known<'static> {
        const FILES: &BTreeMap<String, Stamped> = &BTreeMap::new();
        const UNREAD: &BTreeMap<String, Unread> = &BTreeMap::new();
        Known { files: FILES, unread: UNREAD }
    }

    fn known(seen: &Seen) -> Known<'_> {
        Known { files: &seen.files, unread: &seen.unread }
    }

    fn keys(seen: &Seen) -> Vec<String> {
        seen.items.iter().map(|item| item.what.clone()).collect()
    }

    #[test]
    fn files_are_seen_by_content_and_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        for name in ["b.csv", "a.csv", "a.txt", ".hidden.csv", "x.csv.part"] {
            put(path, name, "text");
        }
        fs::create_dir(path.join("folder.csv")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", path.join("link.csv")).unwrap();
        // Somebody may still be writing to it.
        fs::write(path.join("new.csv"), "half").unwrap();
        let first = look(path, "*.csv", false, nothing(), 100).unwrap();
        assert_eq!(keys(&first), ["a.csv", "b.csv"]);
        assert_ne!(first.items[0].key, first.items[1].key);
        // What is known is not read: with no reading left it is found all the same.
        let again = look(path, "*.csv", false, known(&first), 0).unwrap();
        assert_eq!(keys(&again), ["a.csv", "b.csv"]);
        put(path, "a.csv", "TEXT");
        let changed = look(path, "*.csv", false, known(&first), 100).unwrap();
        assert_ne!(changed.items[0].key, first.items[0].key);
        assert_eq!(changed.items[1].key, first.items[1].key);
        assert_eq!(look(path, "*.csv", false, nothing(), 1).unwrap().items.len(), 1);
        assert!(look(&path.join("none"), "*", false, nothing(), 1).is_err());
    }

    #[test]
    fn files_that_cannot_be_used_are_read_once_and_keep_none_of_the_others_from_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        for name in ["a.json", "b.json", "c.json"] {
            put(path, name, "no JSON");
        }
        put(path, "z.json", "{}");
        let first = look(path, "*.json", true, nothing(), 2).unwrap();
        assert_eq!((first.items.len(), first.odd.len()), (0, 2));
        let second = look(path, "*.json", true, known(&first), 2).unwrap();
        assert_eq!(keys(&second), ["z.json"]);
        // All of them are told of, and none is read again.
        let third = look(path, "*.json", true, known(&second), 0).unwrap();
        assert_eq!((keys(&third), third.odd.len()), (vec!["z.json".to_owned()], 3));
        put(path, "b.json", "{\"now\": 1}");
        assert_eq!(keys(&look(path, "*.json", true, known(&third), 1).unwrap()), ["b.json", "z.json"]);
    }

    #[test]
    fn json_has_to_be_an_object_of_a_bounded_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        put(path, "a.json", "{\"n\": 1}");
        put(path, "b.json", "[1]");
        put(path, "c.json", "{");
        put(path, "d.json", &format!("{{\"a\": \"{}\"}}", "x".repeat(1 << 20)));
        put(path, "e.json", &"[".repeat(10_000));
        let seen = look(path, "*.json", true, nothing(), 100).unwrap();
        assert_eq!(keys(&seen), ["a.json"]);
        assert_eq!(seen.odd.len(), 4, "{:?}", seen.odd);
        assert_eq!(body(&path.join("a.json")).unwrap().0, serde_json::json!({"n": 1}));
    }
}
