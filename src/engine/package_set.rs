//! The packages in force, as locks: what a grant brings by itself, and what all that stand make together. What a request
//! was resolved upon says only what was there at that time.

use crate::container::ImageRef;
use crate::image::{Lock, Recipe};
use crate::run::command::Command;
use crate::run::event::{Relocked, Resolution};
use crate::run::id::{Digest, RequestId};
use crate::run::state::{Request, State};

use super::actor::TICK;
use super::error::Error;
use super::store::Store;

fn parse(lock: &serde_json::Value) -> Result<Lock, Error> {
    serde_json::from_value(lock.clone()).map_err(Error::Json)
}

/// The lock of the image that a granted request stands for now.
pub(super) fn lock_of(request: &Request) -> Result<Lock, Error> {
    request.lock().map_or_else(|| Ok(Lock::default()), parse)
}

/// The lock that a request was resolved to.
pub(super) fn resolved(resolution: &Resolution) -> Result<Lock, Error> {
    parse(&resolution.lock)
}

/// The lock that a request was resolved upon; an empty one if it was the first.
pub(super) fn before(state: &State, resolution: &Resolution) -> Result<Lock, Error> {
    if let Some(before) = &resolution.before {
        return parse(before);
    }
    let upon = resolution.upon.as_ref().and_then(|id| state.request(id));
    upon.and_then(|request| request.resolution.as_ref()).map_or_else(|| Ok(Lock::default()), resolved)
}

/// What was resolved, as a recipe.
pub(super) fn recipe_of(resolution: &Resolution) -> Result<Recipe, Error> {
    with_lock(resolution, resolved(resolution)?)
}

/// A lock upon the base that something was resolved for.
pub(super) fn with_lock(resolution: &Resolution, lock: Lock) -> Result<Recipe, Error> {
    let layers = resolution.base_layers.iter().map(|layer| Digest::parse(layer)).collect::<Result<Vec<_>, _>>();
    let layers = layers.map_err(|error| Error::Usage(error.to_string()))?;
    Ok(Recipe::new(ImageRef::parse(&resolution.base).map_err(Error::ImageRef)?, layers, lock))
}

/// The recipe of this digest, if a request of the run stands for it.
pub(super) fn made(state: &State, recipe: &Digest) -> Result<Option<Recipe>, Error> {
    let of_it = state.requests.iter().find(|request| request.recipe() == Some(recipe));
    let resolution = of_it.and_then(|request| request.resolution.as_ref().map(|resolution| (request, resolution)));
    resolution.map(|(request, resolution)| with_lock(resolution, lock_of(request)?)).transpose()
}

/// Where a lock comes from whose packages are in a request's by now: none, where it is as it was resolved.
pub(super) fn changed(upon: &Request) -> Option<serde_json::Value> {
    let resolved = upon.resolution.as_ref().map(|resolution| &resolution.lock);
    upon.lock().filter(|lock| Some(*lock) != resolved).cloned()
}

/// What `request` needs by itself.
fn own(state: &State, resolution: &Resolution) -> Result<Lock, Error> {
    match &resolution.own {
        Some(own) => parse(own),
        None => Ok(resolved(resolution)?.minus(&before(state, resolution)?)),
    }
}

/// What all grants for `base` need that stand, together.
fn in_force(state: &State, base: &str) -> Result<Lock, Error> {
    let granted = state.approved.iter().filter_map(|id| state.request(id)).filter(|r| r.status.is_granted());
    let resolutions = granted.filter_map(|request| request.resolution.as_ref());
    resolutions.filter(|resolution| resolution.base == base).try_fold(Lock::default(), |all, resolution| {
        // One chain made them, in which nothing was changed that was there: they go together.
        all.plus(&own(state, resolution)?).map_err(Error::Image)
    })
}

/// Notes what is left of the set of `id`, of which something beneath it has ended.
///
/// # Errors
/// When a lock in the journal cannot be read, or the journal cannot be written.
pub(super) fn relock(store: &Store<'_>, state: &State, id: &RequestId) -> Result<(), Error> {
    let Some(request) = state.request(id) else { return Ok(()) };
    let Some(resolution) = &request.resolution else { return Ok(()) };
    let lock = in_force(state, &resolution.base)?;
    let without = [request.without(), state.ended_beneath(request)].concat();
    let relocked = Relocked {
        without,
        lock: serde_json::to_value(&lock).map_err(Error::Json)?,
        lock_digest: lock.digest(),
        recipe: with_lock(resolution, lock)?.identity(),
    };
    store.commit(TICK, Command::Relock { id: id.clone(), relocked: Box::new(relocked) }).map(drop)
}

/// What a set holds that was never shown, for a person: nothing, unless somebody changed the journal.
pub(super) fn more_than_shown(request: &Request) -> Result<Vec<String>, Error> {
    let (Some(resolution), Some(relocked)) = (&request.resolution, &request.relocked) else { return Ok(Vec::new()) };
    let more = parse(&relocked.lock)?.minus(&resolved(resolution)?);
    Ok(more.pins().map(|(name, version, _)| format!("{name} {version}")).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::engine::recorded;
    use crate::image::PipPin;
    use crate::run::id::RunId;

    fn lock(names: &[&str]) -> serde_json::Value {
        let pin = |name: &&str| PipPin {
            name: (*name).to_owned(),
            version: "1.0".to_owned(),
            sha256: Digest::of(name.as_bytes()),
            filename: format!("{name}-1.0-py3-none-any.whl"),
            url: None,
        };
        serde_json::to_value(Lock::new(names.iter().map(pin).collect(), Vec::new()).unwrap()).unwrap()
    }

    /// A request of the recorded run `capable` that was granted, as if it had been resolved to `all`.
    fn granted(all: &[&str]) -> Request {
        let (_folder, registry) = recorded::registry();
        let state = Store::open(&registry, &RunId::parse("capable").unwrap()).unwrap().load().unwrap();
        let mut request = state.requests.into_iter().find(|request| request.resolution.is_some()).unwrap();
        request.resolution.as_mut().unwrap().lock = lock(all);
        request
    }

    #[test]
    fn what_is_left_is_a_part_of_what_was_shown_or_it_is_said_what_is_more() {
        let mut request = granted(&["one", "two"]);
        assert_eq!(more_than_shown(&request).unwrap(), Vec::<String>::new());
        assert_eq!(changed(&request), None);
        let mut left = |names: &[&str]| {
            let recipe = Digest::of(b"recipe");
            let relocked = Relocked { without: Vec::new(), lock: lock(names), lock_digest: recipe.clone(), recipe };
            request.relocked = Some(Box::new(relocked));
            (more_than_shown(&request).unwrap(), changed(&request))
        };
        assert_eq!(left(&["two"]), (Vec::new(), Some(lock(&["two"]))));
        assert_eq!(left(&["two", "evil"]).0, ["pip:evil 1.0"]);
        assert_eq!(left(&["one", "two"]), (Vec::new(), None), "the same as before is no change");
    }
}
