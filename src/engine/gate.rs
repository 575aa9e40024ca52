//! The run's gate, from the host's side: its folders, its policy, its container, and whether it has taken note.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::container::{self, Engine, GateContainer, GateImage, Network, ROOTLESS, Remap, gate_name};
use crate::gate::records::{self, Kind, Record};
use crate::gate::{Policy, SPENT, Status};
use crate::registry::config::GateNetwork;
use crate::registry::{StartPermit, kill};
use crate::run::capability::Capability;
use crate::run::command::Command;
use crate::run::event::TrafficHead;
use crate::run::id::{NodeId, RunId};
use crate::run::state::State;

use super::actor::TICK;
use super::dispatch::{START_PATIENCE, make_folder};
use super::docker::Docker;
use super::error::Error;
use super::store::Store;
use super::{agents, binary, engines, policy, reachable, secrets};

/// How long a gate may take to start, or to read a policy.
const PATIENCE: Duration = Duration::from_secs(15);
/// How many days' counts are kept, for whoever wants to look.
const KEPT_DAYS: i64 = 30;

pub(crate) fn prepare_folders(store: &Store<'_>, state: &State) -> Result<(), Error> {
    let layout = store.layout();
    let users = binary::users(state)?;
    let gate = (users.gate_uid, users.gate_gid);
    let folder = layout.gate();
    make_folder(&folder, 0o700, Some(gate))?;
    for name in ["inbox", "sockets", "bodies", "replay", "memory"] {
        make_folder(&folder.join(name), 0o755, Some(gate))?;
    }
    copy_transcripts(store)
}

/// The folder of the days' counts, without those of days long gone. Gates may have a user each; who else is on this
/// machine does not get into the folder around it.
pub(crate) fn prepare_ledger(folder: &Path) -> Result<(), Error> {
    make_folder(folder, 0o777, None)?;
    let io = |source| Error::Io { action: "clean", path: folder.to_owned(), source };
    let oldest = (chrono::Utc::now() - chrono::Duration::days(KEPT_DAYS)).date_naive();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        let day = entry.file_name().to_str().and_then(|name| name.parse::<chrono::NaiveDate>().ok());
        if day.is_some_and(|day| day < oldest) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    Ok(())
}

/// A replay provider's transcript goes to where the gate can read it.
fn copy_transcripts(store: &Store<'_>) -> Result<(), Error> {
    for (name, provider) in &store.registry().config()?.llm.providers {
        let Some(transcript) = &provider.transcript else { continue };
        let source = store.registry().root().join(transcript);
        let target = store.layout().gate().join("replay").join(format!("{name}.jsonl"));
        let bytes = match std::fs::read(&source) {
            Ok(bytes) => bytes,
            // A provider that nobody uses does not hold up a run; one that is used says so itself.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(source_error) => return Err(Error::Io { action: "read", path: source, source: source_error }),
        };
        crate::registry::project::write_if_changed(&target, &bytes)?;
    }
    Ok(())
}

/// Writes the policy for the state, if it is not there already.
pub(crate) fn publish(store: &Store<'_>, state: &State) -> Result<u64, Error> {
    let policy = policy::build(store, state)?;
    agents::publish_memory(store, state)?;
    let folder = store.layout().gate();
    let on_disk = Policy::read(&folder).ok();
    if on_disk.as_ref() != Some(&policy) {
        // The secrets first: a gate reads both when it finds another policy. One that starts later gets them then.
        let other_keys =
            |old: Policy| old.secrets != policy.secrets || reachable::of_policy(&old) != reachable::of_policy(&policy);
        if on_disk.is_some_and(other_keys) {
            secrets::publish(store, state, &policy)?;
        }
        policy.write(&folder)?;
    }
    Ok(policy.generation)
}

/// The gate is up and has the policy that stands on disk.
pub(crate) fn ensure(store: &Store<'_>, docker: &Docker, state: &State, permit: &StartPermit) -> Result<(), Error> {
    let (folder, name) = (store.layout().gate(), gate_name(&state.created.registry, store.run()));
    ensure_at(store, docker, state, &Place { folder, name, strict: false }, permit, || spec(store, docker, state))
}

/// A gate's folder and its container's name: a run's own, or a deployment's.
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    pub(crate) name: String,
    /// What it says is wrong is the answer: it is not waited for to go away.
    pub(crate) strict: bool,
}

/// [`ensure`] of the gate at `place`, which is made by `spec`.
pub(crate) fn ensure_at(
    store: &Store<'_>,
    docker: &Docker,
    state: &State,
    place: &Place,
    permit: &StartPermit,
    spec: impl FnOnce() -> Result<container::ContainerSpec, Error>,
) -> Result<(), Error> {
    engines::note(store.registry(), docker)?;
    let Place { folder, name, strict } = place;
    let name = name.clone();
    let wanted = Policy::read(folder)?.generation;
    let in_force = |status: &Status| status.generation >= wanted;
    // A status left behind by an earlier gate proves nothing: the container has to be running too.
    let running = match docker.wait(|engine| engine.inspect(&name))? {
        Some(seen) => match seen.state {
            container::State::Running => true,
            container::State::Created { .. } => false,
            container::State::Exited { .. } | container::State::Removing => {
                docker.wait(|engine| engine.remove(&name))?;
                false
            }
        },
        None => false,
    };
    if !running {
        // Its status is from another life.
        let _ = std::fs::remove_file(folder.join("status.json"));
        let spec = spec()?;
        keep_terms(store, docker, state)?;
        let started = docker.wait(|engine| engine.ensure_started(&spec, permit));
        started.map_err(|error| other_users(docker, state).unwrap_or(error))?;
        prove_users(docker, state, &name)?;
    }
    let begun = Instant::now();
    loop {
        // A kill removes the gate that is waited for here, and waits for our permit.
        kill::refuse_if_killed(store.registry().layout())?;
        let status = Status::read(folder)?;
        match status.as_ref().and_then(|status| status.error.clone()).filter(|_| *strict) {
            Some(log) => return Err(Error::GateSilent { name, log }),
            None if status.as_ref().is_some_and(in_force) => return Ok(()),
            None => {}
        }
        if begun.elapsed() > PATIENCE {
            return Err(Error::GateSilent { log: gate_log(docker, &name), name });
        }
        if begun.elapsed() > Duration::from_secs(1)
            && !docker
                .wait(|engine| engine.inspect(&name))?
                .is_some_and(|seen| matches!(seen.state, container::State::Running | container::State::Created { .. }))
        {
            return Err(Error::GateSilent { log: gate_log(docker, &name), name });
        }
        std::thread::sleep(Duration::from_micros(500));
    }
}

/// Where the Engine is not the ordinary one, nothing is started on other terms than `run start` would take: the setting
/// may have been taken back since, or the Engine set up anew.
fn keep_terms(store: &Store<'_>, docker: &Docker, state: &State) -> Result<(), Error> {
    let wanted = binary::users(state)?.root;
    if wanted.is_none() {
        return Ok(());
    }
    let terms = docker.wait(Engine::terms)?;
    if let Some(other) = other_mapping(wanted, terms.remap) {
        return Err(other);
    }
    if !store.registry().config()?.containers.allow_unenforced_limits {
        terms.hold()?;
    }
    Ok(())
}

/// Why nothing may have been started, or made ready for it: the Engine maps users in another way than when the run began.
pub(crate) fn other_users(docker: &Docker, state: &State) -> Option<Error> {
    let wanted = binary::users(state).ok()?.root;
    other_mapping(wanted, docker.wait(Engine::remap).ok()?)
}

fn other_mapping(wanted: Option<(u32, u32)>, now: Option<Remap>) -> Option<Error> {
    if now.map(|remap| (remap.uid, remap.gid)) == wanted {
        return None;
    }
    let of_rootless = "0 of a rootless Engine";
    let found = match now {
        None => "0 0".to_owned(),
        Some(remap) if (remap.uid, remap.gid) == ROOTLESS => of_rootless.to_owned(),
        Some(remap) => format!("0 {} {}", remap.uid, remap.size),
    };
    let wanted = match wanted {
        Some(ROOTLESS) => of_rootless.to_owned(),
        wanted => wanted.unwrap_or_default().0.to_string(),
    };
    Some(container::Error::Mapping { wanted, found }.into())
}

/// Looks whether the gate's users are on the host who the run's folders were given to: agents are started by the same
/// Engine, and theirs are then as well.
fn prove_users(docker: &Docker, state: &State, name: &str) -> Result<(), Error> {
    let wanted = binary::users(state)?.root;
    let Some(pid) = docker.wait(|engine| engine.pid(name))? else { return Ok(()) };
    let proof = container::prove_mapping(pid, wanted);
    if proof.is_err() {
        docker.wait(|engine| engine.remove(name))?;
    }
    Ok(proof?)
}

/// Waits until the gate, which runs, says that the policy on disk is in force.
pub(crate) fn await_in_force(store: &Store<'_>) -> Result<(), Error> {
    await_at(store, &store.layout().gate(), &format!("of run {}", store.run()))
}

/// [`await_in_force`] of the gate in `folder`.
pub(crate) fn await_at(store: &Store<'_>, folder: &Path, whose: &str) -> Result<(), Error> {
    let wanted = Policy::read(folder)?.generation;
    let begun = Instant::now();
    loop {
        kill::refuse_if_killed(store.registry().layout())?;
        let status = Status::read(folder)?;
        if status.as_ref().is_some_and(|status| status.generation >= wanted && status.error.is_none()) {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            let log = status.and_then(|status| status.error).unwrap_or_default();
            return Err(Error::GateSilent { name: whose.to_owned(), log });
        }
        std::thread::sleep(Duration::from_micros(500));
    }
}

/// Brings back a gate that died while agents run: a restart of the Engine, or somebody's `docker rm`.
pub(crate) fn restore(store: &Store<'_>, docker: &Docker, state: &State) -> Result<(), Error> {
    publish(store, state)?;
    let permit = StartPermit::acquire(store.registry(), START_PATIENCE)?;
    ensure(store, docker, state, &permit)
}

/// Whether the gate's container runs.
pub(crate) fn runs(store: &Store<'_>, docker: &Docker, state: &State) -> Result<bool, Error> {
    let name = gate_name(&state.created.registry, store.run());
    let seen = docker.wait(|engine| engine.inspect(&name))?;
    Ok(seen.is_some_and(|seen| matches!(seen.state, container::State::Running)))
}

fn gate_log(docker: &Docker, name: &str) -> String {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let cursor = container::logs::LogCursor::default();
    let _ = docker.wait(|engine| container::logs::copy(engine, name, cursor, 64 << 10, &mut out, &mut err));
    out.extend(err);
    let text = String::from_utf8_lossy(&out);
    text.trim().chars().rev().take(400).collect::<String>().chars().rev().collect()
}

fn spec(store: &Store<'_>, docker: &Docker, state: &State) -> Result<container::ContainerSpec, Error> {
    let registry = store.registry();
    let config = registry.config()?;
    let users = binary::users(state)?;
    let (binary, digest) = (binary::of(registry, state)?, binary::digest(state)?);
    let image = docker.wait(|engine| GateImage::ensure(engine, &binary, digest))?;
    let spent = registry.layout().spent();
    prepare_ledger(&spent)?;
    for role in policy::role_budgets(store, state)?.keys() {
        prepare_ledger(&crate::gate::role_days(&spent, role))?;
    }
    Ok(GateContainer {
        registry: state.created.registry.clone(),
        registry_root: registry.root().to_owned(),
        run: store.run().clone(),
        image: image.name,
        args: ["gate", "serve", "--dir", "/gate", "--kill", "/kill", "--secrets", "/run/taskforge/secrets"]
            .map(str::to_owned)
            .into(),
        user: users.gate_inside(),
        network: match config.gate.network {
            GateNetwork::Host => Network::Host,
            GateNetwork::Bridge => Network::Bridge,
        },
        published: None,
        runtime: None,
        gate_folder: store.layout().gate(),
        kill_folder: registry.layout().kill(),
        spent_folder: registry.layout().spent(),
        secrets: Some(secrets::publish(store, state, &Policy::read(&store.layout().gate())?)?),
        ca_bundle: super::images::ca_bundle(registry)?,
    }
    .spec())
}

/// Removes the gate and what only it was to read, and journals that it is gone.
pub(crate) fn stop(store: &Store<'_>, docker: &Docker, state: &State) -> Result<(), Error> {
    let name = gate_name(&state.created.registry, store.run());
    docker.wait(|engine| engine.remove(&name))?;
    secrets::withdraw(store)?;
    store.commit(TICK, Command::GateStopped { traffic: traffic_head(store) })?;
    Ok(())
}

/// The budget that the gate said was spent, if it let the attempt ask no model since; what would be enough. From the
/// gate's own records, and none if they cannot be read (which `audit verify` says).
pub(crate) fn spent(store: &Store<'_>, node: &NodeId, attempt: u32) -> Option<Capability> {
    let traffic = records::read(&store.layout().gate().join("traffic.jsonl"), store.run()).ok()?;
    let own = |record: &&Record| record.node.as_deref() == Some(node.as_str()) && record.attempt == Some(attempt);
    let of_models = |record: &&Record| match record.kind {
        Kind::LlmRequest => true,
        Kind::RequestRefused => record.text("code") == Some(SPENT),
        _ => false,
    };
    let last = traffic.records.iter().rev().filter(own).find(of_models)?;
    (last.kind == Kind::RequestRefused).then(|| Capability::parse(last.text("capability")?).ok()).flatten()
}

/// Where the gate's records stand now; none if there are none, or if they cannot be read (which `audit verify` says).
pub(crate) fn traffic_head(store: &Store<'_>) -> Option<TrafficHead> {
    head_of(&store.layout().gate(), store.run())
}

/// Where the records in the gate's folder `gate` stand.
pub(crate) fn head_of(gate: &Path, run: &RunId) -> Option<TrafficHead> {
    let path = gate.join("traffic.jsonl");
    // A gate that was ended before it had made the file has left no records, and none that could be missed.
    if !path.exists() {
        return None;
    }
    let traffic = records::read(&path, run).ok()?;
    Some(TrafficHead { at: traffic.bytes, digest: traffic.head })
}
