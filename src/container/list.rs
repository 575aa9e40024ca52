//! Which containers a registry has.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{ContainerSummary, ContainerSummaryStateEnum as Status};
use bollard::query_parameters::ListContainersOptionsBuilder;

use super::engine::Engine;
use super::error::Error;
use super::labels::{Labels, REGISTRY};

/// One line of a list: enough to know what to do with a container, or to end it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    pub id: String,
    pub name: String,
    /// As the Engine was given it, or an image id.
    pub image: String,
    pub running: bool,
    /// The Engine's word: `created`, `running`, `exited` and so on.
    pub status: String,
    /// `None` if the labels are not complete; the container is the registry's all the same.
    pub owner: Option<Labels>,
    pub labels: BTreeMap<String, String>,
}

impl Engine {
    /// Every container with the registry's label, in any state, `created` included. One request.
    ///
    /// # Errors
    /// The Engine cannot be reached, or fails.
    pub async fn list(&self, registry: &str) -> Result<Vec<Summary>, Error> {
        let filters = HashMap::from([("label", vec![format!("{REGISTRY}={registry}")])]);
        let filters: HashMap<String, Vec<String>> = filters.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let found = self.docker().list_containers(Some(options)).await;
        let found = found.map_err(|error| self.explain("list containers", error))?;
        Ok(found.into_iter().map(summary).collect())
    }
}

fn summary(found: ContainerSummary) -> Summary {
    let labels = found.labels.unwrap_or_default();
    let name = found.names.unwrap_or_default().into_iter().next().unwrap_or_default();
    Summary {
        id: found.id.unwrap_or_default(),
        name: name.trim_start_matches('/').to_owned(),
        image: found.image.unwrap_or_default(),
        running: matches!(found.state, Some(Status::RUNNING | Status::PAUSED | Status::RESTARTING | Status::STOPPING)),
        status: found.state.map(|state| state.to_string()).unwrap_or_default(),
        owner: Labels::read(|key| labels.get(key)),
        labels: labels.into_iter().collect(),
    }
}
