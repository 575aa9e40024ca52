//! The written rules that said something of a run's requests, kept in it with their signatures: what they decided can be read
//! there, and looked at again, when the files of the registry say something else.

use std::ops::Not as _;
use std::path::{Path, PathBuf};

use crate::capability::policy::Policies;
use crate::registry::decisions::signature as signature_of;
use crate::registry::{Registry, policies as files, project};
use crate::run::event::Event;
use crate::run::id::{Digest, RunId};
use crate::run::ruling::{Effect, Ruling, STANDING};
use crate::run::state::{Request, State};
use crate::run::time::parse_time;
use crate::signature::AllowedSigners;

use super::error::Error;
use super::{approvers, images, rulings, vouched};

/// Keeps the rules by which `events` say what they say, before these are journaled.
///
/// # Errors
/// [`Error::RulesChanged`] if one of them allows something and they have changed meanwhile; those of the file system.
pub(super) fn keep(registry: &Registry, run: &RunId, events: &[Event]) -> Result<(), Error> {
    for (digest, allows) in events.iter().filter_map(said_by) {
        let folder = registry.layout().run(run).policies().join(digest.short());
        let is = |found: &[(String, Vec<u8>)]| Policies::digest_of(found) == *digest;
        // They may have been signed since, and it is their signatures by which they allow something.
        if !allows && files::rules(&folder).is_ok_and(|found| is(&found)) {
            continue;
        }
        let from = registry.layout().policies();
        let Some(found) = files::rules(&from).ok().filter(|found| is(found)) else {
            if allows {
                return Err(Error::RulesChanged { run: run.clone() });
            }
            continue;
        };
        let mut wanted: Vec<(PathBuf, Vec<u8>)> = Vec::new();
        for (name, bytes) in found {
            let signature = files::one(&signature_of(&from.join(&name))).ok();
            wanted.extend(signature.map(|(_, signature)| (signature_of(&folder.join(&name)), signature)));
            wanted.push((folder.join(&name), bytes));
        }
        wanted.retain(|(path, bytes)| files::one(path).is_ok_and(|(_, there)| there == *bytes).not());
        if wanted.is_empty() {
            continue;
        }
        project::make_durable_folders(&folder, 0o755)?;
        for (path, bytes) in wanted {
            project::write_synced(&path, &bytes)?;
        }
        project::sync_folder(&folder)?;
    }
    Ok(())
}

/// The files of the rules that are kept in run `run`, with their signatures, relative to its folder.
pub(super) fn names(registry: &Registry, run: &RunId) -> Vec<PathBuf> {
    let layout = registry.layout().run(run);
    let entries = |folder: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    let files = entries(&layout.policies()).into_iter().flat_map(|folder| entries(&folder));
    files.filter_map(|file| file.strip_prefix(layout.root()).ok().map(Path::to_owned)).collect()
}

/// The digest of the rules that an event goes by, and whether they allow something.
fn said_by(event: &Event) -> Option<(&Digest, bool)> {
    let of = |ruling: &'_ Ruling| ruling.rule.as_ref().is_some_and(|rule| !rule.starts_with(STANDING));
    match event {
        Event::CapabilityResolved { resolution, .. } => resolution.policy.as_ref().filter(|ruling| of(ruling)),
        Event::CapabilityPresented { presented, .. } => presented.policy.as_ref().filter(|ruling| of(ruling)),
        Event::CapabilityDenied { decision, .. } if decision.is_by_rule() && decision.standing().is_none() => {
            return Some((&decision.file, false));
        }
        _ => None,
    }
    .map(|ruling| (&ruling.policies, ruling.effect == Effect::Allow))
}

/// Why the rules that are recorded with `request` do not allow it; none if they do, or if nobody has to sign here and they are
/// kept nowhere.
pub(super) fn problem(
    registry: &Registry,
    state: &State,
    request: &Request,
    allowed: Option<&AllowedSigners>,
) -> Option<String> {
    let (ruling, decision) = (request.ruling()?, request.decision.as_ref()?);
    let Some(at) = parse_time(&decision.at) else { return Some("its time cannot be read".to_owned()) };
    if let Some(early) = approvers::too_early(state, &request.id, &decision.at) {
        return Some(format!("it {early}"));
    }
    let (capability, brings) = match images::stands_for(state, request) {
        Ok(stands_for) => stands_for,
        Err(error) => return Some(error.to_string()),
    };
    let says =
        |policies: &Policies| rulings::on_by(policies, state, state.role_of(&request.node), &capability, &brings);
    let folder = registry.layout().run(&state.run).policies().join(ruling.policies.short());
    let kept = vouched::kept(&folder, &ruling.policies, allowed, &state.created.registry, at);
    // The registry's own may be the same files, and signed since.
    let now = || Some(rulings::of_run(registry, state)).filter(|now| *now.digest() == ruling.policies);
    let said: Vec<Ruling> = kept.iter().map(&says).collect();
    if said.iter().any(|said| said.effect == Effect::Allow) {
        return None;
    }
    match now().as_ref().map(says).or_else(|| said.into_iter().next()) {
        Some(said) => (said.effect != Effect::Allow).then(|| format!("the same files say {said}")),
        // Runs of before anybody could sign may be older than what keeps the rules.
        None if !state.created.signed && !approvers::is_required(registry).unwrap_or(true) => None,
        None => allowed.map(|_| "the rules that it names lie nowhere in the run".to_owned()),
    }
}
