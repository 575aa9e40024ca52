//! A look: ask, begin what is new, write down how far it got. What is written down comes last: whoever is ended before
//! that finds the same again, and the runs that it has become.

use std::collections::BTreeMap;

use chrono::{DateTime, SubsecRound as _, Utc};

use super::begin::{Begun, begin};
use super::gather::{Gathered, Question, gather};
use super::told::{Found, Looked, defined, names};
use crate::engine::error::Error;
use crate::engine::schedules::{self, Authority};
use crate::registry::config::{Watch, WatchSource};
use crate::registry::{Registry, WatchLock, kill};
use crate::watch::{self, Item, MOST_TRIES, Part, Trouble, Unfit, WatchState};

/// How a look is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looking {
    /// A tick's: when it is time.
    InTurn,
    /// A person's: now, unless it backs off.
    Asked,
    /// Only to see: everything, and nothing is begun or written.
    Dry,
}

/// Looks for every watch whose turn it is; nothing is asked where there are none.
///
/// # Errors
/// When the settings cannot be read. What one watch fails with is told with its name, and holds up no other.
pub fn look_all(registry: &Registry) -> Result<Vec<Looked>, Error> {
    let names = names(registry)?;
    let mut all = Vec::with_capacity(names.len());
    for name in &names {
        match look(registry, name, Looking::InTurn) {
            Ok(looked) => all.push(looked),
            // Revoked since its name was read.
            Err(Error::NoWatch(_)) => {}
            Err(Error::Registry(error @ crate::registry::Error::Killed { .. })) => return Err(error.into()),
            Err(error) => all.push(Looked {
                watch: name.clone(),
                problems: vec![error.to_string()],
                failed: true,
                ..Looked::default()
            }),
        }
    }
    Ok(all)
}

/// Looks for the watch `name`.
///
/// # Errors
/// [`Error::NoWatch`]; the kill switch; when what it knows cannot be read or written.
pub fn look(registry: &Registry, name: &str, how: Looking) -> Result<Looked, Error> {
    defined(registry, name)?;
    kill::refuse_if_killed(registry.layout())?;
    let now = Utc::now().trunc_subsecs(3);
    let dry = how == Looking::Dry;
    let mut looked = Looked { watch: name.to_owned(), ..Looked::default() };
    let lock = if dry { None } else { WatchLock::try_acquire(registry, name)? };
    if lock.is_none() && !dry {
        looked.waits = Some("another process looks".to_owned());
        return Ok(looked);
    }
    // Under the lock: who takes a schedule back waits for it, and then nothing is begun any more.
    let defined = defined(registry, name)?;
    match defined.authority(registry, name, now)? {
        Authority::InForce => {}
        Authority::Over(why) => {
            looked.waits = Some(format!("it is over: {why}"));
            if let Some(file) = defined.approved.as_ref().filter(|_| !dry) {
                schedules::clear(registry, name, &file.request)?;
            }
            return Ok(looked);
        }
        Authority::Stuck(why) => {
            looked.failed = true;
            looked.problems.push(why);
            return Ok(looked);
        }
    }
    let watch = &defined.watch;
    let mut state = watch::load(registry, name, watch)?;
    if let Some(file) = &defined.approved {
        state.until.get_or_insert(file.since);
    }
    if let Some(why) = not_yet(watch, &state, how, now) {
        looked.waits = Some(why);
        looked.gave_up = state.gave_up();
        looked.problems = state.problems().map(str::to_owned).collect();
        return Ok(looked);
    }
    let before = state.clone();
    let question = Question { registry, watch, state: &before, anew: dry, now };
    match gather(&question) {
        Ok(round) => {
            let mut turn =
                Turn { registry, name, watch, dry, now, looked, share: 0, worked: false, stumbled: Vec::new() };
            turn.take(&mut state, round.parts);
            if let Some(pause) = round.pause {
                state.pace.pause(pause, now);
            }
            looked = turn.looked;
        }
        // A person has to open it, and then it goes on: no failure of anybody.
        Err(Error::Vault(error)) if error.is_locked() => {
            looked.waits = Some(error.to_string());
            return Ok(looked);
        }
        Err(error) => {
            state.pace.failed(error.to_string(), None, watch.give_up, now);
            looked.failed = true;
        }
    }
    looked.looked = true;
    looked.gave_up = state.gave_up();
    looked.problems = state.problems().map(str::to_owned).collect();
    if !dry {
        state.looked = Some(now);
        state.parts.retain(|part, _| watch.source != WatchSource::GithubPr || watch.repositories.contains(part));
        watch::save(registry, name, &state)?;
    }
    Ok(looked)
}

/// Why there is no look now.
fn not_yet(watch: &Watch, state: &WatchState, how: Looking, now: DateTime<Utc>) -> Option<String> {
    if how == Looking::Dry {
        return None;
    }
    if state.pace.gave_up {
        return Some(format!("it gave up after {} failures", state.pace.failures));
    }
    if !state.pace.is_due(now) {
        return state.pace.not_before.map(|at| format!("until {}", at.to_rfc3339()));
    }
    let every = watch.every.filter(|_| how == Looking::InTurn)?;
    let last = state.looked.filter(|last| *last <= now)?;
    let waits = (now - last).to_std().is_ok_and(|since| since < every);
    waits.then(|| format!("it looked at {}, and does so every {}s", last.to_rfc3339(), every.as_secs()))
}

/// What was gathered, as it is taken up.
struct Turn<'a> {
    registry: &'a Registry,
    name: &'a str,
    watch: &'a Watch,
    dry: bool,
    now: DateTime<Utc>,
    looked: Looked,
    /// How many runs of the part at hand may still be begun.
    share: u32,
    /// Whether any run was begun.
    worked: bool,
    /// What could not be begun, for a reason that may be the watch's or its own.
    stumbled: Vec<Stumbled>,
}

/// Work that could not be begun.
struct Stumbled {
    part: String,
    key: String,
    what: String,
    why: String,
}

/// After so many pieces of work in vain, and none that could be begun, the rest of a part waits.
const MOST_STUMBLES: usize = 10;

/// How many of `all` runs each part may begin: one each in turn, as long as there is work and room.
fn shares(wanted: &[usize], all: u32) -> Vec<u32> {
    let (mut shares, mut left) = (vec![0_u32; wanted.len()], all);
    while left > 0 {
        let before = left;
        for (share, wanted) in shares.iter_mut().zip(wanted) {
            if left > 0 && (*share as usize) < *wanted {
                *share += 1;
                left -= 1;
            }
        }
        if left == before {
            break;
        }
    }
    shares
}

/// How many pieces of work of a part are to be begun.
fn wanted(part: Option<&Part>, gathered: &Result<Gathered, Trouble>) -> usize {
    let Ok(Gathered::Found { items, .. }) = gathered else { return 0 };
    let let_be = |part: &Part, key: &str| part.unfit.get(key).is_some_and(|tried| tried.tries >= MOST_TRIES);
    let is_over = |item: &&Item| part.is_some_and(|part| part.taken.contains_key(&item.key) || let_be(part, &item.key));
    items.len() - items.iter().filter(is_over).count()
}

impl Turn<'_> {
    fn take(&mut self, state: &mut WatchState, parts: Vec<(String, Result<Gathered, Trouble>)>) {
        let went_well = parts.iter().any(|(_, gathered)| gathered.is_ok());
        let mut everywhere: Option<Trouble> = None;
        let wanted: Vec<usize> = parts.iter().map(|(name, gathered)| wanted(state.parts.get(name), gathered)).collect();
        for ((name, gathered), share) in parts.into_iter().zip(shares(&wanted, self.watch.at_once)) {
            let part = state.parts.entry(name.clone()).or_default();
            self.share = share;
            let (had, left) = (share > 0, self.looked.left);
            match gathered {
                Ok(Gathered::Unchanged) => {
                    let odd = part.pace.problem.take().filter(|_| part.pace.failures == 0);
                    part.pace.went_well(odd);
                }
                Ok(Gathered::Found { items, etag, files, odd }) => {
                    (part.files, part.unread) = (files.seen, files.unread);
                    let is_new =
                        |item: &Item| !part.taken.contains_key(&item.key) && !part.unfit.contains_key(&item.key);
                    let lies = etag.is_some() && etag == part.etag && items.iter().any(is_new);
                    let lie = lies.then(|| format!("{name}: what it lists has changed, and its tag has not"));
                    let (whole, unfit) = self.begin_all(&name, part, items);
                    part.etag = etag.filter(|_| whole);
                    part.read = Some(self.now);
                    part.pace.went_well(unfit.or(lie).or(odd));
                    if whole && self.watch.source == WatchSource::Schedule {
                        state.until = Some(self.now);
                    }
                }
                Err(trouble) if trouble.everywhere && (trouble.wait.is_some() || !went_well) => {
                    // Of several the one that asks for the longest wait.
                    if everywhere.as_ref().is_none_or(|other| other.wait < trouble.wait) {
                        everywhere = Some(trouble);
                    }
                }
                Err(trouble) => {
                    self.looked.failed = true;
                    part.pace.failed(trouble.message, trouble.wait, self.watch.give_up, self.now);
                }
            }
            // Who got nothing because the others took all of it comes first the next time.
            if had || self.looked.left == left {
                part.looked = Some(self.now);
            }
        }
        let mut stuck = None;
        for Stumbled { part, key, what, why } in std::mem::take(&mut self.stumbled) {
            if !self.worked {
                stuck.get_or_insert(why);
                continue;
            }
            // Other work can be begun, so it is this one that cannot.
            let part = state.parts.entry(part).or_default();
            part.pace.problem.get_or_insert_with(|| format!("{what}: {why}"));
            let tries = part.unfit.get(&key).map_or(0, |tried| tried.tries).saturating_add(1);
            part.unfit.insert(key, Unfit { tries, why });
        }
        let failed = everywhere.map(|trouble| (trouble.message, trouble.wait));
        match failed.or_else(|| stuck.map(|why| (why, None))) {
            Some((message, wait)) => {
                self.looked.failed = true;
                state.pace.failed(message, wait, self.watch.give_up, self.now);
            }
            None => state.pace.went_well(None),
        }
    }

    /// Whether all of it is runs now, and what is wrong with the first that cannot be one.
    fn begin_all(&mut self, name: &str, part: &mut Part, items: Vec<Item>) -> (bool, Option<String>) {
        let (mut whole, mut unfit, mut stumbles, mut works) = (true, None, 0, false);
        let mut taken = BTreeMap::new();
        let mut before = std::mem::take(&mut part.unfit);
        for item in items {
            if let Some(run) = part.taken.remove(&item.key) {
                taken.insert(item.key, run);
                continue;
            }
            let tried = before.remove(&item.key);
            if let Some(tried) = tried.as_ref().filter(|tried| tried.tries >= MOST_TRIES) {
                let why = format!("{}: {}; it was tried {MOST_TRIES} times, and is let be", item.what, tried.why);
                unfit.get_or_insert(why);
                part.unfit.insert(item.key, tried.clone());
                continue;
            }
            if self.share == 0 || (stumbles >= MOST_STUMBLES && !works) {
                self.looked.left += 1;
                whole = false;
                part.unfit.extend(tried.map(|tried| (item.key, tried)));
                continue;
            }
            let begun = item
                .run(self.name)
                .map_err(|error| Error::Usage(error.to_string()))
                .and_then(|run| begin(self.registry, self.watch, &item, &run, self.dry).map(|begun| (run, begun)));
            match begun {
                Ok((_, Begun::Unfit(why))) => {
                    whole = false;
                    unfit.get_or_insert_with(|| format!("{}: {why}", item.what));
                    // Whoever changes it while it is looked at is seen by the next look, whatever the file's times say.
                    if let Some(name) = item.fields.get("file").and_then(|name| name.as_str()) {
                        part.files.remove(name);
                    }
                    let tries = tried.map_or(0, |tried| tried.tries).saturating_add(1);
                    part.unfit.insert(item.key, Unfit { tries, why });
                }
                Ok((run, begun)) => {
                    let new = matches!(begun, Begun::New);
                    self.share -= u32::from(new);
                    works |= new;
                    let (key, what) = (item.key.clone(), item.what);
                    self.looked.found.push(Found { key, what, run: run.clone(), new });
                    taken.insert(item.key, run);
                }
                Err(error) => {
                    whole = false;
                    stumbles += 1;
                    part.unfit.extend(tried.map(|tried| (item.key.clone(), tried)));
                    let (part, why) = (name.to_owned(), error.to_string());
                    self.stumbled.push(Stumbled { part, key: item.key, what: item.what, why });
                }
            }
        }
        part.taken = taken;
        self.worked |= works;
        (whole, unfit)
    }
}

#[cfg(test)]
mod tests {
    use super::shares;

    #[test]
    fn each_has_its_turn_and_what_one_does_not_need_is_the_others() {
        assert_eq!(shares(&[100, 1, 0, 3], 6), [3, 1, 0, 2]);
        assert_eq!(shares(&[100, 100, 100], 2), [1, 1, 0]);
        assert_eq!(shares(&[2, 1], 20), [2, 1]);
        assert_eq!(shares(&[], 20), [0_u32; 0]);
        assert_eq!(shares(&[5], 0), [0]);
    }
}
