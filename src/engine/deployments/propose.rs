//! What a proposal comes down to: the image that the node has now, and a copy of the files with the digest of each. What
//! is shown is what was copied, so that nothing the agent does afterwards gets into it.

use crate::engine::collect::reopen;
use crate::engine::dispatch::{image_of, make_folder};
use crate::engine::docker::Docker;
use crate::engine::error::Error;
use crate::engine::store::Store;
use crate::engine::workspace;
use crate::registry::fileset;
use crate::run::capability::Capability;
use crate::run::deployment::{DeployedFile, Proposal, Proposed, digest_of};
use crate::run::state::{Request, State};

use super::place;

/// What `request` would deploy; the inner result says why it cannot be.
pub(crate) fn propose(store: &Store<'_>, state: &State, request: &Request) -> Result<Result<Proposed, String>, Error> {
    let (Some(proposal), Capability::Port(port)) = (&request.deploy, &request.capability) else {
        return Ok(Err("it names no command to deploy".to_owned()));
    };
    let Some(container) = state.node(&request.node).and_then(|(definition, _)| definition.container.as_ref()) else {
        return Ok(Err("the node that asks has no container".to_owned()));
    };
    if let Some(reason) = place::none_is_free(store)? {
        return Ok(Err(reason));
    }
    let image = match image_of(&Docker::default(), state, container) {
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
    let open = workspace::look_into(store, &request.node)?;
    let workspace = store.layout().workspace(&request.node);
    reopen(&workspace, state);
    let now = fileset::look(&workspace, &proposal.folder)?;
    drop(open);
    Ok(now.is_ok_and(|files| digest_of(&files) == shown.set))
}
