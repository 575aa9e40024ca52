//! Roles as files: those of the registry, those that agents were hired with, those that a run was frozen with. Whoever
//! reads one of the last two is told if a byte of it has changed since.

use std::path::Path;

use serde::Serialize;

use crate::registry::{self, Registry, StagedRun, roles as files};
use crate::role::agent::Agent;
use crate::role::{Bundle, BundleError, FILE_LIMIT, Role, SKILL_LIMIT, renamed, shipped, shipped_skill};
use crate::run::definition::{NodeDefinition, Pinned, RoleBinding};
use crate::run::id::{Digest, RoleName, SkillName};
use crate::run::nearest::nearest;
use crate::run::ruling::{Effect, Ruling};

use super::error::Error;
use super::rulings;
use super::store::Store;

/// The role `name` of the registry, with its skills.
///
/// # Errors
/// [`Error::NoRole`]; what is wrong with the role or a skill of it.
pub fn role(registry: &Registry, name: &RoleName) -> Result<Bundle, Error> {
    let layout = registry.layout();
    let text = files::role(layout, name)?.ok_or_else(|| Error::NoRole(name.clone()))?;
    Bundle::parse(name, &format!("roles/{name}.role.md"), &text, |skill| Ok(files::skill(layout, skill)?))
}

/// A role file of the registry, sound or not.
#[derive(Debug, Clone, Serialize)]
pub struct ListedRole {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// All role files of the registry, sorted.
///
/// # Errors
/// When the folder cannot be read.
pub fn list_roles(registry: &Registry) -> Result<Vec<ListedRole>, Error> {
    let read = |name: &str| -> Result<Role, String> {
        let name = RoleName::parse(name).map_err(|error| error.to_string())?;
        role(registry, &name).map(|bundle| bundle.role).map_err(|error| error.to_string())
    };
    let listed = |name: String| match read(&name) {
        Ok(role) => ListedRole { name, role: Some(role), problem: None },
        Err(problem) => ListedRole { name, role: None, problem: Some(problem) },
    };
    Ok(files::list(registry.layout())?.into_iter().map(listed).collect())
}

/// What the policies say of a capability that a role declares.
#[derive(Debug, Clone, Serialize)]
pub struct Declared {
    pub capability: crate::run::capability::Capability,
    pub ruling: Ruling,
}

/// What the policies in force say of everything that `role` declares, whatever the workflow.
#[must_use]
pub fn declared(registry: &Registry, role: &Role) -> Vec<Declared> {
    let policies = rulings::policies(registry);
    let ruling = |capability: &crate::run::capability::Capability| {
        let asked = crate::capability::policy::Asked::alone(capability, "", Some(role.name.as_str()));
        Declared { capability: capability.clone(), ruling: policies.rule_on(&asked) }
    };
    role.capabilities.iter().map(ruling).collect()
}

/// What is sound in `role` and is probably not meant: actions that may be done upon nothing, and roles to give work to that
/// the registry does not have.
#[must_use]
pub fn warnings(registry: &Registry, role: &Role) -> Vec<String> {
    let mut warnings = role.idle();
    // What is wrong with the folder is said of the roles themselves.
    let Ok(known) = files::list(registry.layout()) else { return warnings };
    for name in &role.config.delegation.roles {
        if known.iter().any(|known| known == name.as_str()) {
            continue;
        }
        let near = nearest(name.as_str(), known.iter().map(String::as_str));
        let near = near.map_or_else(String::new, |near| format!(" (did you mean `{near}`?)"));
        warnings.push(format!("`config.delegation.roles` names `{name}`, and there is no such role{near}"));
    }
    warnings
}

/// Refuses a role that declares what a rule denies: its agents could never work as it says.
///
/// # Errors
/// [`Error::RoleDenied`] names the rule.
pub(crate) fn require_undenied(declared: &[Declared], role: &RoleName) -> Result<(), Error> {
    match declared.iter().find(|declared| declared.ruling.effect == Effect::Deny) {
        None => Ok(()),
        Some(Declared { capability, ruling }) => Err(Error::RoleDenied {
            role: role.clone(),
            capability: capability.to_string(),
            ruling: ruling.to_string(),
        }),
    }
}

/// Makes the role `name` from the shipped role, or the registry's, called `from`, with the skills that it names.
///
/// # Errors
/// [`Error::NoRole`] for `from`; [`registry::Error::Exists`] if there is a role `name`.
pub fn new_role(registry: &Registry, name: &RoleName, from: &RoleName) -> Result<Bundle, Error> {
    let layout = registry.layout();
    let text = match files::role(layout, from)? {
        Some(text) => text,
        None => shipped(from).ok_or_else(|| Error::NoRole(from.clone()))?.text.to_owned(),
    };
    let text = renamed(&text, name).ok_or_else(|| Error::Usage(format!("role `{from}` has no line `role: {from}`")))?;
    let bundle = Bundle::parse(name, &format!("roles/{name}.role.md"), &text, |skill| {
        let own = files::skill(layout, skill)?;
        Ok::<_, Error>(own.or_else(|| shipped_skill(skill).map(str::to_owned)))
    })?;
    let skills: Vec<(SkillName, &str)> =
        bundle.skills.iter().map(|skill| (skill.name.clone(), skill.text.as_str())).collect();
    files::create(layout, name, &bundle.text, &skills)?;
    Ok(bundle)
}

/// The role that `agent` was hired with.
///
/// # Errors
/// [`Error::RoleChanged`] if it is not that any more, to the byte.
pub fn of_agent(registry: &Registry, agent: &Agent) -> Result<Bundle, Error> {
    let folder = registry.layout().agent(&agent.name).role();
    pinned(&folder, &agent.role, &agent.digest)
}

/// Puts a role among the files of a run that is being made.
pub(crate) fn freeze(staged: &StagedRun<'_>, bundle: &Bundle) -> Result<(), Error> {
    let digest = bundle.digest();
    let folder = staged.layout().role(&digest);
    if folder.exists() {
        return Ok(());
    }
    let base = format!("roles/{}", digest.short());
    for (path, text) in bundle.files() {
        staged.write_file(&format!("{base}/{path}"), text.as_bytes())?;
        // A container's user reads it, who is nobody's group.
        registry::agents::open_for_reading(&folder, &path)?;
    }
    Ok(())
}

/// The role that a node of the run works as, as the run was started with it; none for a node without one.
///
/// # Errors
/// [`Error::RoleChanged`] if it is not that any more, to the byte.
pub(crate) fn of_node(store: &Store<'_>, definition: &NodeDefinition) -> Result<Option<Bundle>, Error> {
    let binding = definition.container.as_ref().and_then(|container| container.role.as_ref());
    binding.map(|binding: &RoleBinding| frozen(store, binding)).transpose()
}

fn frozen(store: &Store<'_>, binding: &RoleBinding) -> Result<Bundle, Error> {
    let mut bundle = pinned(&store.layout().role(&binding.digest), &binding.role, &binding.digest)?;
    // From the root down: each is within the one above.
    let mut above: Option<Role> = None;
    for pinned in binding.under.iter().rev() {
        let role = frozen_as_it_is(store, pinned)?.role;
        above = Some(match above {
            Some(above) => role.within(&above),
            None => role,
        });
    }
    if let Some(above) = above {
        bundle.role = bundle.role.within(&above);
    }
    Ok(bundle)
}

/// A role that a run was started with, whatever it is below.
pub(crate) fn frozen_as_it_is(store: &Store<'_>, role: &Pinned) -> Result<Bundle, Error> {
    pinned(&store.layout().role(&role.digest), &role.role, &role.digest)
}

/// The role in `folder`, which has to have this digest.
fn pinned(folder: &Path, name: &RoleName, digest: &Digest) -> Result<Bundle, Error> {
    let changed = || Error::RoleChanged { role: name.clone(), path: folder.to_owned() };
    let text = files::text(&folder.join(Bundle::ROLE), FILE_LIMIT)?.ok_or_else(changed)?;
    let bundle = Bundle::parse(name, &folder.join(Bundle::ROLE).display().to_string(), &text, |skill| {
        Ok::<_, Error>(files::text(&folder.join("skills").join(skill.as_str()).join("SKILL.md"), SKILL_LIMIT)?)
    });
    match bundle {
        Ok(bundle) if bundle.digest() == *digest => {
            // What the container reads has to be what was digested, too.
            let soul = files::text(&folder.join(Bundle::SOUL), FILE_LIMIT)?;
            if soul.as_deref() == Some(bundle.role.soul().as_str()) { Ok(bundle) } else { Err(changed()) }
        }
        Ok(_) | Err(Error::Role(_)) => Err(changed()),
        Err(error) => Err(error),
    }
}

impl From<BundleError> for Error {
    fn from(error: BundleError) -> Self {
        Self::Role(error)
    }
}
