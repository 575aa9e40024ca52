//! A tool: several packages, resolved one upon the other to one lock.

use bollard::Docker;

use super::super::error::{Error, Refusal};
use super::super::lock::Lock;
use super::{Cause, Resolution, ResolveOrder, package, unresolvable};

pub(super) async fn resolve<G, E: Into<Refusal>>(
    docker: &Docker,
    order: &ResolveOrder<'_>,
    what: &str,
    guard: &impl Fn() -> Result<G, E>,
) -> Result<Resolution, Error> {
    let (mut lock, mut own) = (order.approved.clone(), Lock::default());
    for member in order.members {
        let one = ResolveOrder { capability: member, approved: &lock, members: &[], ..*order };
        match package(docker, &one, guard).await? {
            Resolution::Lock { lock: more, own: of_member } => {
                lock = more;
                own = own.plus(&of_member)?;
            }
            // A tool says what has to be there, and not what is missing.
            Resolution::Unresolvable(no) if no.cause == Cause::AlreadyThere => {}
            Resolution::Unresolvable(no) => {
                return Ok(unresolvable(no.cause, format!("`{member}` of {what}: {}", no.reason)));
            }
        }
    }
    if lock == *order.approved {
        let reason = format!("all of {what} is already there; nothing needs to be granted");
        return Ok(unresolvable(Cause::AlreadyThere, reason));
    }
    Ok(Resolution::Lock { lock, own })
}
