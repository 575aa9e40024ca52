//! Removing containers until none is left, from an Engine that may hang, refuse or lie about half of it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::container::{Error as EngineError, Patience, Summary, deployment_gate_name, gate_name};
use crate::engine::docker::Docker;
use crate::engine::engines::{self, Known};
use crate::engine::error::Error;
use crate::engine::store::Store;
use crate::registry::{Registry, queries};

/// What a kill removes from all Engines on which something of the registry may live.
pub(super) struct Sweep<'a> {
    each: Vec<OfEngine<'a>>,
    /// Why it is not known which Engines those are.
    blind: Option<String>,
}

impl<'a> Sweep<'a> {
    pub(super) fn new(registry: &'a Registry) -> Self {
        let own = OfEngine::new(registry, Docker::default(), None);
        let (others, blind) = match engines::others(registry, &own.docker) {
            Ok(others) => (others, None),
            Err(why) => (Vec::new(), Some(why)),
        };
        let others =
            others.into_iter().map(|known| OfEngine::new(registry, Docker::at(known.socket.clone()), Some(known)));
        Self { each: std::iter::once(own).chain(others).collect(), blind }
    }

    /// One more sweep; whether each Engine has been seen without a container of the registry at its end. One that hangs holds up
    /// none of the others.
    pub(super) fn until_none_is_left(&mut self) -> bool {
        let clean = match self.each.as_mut_slice() {
            [one] => one.until_none_is_left(),
            several => std::thread::scope(|scope| {
                let each: Vec<_> =
                    several.iter_mut().map(|one| scope.spawn(move || one.until_none_is_left())).collect();
                let ends: Vec<bool> = each.into_iter().map(|one| one.join().unwrap_or(false)).collect();
                ends.into_iter().all(|clean| clean)
            }),
        };
        clean && self.blind.is_none()
    }

    /// What a start has brought last is given its time.
    pub(super) fn has_seen_a_start_end(&mut self) {
        self.each.iter_mut().for_each(|one| one.patience.moved());
    }

    /// Whether there is any use in waiting for one of the Engines: it answers, and something has changed not long ago.
    pub(super) fn gets_on(&self) -> bool {
        self.each.iter().any(|one| one.blind.is_none() && !one.patience.is_over())
    }

    /// What was removed, by name, and what is left, in sentences.
    pub(super) fn done(self) -> (Vec<String>, Vec<String>) {
        let (mut removed, mut left): (Vec<_>, Vec<_>) = (Vec::new(), self.blind.into_iter().collect());
        for one in self.each {
            let stuck = one.stuck.into_values().map(|(name, problem)| format!("container {name}: {problem}"));
            let stuck = stuck.chain(one.blind.map(|blind| match &one.known {
                Some(known) => format!("{}: {blind}", known.unreachable(one.registry)),
                None => blind,
            }));
            left.extend(stuck);
            removed.extend(one.removed);
        }
        (removed, left)
    }
}

/// What it removes from one Engine, over as many passes as it takes.
struct OfEngine<'a> {
    registry: &'a Registry,
    docker: Docker,
    /// As what it was noted, if it is not the Engine that this process looks for.
    known: Option<Known>,
    patience: Patience,
    /// By name: a container is listed again while its removal, perhaps by another kill, goes on.
    removed: Vec<String>,
    /// By id: what the Engine did not remove, and why. Not tried again, so that the others are not held up.
    stuck: BTreeMap<String, (String, String)>,
    /// What keeps anyone from knowing whether all are gone.
    blind: Option<String>,
}

impl<'a> OfEngine<'a> {
    fn new(registry: &'a Registry, docker: Docker, known: Option<Known>) -> Self {
        let (removed, stuck) = (Vec::new(), BTreeMap::new());
        Self { registry, docker, known, patience: Patience::default(), removed, stuck, blind: None }
    }

    /// One more sweep; whether the Engine has been seen without a container of the registry at its end.
    fn until_none_is_left(&mut self) -> bool {
        if self.patience.is_silent() {
            // It was asked a moment ago, and said nothing to that.
            return false;
        }
        self.blind = None;
        loop {
            match self.pass() {
                Ok(true) => return self.stuck.is_empty(),
                Ok(false) if self.patience.is_over() => break,
                Ok(false) => std::thread::sleep(Duration::from_millis(2)),
                Err(error) => {
                    // Without a list, those that the journals name can be ended all the same.
                    let late = matches!(error, Error::Container(EngineError::Timeout { .. }));
                    if self.by_name() && late && !self.patience.is_over() {
                        continue;
                    }
                    self.blind = Some(error.to_string());
                    return false;
                }
            }
        }
        self.blind = Some("the Engine does not get on with removing containers, or more keep appearing".to_owned());
        false
    }

    /// Removes what there is; whether there was nothing.
    fn pass(&mut self) -> Result<bool, Error> {
        let id = self.registry.id()?;
        let stuck: Vec<String> = self.stuck.keys().cloned().collect();
        let patience = &mut self.patience;
        let swept = self.docker.wait(|engine| async move { engine.kill_all_but(&id, &stuck, patience).await })?;
        let none = swept.removed.is_empty() && swept.failed.is_empty();
        for Summary { name, .. } in swept.removed {
            self.note(name);
        }
        for (Summary { id, name, .. }, problem) in swept.failed {
            self.stuck.insert(id, (name, problem.to_string()));
        }
        Ok(none)
    }

    /// Whether that has ended anything that was not ended before.
    fn by_name(&mut self) -> bool {
        let names = names(self.registry);
        let patience = &mut self.patience;
        let ended = self.docker.wait(|engine| {
            let names = &names;
            async move { Ok::<_, Error>(engine.kill_named(names, patience).await) }
        });
        let before = self.removed.len();
        for name in ended.unwrap_or_default() {
            self.note(name);
        }
        self.removed.len() > before
    }

    fn note(&mut self, name: String) {
        if !self.removed.contains(&name) {
            self.patience.moved();
            self.removed.push(name);
        }
    }
}

/// The containers that the journals name as living, gates included.
fn names(registry: &Registry) -> Vec<String> {
    let (Ok(id), Ok(runs)) = (registry.id(), queries::list_runs(registry)) else { return Vec::new() };
    let mut names = Vec::new();
    for run in runs {
        let Ok(state) = Store::open(registry, &run).and_then(|store| store.peek()) else { continue };
        names.extend(state.live_attempts().map(|(_, attempt)| attempt.plan.container.clone()));
        for deployment in &state.deployments {
            names.extend(deployment.live.as_ref().map(|live| live.launch.container.clone()));
            names.push(deployment_gate_name(&id, &run, &deployment.id));
        }
        if state.may_have_containers() {
            names.push(gate_name(&id, &run));
        }
    }
    names
}
