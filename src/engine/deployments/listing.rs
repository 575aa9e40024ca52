//! Deployments as a person sees them, and what a person does to one.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::container::Graded;
use crate::engine::actor::operator;
use crate::engine::docker::Docker;
use crate::engine::error::Error;
use crate::engine::store::Store;
use crate::engine::{inspect, tick};
use crate::registry::{Registry, kill, queries};
use crate::run::command::{Command, DeploymentCommand};
use crate::run::deployment::{Deployment, Down, Ended, Standing};
use crate::run::id::{NodeId, RequestId, RunId};
use crate::run::state::{Request, State};

/// How long a deployment may take to be started or stopped.
const PATIENCE: Duration = Duration::from_secs(60);

/// A deployment in a list.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    pub id: RequestId,
    pub run: RunId,
    pub node: NodeId,
    /// Where it is offered: `127.0.0.1:9100`.
    pub address: String,
    pub status: Standing,
    /// Since when it runs.
    pub since: Option<DateTime<Utc>>,
    /// How often it was begun.
    pub starts: u32,
    /// Failures in a row.
    pub failures: u32,
    /// When it is begun again, if it waits for that.
    pub not_before: Option<DateTime<Utc>>,
    pub last: Option<Ended>,
    pub down: Option<Down>,
    pub command: Vec<String>,
    /// Where the command listens inside its container.
    pub port: u16,
    pub folder: String,
    pub files: usize,
    /// The digest of its files.
    pub set: String,
    pub image: String,
    /// The container of the start that is under way, or was last.
    pub container: Option<String>,
    /// Packages in its image whose grant was taken back, or is over, since.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outlived: Vec<Outlived>,
}

/// A package that a deployment has longer than its run may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outlived {
    /// The request that it was granted by.
    pub request: RequestId,
    pub capability: String,
    /// `revoked` or `expired`.
    pub status: &'static str,
}

fn row(state: &State, deployment: &Deployment) -> Row {
    let proposed = state.approved_deployment(&deployment.id).map(|(_, proposed)| proposed);
    let live = deployment.live.as_ref();
    Row {
        id: deployment.id.clone(),
        run: state.run.clone(),
        node: deployment.node.clone(),
        address: format!("127.0.0.1:{}", deployment.port),
        status: state.standing(deployment),
        since: live.and_then(|live| live.started_at),
        starts: deployment.starts,
        failures: deployment.failures,
        not_before: deployment.not_before.filter(|_| live.is_none() && state.is_wanted(deployment)),
        last: deployment.last.clone(),
        down: deployment.down.clone(),
        command: proposed.map(|proposed| proposed.command.clone()).unwrap_or_default(),
        port: proposed.map_or(0, |proposed| proposed.port),
        folder: proposed.map(|proposed| proposed.folder.clone()).unwrap_or_default(),
        files: proposed.map_or(0, |proposed| proposed.files.len()),
        set: proposed.map(|proposed| proposed.set.to_string()).unwrap_or_default(),
        image: proposed.map(|proposed| proposed.image.clone()).unwrap_or_default(),
        container: live.map(|live| live.launch.container.clone()),
        outlived: Vec::new(),
    }
}

/// The deployments of a run, with what each has longer than the run may. An image is pinned with all that is in it: the
/// journal says which requests it was made of.
fn rows_of(store: &Store<'_>, state: &State) -> Result<Vec<Row>, Error> {
    let mut rows = deployments_of(state);
    let ended = |request: &&Request| request.has_ended() && request.capability.kind().needs_image();
    if rows.is_empty() || !state.requests.iter().any(|request| ended(&request)) {
        return Ok(rows);
    }
    let records = store.records()?;
    for row in rows.iter_mut().filter(|row| row.status != Standing::Revoked) {
        let made = records.iter().rposition(|record| {
            record.event == "capability.applied"
                && record.data.get("image").and_then(Value::as_str) == Some(row.image.as_str())
        });
        // The base image has nothing that was granted.
        let Some(made) = made else { continue };
        let then = store.fold(&records[..=made])?;
        let id = records[made].data.get("id").and_then(Value::as_str).and_then(|id| RequestId::parse(id).ok());
        let Some(newest) = id.and_then(|id| then.request(&id)) else { continue };
        let without = newest.without();
        let beneath = newest.resolution.iter().flat_map(|resolution| then.beneath(resolution));
        let held = std::iter::once(newest).chain(beneath).filter(|request| !without.contains(&request.id));
        let again = |request: &Request| {
            let mut others = state.requests.iter().filter(|other| other.status.is_granted());
            others.any(|other| other.meant() == request.meant())
        };
        row.outlived = held
            .filter_map(|request| state.request(&request.id))
            .filter(|request| ended(request) && !again(request))
            .map(|request| Outlived {
                request: request.id.clone(),
                capability: request.meant().to_string(),
                status: request.status.as_str(),
            })
            .collect();
    }
    Ok(rows)
}

/// The deployments of `run` that go on with what `request` was granted.
pub(crate) fn outliving(store: &Store<'_>, request: &RequestId) -> Result<Vec<Row>, Error> {
    let rows = rows_of(store, &store.load()?)?;
    let has = |row: &Row| row.outlived.iter().any(|outlived| outlived.request == *request);
    Ok(rows.into_iter().filter(has).collect())
}

/// How hard the box of a deployment is, as the Engine shows it; none while it does not run.
///
/// # Errors
/// When the Engine cannot be asked.
pub fn grade_deployment(registry: &Registry, row: &Row) -> Result<Option<Graded>, Error> {
    let Some(container) = row.container.as_ref().filter(|_| row.status == Standing::Running) else { return Ok(None) };
    let promised = inspect::promised_as(&Store::open(registry, &row.run)?.load()?, container);
    inspect::grade(registry, &Docker::default(), container, &promised)
}

/// The deployments of one run.
#[must_use]
pub fn deployments_of(state: &State) -> Vec<Row> {
    state.deployments.iter().map(|deployment| row(state, deployment)).collect()
}

/// A run that cannot be read, and why.
pub type Unreadable = (RunId, String);

/// The deployments of `run`, or of all runs; and the runs that could not be read, each with the reason.
///
/// # Errors
/// When the runs cannot be listed, or the one that was named cannot be read.
pub fn list_deployments(registry: &Registry, run: Option<&RunId>) -> Result<(Vec<Row>, Vec<Unreadable>), Error> {
    if let Some(run) = run {
        let store = Store::open(registry, run)?;
        return Ok((rows_of(&store, &store.load()?)?, Vec::new()));
    }
    let (mut rows, mut unreadable) = (Vec::new(), Vec::new());
    for run in queries::list_runs(registry)? {
        match Store::open(registry, &run).and_then(|store| rows_of(&store, &store.peek()?)) {
            Ok(of_run) => rows.extend(of_run),
            Err(error) => unreadable.push((run, error.to_string())),
        }
    }
    rows.sort_by(|a, b| (&a.address, &a.id).cmp(&(&b.address, &b.id)));
    Ok((rows, unreadable))
}

/// The deployment `text`: an id, the start of one that fits nothing else, or its port of the host.
///
/// # Errors
/// [`Error::NoDeployment`], [`Error::Ambiguous`].
pub fn find_deployment(registry: &Registry, text: &str) -> Result<Row, Error> {
    let (rows, _) = list_deployments(registry, None)?;
    let on_port = |row: &Row| row.status != Standing::Revoked && row.address.rsplit(':').next() == Some(text);
    let fits = |row: &Row| !text.is_empty() && (row.id.as_str().starts_with(text) || on_port(row));
    let mut found: Vec<Row> = rows.into_iter().filter(fits).collect();
    match found.len() {
        0 => Err(Error::NoDeployment(text.to_owned())),
        1 => Ok(found.remove(0)),
        _ => {
            let found = found.iter().map(|row| row.id.to_string()).collect();
            Err(Error::Ambiguous { text: text.to_owned(), found })
        }
    }
}

/// Takes a deployment down until a person starts it again: its connections are cut when this returns. It keeps its port.
///
/// # Errors
/// As [`find_deployment`]; [`Error::Refused`]; when the Engine does not answer, which does not undo it.
pub fn stop_deployment(registry: &Registry, text: &str, reason: &str) -> Result<Row, Error> {
    let by = operator();
    act(registry, text, |id| DeploymentCommand::Stop { id, by: by.clone(), reason: reason.to_owned() })
}

/// Starts a deployment that was taken down, or one that waits after a failure.
///
/// # Errors
/// As [`stop_deployment`].
pub fn start_deployment(registry: &Registry, text: &str) -> Result<Row, Error> {
    kill::refuse_if_killed(registry.layout())?;
    let by = operator();
    act(registry, text, |id| DeploymentCommand::Resume { id, by: by.clone() })
}

fn act(registry: &Registry, text: &str, command: impl Fn(RequestId) -> DeploymentCommand) -> Result<Row, Error> {
    let Row { id, run, .. } = find_deployment(registry, text)?;
    let store = Store::open(registry, &run)?;
    store.commit(&operator(), Command::Deployment(command(id.clone())))?;
    let begun = Instant::now();
    loop {
        tick::tick(registry, &run)?;
        let state = store.load()?;
        let Some(deployment) = state.deployment(&id) else { return Err(Error::NoDeployment(id.to_string())) };
        // Another process that drives the run may have read the journal before us.
        let settled = match &deployment.live {
            Some(live) => state.is_wanted(deployment) && live.container_id.is_some(),
            None => !state.is_wanted(deployment) || deployment.failures > 0,
        };
        if settled || begun.elapsed() > PATIENCE {
            return Ok(row(&state, deployment));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
