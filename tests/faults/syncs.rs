//! Each sync is needed: taken out of the recorded calls, some loss is found that the same judge does not let pass.

use std::path::{Path, PathBuf};

use super::commands::{CASES, named};
use super::judge::{Same, Trial};
use super::replay::{Call, Id, up_to};
use super::tracer::{Strike, trace};
use super::world::World;

/// Takes call `index` out, and loses what it would have made durable, and then all that is pending, from the command's end
/// backwards to where the call stood: the first complaint.
fn complaint(trial: &Trial<'_>, index: usize) -> Option<String> {
    let calls = &trial.clean.calls;
    let (Call::Sync(path) | Call::SyncDir(path)) = &calls[index] else { return None };
    let target = up_to(&trial.start, calls, index).id_of(path);
    let mut without = calls.clone();
    without.remove(index);
    for made in (index..=without.len()).rev() {
        let disk = up_to(&trial.start, &without, made);
        let nothing_lands = disk.outcomes().swap_remove(0);
        for left in [disk.losing(target), disk.losing_first(target), nothing_lands] {
            trial.world.restore(&left);
            if let Err(why) = trial.judge(made == without.len(), Same::Bytes) {
                with_it_all_is_well(trial, made + 1, target);
                return Some(format!("after {made} of {} calls: {why}", without.len()));
            }
        }
    }
    None
}

/// The control: with the sync left in, the same losses at the same place are no loss.
fn with_it_all_is_well(trial: &Trial<'_>, made: usize, target: Id) {
    let calls = &trial.clean.calls;
    let disk = up_to(&trial.start, calls, made);
    let nothing_lands = disk.outcomes().swap_remove(0);
    for left in [disk.losing(target), disk.losing_first(target), nothing_lands] {
        trial.world.restore(&left);
        let judged = trial.judge(made == calls.len(), Same::Bytes);
        assert_eq!(judged, Ok(()), "{}: with every sync, after {made} of {} calls", trial.case.name, calls.len());
    }
}

fn file(call: &Call) -> String {
    match call {
        Call::Sync(path) => format!("fdatasync {}", path.display()),
        Call::SyncDir(path) => format!("fsync of the folder {}/", path.display()),
        other => format!("{other:?}"),
    }
}

/// The names that differ each time, by what they are.
fn short(text: &str) -> String {
    let parts = text
        .split('/')
        .map(|part| if part.len() > 25 && part.starts_with(|c: char| c.is_ascii_digit()) { "ID" } else { part });
    let text = parts.collect::<Vec<_>>().join("/");
    text.split(".tmp-")
        .next()
        .map_or(text.clone(), |head| if head.len() < text.len() { format!("{head}.tmp") } else { text.clone() })
}

/// Syncs whose loss shows nothing here, and who shows it.
fn elsewhere(case: &str, call: &Call, first: bool) -> Option<&'static str> {
    let Call::Sync(path) = call else { return None };
    match case {
        // Without it the blanked bytes could be there and the event that says why not: no command misses that event.
        "a commit behind a torn tail" | "repair" if first && path.ends_with("events.jsonl") => {
            Some("found by the journal's own proof, `registry::journal::power`")
        }
        // What it makes durable was written by somebody else, before these calls.
        "a commit behind another program's" if first && path.ends_with("events.jsonl") => {
            Some("found by the journal's own proof, `registry::journal::power`")
        }
        _ => None,
    }
}

#[test]
fn without_any_one_sync_something_is_lost() {
    let world = World::new();
    println!("| command | without | found |\n|---|---|---|");
    let mut unneeded = Vec::new();
    for case in CASES.iter().filter(|case| named(case).unwrap_or(true)) {
        let trial = Trial::new(&world, case);
        let calls = &trial.clean.calls;
        for index in (0..calls.len()).filter(|index| calls[*index].is_sync()) {
            let name = short(&file(&calls[index]));
            let first = !calls[..index].contains(&calls[index]);
            let again = calls[index + 1..].contains(&calls[index]) && matches!(calls[index], Call::SyncDir(_));
            let covered = again.then_some("a later sync of the same folder covers it, unless it never comes to that");
            let other = covered.or_else(|| elsewhere(case.name, &calls[index], first));
            let found = complaint(&trial, index).or_else(|| other.map(str::to_owned));
            if found.is_none() {
                unneeded.push(format!("{}: {name}", case.name));
            }
            let found = found.map_or("NOTHING".to_owned(), |found| found.replace('\n', " ").chars().take(90).collect());
            println!("| {} | {name} | {found} |", case.name);
        }
    }
    assert!(unneeded.is_empty(), "nothing is lost without:\n{}", unneeded.join("\n"));
}

/// The first complaint about any loss after `made` of `calls`, which need not be the command's own.
fn lost(trial: &Trial<'_>, calls: &[Call], made: usize, same: Same) -> Option<String> {
    up_to(&trial.start, calls, made).outcomes().iter().find_map(|left| {
        trial.world.restore(left);
        trial.judge(made == calls.len(), same).err()
    })
}

fn scaffold(world: &World) -> Trial<'_> {
    Trial::new(world, CASES.iter().find(|case| case.name == "helper scaffold").unwrap())
}

/// A build that forgets to sync `runs/`, run for real: its calls lack the sync, and the loss is found.
#[test]
fn a_planted_missing_sync_of_a_folder_is_found() {
    let world = World::new();
    let trial = scaffold(&world);
    let runs = Call::SyncDir("runs".into());
    assert!(trial.clean.calls.contains(&runs));
    let syncs = trial.clean.calls.iter().filter(|call| call.is_sync()).count();
    assert_eq!(lost(&trial, &trial.clean.calls, trial.clean.calls.len(), Same::Bytes), None);
    let planted = (1..=syncs + 1).find_map(|number| {
        world.restore(&trial.start);
        let mut command = world.command(&trial.call);
        command.env("TASKFORGE_FAULT", format!("skip:{number}"));
        let traced = trace(command, &world.root(), Strike::Nothing);
        assert_eq!(traced.exit, Some(0), "{}", traced.said);
        (!traced.calls.contains(&runs)).then_some(traced.calls)
    });
    let planted = planted.expect("no build without the sync");
    let complaint = lost(&trial, &planted, planted.len(), Same::Names);
    assert!(complaint.as_deref().is_some_and(|why| why.contains("is lost")), "{complaint:?}");
}

/// A run that is renamed into place before what is in it is on disk.
#[test]
fn a_rename_before_its_content_is_found() {
    let world = World::new();
    let trial = scaffold(&world);
    let calls = &trial.clean.calls;
    let published = |call: &Call| matches!(call, Call::Rename(_, to) if to.as_path() == Path::new("runs/r"));
    let rename = calls.iter().position(published).unwrap();
    let Call::Rename(from, to) = &calls[rename] else { unreachable!() };
    let within = |call: &Call| match call {
        Call::Create(path) | Call::MakeDir(path) | Call::Write { path, .. } => path.starts_with(from),
        _ => false,
    };
    let first = calls[..rename].iter().rposition(within).unwrap() + 1;
    assert!(first < rename, "nothing is synced before the rename");
    let moved = |path: &PathBuf| path.strip_prefix(from).map_or_else(|_| path.clone(), |rest| to.join(rest));
    let mut early = calls[..first].to_vec();
    early.push(calls[rename].clone());
    early.extend(calls[first..rename].iter().map(|call| match call {
        Call::Sync(path) => Call::Sync(moved(path)),
        Call::SyncDir(path) => Call::SyncDir(moved(path)),
        other => other.clone(),
    }));
    early.extend_from_slice(&calls[rename + 1..]);
    assert_eq!(lost(&trial, calls, rename + 1, Same::Bytes), None);
    assert!(lost(&trial, &early, first + 1, Same::Bytes).is_some(), "nobody minds");
}
