//! The images of a registry: what they are made of, from its files, and which of them the Engine has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::image::{self, Installed, OnEngine, Recipe};
use crate::registry::index::Ask;
use crate::registry::{Registry, queries};
use crate::run::deployment::Standing;
use crate::run::id::{Digest, RequestId, RunId};
use crate::run::state::{Request, State};

use super::deployments::{KEPT_AS, list_deployments};
use super::docker::Docker;
use super::error::Error;
use super::listing;
use super::store::Store;
use super::workspace;

/// One image, as the registry's files know it.
#[derive(Debug, Clone)]
pub struct Shelved {
    pub identity: Digest,
    pub recipe: Recipe,
    /// What it held when it was read back; none if it was not built here.
    pub installed: Option<Installed>,
    /// Where its files lie.
    pub folder: PathBuf,
    /// Why the last build failed, if it did.
    pub failure: Option<String>,
}

/// The images of a registry.
#[derive(Debug, Clone, Default)]
pub struct Shelf {
    /// By identity.
    pub images: Vec<Shelved>,
    /// Folders that cannot be read, each with the reason.
    pub unreadable: Vec<(String, String)>,
}

/// All images of `registry`, from its files alone.
///
/// # Errors
/// When the folder cannot be listed.
pub fn shelf(registry: &Registry) -> Result<Shelf, Error> {
    let folder = registry.layout().images();
    let mut shelf = Shelf::default();
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(shelf),
        Err(source) => return Err(Error::Io { action: "read", path: folder, source }),
    };
    for entry in entries {
        let entry = entry.map_err(|source| Error::Io { action: "read", path: folder.clone(), source })?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        match entry.path().join("recipe.json").try_exists() {
            Ok(true) => {}
            Ok(false) => continue,
            Err(error) => {
                shelf.unreadable.push((name, error.to_string()));
                continue;
            }
        }
        match shelved(entry.path()) {
            Ok(image) if image.identity.short() == name => shelf.images.push(image),
            Ok(image) => shelf.unreadable.push((name, format!("it holds the recipe of {}", image.identity.short()))),
            Err(error) => shelf.unreadable.push((name, error.to_string())),
        }
    }
    shelf.images.sort_by(|a, b| a.identity.cmp(&b.identity));
    shelf.unreadable.sort();
    Ok(shelf)
}

fn shelved(folder: PathBuf) -> Result<Shelved, Error> {
    let recipe = Recipe::read(&folder)?;
    let installed = Installed::read(&folder)?;
    let identity = recipe.identity();
    let failure = image::detached::failure(&folder)?.map(|failure| failure.reason);
    Ok(Shelved { identity, recipe, installed, folder, failure })
}

/// The image whose digest begins with `text`; `taskforge/agent:` may stand before it.
///
/// # Errors
/// [`Error::NoImage`], [`Error::Ambiguous`].
pub fn find_image(registry: &Registry, text: &str) -> Result<Shelved, Error> {
    let wanted = text.strip_prefix("taskforge/agent:").unwrap_or(text);
    let shelf = shelf(registry)?;
    let fits = |image: &Shelved| !wanted.is_empty() && image.identity.as_str().starts_with(wanted);
    let mut found: Vec<Shelved> = shelf.images.into_iter().filter(fits).collect();
    match found.len() {
        0 => Err(Error::NoImage(text.to_owned())),
        1 => Ok(found.remove(0)),
        _ => {
            let found = found.iter().map(|image| image.identity.short().to_owned()).collect();
            Err(Error::Ambiguous { text: text.to_owned(), found })
        }
    }
}

/// Which images the Engine has.
///
/// # Errors
/// When the Engine does not answer.
pub fn images_on_engine() -> Result<BTreeMap<Digest, OnEngine>, Error> {
    on_engine(&Docker::default())
}

fn on_engine(docker: &Docker) -> Result<BTreeMap<Digest, OnEngine>, Error> {
    let engine = docker.engine()?;
    docker.wait(|_| image::on_engine(engine.docker()))
}

/// Which runs were given which image: also those that it was taken from again, by a word or because its time was over.
///
/// # Errors
/// When the runs cannot be listed. One that cannot be read is passed over.
pub fn users_of_images(registry: &Registry) -> Result<BTreeMap<Digest, Vec<RunId>>, Error> {
    let mut users: BTreeMap<Digest, Vec<RunId>> = BTreeMap::new();
    for run in queries::list_runs(registry)? {
        let Ok(state) = Store::open(registry, &run).and_then(|store| store.load()) else { continue };
        for recipe in recipes_of(&state, |request| request.status.is_granted() || request.has_ended()) {
            users.entry(recipe).or_default().push(run.clone());
        }
    }
    Ok(users)
}

/// What a clearing up takes away, or would.
#[derive(Debug, Clone, Default)]
pub struct Cleared {
    /// Images, with the bytes that the Engine says they take.
    pub images: Vec<(Digest, u64)>,
    /// Images that a container still needs.
    pub in_use: Vec<Digest>,
    /// Images that have another name as well: without ours they would be there all the same, and nobody would know of
    /// what they were made.
    pub named: Vec<(Digest, Vec<String>)>,
    /// Fetched files, with their bytes.
    pub files: Vec<(String, u64)>,
    /// Runs that are gone, with the bytes of their workspaces' images.
    pub workspaces: Vec<(String, u64)>,
}

/// Takes away what no run that goes on needs: images of this registry's recipes, files that were fetched for them, and
/// images of workspaces whose run was removed.
/// With `dry`, only says what it would take away. Recipes, locks and bills stay: they say what was.
///
/// # Errors
/// When the Engine does not answer, or a run that goes on cannot be read: then nobody knows what it needs.
pub fn clear_images(registry: &Registry, dry: bool) -> Result<Cleared, Error> {
    // Nothing is done to the Engine while the kill switch is on.
    let _permit = crate::registry::StartPermit::acquire(registry, super::dispatch::START_PATIENCE)?;
    let shelf = shelf(registry)?;
    let mut needed = BTreeSet::new();
    for run in running(registry)? {
        needed.extend(recipes_of(&Store::open(registry, &run)?.load()?, |request| request.status.is_granted()));
    }
    let deployed = deployed(registry)?;
    let unneeded: Vec<&Shelved> = shelf.images.iter().filter(|image| !needed.contains(&image.identity)).collect();
    let mut cleared = Cleared::default();
    let docker = Docker::default();
    let there = on_engine(&docker)?;
    let engine = docker.engine()?;
    let own = format!("{KEPT_AS}:{}-", registry.id()?);
    for image in &unneeded {
        let Some(found) = there.get(&image.identity) else { continue };
        // Ours for a deployment that is over.
        let (stale, names): (Vec<&String>, Vec<&String>) = found.other_names.iter().partition(|name| {
            name.strip_prefix(&own).is_some_and(|id| deployed.values().flatten().all(|kept| kept.as_str() != id))
        });
        if !names.is_empty() || deployed.contains_key(&found.id) {
            let mut names: Vec<String> = names.into_iter().cloned().collect();
            let ids = deployed.get(&found.id).into_iter().flatten();
            names.extend(ids.map(|id| format!("{own}{id}")));
            names.sort();
            names.dedup();
            cleared.named.push((image.identity.clone(), names));
            continue;
        }
        for name in stale.into_iter().filter(|_| !dry) {
            docker.wait(|_| image::take_name(engine.docker(), name))?;
        }
        if dry || docker.wait(|_| image::remove_image(engine.docker(), &image.identity))? {
            cleared.images.push((image.identity.clone(), found.size));
        } else {
            cleared.in_use.push(image.identity.clone());
        }
    }
    let named = |image: &Shelved| cleared.named.iter().any(|(identity, _)| *identity == image.identity);
    let kept = shelf.images.iter().filter(|image| needed.contains(&image.identity) || named(image));
    let kept: BTreeSet<String> = kept.flat_map(|image| image::stored_names(image.recipe.lock())).collect();
    let packages = registry.layout().local().join("packages");
    for entry in std::fs::read_dir(&packages).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(facts) = entry.metadata() else { continue };
        if kept.contains(&name) || name.starts_with('.') || !facts.is_file() {
            continue;
        }
        if !dry {
            let path = entry.path();
            std::fs::remove_file(&path).map_err(|source| Error::Io { action: "remove", path, source })?;
        }
        cleared.files.push((name, facts.len()));
    }
    cleared.files.sort();
    cleared.workspaces = workspace::orphans(registry)?;
    if !dry {
        workspace::remove_orphans(registry, &cleared.workspaces)?;
    }
    Ok(cleared)
}

/// The runs that have not ended.
fn running(registry: &Registry) -> Result<Vec<RunId>, Error> {
    let mut running = Vec::new();
    for listed in listing::list(registry, Ask::Active)? {
        if listed.entry?.active {
            running.push(listed.run);
        }
    }
    Ok(running)
}

/// Which deployments pin which image, by its id.
fn deployed(registry: &Registry) -> Result<BTreeMap<String, Vec<RequestId>>, Error> {
    let (rows, unreadable) = list_deployments(registry, None)?;
    if let Some((run, why)) = unreadable.first() {
        return Err(Error::Usage(format!("run {run} cannot be read, and may need an image: {why}")));
    }
    let mut deployed: BTreeMap<String, Vec<RequestId>> = BTreeMap::new();
    for row in rows.into_iter().filter(|row| row.status != Standing::Revoked) {
        deployed.entry(row.image).or_default().push(row.id);
    }
    Ok(deployed)
}

/// The recipes of all requests of a run that count, and not only of what was approved last: what is waited for is a part
/// of it.
fn recipes_of(state: &State, counts: impl Fn(&Request) -> bool) -> BTreeSet<Digest> {
    let granted = state.requests.iter().filter(|request| counts(request));
    let resolved = |request: &Request| request.resolution.as_ref().map(|resolution| resolution.recipe.clone());
    granted.flat_map(|request| resolved(request).into_iter().chain(request.recipe().cloned())).collect()
}
