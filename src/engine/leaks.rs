//! Whether a secret of the vault lies where it should not: in the registry's files, in what the Engine says and logs of the
//! registry's containers, in the environment, the arguments and the memory of its agents' processes, in core dumps. Bounded,
//! and what was not looked at is said.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::container::{self, Role};
use crate::registry::Registry;
use crate::vault::search::{Names, Search};
use crate::vault::{Identities, Passphrase, Value, Vault};

use super::docker::Docker;
use super::error::Error;

/// The most that is read of one file, and of all, in bytes.
const LARGEST: u64 = 64 << 20;
const MOST: u64 = 2 << 30;
/// The most that is read of a process's memory and of a container's log, in bytes.
const MEMORY: u64 = 256 << 20;
const LOG: u64 = 16 << 20;
/// How deep folders are followed.
const DEEPEST: usize = 40;

/// A secret where it should not be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Leak {
    /// The secret's name.
    pub secret: String,
    /// `raw`, `base64`, `hex`, `url`, `json`, `split` over lines, or a `piece` of it.
    pub form: &'static str,
    /// A file, or what of which container.
    pub place: String,
}

/// What a search has found.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Searched {
    pub leaks: Vec<Leak>,
    /// How many secrets were looked for.
    pub secrets: usize,
    /// How many files, containers' answers and processes were looked at, and how many bytes.
    pub places: u64,
    pub bytes: u64,
    /// What was not looked at, and why: the first of it.
    pub left_out: Vec<String>,
    /// How much more there is of that.
    pub left_out_more: usize,
}

struct Looking<'s> {
    /// Copies of this program, whose names say what is in them.
    skip: PathBuf,
    search: &'s Search,
    names: &'s Names,
    found: Searched,
}

/// Searches for every secret of the vault; nothing if there is no vault.
///
/// # Errors
/// When the vault cannot be opened.
pub fn search(registry: &Registry, passphrase: Passphrase<'_>) -> Result<Option<Searched>, Error> {
    let vault = Vault::of(registry)?;
    let log = vault.log()?;
    if log.secrets.is_empty() {
        return Ok(None);
    }
    let identities = Identities::open(registry, passphrase)?;
    let mut values: Vec<(String, Value)> = Vec::new();
    for name in log.secrets.keys() {
        let parsed = crate::vault::SecretName::parse(name);
        let parsed = parsed.map_err(|rule| crate::vault::VaultError::Name { text: name.clone(), rule })?;
        values.push((name.clone(), vault.get(&log, &parsed, &identities)?));
    }
    let (search, names) = Search::new(values.iter().map(|(name, value)| (name.clone(), value.expose())));
    let found = Searched { secrets: values.len(), ..Searched::default() };
    let skip = registry.layout().bin();
    let mut looking = Looking { skip, search: &search, names: &names, found };
    looking.folder(registry.root(), 0);
    looking.dumps();
    looking.containers(registry);
    Ok(Some(looking.found))
}

impl Looking<'_> {
    fn left_out(&mut self, what: impl Into<String>) {
        // A few say as much as many.
        if self.found.left_out.len() < 20 {
            self.found.left_out.push(what.into());
        } else {
            self.found.left_out_more += 1;
        }
    }

    fn text(&mut self, place: &str, bytes: &[u8]) {
        self.found.places += 1;
        self.found.bytes += bytes.len() as u64;
        let hits = self.search.within(self.names, bytes);
        self.take(place, hits);
    }

    fn take(&mut self, place: &str, hits: Vec<crate::vault::search::Hit>) {
        let leak =
            |hit: crate::vault::search::Hit| Leak { secret: hit.secret, form: hit.form, place: place.to_owned() };
        self.found.leaks.extend(hits.into_iter().map(leak));
    }

    /// Everything below a folder, without following links and without leaving its file system's files.
    fn folder(&mut self, folder: &Path, depth: usize) {
        if depth > DEEPEST {
            return self.left_out(format!("{}: too deep", folder.display()));
        }
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.left_out(format!("{}: {error}", folder.display())),
        };
        let mut entries: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        entries.sort();
        for path in entries {
            // A name can hold a secret as well as a file can.
            let name = path.file_name().map(|name| name.as_encoded_bytes().to_vec()).unwrap_or_default();
            let hits = self.search.within(self.names, &name);
            self.take(&format!("the name of {}", folder.display()), hits);
            match path.symlink_metadata().map(|found| found.file_type()) {
                Ok(kind) if kind.is_dir() && path == self.skip => {}
                Ok(kind) if kind.is_dir() => self.folder(&path, depth + 1),
                Ok(kind) if kind.is_file() => self.file(&path),
                Ok(kind) if kind.is_symlink() => {
                    let target = fs::read_link(&path).map(|target| target.as_os_str().as_encoded_bytes().to_vec());
                    self.text(&path.display().to_string(), &target.unwrap_or_default());
                }
                Ok(_) => {}
                Err(error) => self.left_out(format!("{}: {error}", path.display())),
            }
        }
    }

    fn file(&mut self, path: &Path) {
        let left = MOST.saturating_sub(self.found.bytes);
        let looked = File::open(path).and_then(|file| {
            let length = file.metadata()?.len();
            Ok((self.search.read(self.names, file, LARGEST.min(left))?, length))
        });
        match looked {
            Ok(((hits, count), length)) => {
                self.found.places += 1;
                self.found.bytes += count;
                if count < length {
                    self.left_out(format!("{}: {} bytes of it", path.display(), length - count));
                }
                self.take(&path.display().to_string(), hits);
            }
            Err(error) => self.left_out(format!("{}: {error}", path.display())),
        }
    }

    /// Where the kernel leaves core dumps, if that is a folder.
    fn dumps(&mut self) {
        self.dumps_by(&fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default());
    }

    /// As the kernel names them.
    fn dumps_by(&mut self, pattern: &str) {
        if let Some(program) = pattern.trim().strip_prefix('|') {
            let program = program.split_ascii_whitespace().next().unwrap_or_default();
            return self.left_out(format!("core dumps: they go to {program}"));
        }
        let pattern = Path::new(pattern.trim());
        let Some(folder) = pattern.parent().filter(|folder| folder.is_absolute()) else {
            return self.left_out("core dumps: they go to where each process works");
        };
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.left_out(format!("core dumps in {}: {error}", folder.display())),
        };
        // `%` begins what differs from dump to dump.
        let name = pattern.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let start = name.split('%').next().unwrap_or_default().as_bytes();
        let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.retain(|path| {
            let begins = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(start));
            begins && path.symlink_metadata().is_ok_and(|found| found.is_file())
        });
        files.sort();
        files.iter().for_each(|path| self.file(path));
    }

    /// What the Engine says of the registry's containers, what they have printed, and what its agents' processes hold.
    fn containers(&mut self, registry: &Registry) {
        let docker = Docker::default();
        let Ok(id) = registry.id() else { return };
        let listed = match docker.wait(|engine| engine.list(&id)) {
            Ok(listed) => listed,
            Err(error) => return self.left_out(format!("the Engine's containers: {error}")),
        };
        for summary in listed {
            match docker.wait(|engine| engine.inspect_raw(&summary.name)) {
                Ok(Some(raw)) => {
                    let text = serde_json::to_vec(&raw).unwrap_or_default();
                    self.text(&format!("docker inspect {}", summary.name), &text);
                    let pid = raw.state.and_then(|state| state.pid).and_then(|pid| u32::try_from(pid).ok());
                    let agents = summary.owner.as_ref().is_none_or(|owner| owner.role != Role::Gate);
                    // A gate holds what it was given, in its memory alone.
                    if let Some(pid) = pid.filter(|pid| *pid > 0) {
                        for pid in processes(pid) {
                            self.process(&summary.name, pid, agents);
                        }
                        if agents {
                            self.left_out(format!("files in the tmpfs of {}", summary.name));
                        }
                    }
                }
                Ok(None) => {}
                Err(error) => self.left_out(format!("docker inspect {}: {error}", summary.name)),
            }
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let cursor = container::logs::LogCursor::default();
            match docker.wait(|engine| container::logs::copy(engine, &summary.name, cursor, LOG, &mut out, &mut err)) {
                Ok(_) => {
                    self.text(&format!("docker logs {}", summary.name), &out);
                    self.text(&format!("docker logs {} (stderr)", summary.name), &err);
                }
                Err(error) => self.left_out(format!("docker logs {}: {error}", summary.name)),
            }
        }
    }

    fn process(&mut self, container: &str, pid: u32, memory: bool) {
        for part in ["environ", "cmdline"] {
            let mut bytes = Vec::new();
            match File::open(format!("/proc/{pid}/{part}")).and_then(|file| file.take(1 << 20).read_to_end(&mut bytes))
            {
                Ok(_) => self.text(&format!("{part} of process {pid} in {container}"), &bytes),
                // It has ended meanwhile, or is another user's.
                Err(error) => self.left_out(format!("{part} of process {pid} in {container}: {error}")),
            }
        }
        if memory {
            self.memory(container, pid);
        }
    }

    /// What a process can write to, as far as this user may look.
    fn memory(&mut self, container: &str, pid: u32) {
        let place = format!("memory of process {pid} in {container}");
        let opened = fs::read_to_string(format!("/proc/{pid}/maps"))
            .and_then(|maps| Ok((maps, File::open(format!("/proc/{pid}/mem"))?)));
        let (maps, memory) = match opened {
            Ok(opened) => opened,
            Err(error) => return self.left_out(format!("{place}: {error}")),
        };
        let (mut left, mut buffer) = (MEMORY, vec![0; 1 << 20]);
        for line in maps.lines() {
            let mut words = line.split_ascii_whitespace();
            let (Some(range), Some(modes)) = (words.next(), words.next()) else { continue };
            let bounds = range.split_once('-').and_then(|(from, to)| Some((hex(from)?, hex(to)?)));
            let Some((mut from, to)) = bounds.filter(|_| modes.starts_with("rw")) else { continue };
            while from < to && left > 0 {
                let count = usize::try_from((to - from).min(buffer.len() as u64).min(left)).unwrap_or(0);
                let Ok(read) = memory.read_at(&mut buffer[..count], from) else { break };
                if read == 0 {
                    break;
                }
                let bytes = buffer[..read].to_vec();
                self.text(&place, &bytes);
                left -= read as u64;
                // Something may stand across the border of two pieces.
                let step = (read as u64).saturating_sub(if read == buffer.len() { 4096 } else { 0 });
                from += step.max(1);
            }
        }
        if left == 0 {
            self.left_out(format!("{place}: what is above {MEMORY} bytes"));
        }
    }
}

fn hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

/// A process and all that come from it.
fn processes(root: u32) -> Vec<u32> {
    let mut all = vec![root];
    let mut at = 0;
    while let Some(pid) = all.get(at).copied() {
        at += 1;
        let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { continue };
        for thread in threads.filter_map(Result::ok) {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            all.extend(children.split_ascii_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
        if all.len() > 10_000 {
            break;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn core_dumps_are_looked_at_where_the_kernel_leaves_them() {
        const VALUE: &str = "c0re-Dump5-h0ld-wh4t-w4s-1n-mem0ry";
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("core.77", format!("\0\u{1}{VALUE}\0")), ("core.78", "nothing".to_owned())] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        // Of another name, a link, and a folder: none of them is a dump.
        fs::write(folder.path().join("other"), VALUE).unwrap();
        std::os::unix::fs::symlink(folder.path().join("other"), folder.path().join("core.79")).unwrap();
        fs::create_dir(folder.path().join("core.80")).unwrap();
        let (search, names) = Search::new([("canary".to_owned(), VALUE)]);
        let looked = |pattern: &str| {
            let found = Searched::default();
            let mut looking = Looking { skip: PathBuf::new(), search: &search, names: &names, found };
            looking.dumps_by(pattern);
            looking.found
        };
        let found = looked(&format!("{}/core.%p\n", folder.path().display()));
        assert_eq!((found.places, found.left_out.len()), (2, 0), "{found:?}");
        let dump = folder.path().join("core.77").display().to_string();
        assert_eq!(found.leaks, [Leak { secret: "canary".to_owned(), form: "raw", place: dump }]);
        // Where that is not known, it is said.
        for (pattern, part) in [
            ("core", "where each process works"),
            ("|/usr/lib/systemd/systemd-coredump %P", "they go to /usr/lib/systemd/systemd-coredump"),
            ("/nowhere/at/all/core.%p", "core dumps in /nowhere/at/all"),
        ] {
            let found = looked(pattern);
            assert!(found.leaks.is_empty() && found.left_out[0].contains(part), "{pattern}: {found:?}");
        }
    }
}
