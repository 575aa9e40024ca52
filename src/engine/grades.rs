//! `doctor --containers`: how the Engine is set up, and what every container of a registry is in effect.

use serde::Serialize;

use crate::container::{Engine, Facts, Graded, Promised, Summary};
use crate::registry::Registry;
use crate::registry::config::Containers;
use crate::run::id::RunId;

use super::docker::Docker;
use super::error::Error;
use super::inspect::{self, DiskEnforcement};
use super::store::Store;
use super::workspace;

/// What was found.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Grades {
    pub engine: Facts,
    /// What the registry's configuration names.
    pub runtime: Option<String>,
    /// Whether the Engine has it. If not, every start of an agent fails.
    pub runtime_present: bool,
    /// Whether the configuration lets containers start without the limits that the Engine does not enforce.
    pub lenient: bool,
    /// How the workspaces of new nodes are kept within their limits; absent without a registry.
    pub disk: Option<DiskEnforcement>,
    /// Every container of the registry, in any state.
    pub containers: Vec<Graded>,
    /// A container of the base image without any setting, beside them; absent while the kill switch is on, or without
    /// that image.
    pub plain: Option<Graded>,
}

impl Grades {
    /// Whether every container has all its settings, and starts can go on like this.
    #[must_use]
    pub fn are_full(&self) -> bool {
        self.runtime_present && self.containers.iter().all(|graded| graded.grade == 100)
    }
}

/// What the container was to be given; nothing where its run cannot be read.
fn promised_to(registry: &Registry, found: &Summary) -> Promised {
    let run = found.owner.as_ref().and_then(|owner| RunId::parse(&owner.run).ok());
    let state = run.and_then(|run| Store::open(registry, &run).and_then(|store| store.load()).ok());
    state.map(|state| inspect::promised_as(&state, &found.name)).unwrap_or_default()
}

/// Grades what there is of `registry`; without one, only the Engine is looked at.
///
/// # Errors
/// When the Engine cannot be asked.
pub fn grades(registry: Option<&Registry>) -> Result<Grades, Error> {
    let docker = Docker::default();
    let engine = docker.wait(Engine::facts)?;
    let Some(registry) = registry else {
        return Ok(Grades {
            engine,
            runtime: None,
            runtime_present: true,
            lenient: false,
            disk: None,
            containers: Vec::new(),
            plain: None,
        });
    };
    let config: &Containers = &registry.config()?.containers;
    let runtime = config.runtime.clone();
    let runtime_present = runtime.as_ref().is_none_or(|wanted| engine.runtimes.contains(wanted));
    let id = registry.id()?;
    let mut containers = Vec::new();
    for found in docker.wait(|engine| async move { engine.list(&id).await })? {
        // One that is gone by now has nothing to be graded.
        containers.extend(inspect::grade(registry, &docker, &found.name, &promised_to(registry, &found))?);
    }
    containers.sort_by(|a, b| (a.grade, &a.container).cmp(&(b.grade, &b.container)));
    let image = config.images.get(&config.image).unwrap_or(&config.image);
    let plain = match inspect::plain(registry, &docker, image) {
        Ok(plain) => plain,
        // `doctor` says without `--containers`, too, that the image is not there.
        Err(Error::Container(crate::container::Error::Engine { status: 404, .. })) => None,
        Err(error) => return Err(error),
    };
    let disk = Some(workspace::enforcement(registry)?);
    let lenient = config.allow_unenforced_limits;
    Ok(Grades { engine, runtime, runtime_present, lenient, disk, containers, plain })
}
