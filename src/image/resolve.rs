//! A request, before anyone is asked: which packages exactly, with which digests, would be installed. Done in a
//! disposable container from the base image, which reaches the package index and nothing of the host's. A request
//! that does not resolve cannot be approved; the reason is the tool's own.

mod apt;
mod npm;
mod pip;
#[cfg(test)]
mod tests;
mod tool;

use std::path::Path;

use bollard::Docker;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::error::{Error, Refusal};
use super::limits::Limits;
use super::lock::Lock;
use super::output::Output;
use super::sandbox::{Role, Scope, Spec, ca, with_sandbox};
use crate::container::ImageRef;
use crate::run::capability::Capability;
use crate::run::visible::visible_line;

/// What is to be resolved, and where.
#[derive(Debug, Clone, Copy)]
pub struct ResolveOrder<'a> {
    pub base: &'a ImageRef,
    /// What was approved before; its versions stay.
    pub approved: &'a Lock,
    pub capability: &'a Capability,
    /// The packages that a `tool` stands for; of other kinds there are none.
    pub members: &'a [Capability],
    /// A CA bundle on the host (see [`super::ca`]).
    pub ca: Option<&'a Path>,
    /// `packages.pipIndex`; `None` means pip's own default.
    pub pip_index: Option<&'a str>,
    /// `packages.npmRegistry`; `None` means npm's own default.
    pub npm_registry: Option<&'a str>,
    /// The version of Node that comes with a package of npm where there is none.
    pub node: &'a str,
    pub scope: &'a Scope,
    pub limits: &'a Limits,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    Lock {
        /// The whole set, what was approved before included.
        lock: Lock,
        /// The part of it that the request needs by itself: what is left of it once all others have ended.
        own: Lock,
    },
    Unresolvable(Unresolvable),
}

/// Why nothing can be approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unresolvable {
    pub cause: Cause,
    /// In the tool's own words where it had some; safe to show.
    pub reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// No such package or version.
    DoesNotExist,
    /// It exists, but not as a binary package for the base image.
    NoBinary,
    /// It does not go together with what is approved or installed.
    Conflict,
    /// The base image has it.
    AlreadyThere,
    /// The index did not answer; asking again later may help.
    Unreachable,
    /// This version of taskforge cannot put it into an image.
    Unsupported,
    Other,
}

/// `lock` and of it what `needs` names, with all that was not `approved` before.
fn found(approved: &Lock, lock: Lock, needs: &Lock) -> Result<Resolution, Error> {
    let own = lock.minus(approved).plus(&lock.common(needs))?;
    Ok(Resolution::Lock { lock, own })
}

fn unresolvable(cause: Cause, reason: impl Into<String>) -> Resolution {
    Resolution::Unresolvable(Unresolvable { cause, reason: reason.into() })
}

/// Resolves a request to the full lock of the image that would grant it.
///
/// # Errors
/// [`Error`] if no answer was found: the Engine, a limit, the permit, an answer that cannot be read. An answer
/// that says no is a [`Resolution::Unresolvable`].
pub async fn resolve<G, E: Into<Refusal>>(
    docker: &Docker,
    order: &ResolveOrder<'_>,
    guard: &impl Fn() -> Result<G, E>,
) -> Result<Resolution, Error> {
    match order.capability {
        Capability::Tool(name) => tool::resolve(docker, order, &format!("tool `{name}`"), guard).await,
        _ if !order.members.is_empty() => tool::resolve(docker, order, "the list", guard).await,
        _ => package(docker, order, guard).await,
    }
}

/// Resolves a request for one package.
async fn package<G, E: Into<Refusal>>(
    docker: &Docker,
    order: &ResolveOrder<'_>,
    guard: &impl Fn() -> Result<G, E>,
) -> Result<Resolution, Error> {
    let kind = order.capability.kind();
    if !matches!(order.capability, Capability::Pip(_) | Capability::Apt(_) | Capability::Npm(_)) {
        return Ok(unresolvable(Cause::Unsupported, format!("`{kind}` packages cannot be installed yet")));
    }
    let (bind, env) = ca(order.ca);
    let spec = Spec {
        image: order.base.as_str(),
        role: Role::Resolve,
        scope: order.scope,
        limits: order.limits,
        deadline: Instant::now() + order.limits.wall,
        network: true,
        user: None,
        read_only: false,
        binds: bind.into_iter().collect(),
    };
    let resolved = with_sandbox(docker, &spec, guard, async |sandbox| match order.capability {
        Capability::Pip(package) => pip::resolve(sandbox, order, package, env).await,
        Capability::Apt(package) => apt::resolve(sandbox, order, package, env).await,
        Capability::Npm(package) => npm::resolve(sandbox, order, package, env).await,
        _ => Ok(unresolvable(Cause::Unsupported, format!("`{kind}` packages cannot be installed yet"))),
    })
    .await;
    match resolved {
        Err(error) => answered(error),
        resolved => resolved,
    }
}

/// What an index did to us is the answer to the request; asked again by every tick, it would do the same to each.
fn answered(error: Error) -> Result<Resolution, Error> {
    let cause = match &error {
        Error::Timeout { .. } => Cause::Unreachable,
        Error::TooMuchOutput { .. } | Error::TooMuchDisk { .. } | Error::Format { .. } => Cause::Other,
        _ => return Err(error),
    };
    Ok(unresolvable(cause, visible_line(&error.to_string(), 2000)))
}

/// A failed command as an answer.
fn refused(cause: Cause, output: &Output) -> Resolution {
    unresolvable(cause, output.words())
}
