//! Each sync is needed: taken out of the recorded calls, some loss is found that the same judge does not let pass.

use super::commands::CASES;
use super::judge::{Same, Trial};
use super::replay::{Call, up_to};
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
                return Some(format!("after {made} of {} calls: {why}", without.len()));
            }
        }
    }
    None
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

#[test]
fn without_any_one_sync_something_is_lost() {
    let world = World::new();
    println!("| command | without | found |\n|---|---|---|");
    let mut unneeded = Vec::new();
    for case in CASES {
        let trial = Trial::new(&world, case);
        let calls = &trial.clean.calls;
        for index in (0..calls.len()).filter(|index| calls[*index].is_sync()) {
            let found = complaint(&trial, index);
            let name = short(&file(&calls[index]));
            if found.is_none() {
                unneeded.push(format!("{}: {name}", case.name));
            }
            let found = found.map_or("NOTHING".to_owned(), |found| found.replace('\n', " ").chars().take(90).collect());
            println!("| {} | {name} | {found} |", case.name);
        }
    }
    assert!(unneeded.is_empty(), "nothing is lost without:\n{}", unneeded.join("\n"));
}
