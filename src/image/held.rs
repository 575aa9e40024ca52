//! What the files of an image say that it holds, read on the host from the Engine's stream of them: nothing of the image
//! runs for it, so that no package answers for itself. Every name and every byte in the stream is hostile; nothing is
//! written anywhere, and what is kept is bounded.

mod debian;
mod node;
mod python;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::dockerfile::Ecosystem;
use super::error::Error;
use super::lock::Lock;
use super::readback::{self, Versions};
use crate::run::id::Digest;

/// Entries of the stream: a large image has some hundred thousand files.
const ENTRIES: u64 = 8_000_000;
/// Bytes that are kept of all files together, and of names.
const KEPT: u64 = 256 << 20;
/// Bytes of one file that says something of a package: dpkg's status of a whole distribution has some.
const FILE: u64 = 64 << 20;
/// The bits of a mode that let a file run as its owner or its group.
const SETUID: u32 = 0o6000;

/// What an image holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Held {
    /// Debian's packages as `name:arch`; those that are not just installed with their state.
    debian: Versions,
    /// Python's distributions by the place of their metadata: name and version.
    python: BTreeMap<String, (String, String)>,
    /// npm's packages below `/node_modules` by place, each as `name@version`.
    npm: Versions,
    /// Files that run as their owner or group, whoever starts them, or with a capability of the kernel: each with the digest
    /// of its bytes, owner, group, mode and capability.
    setuid: BTreeMap<String, String>,
    /// What makes dpkg's own answer another than its list.
    odd: BTreeSet<String>,
}

/// Reads the stream of an image's files, as `docker export` gives it.
///
/// # Errors
/// [`Error::Format`] if it is no such stream or holds more than is looked at, [`Error::File`] if it ends in the middle.
pub(super) fn read(stream: impl Read) -> Result<Held, Error> {
    let unread = |error: io::Error| Error::format("the files of the image", error.to_string());
    let mut held = Held::default();
    let mut packages: BTreeSet<String> = BTreeSet::new();
    let mut links: Vec<(String, String)> = Vec::new();
    let (mut entries, mut kept) = (0_u64, 0_u64);
    for entry in tar::Archive::new(stream).entries().map_err(unread)? {
        let mut entry = entry.map_err(unread)?;
        entries += 1;
        let path = place_of(&entry.path_bytes());
        let kind = entry.header().entry_type();
        let is_file = kind.is_file() || kind.is_hard_link();
        let mode = entry.header().mode().map_err(unread)?;
        let mut whole = Vec::new();
        let capability = if is_file { capability(&mut entry).map_err(unread)? } else { None };
        if is_file && (mode & SETUID != 0 || capability.is_some()) {
            kept += path.len() as u64;
            if kind.is_hard_link() {
                let target = place_of(&entry.link_name_bytes().unwrap_or_default());
                kept += target.len() as u64;
                links.push((path.clone(), target));
            }
            // What says something of packages as well is read there.
            let keep = Wanted::of(&path).is_some().then_some(&mut whole);
            let digest = digest(&mut entry, capability.as_deref().unwrap_or_default(), keep).map_err(unread)?;
            held.setuid.insert(format!("/{path}"), digest);
        }
        if node::is_place(&path) {
            kept += path.len() as u64;
            packages.insert(path.clone());
        }
        if let Some(what) = debian::odd(&path, kind) {
            kept += what.len() as u64;
            held.odd.insert(what);
        }
        let Some(wanted) = Wanted::of(&path) else {
            over(entries, kept)?;
            continue;
        };
        // Folders are none of the files that say something; a link says what lies elsewhere, which is taken for nothing.
        if kind.is_dir() {
            over(entries, kept)?;
            continue;
        }
        let mut bytes = Vec::new();
        io::Read::chain(whole.as_slice(), &mut entry).take(FILE + 1).read_to_end(&mut bytes).map_err(unread)?;
        if bytes.len() as u64 > FILE {
            return Err(Error::format(format!("/{path} of the image"), format!("it is larger than {FILE} bytes")));
        }
        match wanted {
            Wanted::Debian => held.debian = debian::status(&bytes),
            Wanted::Python => {
                held.python.insert(path, python::metadata(&bytes));
            }
            Wanted::Node(place) => {
                held.npm.insert(place, node::package(&bytes));
            }
        }
        kept += 1 << 10;
        over(entries, kept)?;
    }
    for (path, target) in links {
        // One file under two names; which of them the stream has it under says nothing.
        if let Some(digest) = held.setuid.get(&format!("/{target}")).cloned() {
            held.setuid.insert(format!("/{path}"), digest);
        }
    }
    for place in packages {
        held.npm.entry(place).or_insert_with(|| node::package(b""));
    }
    Ok(held)
}

fn over(entries: u64, kept: u64) -> Result<(), Error> {
    if entries <= ENTRIES && kept <= KEPT {
        return Ok(());
    }
    let limit = format!("it has more than {ENTRIES} files, or {KEPT} bytes of names of packages");
    Err(Error::format("the files of the image", limit))
}

/// Where a file of the stream lies, without a slash around it.
fn place_of(path: &[u8]) -> String {
    String::from_utf8_lossy(path).trim_start_matches("./").trim_matches('/').to_owned()
}

/// What the kernel gives whoever starts the file beyond what they have.
fn capability(entry: &mut tar::Entry<'_, impl Read>) -> io::Result<Option<Vec<u8>>> {
    let Some(extensions) = entry.pax_extensions()? else { return Ok(None) };
    let mut found = None;
    for extension in extensions {
        let extension = extension?;
        if extension.key_bytes() == b"SCHILY.xattr.security.capability" {
            found = Some(extension.value_bytes().to_vec());
        }
    }
    Ok(found)
}

/// The digest of what a file is to whoever starts it. Its first bytes go to `keep`, too.
fn digest(
    entry: &mut tar::Entry<'_, impl Read>,
    capability: &[u8],
    mut keep: Option<&mut Vec<u8>>,
) -> io::Result<String> {
    let header = entry.header();
    // What is no number is another one than any that is.
    let (owner, group) = (header.uid().unwrap_or(u64::MAX), header.gid().unwrap_or(u64::MAX));
    let mode = header.mode()? & 0o7777;
    let mut hash = Sha256::new();
    hash.update(format!("{owner} {group} {mode:o} {}\n", capability.len()));
    hash.update(capability);
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = entry.read(&mut buffer)?;
        if count == 0 {
            return Ok(Digest::from_bytes(&hash.finalize().into()).to_string());
        }
        hash.update(&buffer[..count]);
        if let Some(keep) = keep.as_mut().filter(|keep| keep.len() as u64 <= FILE) {
            keep.extend_from_slice(&buffer[..count]);
        }
    }
}

enum Wanted {
    Debian,
    Python,
    Node(String),
}

impl Wanted {
    fn of(path: &str) -> Option<Self> {
        if path == debian::STATUS {
            return Some(Self::Debian);
        }
        if python::is_metadata(path) {
            return Some(Self::Python);
        }
        path.strip_suffix("/package.json")
            .filter(|place| node::is_place(place))
            .map(|place| Self::Node(place.to_owned()))
    }
}

impl Held {
    /// Where an image is not one that held `before`, with what one step installs of `lock` put on top. A package of
    /// Debian's may bring whatever it likes for Python and Node: its digest covers that.
    pub(super) fn differs(&self, before: &Self, step: Ecosystem, lock: &Lock) -> Vec<String> {
        let only = |which: Ecosystem, wanted: Versions| if step == which { wanted } else { Versions::new() };
        let debian = only(Ecosystem::Apt, readback::wanted_debs(lock));
        let mut found = readback::differences("Debian package", &before.debian, &debian, &self.debian);
        if step != Ecosystem::Apt {
            let python = only(Ecosystem::Pip, readback::wanted_wheels(lock));
            found.extend(python::differences(&before.python, &python, &self.python));
            let npm = only(Ecosystem::Npm, super::npm::wanted(lock));
            let after = super::npm::without_unlisted(lock, self.npm.clone());
            found.extend(readback::differences("npm package", &before.npm, &npm, &after));
        }
        found.extend(self.odd.difference(&before.odd).cloned());
        found
    }

    /// What packages of Debian's brought for Python and npm, in an image that a build made upon `before` by `lock`: all that
    /// is neither the base's nor the lock's, nor within an archive of npm's.
    pub(super) fn by_debian(&self, before: &Self, lock: &Lock) -> BTreeSet<String> {
        let (_, pip, npm) = self.versions();
        let (_, old_pip, old_npm) = before.versions();
        let pip = pip.into_iter().filter(|(name, version)| old_pip.get(name) != Some(version));
        let pip = pip.filter(|(name, _)| !lock.pip().iter().any(|pin| pin.name == *name));
        let npm = npm.into_iter().filter(|(place, said)| old_npm.get(place) != Some(said));
        let npm = npm.filter(|(place, _)| !lock.npm().iter().any(|pin| pin.location == *place || pin.holds(place)));
        let place = |place: String| format!("npm:{}", place.strip_prefix("node_modules/").unwrap_or(&place));
        pip.map(|(name, _)| format!("pip:{name}")).chain(npm.map(|(found, _)| place(found))).collect()
    }

    /// The files that run as another and did not in `before`, or were others there.
    pub(super) fn new_setuid(&self, before: &Self) -> Vec<String> {
        let new = self.setuid.iter().filter(|(path, digest)| before.setuid.get(*path) != Some(*digest));
        new.map(|(path, _)| path.clone()).collect()
    }

    /// Debian's packages, Python's distributions and npm's packages, by name or place.
    pub(super) fn versions(&self) -> (Versions, Versions, Versions) {
        (self.debian.clone(), python::versions(&self.python), self.npm.clone())
    }
}

#[cfg(test)]
mod tests;
