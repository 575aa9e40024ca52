//! Trials drawn from a seed: a command, a way to go wrong, a place.

use std::collections::BTreeMap;

use nix::errno::Errno;

use super::commands::{CASES, named};
use super::dice::Dice;
use super::judge::{Same, Trial};
use super::replay::{Call, up_to};
use super::tracer::{Strike, Touch, trace};
use super::world::World;

const FEW: usize = 400;
const MANY: usize = 6000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Some index among `touches` of which `wanted` holds.
fn place(touches: &[Touch], dice: &mut Dice, wanted: impl Fn(&Touch) -> bool) -> Option<usize> {
    let fit: Vec<usize> =
        touches.iter().enumerate().filter(|(_, touch)| wanted(touch)).map(|(index, _)| index).collect();
    if fit.is_empty() { None } else { Some(fit[dice.roll(fit.len())]) }
}

/// One trial: what was done, and what is wrong afterwards if anything is. `None` where there was nothing to strike.
fn one(trial: &Trial<'_>, dice: &mut Dice) -> Option<(&'static str, String, Result<(), String>)> {
    let touches = &trial.clean.touches;
    let at = |index: usize| format!("{} {}", touches[index].name, touches[index].path.display());
    let (kind, strike) = match dice.roll(10) {
        0 | 1 => ("kill", Strike::KillBefore(place(touches, dice, |_| true)?)),
        2 => ("kill", Strike::KillAfter(place(touches, dice, |_| true)?)),
        3 => ("error", Strike::Fail(place(touches, dice, |touch| touch.changes)?, Errno::ENOSPC)),
        4 => ("error", Strike::Fail(place(touches, dice, |touch| touch.changes)?, Errno::EIO)),
        5 => ("short write", Strike::Short(place(touches, dice, |touch| touch.name == "write")?)),
        _ => return Some(lose(trial, dice)),
    };
    let index = match strike {
        Strike::KillBefore(index) | Strike::KillAfter(index) | Strike::Fail(index, _) | Strike::Short(index) => index,
        Strike::Nothing => return None,
    };
    trial.world.restore(&trial.start);
    let traced = trace(trial.world.command(&trial.call), &trial.world.root(), strike);
    if !traced.struck {
        return None;
    }
    let (what, done) = (format!("{strike:?}: {}", at(index)), traced.exit == Some(0));
    if kind != "kill" && dice.roll(2) == 0 {
        let (left, made) = after_power(trial, &traced.calls, dice);
        return Some(("error, then loss", format!("{what}, {left}"), trial.judge(done && made, Same::Names)));
    }
    Some((kind, what, trial.judge(done, Same::Names)))
}

/// The power goes after some call, or after the command has ended, and takes any part of what was not synced.
fn lose(trial: &Trial<'_>, dice: &mut Dice) -> (&'static str, String, Result<(), String>) {
    let (what, made) = after_power(trial, &trial.clean.calls, dice);
    ("loss", what, trial.judge(made, Same::Bytes))
}

/// Puts there what the power left of some of `calls`; says what that was, and whether they were all of them.
fn after_power(trial: &Trial<'_>, calls: &[Call], dice: &mut Dice) -> (String, bool) {
    let made = if dice.roll(4) == 0 { calls.len() } else { dice.roll(calls.len() + 1) };
    let outcomes = up_to(&trial.start, calls, made).outcomes();
    let drawn = dice.roll(outcomes.len());
    trial.world.restore(&outcomes[drawn]);
    let what = format!("the power goes after {made} of {} calls, outcome {drawn} of {}", calls.len(), outcomes.len());
    (what, made == calls.len())
}

/// Every trial; its violations, each with what gives it again.
fn draw(seed: u64, trials: impl Iterator<Item = usize>) -> (BTreeMap<&'static str, usize>, Vec<String>) {
    let world = World::new();
    let prepared: Vec<Trial<'_>> = CASES.iter().map(|case| Trial::new(&world, case)).collect();
    let mut counts = BTreeMap::new();
    let mut violations = Vec::new();
    for number in trials {
        let mut dice = Dice::new(seed.wrapping_mul(1_000_003).wrapping_add(number as u64));
        let trial = &prepared[dice.roll(prepared.len())];
        let Some((kind, what, verdict)) = one(trial, &mut dice) else { continue };
        *counts.entry(kind).or_default() += 1;
        if let Err(why) = verdict {
            violations.push(format!(
                "TASKFORGE_FAULTS_SEED={seed} TASKFORGE_FAULTS_TRIAL={number}: `{}`, {what}: {why}",
                trial.case.name
            ));
        }
    }
    (counts, violations)
}

#[test]
fn whatever_goes_wrong_nothing_acknowledged_is_lost_and_the_work_goes_on() {
    let nightly = std::env::var("TASKFORGE_FAULTS").is_ok_and(|mode| mode == "nightly");
    let seed = number("TASKFORGE_FAULTS_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let count = if nightly { MANY } else { FEW };
    let only = number("TASKFORGE_FAULTS_TRIAL").map(|only| usize::try_from(only).unwrap());
    let (counts, violations) = match only {
        Some(only) => draw(seed, only..=only),
        None => draw(seed, 0..count),
    };
    let injected: usize = counts.values().sum();
    let kinds: Vec<String> = counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    println!(
        "faults: {count} trials of {} commands, seed {seed}; {injected} faults injected ({}); violations: {}",
        CASES.len(),
        kinds.join(", "),
        violations.len()
    );
    assert!(violations.is_empty(), "{}", violations.join("\n"));
    assert!(only.is_some() || injected > count * 8 / 10, "only {injected} of {count} trials struck anything");
}

/// Everything that can be struck of a command's calls, at each of them.
fn strikes(touches: &[Touch]) -> Vec<(&'static str, Strike)> {
    let mut strikes = Vec::new();
    for (index, touch) in touches.iter().enumerate() {
        strikes.push(("kill", Strike::KillBefore(index)));
        // Between two calls nothing reaches the registry: after one is before the next.
        if index + 1 == touches.len() {
            strikes.push(("kill", Strike::KillAfter(index)));
        }
        if touch.changes {
            strikes.push(("error", Strike::Fail(index, Errno::ENOSPC)));
            strikes.push(("error", Strike::Fail(index, Errno::EIO)));
        }
        if touch.name == "write" {
            strikes.push(("short write", Strike::Short(index)));
        }
    }
    strikes
}

/// So that no seed decides whether the middle of a commit is ever hit: one short command, or with
/// `TASKFORGE_FAULTS=nightly` every one; `TASKFORGE_FAULTS_COMMANDS=WORDS` those with that in their names.
#[test]
fn a_command_struck_at_each_of_its_calls() {
    let nightly = std::env::var("TASKFORGE_FAULTS").is_ok_and(|mode| mode == "nightly");
    let world = World::new();
    let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
    let mut violations = Vec::new();
    let chosen = CASES.iter().filter(|case| named(case).unwrap_or(nightly || case.name == "helper progress"));
    let chosen: Vec<_> = chosen.collect();
    for case in &chosen {
        let trial = Trial::new(&world, case);
        for (kind, strike) in strikes(&trial.clean.touches) {
            world.restore(&trial.start);
            let traced = trace(world.command(&trial.call), &world.root(), strike);
            // A retry or a name drawn at random may make it one call shorter than it was.
            if !traced.struck {
                continue;
            }
            *counts.entry(kind).or_default() += 1;
            if let Err(why) = trial.judge(traced.exit == Some(0), Same::Names) {
                violations.push(format!("`{}`, {strike:?}: {why}", case.name));
            }
        }
    }
    println!(
        "faults: {} commands struck at each of their calls: {counts:?}; violations: {}",
        chosen.len(),
        violations.len()
    );
    assert!(violations.is_empty(), "{}", violations.join("\n"));
    assert!(
        counts.values().sum::<usize>() > 20 * chosen.len(),
        "{counts:?} is too little of {} commands",
        chosen.len()
    );
}
