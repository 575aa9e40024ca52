//! The written rules, applied: read when a request is shown, recorded with it, and looked at again before a person's
//! word counts.

use std::path::{Path, PathBuf};

use chrono::Utc;
use serde::Serialize;

use crate::capability::policy::{Asked, Policies, PolicyProblem};
use crate::registry::{Registry, policies as files};
use crate::run::capability::Capability;
use crate::run::ruling::{Effect, Ruling};
use crate::run::state::{Request, RequestStatus, State};
use crate::signature::{self, AllowedSigners};

use super::approvers::{self, Hand};
use super::error::Error;

/// The policies in force for new runs.
#[must_use]
pub fn policies(registry: &Registry) -> Policies {
    vouched(registry, approvers::approvers(registry))
}

/// Where approvers are configured, a file allows something only if one of them signed it.
fn vouched(registry: &Registry, allowed: Result<Option<AllowedSigners>, Error>) -> Policies {
    let folder = registry.layout().policies();
    let policies = policies_in(&folder);
    let (allowed, id) = match (allowed, registry.id()) {
        (Ok(None), _) => return policies,
        (Ok(Some(allowed)), Ok(id)) => (allowed, id),
        (Err(error), _) => return policies.holding_back(|_| Some(error.to_string())),
        (_, Err(error)) => return policies.holding_back(|_| Some(error.to_string())),
    };
    policies.holding_back(|file| unsigned(&allowed, &id, &folder.join(file)))
}

/// Why a file of rules does not count as signed.
fn unsigned(allowed: &AllowedSigners, registry: &str, path: &Path) -> Option<String> {
    let read = |path: &Path| files::one(path).map(|(_, bytes)| bytes);
    let (Ok(text), Ok(signature)) = (read(path), read(&signature_of(path))) else {
        return Some("no approver has signed the file".to_owned());
    };
    let namespace = signature::policy(registry);
    allowed.verify_any(&namespace, &text, &signature, &[Utc::now()]).err().map(|error| error.to_string())
}

fn signature_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".sig");
    name.into()
}

/// A file of rules that was signed.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SignedPolicy {
    pub file: String,
    /// Who signed it.
    pub by: String,
    /// Whether that was done now; otherwise its signature was good.
    pub now: bool,
}

/// Signs the files of rules that no approver's signature vouches for, all of them or those in `wanted`.
///
/// # Errors
/// [`Error::NoApprovers`] where nobody has to sign, and that of the keys and the file system.
pub fn sign_policies(registry: &Registry, wanted: &[String], hand: &Hand<'_>) -> Result<Vec<SignedPolicy>, Error> {
    let path = approvers::path(registry)?;
    let allowed = approvers::approvers(registry)?.ok_or(Error::NoApprovers { path })?;
    let (folder, namespace) = (registry.layout().policies(), signature::policy(&registry.id()?));
    let mut signed = Vec::new();
    for (file, bytes) in files::rules(&folder)? {
        if !wanted.is_empty() && !wanted.contains(&file) {
            continue;
        }
        let place = signature_of(&folder.join(&file));
        let now = [Utc::now()];
        let there = files::one(&place).ok().map(|(_, signature)| signature);
        let good = there.and_then(|there| allowed.verify_any(&namespace, &bytes, &there, &now).ok());
        if let Some(proof) = good {
            signed.push(SignedPolicy { file, by: proof.name, now: false });
            continue;
        }
        let signer = hand.signer(&allowed, &namespace)?;
        let armoured = signer.sign(&namespace, &bytes)?;
        let proof = allowed.verify(&namespace, signer.name(), &bytes, armoured.as_bytes(), &now)?;
        crate::registry::project::write_durable(&place, armoured.as_bytes())?;
        signed.push(SignedPolicy { file, by: proof.name, now: true });
    }
    match wanted.iter().find(|wanted| !signed.iter().any(|signed| signed.file == **wanted)) {
        Some(missing) => Err(Error::Usage(format!("there is no file of rules policies/{missing}"))),
        None => Ok(signed),
    }
}

/// The policies in `path`: those of a folder, or one file.
#[must_use]
pub fn policies_in(path: &Path) -> Policies {
    let found = if path.is_file() { files::one(path).map(|file| vec![file]) } else { files::rules(path) };
    match found {
        Ok(found) => Policies::parse(found),
        Err(error) => {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Policies::unreadable(PolicyProblem::new(&name, 0, error.to_string()))
        }
    }
}

/// What the policies in force say of `capability`, which would bring `brings` along, for an agent of run `state`.
pub(crate) fn on(registry: &Registry, state: &State, capability: &Capability, brings: &[Capability]) -> Ruling {
    let policies = vouched(registry, approvers::of_run(registry, state));
    let ruling = on_by(&policies, state, capability, brings);
    // A person's word is later than any rule: what was taken back is not given again without another one.
    let revoked = |request: &Request| request.status == RequestStatus::Revoked && request.capability == *capability;
    if ruling.effect == Effect::Allow && state.requests.iter().any(revoked) {
        let because = "it allows this, which was revoked in this run".to_owned();
        return Ruling { effect: Effect::Ask, because, ..ruling };
    }
    ruling
}

/// What `policies` say of it, whatever became of it in the run.
pub(crate) fn on_by(policies: &Policies, state: &State, capability: &Capability, brings: &[Capability]) -> Ruling {
    policies.rule_on(&Asked { capability, brings, workflow: state.created.workflow_id.as_str(), role: None })
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
