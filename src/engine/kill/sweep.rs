//! Removing containers until none is left, from an Engine that may hang, refuse or lie about half of it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::container::{Error as EngineError, Patience, Summary, deployment_gate_name, gate_name};
use crate::engine::docker::Docker;
use crate::engine::error::Error;
use crate::engine::store::Store;
use crate::registry::{Registry, queries};

/// What a kill removes, over as many passes as it takes.
pub(super) struct Sweep<'a> {
    registry: &'a Registry,
    docker: Docker,
    patience: Patience,
    /// By name: a container is listed again while its removal, perhaps by another kill, goes on.
    removed: Vec<String>,
    /// By id: what the Engine did not remove, and why. Not tried again, so that the others are not held up.
    stuck: BTreeMap<String, (String, String)>,
    /// What keeps anyone from knowing whether all are gone.
    blind: Option<String>,
}

impl<'a> Sweep<'a> {
    pub(super) fn new(registry: &'a Registry) -> Self {
        let (removed, stuck) = (Vec::new(), BTreeMap::new());
        Self { registry, docker: Docker::default(), patience: Patience::default(), removed, stuck, blind: None }
    }

    /// One more sweep; whether the Engine has been seen without a container of the registry at its end.
    pub(super) fn until_none_is_left(&mut self) -> bool {
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

    /// What a start has brought last is given its time.
    pub(super) fn has_seen_a_start_end(&mut self) {
        self.patience.moved();
    }

    /// Whether there is any use in waiting for the Engine: it answers, and something has changed not long ago.
    pub(super) fn gets_on(&self) -> bool {
        self.blind.is_none() && !self.patience.is_over()
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

    /// What was removed, by name, and what is left, in sentences.
    pub(super) fn done(self) -> (Vec<String>, Vec<String>) {
        let stuck = self.stuck.into_values().map(|(name, problem)| format!("container {name}: {problem}"));
        (self.removed, stuck.chain(self.blind).collect())
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
