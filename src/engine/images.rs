//! From a request to an image, as far as a run is concerned: resolving, the detached build, and what is there. What
//! is built is the journal's lock and nothing else.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use crate::capability::{self, Review};
use crate::container::ImageRef;
use crate::failure::Kind;
use crate::image::{self, BuildOrder, Built, Installed, Limits, Lock, Recipe, ResolveOrder, Scope};
use crate::registry::config::{Config, ExtraCa};
use crate::registry::project::write_if_changed;
use crate::registry::{Registry, StartPermit};
use crate::run::capability::Capability;
use crate::run::command::Command;
use crate::run::event::Resolution;
use crate::run::id::{Digest, RequestId};
use crate::run::ruling::{Effect, Ruling};
use crate::run::state::{Request, RequestStatus, State};

use super::actor::TICK;
use super::binary;
use super::children;
use super::dispatch::START_PATIENCE;
use super::docker::Docker;
use super::error::Error;
use super::store::Store;
use super::{engines, given, package_set, rulings, standing};

/// The base image that a reference names now.
pub(crate) fn base(docker: &Docker, reference: &str) -> Result<crate::container::ImageFacts, Error> {
    let name = ImageRef::parse(reference).map_err(Error::ImageRef)?;
    docker.wait(|engine| engine.image_inspect(&name))?.ok_or_else(|| Error::NoBaseImage(reference.to_owned()))
}

/// The id of the image of `recipe`, if it is built.
pub(crate) fn built(docker: &Docker, recipe: &Digest) -> Result<Option<String>, Error> {
    let tag = ImageRef::parse(&format!("taskforge/agent:{}", recipe.short())).map_err(Error::ImageRef)?;
    let Some(found) = docker.wait(|engine| engine.image_inspect(&tag))? else { return Ok(None) };
    // Another recipe under the same twelve digits is not this one.
    let same = found.labels.get(image::LABEL).map(String::as_str) == Some(recipe.as_str());
    Ok(same.then_some(found.id))
}

/// Whether a process builds it at this moment: whether its lock is held.
pub(crate) fn is_building(registry: &Registry, recipe: &Digest) -> Result<bool, Error> {
    Ok(image::detached::builder(&registry.layout().image_lock(recipe))?.is_some())
}

/// When and why the last build of `recipe` failed.
pub(crate) fn failure(registry: &Registry, recipe: &Digest) -> Option<(DateTime<Utc>, String)> {
    let failure = image::detached::failure(&registry.layout().image(recipe)).ok()??;
    let at = DateTime::parse_from_rfc3339(&failure.at).ok()?.with_timezone(&Utc);
    Some((at, failure.reason))
}

/// That nothing can be started in the image of `recipe`, which was there once.
pub(crate) fn gone(registry: &Registry, recipe: &Digest) -> Error {
    let why = failure(registry, recipe).map_or_else(|| "it was taken away just now".to_owned(), |(_, why)| why);
    Error::ImageGone { recipe: recipe.clone(), why }
}

/// Resolves a request to the lock of the whole set, and makes the review that a person will be shown: what is to be said
/// of it as it stands in `state`; nothing of it is journaled.
pub(super) fn resolving(
    store: &Store<'_>,
    docker: &Docker,
    state: &State,
    request: &Request,
) -> Result<Command, Error> {
    let (registry, id) = (store.registry(), &request.id);
    if let Some(ruling) = children::beyond(registry, state, request)? {
        return Ok(given::forbidding(state, request, ruling));
    }
    // What is denied whatever its version is not looked up first.
    let ruling = rulings::on(registry, state, state.role_of(&request.node), &request.capability, &[]);
    if ruling.effect == Effect::Deny {
        return Ok(given::forbidding(state, request, ruling));
    }
    let Some(base) = base_of(state, request) else {
        let reason = "the node that asks has no container".to_owned();
        return Ok(Command::CannotResolve { id: id.clone(), reason });
    };
    let config = registry.config()?;
    let reference = ImageRef::parse(&base).map_err(Error::ImageRef)?;
    let members = match asked_of(config, request) {
        Ok(members) => members,
        Err(reason) => return Ok(Command::CannotResolve { id: id.clone(), reason }),
    };
    let granted = state.granted(&base);
    let approved = granted.map_or_else(|| Ok(Lock::default()), package_set::lock_of)?;
    let extra_ca = extra_ca(registry)?;
    let scope = Scope { registry: registry.id()?, run: store.run().to_string(), key: id.to_string() };
    let limits = limits(config);
    let order = ResolveOrder {
        base: &reference,
        approved: &approved,
        capability: &request.capability,
        members: &members,
        ca: extra_ca.as_deref(),
        pip_index: config.packages.pip_index.as_deref(),
        npm_registry: config.packages.npm_registry.as_deref(),
        node: &config.containers.openclaw.node,
        scope: &scope,
        limits: &limits,
    };
    let guard = permit(registry);
    let engine = docker.engine()?;
    engines::note(registry, docker)?;
    let layers = docker.wait(|_| image::base_layers(engine.docker(), &reference))?;
    let make = |lock| Recipe::new(reference.clone(), layers.clone(), lock);
    let standing = standing::lock_for(registry, state, request, make, &approved)?;
    let resolved = standing.map(|lock| {
        let own = lock.minus(&approved);
        Ok(image::Resolution::Lock { lock, own })
    });
    let resolved = resolved.unwrap_or_else(|| docker.wait(|_| image::resolve(engine.docker(), &order, &guard)));
    // A kill ends the resolving container, which looks like an answer of the tool in it, and is none.
    crate::registry::kill::refuse_if_killed(registry.layout())?;
    Ok(match resolved? {
        image::Resolution::Unresolvable(no) => Command::CannotResolve { id: id.clone(), reason: no.reason },
        image::Resolution::Lock { lock, own } => {
            let ruling = ruling_on(registry, state, request, &lock, &approved);
            if ruling.effect == Effect::Deny {
                return Ok(given::forbidding(state, request, ruling));
            }
            let recipe = Recipe::new(reference.clone(), layers.clone(), lock.clone());
            let mut resolution = Resolution {
                base,
                base_layers: layers.iter().map(ToString::to_string).collect(),
                lock: to_value(&lock)?,
                lock_digest: lock.digest(),
                members: members.iter().map(|member| lock.granted(member).unwrap_or_else(|| member.clone())).collect(),
                recipe: recipe.identity(),
                upon: granted.map(|granted| granted.id.clone()),
                own: if own == lock.minus(&approved) { None } else { Some(to_value(&own)?) },
                without: granted.map(Request::without).unwrap_or_default(),
                before: granted.and_then(package_set::changed),
                policy: Some(ruling),
                review: Digest::of(b""),
            };
            let review = review_of(state, request, &resolution)?;
            if let Some(rules) = &resolution.policy
                && let Some(standing) = standing::ruling(registry, state, request, rules, &review)?
            {
                resolution.policy = Some(standing);
            }
            resolution.review = review_of(state, request, &resolution)?.digest();
            Command::Resolve { id: id.clone(), resolution }
        }
    })
}

fn to_value(lock: &Lock) -> Result<serde_json::Value, Error> {
    serde_json::to_value(lock).map_err(Error::Json)
}

/// What the policies say of a request that was resolved to `lock`, upon `before`: of the package, and of all that comes
/// with it.
fn ruling_on(registry: &Registry, state: &State, request: &Request, lock: &Lock, before: &Lock) -> Ruling {
    let role = state.role_of(&request.node);
    let first = request.edited.as_ref().and_then(|edited| edited.list.first()).unwrap_or(&request.capability);
    rulings::of_a_list(request, rulings::on(registry, state, role, &exact(first, lock), &lock.beyond(before)))
}

/// What a request stands for, as far as it was resolved: itself with its version, and what comes with it.
pub(crate) fn stands_for(state: &State, request: &Request) -> Result<(Capability, Vec<Capability>), Error> {
    let Some(resolution) = &request.resolution else { return Ok((request.meant().clone(), Vec::new())) };
    let lock = package_set::resolved(resolution)?;
    let before = package_set::before(state, resolution)?;
    Ok((exact(request.meant(), &lock), lock.beyond(&before)))
}

/// Looks again at what the policies say of a request that waits. Whether what was shown of it still stands.
pub(crate) fn is_ruled_the_same(store: &Store<'_>, state: &State, id: &RequestId) -> Result<bool, Error> {
    let Some(request) = state.request(id).filter(|request| request.status == RequestStatus::Pending) else {
        return Ok(true);
    };
    let registry = store.registry();
    if request.review().is_none() {
        return Ok(true);
    }
    if let Some(ruling) = children::beyond(registry, state, request)? {
        given::forbid(store, state, request, ruling)?;
        return Ok(false);
    }
    let (capability, brings) = stands_for(state, request)?;
    let mut now =
        rulings::of_a_list(request, rulings::on(registry, state, state.role_of(&request.node), &capability, &brings));
    let review = match (&request.resolution, &request.presented) {
        (Some(resolution), _) => Some(review_of(state, request, resolution)?),
        (None, presented) => presented.as_ref().map(|presented| given::review_of(state, request, presented)),
    };
    if let Some(review) = review
        && let Some(standing) = standing::ruling(registry, state, request, &now, &review)?
    {
        now = standing;
    }
    if !rulings::differs(request.ruling(), &now) && given::is_still_there(store, state, request)? {
        return Ok(true);
    }
    if now.effect == Effect::Deny {
        given::forbid(store, state, request, now)?;
    } else if let Some(resolution) = &request.resolution {
        let mut resolution = Resolution { policy: Some(now), ..resolution.clone() };
        resolution.review = review_of(state, request, &resolution)?.digest();
        store.commit(TICK, Command::Resolve { id: id.clone(), resolution })?;
    } else {
        given::present(store, request)?;
    }
    Ok(false)
}

/// What a person is shown of a request: made from the journal alone, so that it can be shown again years later.
pub(crate) fn review_of(state: &State, request: &Request, resolution: &Resolution) -> Result<Review, Error> {
    let upon = resolution.upon.as_ref().and_then(|id| state.request(id)).and_then(|r| r.resolution.as_ref());
    let before = upon.map(|upon| package_set::with_lock(upon, package_set::before(state, resolution)?)).transpose()?;
    let by = super::actor::asker(request);
    let asked = capability::Request {
        id: request.id.clone(),
        run: state.run.clone(),
        node: request.node.clone(),
        attempt: request.attempt,
        capability: request.capability.clone(),
    };
    let (view, granted) = (rulings::view(resolution.policy.as_ref()), granted_before(state, resolution));
    let recipe = package_set::recipe_of(resolution)?;
    let (edited, why) = (request.edited.as_ref().map(given::shown_list), request.reason.clone());
    let mut review = Review::of_packages(asked, by, why, view, &granted, &recipe, before.as_ref(), edited);
    if request.edited.is_none() {
        review.effect = capability::effect_of_tool(&request.capability, &resolution.members);
    }
    Ok(review)
}

/// The packages that a tool stands for by the settings; none for what is a package itself.
///
/// # Errors
/// Why there is no such tool.
fn members_of(config: &Config, capability: &Capability) -> Result<Vec<Capability>, String> {
    let Capability::Tool(name) = capability else { return Ok(Vec::new()) };
    let Some(tool) = config.tools.get(name.as_str()) else {
        let names: Vec<&str> = config.tools.keys().map(String::as_str).collect();
        return Err(match names.is_empty() {
            true => "taskforge.toml defines no tools: `[tools.NAME]` does".to_owned(),
            false => format!("taskforge.toml defines no tool `{name}`; there are: {}", names.join(", ")),
        });
    };
    tool.packages().map_err(|(package, why)| format!("{package:?} of tool `{name}`: {why}"))
}

/// What had been granted when a request was resolved: the chain of grants that it builds upon, with exact versions.
fn granted_before(state: &State, resolution: &Resolution) -> Vec<Capability> {
    let mut granted = Vec::new();
    for request in state.beneath(resolution).into_iter().filter(|other| !resolution.without.contains(&other.id)) {
        let Some(earlier) = &request.resolution else { break };
        let lock: Lock = serde_json::from_value(earlier.lock.clone()).unwrap_or_default();
        granted.extend(meant(request).iter().map(|one| exact(one, &lock)));
    }
    granted
}

/// `capability` with the version that the lock gives it, if it does.
fn exact(capability: &Capability, lock: &Lock) -> Capability {
    lock.granted(capability).unwrap_or_else(|| capability.clone())
}

/// What is granted, with the versions that the lock gives it: the answer that an agent reads.
pub(crate) fn granted_names(request: &Request) -> Vec<String> {
    match request.resolution.as_ref().and_then(|resolution| serde_json::from_value(resolution.lock.clone()).ok()) {
        Some(lock) => meant(request).iter().map(|one| exact(one, &lock).to_string()).collect(),
        None => vec![request.meant().to_string()],
    }
}

/// What was asked for, or what a person made of it.
fn meant(request: &Request) -> &[Capability] {
    match &request.edited {
        Some(edited) => &edited.list,
        None => std::slice::from_ref(&request.capability),
    }
}

/// The packages that a request stands for, where it is not one itself.
pub(crate) fn asked_of(config: &Config, request: &Request) -> Result<Vec<Capability>, String> {
    match &request.edited {
        Some(edited) => Ok(edited.list.clone()),
        None => members_of(config, &request.capability),
    }
}

fn base_of(state: &State, request: &Request) -> Option<String> {
    state.node(&request.node)?.0.container.as_ref().map(|container| container.image.clone())
}

/// Starts the detached build of an approved set. The child takes the image's lock; whoever comes second leaves.
pub(crate) fn build(store: &Store<'_>, state: &State, recipe: &Digest) -> Result<(), Error> {
    let Some(made) = package_set::made(state, recipe)? else { return Ok(()) };
    let registry = store.registry();
    let folder = registry.layout().image(recipe);
    std::fs::create_dir_all(&folder).map_err(|source| Error::Io { action: "create", path: folder.clone(), source })?;
    image::detached::clear_failure(&folder)?;
    if made.identity() != *recipe {
        store.commit(TICK, Command::Building { recipe: recipe.clone() })?;
        let why = Error::RecipeTemplate { recipe: recipe.clone() }.to_string();
        image::detached::record_failure(&folder, recipe, &why)?;
        return Ok(());
    }
    let order = folder.join("recipe.json");
    write_if_changed(&order, &made.to_bytes())?;
    // Nothing is spawned between a kill's look at builders and its end: the child looks at the switch itself.
    let _permit = StartPermit::acquire(registry, START_PATIENCE)?;
    let program = binary::of(registry, state)?;
    let args: Vec<std::ffi::OsString> = vec![
        "--registry".into(),
        registry.root().into(),
        "image".into(),
        "build".into(),
        "--recipe".into(),
        recipe.as_str().into(),
        "--run".into(),
        store.run().as_str().into(),
    ];
    store.commit(TICK, Command::Building { recipe: recipe.clone() })?;
    let mut child = image::detached::spawn(&program, &args, &registry.layout().local().join("build.out"))?;
    // Until the child has its lock, a second look would start a second child: wait for the lock, or for the child's
    // quick end, but not for the build.
    let begun = std::time::Instant::now();
    while begun.elapsed() < std::time::Duration::from_secs(5) {
        if is_building(registry, recipe)? || failure(registry, recipe).is_some() {
            break;
        }
        let ended =
            child.try_wait().map_err(|source| Error::Io { action: "wait for", path: program.clone(), source })?;
        if let Some(code) = ended.map(|ended| ended.code()) {
            // Nothing is on record of one that did not come as far as its lock, and it would be started for ever.
            if code.is_some_and(|code| !PASSING.contains(&code)) && failure(registry, recipe).is_none() {
                let why = "the builder ended before it began; .taskforge/build.out says why";
                image::detached::record_failure(&folder, recipe, why)?;
            }
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    Ok(())
}

/// What a builder ends with that failed at nothing: it is done, another builds, the Engine is gone, the kill switch is on.
const PASSING: [i32; 4] =
    [0, Kind::Locked.exit_code() as i32, Kind::Unavailable.exit_code() as i32, Kind::Killed.exit_code() as i32];

/// Journals that the installation of an image tried to reach a network, where it did or where nobody could see.
pub(crate) fn tell_of_attempts(store: &Store<'_>, recipe: &Digest) -> Result<(), Error> {
    // What cannot be read holds up no run: it is a report, of what was prevented.
    let installed = Installed::read(&store.registry().layout().image(recipe)).ok().flatten();
    let Some(message) = installed.and_then(|installed| attempts_of(&installed)) else { return Ok(()) };
    store.commit(TICK, Command::Progress { inbox: None, node: None, message }).map(drop)
}

/// What a run is told of what its image's installation tried.
fn attempts_of(installed: &Installed) -> Option<String> {
    let short = installed.recipe.short();
    let said = match (installed.network_attempts, installed.network_unseen) {
        (None, false) => return None,
        (Some(attempts), false) => {
            format!(
                "Installing the packages of image {short} tried {attempts} times to reach a network, and was refused"
            )
        }
        (Some(attempts), true) => format!(
            "Installing the packages of image {short} tried at least {attempts} times to reach a network, and was refused; a part of it could not be looked at"
        ),
        (None, true) => format!(
            "Whether installing the packages of image {short} tried to reach a network, which it had none of, could not be looked at"
        ),
    };
    Some(format!("{said}: see images/{short}/build.log"))
}

/// Takes the image of an approved set into use. What it was made from lies in this registry from then on, also where
/// another registry had it built.
pub(crate) fn take(store: &Store<'_>, state: &State, recipe: &Digest, image: String) -> Result<(), Error> {
    if let Some(made) = package_set::made(state, recipe)? {
        let folder = store.registry().layout().image(recipe);
        std::fs::create_dir_all(&folder).map_err(|source| Error::Io {
            action: "create",
            path: folder.clone(),
            source,
        })?;
        write_if_changed(&folder.join("recipe.json"), &made.to_bytes())?;
        write_if_changed(&folder.join("Dockerfile"), made.dockerfile().as_bytes())?;
        write_if_changed(&folder.join("packages.lock"), &made.lock().to_bytes())?;
    }
    tell_of_attempts(store, recipe)?;
    store.commit(TICK, Command::ImageReady { recipe: recipe.clone(), image })?;
    Ok(())
}

/// The body of a detached build: builds under the lock, then ticks the run that asked.
///
/// # Errors
/// When the recipe is not there or the build fails; the failure is recorded for the run to find.
pub fn run_build(registry: &Registry, recipe: &Digest, run: &str) -> Result<Built, Error> {
    let folder = registry.layout().image(recipe);
    let path = folder.join("recipe.json");
    let bytes = std::fs::read(&path).map_err(|source| Error::Io { action: "read", path: path.clone(), source })?;
    let made = Recipe::parse(&bytes)?;
    if made.identity() != *recipe {
        return Err(Error::RecipeTemplate { recipe: recipe.clone() });
    }
    build_of(registry, &made, run)
}

/// Builds `made`, which no run asked for.
pub(crate) fn build_here(registry: &Registry, made: &Recipe) -> Result<Built, Error> {
    build_of(registry, made, "image")
}

fn build_of(registry: &Registry, made: &Recipe, run: &str) -> Result<Built, Error> {
    let folder = registry.layout().image(&made.identity());
    with_order(registry, made, &folder, run, |docker, order, guard| {
        let engine = docker.engine()?;
        // A large commit takes longer than the usual answer may.
        let patient = engine.patient();
        docker.wait(|_| image::run_build(&patient, order, &guard))
    })
}

/// Reads the files of an image that is there for what it holds, without running anything of it, and keeps that and the bills of
/// materials in its folder.
///
/// # Errors
/// When the Engine does not have it, or a container for the stream of its files cannot be made.
pub fn read_image_back(registry: &Registry, made: &Recipe) -> Result<Installed, Error> {
    let folder = registry.layout().image(&made.identity());
    with_order(registry, made, &folder, "image", |docker, order, guard| {
        let engine = docker.engine()?;
        docker.wait(|_| image::read_installed(engine.docker(), order, &guard))
    })
}

/// Asks, each time before a container of a build is started, whether it may be.
pub(super) fn permit(registry: &Registry) -> impl Fn() -> Result<StartPermit, image::Refusal> {
    move || StartPermit::acquire(registry, START_PATIENCE).map_err(|error| Box::new(error) as image::Refusal)
}

/// Does `work` with all that a build of `made` needs.
fn with_order<T>(
    registry: &Registry,
    made: &Recipe,
    folder: &Path,
    run: &str,
    work: impl FnOnce(&Docker, &BuildOrder<'_>, &dyn Fn() -> Result<StartPermit, image::Refusal>) -> Result<T, Error>,
) -> Result<T, Error> {
    let config = registry.config()?;
    let extra_ca = extra_ca(registry)?;
    let identity = made.identity();
    let scope = Scope { registry: registry.id()?, run: run.to_owned(), key: identity.to_string() };
    let limits = limits(config);
    let packages = registry.layout().local().join("packages");
    let lock_file = registry.layout().image_lock(&identity);
    let order = BuildOrder {
        recipe: made,
        folder,
        packages: &packages,
        lock_file: &lock_file,
        ca: extra_ca.as_deref(),
        pip_index: config.packages.pip_index.as_deref(),
        scope: &scope,
        limits: &limits,
    };
    let guard = permit(registry);
    let docker = Docker::default();
    engines::note(registry, &docker)?;
    work(&docker, &order, &guard)
}

/// Ends build processes: those that hold an image's lock.
pub(crate) fn end_builds(registry: &Registry) {
    builders(registry).into_iter().for_each(end_builder);
}

/// The processes that hold an image's lock. The lock is held, so that the id is that of a living builder and of nobody
/// else.
pub(crate) fn builders(registry: &Registry) -> Vec<u32> {
    let entries = std::fs::read_dir(registry.layout().locks()).into_iter().flatten().flatten();
    let locks = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("image-"));
    locks.filter_map(|entry| image::detached::builder(&entry.path()).ok().flatten()).collect()
}

/// Ends process `pid` if it is a builder. Between taking the lock and writing its id, a new builder's lock file names the
/// one before it, whose id may be anybody's by now; that new one meets the kill file by itself.
fn end_builder(pid: u32) {
    use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
    let Some(raw) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
    // Held from before the look, so that what is looked at is what is ended.
    let Ok(process) = pidfd_open(raw, PidfdFlags::empty()) else { return };
    let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let marks: &[u8] = b"\0image\0build\0--recipe\0";
    if arguments.windows(marks.len()).any(|part| part == marks) {
        let _ = pidfd_send_signal(&process, Signal::KILL);
    }
}

pub(super) fn limits(config: &Config) -> Limits {
    let packages = &config.packages;
    Limits {
        wall: packages.build_timeout,
        memory: packages.build_memory,
        disk: packages.build_disk,
        ..Limits::default()
    }
}

/// The certificates for resolving and fetching, if this host has any of its own.
pub(super) fn extra_ca(registry: &Registry) -> Result<Option<PathBuf>, Error> {
    let setting = match &registry.config()?.packages.extra_ca {
        ExtraCa::Auto => image::ca::ExtraCa::Auto,
        ExtraCa::None => image::ca::ExtraCa::None,
        ExtraCa::File(path) => image::ca::ExtraCa::File(path.clone()),
    };
    let Some(bundle) = image::ca::bundle(&setting)? else { return Ok(None) };
    let path = registry.layout().bin().join("ca-bundle.pem");
    write_if_changed(&path, &bundle)?;
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&path, readable).map_err(|source| Error::Io {
        action: "set the mode of",
        path: path.clone(),
        source,
    })?;
    Ok(Some(path))
}

/// The certificates that the gate trusts: the host's, with its own if it has any.
pub(crate) fn ca_bundle(registry: &Registry) -> Result<Option<PathBuf>, Error> {
    if let Some(path) = extra_ca(registry)? {
        return Ok(Some(path));
    }
    let places = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
    Ok(places.into_iter().map(PathBuf::from).find(|path| path.is_file()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_run_is_told_of_attempts_and_of_those_that_nobody_could_see() {
        let recipe = Digest::of(b"recipe");
        let said = |more: &str| {
            let text = format!(r#"{{"format":1,"recipe":"{recipe}","at":"","apt":{{}},"pip":{{}}{more}}}"#);
            attempts_of(&serde_json::from_str(&text).unwrap())
        };
        assert_eq!(said(""), None, "it was looked at, and there were none");
        let log = format!(": see images/{}/build.log", recipe.short());
        for (more, part) in [
            (r#","networkAttempts":3"#, "tried 3 times to reach a network, and was refused"),
            (r#","networkUnseen":true"#, "tried to reach a network, which it had none of, could not be looked at"),
            (r#","networkAttempts":3,"networkUnseen":true"#, "tried at least 3 times to reach a network"),
        ] {
            let line = said(more).unwrap();
            assert!(line.contains(part) && line.ends_with(&log) && line.contains(recipe.short()), "{line}");
        }
    }
}
