//! What a proposal comes down to: the image that the node has now, and a copy of the files with the digest of each. What
//! is shown is what was copied, so that nothing the agent does afterwards gets into it.

use crate::engine::collect::reopen;
use crate::engine::dispatch::{image_of, make_folder};
use crate::engine::docker::Docker;
use crate::engine::error::Error;
use crate::engine::store::Store;
use crate::engine::workspace;
use crate::registry::fileset;
use crate::run::capability::{Capability, CapabilityKind};
use crate::run::deployment::{DeployedFile, Proposal, Proposed, digest_of};
use crate::run::state::{Request, RequestStatus, State};
use crate::run::status::RunStatus;

use super::place;

/// How many proposals of one node may wait for a decision: each is a copy of its files.
const MOST_UNDECIDED: usize = 4;

/// What `request` would deploy; the inner result says why it cannot be. `waits` says which others wait for a person.
pub(crate) fn propose(
    store: &Store<'_>,
    state: &State,
    request: &Request,
    waits: impl Fn(&Request) -> bool,
) -> Result<Result<Proposed, String>, Error> {
    let (Some(proposal), Capability::Port(port)) = (&request.deploy, &request.capability) else {
        return Ok(Err("it names no command to deploy".to_owned()));
    };
    let Some(container) = state.node(&request.node).and_then(|(definition, _)| definition.container.as_ref()) else {
        return Ok(Err("the node that asks has no container".to_owned()));
    };
    if let Some(reason) = place::none_is_free(store)? {
        return Ok(Err(reason));
    }
    if let Some(reason) = too_many_wait(state, request, waits) {
        return Ok(Err(reason));
    }
    let image = match image_of(store, &Docker::default(), state, container) {
        Ok(image) => image,
        Err(error) if error.is_of_the_node() => return Ok(Err(error.to_string())),
        Err(error) => return Err(error),
    };
    let files = match files(store, state, request, proposal)? {
        Ok(files) => files,
        Err(unfit) => return Ok(Err(format!("the folder {} cannot be deployed: {unfit}", proposal.folder))),
    };
    let set = digest_of(&files);
    let (command, folder) = (proposal.command.clone(), proposal.folder.clone());
    Ok(Ok(Proposed { image, command, folder, port: *port, files, set }))
}

/// Why another proposal of its node has to wait, if it has.
fn too_many_wait(state: &State, request: &Request, waits: impl Fn(&Request) -> bool) -> Option<String> {
    let before = state.requests.iter().take_while(|other| other.id != request.id);
    let theirs = before.filter(|other| other.node == request.node && other.capability.kind() == CapabilityKind::Port);
    let waiting: Vec<&str> = theirs.filter(|other| waits(other)).map(|other| other.id.as_str()).collect();
    let node = &request.node;
    (waiting.len() >= MOST_UNDECIDED).then(|| {
        format!("{} proposals of node {node} wait for a decision already: {}", waiting.len(), waiting.join(", "))
    })
}

/// Removes the copies of files that will never be deployed: of requests that were refused, and of those that nobody decided on
/// before the run was over. What they were stands in the journal, file by file.
pub(crate) fn forget_refused(store: &Store<'_>, state: &State) -> Result<(), Error> {
    use RequestStatus::{Denied, Expired, Superseded, Unresolvable};
    let over = matches!(state.status, RunStatus::Cancelled | RunStatus::Completed);
    let refused = |request: &&Request| match request.status {
        Denied | Superseded | Unresolvable => true,
        // One that was granted for a time had its port, and its records stay beside its files.
        Expired => state.deployment(&request.id).is_none(),
        _ => over && request.is_undecided(),
    };
    let ports = state.requests.iter().filter(|request| request.capability.kind() == CapabilityKind::Port);
    for request in ports.filter(refused) {
        let copy = store.layout().deployed_files(&request.id);
        if copy.symlink_metadata().is_ok() {
            fileset::remove(&copy)?;
            // What else is there is kept, and the folder with it.
            let _ = std::fs::remove_dir(store.layout().deployment(&request.id));
        }
    }
    Ok(())
}

/// Copies the files, unless the copy that is there is the same.
fn files(
    store: &Store<'_>,
    state: &State,
    request: &Request,
    proposal: &Proposal,
) -> Result<Result<Vec<DeployedFile>, fileset::Unfit>, Error> {
    let layout = store.layout();
    let open = workspace::look_into(store, &request.node)?;
    let workspace = layout.workspace(&request.node);
    reopen(&workspace, state);
    let now = match fileset::look(&workspace, &proposal.folder)? {
        Ok(files) => files,
        Err(unfit) => return Ok(Err(unfit)),
    };
    let copy = layout.deployed_files(&request.id);
    if copy.exists() && fileset::look(&copy, ".")?.is_ok_and(|copied| copied == now) {
        return Ok(Ok(now));
    }
    make_folder(&layout.deployment(&request.id), 0o755, None)?;
    let copied = fileset::copy(&workspace, &proposal.folder, &copy)?;
    drop(open);
    Ok(copied)
}

/// Whether the files of a proposal that waits are those that were shown. Where the folder is not there any more, or
/// cannot be deployed now, they are not.
pub(crate) fn is_the_same(store: &Store<'_>, state: &State, request: &Request) -> Result<bool, Error> {
    let shown = request.presented.as_ref().and_then(|presented| presented.deployment.as_ref());
    let (Some(shown), Some(proposal)) = (shown, &request.deploy) else { return Ok(true) };
    // The copy of a run that was over went with it; one that was begun again has it made anew.
    if store.layout().deployed_files(&request.id).symlink_metadata().is_err() {
        return Ok(false);
    }
    let open = workspace::look_into(store, &request.node)?;
    let workspace = store.layout().workspace(&request.node);
    reopen(&workspace, state);
    let now = fileset::look(&workspace, &proposal.folder)?;
    drop(open);
    Ok(now.is_ok_and(|files| digest_of(&files) == shown.set))
}
