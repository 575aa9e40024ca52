//! Looking at a registry with fresh processes after something went wrong.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::commands::Case;
use super::replay::Disk;
use super::standing::{Standing, secrets};
use super::tracer::{Strike, Traced, trace};
use super::world::World;

/// A run's journal: each event with its node, and whether its batch ends there.
type Journal = Vec<(String, bool)>;
type Journals = BTreeMap<String, Journal>;
/// Paths below the registry, with the bytes of those that are files.
type Files = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// Whether what is there has to be what was there, byte for byte: it is when the recorded calls made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Same {
    Bytes,
    Names,
}

/// A command with what it is expected to do.
pub struct Trial<'a> {
    pub case: &'a Case,
    pub world: &'a World,
    /// The registry before the command.
    pub start: Disk,
    pub call: Vec<String>,
    before: Journals,
    after: Journals,
    /// Agents and the vault, before and after, with the values of its secrets.
    stood: [(Standing, BTreeMap<String, String>); 2],
    /// Every file and folder that the command left behind.
    left: Files,
    /// The command, untouched.
    pub clean: Traced,
}

impl<'a> Trial<'a> {
    /// Makes the registry, and runs the command once without a fault.
    pub fn new(world: &'a World, case: &'a Case) -> Self {
        world.restore(&Disk::default());
        (case.before)(world);
        let call = (case.call)(world);
        let start = world.snapshot();
        let before = journals(world).unwrap();
        let stood = (Standing::of(world).unwrap(), secrets(world).unwrap());
        world.restore(&start);
        let clean = trace(world.command(&call), &world.root(), Strike::Nothing);
        assert_eq!(clean.exit, Some(0), "{}: {}", case.name, clean.said);
        let after = journals(world).unwrap();
        let left = files(&world.root());
        let stood = [stood, (Standing::of(world).unwrap(), secrets(world).unwrap())];
        Self { case, world, start, call, before, after, stood, left, clean }
    }

    /// What is wrong with the registry as it lies there, if anything is. `acknowledged`: the command had exited with 0.
    pub fn judge(&self, acknowledged: bool, same: Same) -> Result<(), String> {
        self.is_whole(acknowledged, same)?;
        let (now, standing) = (journals(self.world)?, Standing::of(self.world)?);
        let done = self.stands(&standing, acknowledged)?;
        if let Some(run) = now.keys().find(|run| !self.after.contains_key(*run)) {
            return Err(format!("run {run} is there, which nobody made"));
        }
        for (run, after) in &self.after {
            self.journal(run, after, now.get(run), acknowledged)?;
            if now.contains_key(run) {
                self.goes_on(run)?;
            }
        }
        let nothing = self.after.is_empty() && self.stood[1].0.is_nothing();
        if now.len() < self.after.len() || !done || nothing {
            // It did not happen, and can happen now.
            let said = self.world.run(&self.call);
            if !matches!(said.code, Some(0 | 7)) {
                return Err(format!("it cannot be done again: {:?} {}", said.code, said.stderr));
            }
            if said.code == Some(7) && self.case.name != "init" {
                return Err(format!("half of it is in the way: {}", said.stderr));
            }
        }
        if self.case.name == "init" {
            expect(self.world, &["run", "list"])?;
            expect(self.world, &["run", "start", "review", "--dry-run"])?;
        }
        Ok(())
    }

    /// Agents and the vault are as they were before or as they are afterwards, and work; whether it is the latter.
    fn stands(&self, now: &Standing, acknowledged: bool) -> Result<bool, String> {
        let [before, after] = &self.stood;
        let done = *now == after.0;
        if !done && (acknowledged || *now != before.0) {
            return Err(format!("{now:?} is neither {:?} nor, whole, {:?}", before.0, after.0));
        }
        now.goes_on(self.world)?;
        let (values, wanted) = (secrets(self.world)?, if done { &after.1 } else { &before.1 });
        match values == *wanted {
            true => Ok(done),
            false => Err(format!("the secrets are {values:?} instead of {wanted:?}")),
        }
    }

    /// What was acknowledged is there with every file of it; a run that is there is so in any case.
    fn is_whole(&self, acknowledged: bool, same: Same) -> Result<(), String> {
        let now = files(&self.world.root());
        // What was removed or replaced is no secret any more when it comes back.
        let back = now.keys().find(|path| path.starts_with(".taskforge/vault") && !self.left.contains_key(*path));
        if let Some(back) = back.filter(|_| acknowledged) {
            return Err(format!("{} is there again", back.display()));
        }
        for (path, bytes) in &self.left {
            let mut parts = path.components().map(|part| part.as_os_str().to_str().unwrap());
            let (top, run) = (parts.next().unwrap(), parts.next());
            // Made again where it is missing: what is of this machine alone, and a lock, which holds nothing.
            let kept = top == ".taskforge" && matches!(run, Some("repaired" | "watch"));
            if (top == ".taskforge" && !kept) || path.ends_with(".run.lock") {
                continue;
            }
            // What `repair` replaced is kept under the time of day, and a watch writes that down.
            if kept && same == Same::Names {
                continue;
            }
            // A seal that fails is a warning, and the command that ended the run stands.
            let sealed = top == "checkpoint.pub" || path.components().any(|part| part.as_os_str() == "checkpoints");
            if sealed && same == Same::Names {
                continue;
            }
            // Keys of the vault, which are other ones each time; what they open is looked at instead.
            if top == "home" && same == Same::Names {
                continue;
            }
            let new_run = match top {
                "runs" => run.is_some_and(|run| !self.before.contains_key(run)),
                "agents" => run.is_some_and(|agent| !self.stood[0].0.agents.contains_key(agent)),
                _ => false,
            };
            let there = run.is_some_and(|run| now.contains_key(&Path::new(top).join(run)));
            let projections = ["state.json", "refs.json", "taskforge.json", "result.json", "agent.json"];
            let remembered = top == "agents" && parts.next() == Some("memory");
            let projection = !kept && (remembered || projections.iter().any(|name| path.ends_with(name)));
            // Projections of a run that was there before are made again from its journal.
            // Those of an agent are read only where they fit its journal.
            if projection && top == "agents" {
                continue;
            }
            let due = if new_run { acknowledged || there } else { acknowledged && !projection };
            if !due {
                continue;
            }
            match now.get(path) {
                None => return Err(format!("{} is lost", path.display())),
                Some(found) if same == Same::Bytes && found != bytes => {
                    return Err(format!("{} is not what was written", path.display()));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    fn journal(&self, run: &str, after: &Journal, now: Option<&Journal>, acknowledged: bool) -> Result<(), String> {
        let before = self.before.get(run).map_or(&[][..], Vec::as_slice);
        let Some(now) = now else {
            return if acknowledged || self.before.contains_key(run) {
                Err(format!("run {run} is lost"))
            } else {
                Ok(())
            };
        };
        if acknowledged && now != after {
            return Err(format!("what was acknowledged is not all there: {now:?} instead of {after:?}"));
        }
        if !now.starts_with(before) {
            return Err(format!("what stood there before is lost: {now:?}"));
        }
        if !after.starts_with(now) || now.last().is_some_and(|(_, ends)| !ends) {
            return Err(format!("a part of a command, or none of it: {now:?} of {after:?}"));
        }
        if !self.before.contains_key(run) && now != after {
            return Err(format!("a run that is not whole: {now:?} of {after:?}"));
        }
        Ok(())
    }

    /// The next command works, the journal proves itself, and the projections are those that it comes to.
    fn goes_on(&self, run: &str) -> Result<(), String> {
        expect(self.world, &["helper", "progress", run, "the next"])?;
        expect(self.world, &["audit", "verify", run])?;
        seals_as_before(self.world, &["audit", "seal", run])?;
        expect(self.world, &["tick", run])?;
        let paths = ["state.json", "refs.json", "taskforge.json"].map(|name| format!("runs/{run}/{name}"));
        let found = paths.clone().map(|path| self.world.read(&path));
        for path in &paths {
            let _ = fs::remove_file(self.world.root().join(path));
        }
        expect(self.world, &["tick", run])?;
        let made = paths.clone().map(|path| self.world.read(&path));
        match paths.iter().zip(found.iter().zip(&made)).find(|(_, (found, made))| found != made) {
            Some((path, _)) => Err(format!("{path} is not what the journal comes to")),
            None => Ok(()),
        }
    }
}

/// A public key of checkpoints that stands has a private half that stands: `seal` makes no other.
pub(super) fn seals_as_before(world: &World, seal: &[&str]) -> Result<(), String> {
    if world.read("checkpoint.pub").is_none() {
        return Ok(());
    }
    expect(world, seal)?;
    let keys = world.read("checkpoint.pub").unwrap_or_default();
    match keys.iter().filter(|byte| **byte == b'\n').count() {
        1 => Ok(()),
        _ => Err("the key of checkpoints is lost".to_owned()),
    }
}

fn expect(world: &World, arguments: &[&str]) -> Result<(), String> {
    let said = world.tf(arguments);
    if said.code == Some(0) {
        Ok(())
    } else {
        Err(format!("{arguments:?}: {:?} {}{}", said.code, said.stdout, said.stderr))
    }
}

fn files(root: &Path) -> Files {
    fn walk(root: &Path, folder: &Path, found: &mut Files) {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            let name = path.strip_prefix(root).unwrap().to_owned();
            if entry.file_type().unwrap().is_dir() {
                found.insert(name, None);
                walk(root, &path, found);
            } else {
                found.insert(name, Some(fs::read(&path).unwrap()));
            }
        }
    }
    let mut found = Files::new();
    walk(root, root, &mut found);
    found
}

/// The journals of all runs, of whole batches only and without what mending noted.
fn journals(world: &World) -> Result<Journals, String> {
    let mut journals = Journals::new();
    for entry in fs::read_dir(world.root().join("runs")).into_iter().flatten().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if !entry.path().is_dir() {
            continue;
        }
        let said = world.tf(&["audit", "log", &name, "--json"]);
        if said.code != Some(0) {
            return Err(format!("run {name} cannot be read: {}", said.stderr));
        }
        let lines: Vec<Value> = serde_json::from_str(&said.stdout).map_err(|error| error.to_string())?;
        let lines = lines.iter().filter(|line| line["event"] != "journal.voided").map(|line| {
            let word = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
            (format!("{} {}", word("event"), word("nodeId")), line["batch"][0] == line["batch"][1])
        });
        journals.insert(name, lines.collect());
    }
    Ok(journals)
}
