//! The written rules, applied: read when a request is shown, recorded with it, and looked at again before a person's
//! word counts.

use std::path::Path;

use crate::capability::policy::{Asked, Policies, PolicyProblem};
use crate::registry::{self, Registry, policies as files};
use crate::run::capability::Capability;
use crate::run::id::RoleName;
use crate::run::ruling::{Effect, Ruling};
use crate::run::state::{Request, State};

use super::approvers;
use super::vouched::vouched;

/// The policies in force for new runs.
#[must_use]
pub fn policies(registry: &Registry) -> Policies {
    vouched(registry, approvers::approvers(registry))
}

/// The policies in `path`: those of a folder, or one file.
#[must_use]
pub fn policies_in(path: &Path) -> Policies {
    let found = if path.is_file() { files::one(path).map(|file| vec![file]) } else { files::rules(path) };
    match found {
        Ok(found) => Policies::parse(found),
        Err(error) => unreadable(path, &error),
    }
}

/// The policies at `path`, which could not be read: everything is denied.
pub(super) fn unreadable(path: &Path, error: &registry::Error) -> Policies {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Policies::unreadable(PolicyProblem::new(&name, 0, error.to_string()))
}

/// The policies in force for the run `state`.
pub(crate) fn of_run(registry: &Registry, state: &State) -> Policies {
    vouched(registry, approvers::of_run(registry, state))
}

/// What the policies in force say of `capability`, which would bring `brings` along, for an agent of run `state`.
pub(crate) fn on(
    registry: &Registry,
    state: &State,
    role: Option<&RoleName>,
    capability: &Capability,
    brings: &[Capability],
) -> Ruling {
    on_with(&of_run(registry, state), state, role, capability, brings)
}

/// [`on`], of policies that have been read.
pub(crate) fn on_with(
    policies: &Policies,
    state: &State,
    role: Option<&RoleName>,
    capability: &Capability,
    brings: &[Capability],
) -> Ruling {
    let ruling = on_by(policies, state, role, capability, brings);
    // A person's word is later than any rule: what was taken back is not given again without another one.
    let revoked = |request: &Request| request.has_ended() && request.capability == *capability;
    if ruling.effect == Effect::Allow && state.requests.iter().any(revoked) {
        let because = "it allows this, which was revoked in this run, or granted for a time that is over".to_owned();
        return Ruling { effect: Effect::Ask, because, ..ruling };
    }
    ruling
}

/// What a person made another list of they confirm: no rule allows it.
pub(crate) fn of_a_list(request: &Request, ruling: Ruling) -> Ruling {
    if request.edited.is_none() || ruling.effect != Effect::Allow {
        return ruling;
    }
    Ruling { effect: Effect::Ask, because: "it allows this, and the list was edited".to_owned(), ..ruling }
}

/// What `policies` say of it, whatever became of it in the run.
pub(crate) fn on_by(
    policies: &Policies,
    state: &State,
    role: Option<&RoleName>,
    capability: &Capability,
    brings: &[Capability],
) -> Ruling {
    let workflow = state.created.workflow_id.as_str();
    policies.rule_on(&Asked { capability, brings, workflow, role: role.map(RoleName::as_str) })
}

/// What a person is shown of a ruling; there is none where no policy was asked.
pub(crate) fn view(ruling: Option<&Ruling>) -> String {
    ruling.map_or_else(|| "ask (no rule)".to_owned(), ToString::to_string)
}

/// Whether `now` says something else than what was recorded `then`.
pub(crate) fn differs(then: Option<&Ruling>, now: &Ruling) -> bool {
    match then {
        // Of a journal of before there were policies: it was asked.
        None => now.effect != Effect::Ask || now.rule.is_some(),
        Some(then) => then.effect != now.effect || then.rule != now.rule || then.because != now.because,
    }
}
