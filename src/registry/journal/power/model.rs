//! A file system in memory that knows what is on disk and what is only on its way.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path};

use super::Call;

const SECTOR: usize = 512;

pub type Id = usize;

#[derive(Clone, Default)]
struct File {
    seen: Vec<u8>,
    durable: Vec<u8>,
}

/// Something that may or may not have reached the disk.
#[derive(Clone)]
enum Pending {
    Bytes { file: Id, offset: usize, bytes: Vec<u8> },
    Link { folder: Id, name: String, id: Id },
    Unlink { folder: Id, name: String },
    Move { from: (Id, String), to: (Id, String), id: Id },
}

/// A file system in memory: what programs see, what is on disk, and what is on its way.
#[derive(Clone, Default)]
pub struct Disk {
    files: BTreeMap<Id, File>,
    seen: BTreeMap<Id, BTreeMap<String, Id>>,
    durable: BTreeMap<Id, BTreeMap<String, Id>>,
    pending: Vec<Pending>,
    next: Id,
}

pub const ROOT: Id = 0;

impl Disk {
    /// Everything below `root`, on disk.
    pub fn of(root: &Path) -> Self {
        let mut disk = Self { next: 1, ..Self::default() };
        disk.load(ROOT, root);
        disk.durable = disk.seen.clone();
        disk
    }

    fn load(&mut self, id: Id, folder: &Path) {
        self.seen.insert(id, BTreeMap::new());
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let child = self.new_id();
            self.seen.get_mut(&id).unwrap().insert(entry.file_name().into_string().unwrap(), child);
            if entry.file_type().unwrap().is_dir() {
                self.load(child, &entry.path());
            } else {
                let bytes = fs::read(entry.path()).unwrap();
                self.files.insert(child, File { seen: bytes.clone(), durable: bytes });
            }
        }
    }

    fn new_id(&mut self) -> Id {
        self.next += 1;
        self.next
    }

    fn find(&self, path: &Path) -> Id {
        path.components().fold(ROOT, |folder, part| match part {
            Component::Normal(name) => self.seen[&folder][name.to_str().unwrap()],
            _ => folder,
        })
    }

    fn place(&self, path: &Path) -> (Id, String) {
        (self.find(path.parent().unwrap()), path.file_name().unwrap().to_str().unwrap().to_owned())
    }

    fn link(&mut self, path: &Path) -> Id {
        let (folder, name) = self.place(path);
        let id = self.new_id();
        self.seen.get_mut(&folder).unwrap().insert(name.clone(), id);
        self.pending.push(Pending::Link { folder, name, id });
        id
    }

    pub fn run(&mut self, call: &Call) {
        match call {
            Call::Create(path) => {
                let id = self.link(path);
                self.files.insert(id, File::default());
            }
            Call::MakeDir(path) => {
                let id = self.link(path);
                self.seen.insert(id, BTreeMap::new());
                self.durable.insert(id, BTreeMap::new());
            }
            Call::Write { path, offset, bytes } => self.write(path, usize::try_from(*offset).unwrap(), bytes),
            Call::Sync(path) => {
                let id = self.find(path);
                let file = self.files.get_mut(&id).unwrap();
                file.durable = file.seen.clone();
                self.pending.retain(|pending| !matches!(pending, Pending::Bytes { file, .. } if *file == id));
            }
            Call::SyncDir(path) => {
                let id = self.find(path);
                let (now, later) = std::mem::take(&mut self.pending).into_iter().partition(|pending| match pending {
                    Pending::Link { folder, .. } | Pending::Unlink { folder, .. } => *folder == id,
                    Pending::Move { to, .. } => to.0 == id,
                    Pending::Bytes { .. } => false,
                });
                self.pending = later;
                let now: Vec<Pending> = now;
                now.iter().for_each(|pending| self.land(pending));
            }
            Call::Rename(from, to) => {
                let (from, to) = (self.place(from), self.place(to));
                let id = self.seen.get_mut(&from.0).unwrap().remove(&from.1).unwrap();
                self.seen.get_mut(&to.0).unwrap().insert(to.1.clone(), id);
                self.pending.push(Pending::Move { from, to, id });
            }
            Call::Remove(path) => {
                let (folder, name) = self.place(path);
                self.seen.get_mut(&folder).unwrap().remove(&name);
                self.pending.push(Pending::Unlink { folder, name });
            }
            Call::Acknowledged => {}
        }
    }

    /// One write is as many pieces as it touches sectors.
    fn write(&mut self, path: &Path, offset: usize, bytes: &[u8]) {
        let id = self.find(path);
        put(&mut self.files.get_mut(&id).unwrap().seen, offset, bytes);
        let mut at = offset;
        while at < offset + bytes.len() {
            let end = ((at / SECTOR + 1) * SECTOR).min(offset + bytes.len());
            let piece = bytes[at - offset..end - offset].to_vec();
            self.pending.push(Pending::Bytes { file: id, offset: at, bytes: piece });
            at = end;
        }
    }

    fn land(&mut self, pending: &Pending) {
        match pending {
            Pending::Bytes { file, offset, bytes } => {
                put(&mut self.files.get_mut(file).unwrap().durable, *offset, bytes);
            }
            Pending::Link { folder, name, id } => {
                self.durable.entry(*folder).or_default().insert(name.clone(), *id);
            }
            Pending::Unlink { folder, name } => {
                self.durable.entry(*folder).or_default().remove(name);
            }
            Pending::Move { from, to, id } => {
                self.durable.entry(from.0).or_default().remove(&from.1);
                self.durable.entry(to.0).or_default().insert(to.1.clone(), *id);
            }
        }
    }

    /// The disks that a power cut now may leave: nothing pending, all of it, each piece alone, all but one, all before
    /// one, and forty drawn from a fixed seed.
    pub fn outcomes(&self) -> Vec<Self> {
        let count = self.pending.len();
        let mut choices: Vec<Vec<bool>> = vec![vec![false; count], vec![true; count]];
        if count <= 6 {
            choices = (0..1_usize << count).map(|bits| (0..count).map(|i| bits >> i & 1 == 1).collect()).collect();
        } else {
            for one in 0..count {
                choices.push((0..count).map(|index| index == one).collect());
                choices.push((0..count).map(|index| index != one).collect());
                choices.push((0..count).map(|index| index < one).collect());
            }
            let mut state = 0x9e37_79b9_7f4a_7c15_u64;
            for _ in 0..40 {
                choices.push(
                    (0..count)
                        .map(|_| {
                            state ^= state << 13;
                            state ^= state >> 7;
                            state ^= state << 17;
                            state & 1 == 1
                        })
                        .collect(),
                );
            }
        }
        choices.into_iter().map(|choice| self.outcome(&choice)).collect()
    }

    /// What a path stands for now: a file or a folder.
    #[allow(dead_code)] // asked by the trials of whole commands
    pub fn id_of(&self, path: &Path) -> Id {
        self.find(path)
    }

    /// The disk that a power cut leaves when everything lands but what belongs to this file or folder.
    #[allow(dead_code)] // as above
    pub fn losing(&self, id: Id) -> Self {
        let lands = |pending: &Pending| match pending {
            Pending::Bytes { file, .. } => *file != id,
            Pending::Link { folder, .. } | Pending::Unlink { folder, .. } => *folder != id,
            Pending::Move { to, .. } => to.0 != id,
        };
        self.outcome(&self.pending.iter().map(lands).collect::<Vec<_>>())
    }

    /// The disk on which everything lands but the first thing pending of this file or folder.
    #[allow(dead_code)] // as above
    pub fn losing_first(&self, id: Id) -> Self {
        let is_of = |pending: &Pending| match pending {
            Pending::Bytes { file, .. } => *file == id,
            Pending::Link { folder, .. } | Pending::Unlink { folder, .. } => *folder == id,
            Pending::Move { to, .. } => to.0 == id,
        };
        let first = self.pending.iter().position(is_of);
        self.outcome(&(0..self.pending.len()).map(|index| Some(index) != first).collect::<Vec<_>>())
    }

    fn outcome(&self, choice: &[bool]) -> Self {
        let mut disk = self.clone();
        let landed: Vec<Pending> =
            self.pending.iter().zip(choice).filter(|(_, lands)| **lands).map(|(pending, _)| pending.clone()).collect();
        landed.iter().for_each(|pending| disk.land(pending));
        disk
    }

    /// Writes what is on disk to a real folder.
    pub fn store(&self, id: Id, folder: &Path) {
        fs::create_dir_all(folder).unwrap();
        for (name, child) in self.durable.get(&id).into_iter().flatten() {
            let path = folder.join(name);
            match self.files.get(child) {
                Some(file) => fs::write(path, &file.durable).unwrap(),
                None => self.store(*child, &path),
            }
        }
    }
}

fn put(file: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if file.len() < offset + bytes.len() {
        // A hole reads as zeros.
        file.resize(offset + bytes.len(), 0);
    }
    file[offset..offset + bytes.len()].copy_from_slice(bytes);
}
