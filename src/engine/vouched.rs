//! Who vouches for the written rules: where approvers are configured, a file allows something only if one of them signed
//! it.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::capability::policy::Policies;
use crate::registry::decisions::signature as signature_of;
use crate::registry::{Registry, policies as files, project};
use crate::run::id::Digest;
use crate::signature::{self, AllowedSigners, Proof};

use super::approvers::{self, Hand};
use super::error::Error;
use super::rulings::unreadable;

/// The rules of `registry`, those of unsigned files held back. `allowed` is who may sign; `None` if nobody has to.
pub(super) fn vouched(registry: &Registry, allowed: Result<Option<AllowedSigners>, Error>) -> Policies {
    let folder = registry.layout().policies();
    let found = match files::rules(&folder) {
        Ok(found) => found,
        Err(error) => return unreadable(&folder, &error),
    };
    let held: BTreeMap<String, String> = match (allowed, registry.id()) {
        (Ok(None), _) => BTreeMap::new(),
        (Ok(Some(allowed)), Ok(id)) => unproven(&found, &folder, &allowed, &id, Utc::now()),
        (Err(error), _) => found.iter().map(|(name, _)| (name.clone(), error.to_string())).collect(),
        (_, Err(error)) => found.iter().map(|(name, _)| (name.clone(), error.to_string())).collect(),
    };
    Policies::parse(found).holding_back(|file| held.get(file).cloned())
}

/// The rules that lie in `folder`, which were in force at `at` in the registry with this id, if they are those with this
/// digest; those of files that were not signed then held back.
pub(super) fn kept(
    folder: &Path,
    digest: &Digest,
    allowed: Option<&AllowedSigners>,
    id: &str,
    at: DateTime<Utc>,
) -> Option<Policies> {
    let found = files::rules(folder).ok().filter(|found| Policies::digest_of(found) == *digest)?;
    let held = allowed.map(|allowed| unproven(&found, folder, allowed, id, at)).unwrap_or_default();
    Some(Policies::parse(found).holding_back(|file| held.get(file).cloned()))
}

/// Which of these files no approver has signed, and why. The very bytes whose rules are applied are those whose signature is
/// looked at, once a file.
fn unproven(
    found: &[(String, Vec<u8>)],
    folder: &Path,
    allowed: &AllowedSigners,
    id: &str,
    at: DateTime<Utc>,
) -> BTreeMap<String, String> {
    let namespace = signature::policy(id);
    let reason = |(name, bytes): &(String, Vec<u8>)| {
        let reason = proof(allowed, &namespace, bytes, &folder.join(name), at).err()?;
        Some((name.clone(), reason))
    };
    found.iter().filter_map(reason).collect()
}

/// Who signed the file of rules at `path`, which holds `bytes`, with a key that was good at `at`; or why nobody did who counts.
fn proof(
    allowed: &AllowedSigners,
    namespace: &str,
    bytes: &[u8],
    path: &Path,
    at: DateTime<Utc>,
) -> Result<Proof, String> {
    let (_, signature) = files::one(&signature_of(path)).map_err(|_| "no approver has signed the file".to_owned())?;
    allowed.verify_any(namespace, bytes, &signature, &[at]).map_err(|error| error.to_string())
}

/// The files of rules that no approver vouches for, each with the reason; none where nobody has to.
///
/// # Errors
/// When the files or the approvers cannot be read.
pub fn unsigned_policies(registry: &Registry) -> Result<Vec<(String, String)>, Error> {
    let Some(allowed) = approvers::approvers(registry)? else { return Ok(Vec::new()) };
    let (folder, namespace) = (registry.layout().policies(), signature::policy(&registry.id()?));
    let reason = |(name, bytes): (String, Vec<u8>)| {
        let reason = proof(&allowed, &namespace, &bytes, &folder.join(&name), Utc::now()).err()?;
        Some((name, reason))
    };
    Ok(files::rules(&folder)?.into_iter().filter_map(reason).collect())
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
        let path = folder.join(&file);
        if let Ok(proof) = proof(&allowed, &namespace, &bytes, &path, Utc::now()) {
            signed.push(SignedPolicy { file, by: proof.name, now: false });
            continue;
        }
        let signer = hand.signer(&allowed, &namespace)?;
        let armoured = signer.sign(&namespace, &bytes)?;
        let proof = allowed.verify(&namespace, signer.name(), &bytes, armoured.as_bytes(), &[Utc::now()])?;
        project::write_durable(&signature_of(&path), armoured.as_bytes())?;
        signed.push(SignedPolicy { file, by: proof.name, now: true });
    }
    match wanted.iter().find(|wanted| !signed.iter().any(|signed| signed.file == **wanted)) {
        Some(missing) => Err(Error::Usage(format!("there is no file of rules policies/{missing}"))),
        None => Ok(signed),
    }
}
