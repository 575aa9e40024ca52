//! Hiring: a role, as it stands today, gets a name, a journal and a memory. What it declares is looked at by the
//! policies; each run of the agent asks for it again, as a workflow's declaration does.

use chrono::Utc;
use serde::Serialize;

use crate::engine::actor::operator;
use crate::engine::error::Error;
use crate::engine::roles::{self, Declared};
use crate::provider::glob_matches;
use crate::registry::{Registry, agents as folders};
use crate::role::Bundle;
use crate::role::agent::{AgentEvent, fold};
use crate::run::id::{AgentName, Digest, RoleName};

use super::store::projection;

/// A new agent.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hired {
    pub name: AgentName,
    pub id: String,
    pub role: RoleName,
    pub digest: Digest,
    /// What it will ask for in each run, and what the policies say of that today.
    pub capabilities: Vec<Declared>,
    /// What is probably not meant, a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Hires an agent `name` as `role`. Nothing is started.
///
/// # Errors
/// [`Error::NoRole`], [`Error::RoleDenied`], a role whose model nobody serves; a name that is or was another agent's.
/// There is then no agent.
pub fn hire(registry: &Registry, role: &RoleName, name: &AgentName) -> Result<Hired, Error> {
    let bundle = roles::role(registry, role)?;
    let capabilities = roles::declared(registry, &bundle.role);
    roles::require_undenied(&capabilities, role)?;
    require_model(registry, &bundle)?;
    let digest = bundle.digest();
    let id = ulid::Ulid::generate().to_string();
    let event = AgentEvent::Hired {
        format: 1,
        id: id.clone(),
        name: name.clone(),
        role: role.clone(),
        digest: digest.clone(),
        max_concurrent: bundle.role.tasks.max_concurrent,
    };
    let drafts = vec![event.to_draft()];
    folders::create(registry, name, &bundle.files(), drafts, &operator(), Utc::now(), |head, records| {
        // What was just written folds; if it did not, the first command would say so.
        fold(records).map(|agent| projection(&agent, head)).unwrap_or_default()
    })?;
    Ok(Hired {
        name: name.clone(),
        id,
        role: role.clone(),
        digest,
        capabilities,
        warnings: roles::warnings(registry, &bundle.role),
    })
}

/// A model that no line of the table serves would fail each task.
fn require_model(registry: &Registry, bundle: &Bundle) -> Result<(), Error> {
    let Some(model) = &bundle.role.model else { return Ok(()) };
    let config = registry.config()?;
    if config.llm.models.iter().any(|rule| glob_matches(&rule.glob, model)) {
        return Ok(());
    }
    let role = &bundle.role.name;
    Err(Error::Usage(format!("role `{role}` speaks to `{model}`, and no line under [[llm.models]] says who serves it")))
}
