//! A run's beginning: the workflow is frozen, its settings filled in, its inputs copied, and the run folder appears
//! whole or not at all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::Utc;

use crate::container::{Engine, Error as ContainerError, Operator, ROOTLESS, Remap, Users as ContainerUsers};
use crate::registry::config::{Config, GateNetwork};
use crate::registry::{Registry, RunLayout, StagedRun, collect, create as staging, kill};
use crate::role::{Bundle, Role};
use crate::run::apply::fold;
use crate::run::capability::Capability;
use crate::run::command::Command;
use crate::run::decide::decide;
use crate::run::definition::{
    Artifact, ContainerDefinition, Created, FORMAT, Limits, NodeDefinition, OutputsMode, Resources, Retry, RoleBinding,
    Runtime, Sessions, Users, WaitFor, WaitKind,
};
use crate::run::event::Event;
use crate::run::id::{AgentName, Digest, RequestId, RunId};
use crate::run::state::State;
use crate::run::status::NodeKind;
use crate::workflow::{self, Workflow};

use super::actor::operator;
use super::agents::AgentStore;
use super::children::{self, Descent};
use super::docker::Docker;
use super::error::Error;
use super::listing;
use super::project;
use super::{binary, roles};

/// The largest input file, in bytes.
const LARGEST_INPUT: u64 = 4 << 30;

/// What to start.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// A name below `workflows/`, or the path of a file.
    pub workflow: Option<String>,
    /// Instead of a workflow: what one agent is to do.
    pub prompt: Option<String>,
    pub model: Option<String>,
    /// Instead of both: the text of a workflow, and what it is called.
    pub text: Option<(String, String)>,
    /// Whose child the run is.
    pub descent: Option<Descent>,
    /// Files for `/inputs`.
    pub inputs: Vec<PathBuf>,
    /// Nobody named them: they were found, and each has to be a file that still holds this.
    pub held: Option<Digest>,
    pub params: BTreeMap<String, String>,
    /// The new run's id; chosen from the workflow's if absent.
    pub run: Option<RunId>,
}

/// What was started.
#[derive(Debug, Clone)]
pub struct Started {
    pub run: RunId,
    pub state: State,
}

/// Creates a run. Nothing is dispatched; the next tick does that.
///
/// # Errors
/// When the workflow has problems, an input cannot be copied, the id exists; nothing is then left behind.
pub fn start(registry: &Registry, start: &Start) -> Result<Started, Error> {
    registry.require_local()?;
    kill::refuse_if_killed(registry.layout())?;
    let config = registry.config()?;
    let (label, text) = workflow_text(registry, start)?;
    let workflow = Workflow::parse(&label, &text).map_err(Error::Workflow)?;
    render(&workflow, start)?;
    let mut number = 1;
    loop {
        let (run, given) = match &start.run {
            Some(run) => (run.clone(), true),
            None => (next_id(registry, &workflow, &mut number)?, false),
        };
        match create(registry, config, start, &workflow, &label, &text, &run) {
            // Somebody else took the number that was free a moment ago.
            Err(Error::Registry(crate::registry::Error::RunExists { .. })) if !given && number < 100_000 => number += 1,
            other => return other.map(|state| Started { run, state }),
        }
    }
}

/// Checks everything that [`start`] would check of the workflow, its parameters and its settings, and starts nothing.
///
/// # Errors
/// As [`start`].
pub fn check_start(registry: &Registry, start: &Start) -> Result<Workflow, Error> {
    let config = registry.config()?;
    let (label, text) = workflow_text(registry, start)?;
    let workflow = Workflow::parse(&label, &text).map_err(Error::Workflow)?;
    render(&workflow, start)?;
    for node in &workflow.nodes {
        node_definition(registry, config, &workflow, node)?;
    }
    Ok(workflow)
}

fn render(workflow: &Workflow, start: &Start) -> Result<(), Error> {
    workflow.render(&start.params).map(drop).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Error::Usage(lines.join("\n"))
    })
}

fn create(
    registry: &Registry,
    config: &Config,
    start: &Start,
    workflow: &Workflow,
    label: &str,
    text: &str,
    run: &RunId,
) -> Result<State, Error> {
    let mut staged = staging::stage_run(registry, run)?;
    let inputs = copy_inputs(&staged, workflow, start)?;
    let mut created = created(registry, config, workflow, label, text, run, inputs, &start.params)?;
    if let Some(descent) = &start.descent {
        children::narrow(&mut created, descent);
        for bundle in &descent.bundles {
            roles::freeze(&staged, bundle)?;
        }
    }
    staged.write_file("workflow.lock.md", text.as_bytes())?;
    for node in &workflow.nodes {
        if let Some((bundle, _)) =
            node.container.as_ref().map(|container| persona(registry, container)).transpose()?.flatten()
        {
            roles::freeze(&staged, &bundle)?;
        }
    }
    staged.write_file("control.jsonl", b"")?;
    for node in &created.nodes {
        staged.make_folder(&format!("nodes/{}", node.id))?;
        if node.kind == NodeKind::Subagent {
            let handoff = format!(
                "# {} handoff\n\nThe parent orchestrator can place the concrete child brief for this node here before dispatch.\n",
                node.title
            );
            staged.write_file(&format!("nodes/{}/handoff.md", node.id), handoff.as_bytes())?;
        }
    }
    let now = Utc::now();
    let begin = State::begin(run.clone(), created.clone(), now);
    let mut events = vec![Event::RunCreated(Box::new(created.clone()))];
    let mut after = begin;
    for command in requests_of(&created) {
        let more = decide(&after, command, now).map_err(|refusal| Error::Refused { run: run.clone(), refusal })?;
        for event in &more {
            after.apply(event, now).map_err(|source| Error::Fold { run: run.clone(), source })?;
        }
        events.extend(more);
    }
    let settled =
        decide(&after, Command::Settle, now).map_err(|refusal| Error::Refused { run: run.clone(), refusal })?;
    events.extend(settled);
    let drafts = events.iter().map(Event::to_draft).collect();
    let records = staged.begin_journal(drafts, &operator(), now)?;
    let state = fold(&records).map_err(|source| Error::Fold { run: run.clone(), source })?;
    let Some(head) = staged.head().cloned() else { return Ok(state) };
    let layout = RunLayout::new(PathBuf::new());
    let files = project::all(&layout, &state, &head)?;
    staged.keep(project::digests(&layout, &files));
    for (path, text) in files {
        staged.write_file(&path.display().to_string(), text.as_bytes())?;
    }
    staged.publish()?;
    listing::note(registry, &state, head.at);
    Ok(state)
}

/// What the workflow itself asks for, as requests like any other.
fn requests_of(created: &Created) -> Vec<Command> {
    let mut commands = Vec::new();
    for node in &created.nodes {
        let Some(container) = &node.container else { continue };
        for capability in &container.capabilities {
            let Ok(id) = RequestId::parse(&ulid::Ulid::generate().to_string()) else { continue };
            commands.push(Command::Request {
                by_gate: false,
                id,
                node: node.id.clone(),
                attempt: 0,
                capability: capability.clone(),
                reason: format!("the workflow declares it for node {}", node.id),
                deploy: None,
                schedule: None,
            });
        }
    }
    commands
}

fn workflow_text(registry: &Registry, start: &Start) -> Result<(String, String), Error> {
    if let Some(text) = &start.text {
        return Ok(text.clone());
    }
    match (&start.workflow, &start.prompt) {
        (Some(name), None) => {
            let path = find_workflow(registry, name);
            let label = path.strip_prefix(registry.root()).unwrap_or(&path).display().to_string();
            let text = workflow::read_text(&path).map_err(Error::WorkflowFile)?;
            Ok((label, text))
        }
        (None, Some(prompt)) => {
            let names = start.inputs.iter().map(|path| input_name(path)).collect::<Result<Vec<_>, _>>()?;
            let text = workflow::prompt::one_node(prompt, &names, start.model.as_deref());
            Ok(("prompt".to_owned(), text))
        }
        _ => Err(Error::Usage("name a workflow, or give a `--prompt`; one of the two".to_owned())),
    }
}

/// A name means `workflows/NAME.task.md`; anything with a slash or the ending is a path.
pub fn find_workflow(registry: &Registry, name: &str) -> PathBuf {
    let as_path = Path::new(name);
    if name.contains('/') || (name.ends_with(".md") && as_path.exists()) {
        return as_path.to_owned();
    }
    let file = if name.ends_with(".task.md") { name.to_owned() } else { format!("{name}.task.md") };
    registry.layout().workflows().join(file)
}

fn input_name(path: &Path) -> Result<String, Error> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    workflow::RelativePath::parse(name)
        .ok()
        .filter(|_| !name.is_empty() && !name.chars().any(|c| c.is_control()))
        .map(|_| name.to_owned())
        .ok_or_else(|| Error::Input { path: path.to_owned(), reason: "its name cannot be used for /inputs".to_owned() })
}

fn copy_inputs(staged: &StagedRun<'_>, workflow: &Workflow, start: &Start) -> Result<Vec<Artifact>, Error> {
    let mut inputs: Vec<Artifact> = Vec::new();
    for path in &start.inputs {
        let name = input_name(path)?;
        let target = format!("inputs/{name}");
        let bad = |reason: &str| Error::Input { path: path.clone(), reason: reason.to_owned() };
        if inputs.iter().any(|input| input.path == target) {
            return Err(bad("another input has the same name"));
        }
        if workflow.nodes.iter().any(|node| node.id.as_str() == name) {
            return Err(bad("a node of the workflow has this name, and its outputs stand there"));
        }
        staged.make_folder("inputs")?;
        let into = staged.layout().root().join(&target);
        let copy = match &start.held {
            Some(digest) => collect::copy_found(path, digest, &into, LARGEST_INPUT),
            None => collect::copy_input(path, &into, LARGEST_INPUT),
        };
        let copy = copy.map_err(|error| unusable(path, error))?;
        inputs.push(Artifact { path: target, sha256: copy.digest, bytes: copy.bytes });
    }
    Ok(inputs)
}

/// What is wrong with the file that a person named is theirs to mend; what is wrong with the copy is not.
fn unusable(input: &Path, error: crate::registry::Error) -> Error {
    use crate::registry::Error as Storage;
    match &error {
        Storage::Io { path, source, .. } if path == input && source.kind() == std::io::ErrorKind::NotFound => {
            Error::NoInput(input.to_owned())
        }
        Storage::Io { path, source, doing } if path == input => {
            Error::Input { path: input.to_owned(), reason: format!("cannot {doing} it: {source}") }
        }
        Storage::TooLarge { path, bytes, limit } if path == input => {
            let reason = format!("it has {bytes} bytes, and {limit} are the most");
            Error::Input { path: input.to_owned(), reason }
        }
        _ => error.into(),
    }
}

/// `<workflow>-<n>`: short enough to type, and the first that is free.
pub(super) fn next_id(registry: &Registry, workflow: &Workflow, number: &mut u32) -> Result<RunId, Error> {
    let stem: String = workflow.id.as_str().chars().take(100).collect();
    loop {
        let id = RunId::parse(&format!("{stem}-{number}")).map_err(|error| Error::Usage(error.to_string()))?;
        if registry.layout().run(&id).root().symlink_metadata().is_err() {
            return Ok(id);
        }
        *number += 1;
    }
}

/// How the Engine maps users. Without an Engine a run is for one that does not; whether that is so is looked at again
/// when its gate has started.
fn remap(config: &Config) -> Result<Option<Remap>, Error> {
    let asked = Docker::default().wait(Engine::terms);
    let terms = match asked {
        Err(Error::Container(ContainerError::UserNamespace { .. } | ContainerError::NotItsUser)) => asked?,
        Err(Error::Container(_)) => return Ok(None),
        asked => asked?,
    };
    if !config.containers.allow_unenforced_limits {
        terms.hold()?;
    }
    if terms.remap.is_some() && config.gate.network == GateNetwork::Host {
        let how = if is_rootless(terms.remap) { "is rootless" } else { "maps users (userns-remap)" };
        let why = format!("the Engine {how}, and gives the host's network to nobody: set `gate.network = \"bridge\"`");
        return Err(Error::Usage(why));
    }
    Ok(terms.remap)
}

fn is_rootless(remap: Option<Remap>) -> bool {
    remap.is_some_and(|remap| (remap.uid, remap.gid) == ROOTLESS)
}

#[allow(clippy::too_many_arguments)] // each is one thing that a run is created from
fn created(
    registry: &Registry,
    config: &Config,
    workflow: &Workflow,
    label: &str,
    text: &str,
    run: &RunId,
    inputs: Vec<Artifact>,
    params: &BTreeMap<String, String>,
) -> Result<Created, Error> {
    let id = registry.id()?;
    let nodes: Vec<NodeDefinition> = workflow
        .nodes
        .iter()
        .map(|node| node_definition(registry, config, workflow, node))
        .collect::<Result<_, _>>()?;
    let session = format!("taskforge:{run}");
    let contained = nodes.iter().any(|node| node.container.is_some());
    let users = || -> Result<Users, Error> {
        let remap = remap(config)?;
        let range = config.containers.uid_range;
        let users = ContainerUsers::of_run(Operator::current(), &id, run.as_str(), range, remap)
            .map_err(|error| Error::Usage(error.to_string()))?;
        let ((agent_uid, agent_gid), (gate_uid, gate_gid)) = (users.agent, users.gate);
        let root = remap.map(|remap| (remap.uid, remap.gid));
        Ok(Users { agent_uid, agent_gid, gate_uid, gate_gid, root })
    };
    let users = contained.then(users).transpose()?;
    Ok(Created {
        parent: None,
        format: FORMAT,
        registry: id,
        signed: super::approvers::are_configured(registry)?,
        workflow_id: workflow.id.clone(),
        title: workflow.title.clone(),
        workflow_path: label.to_owned(),
        workflow_digest: Digest::of(text.as_bytes()),
        binary: contained.then(|| binary::pin(registry)).transpose()?,
        users,
        nodes,
        inputs,
        params: params.clone(),
        limits: Limits { attempts: config.limits.attempts, suspensions: config.limits.suspensions },
        concurrency: workflow.concurrency.unwrap_or(4),
        sessions: Sessions {
            source: session.clone(),
            source_agent_id: None,
            root: session.clone(),
            planner: session.clone(),
            driver: session,
            delivery_context: None,
        },
    })
}

/// A node of the workflow as the run freezes it, with the registry's defaults filled in.
pub(super) fn node_definition(
    registry: &Registry,
    config: &Config,
    workflow: &Workflow,
    node: &workflow::Node,
) -> Result<NodeDefinition, Error> {
    let kind = match node.kind {
        workflow::Kind::SessionTurn => NodeKind::SessionTurn,
        workflow::Kind::Subagent => NodeKind::Subagent,
        workflow::Kind::Wait => NodeKind::Wait,
        workflow::Kind::Approval => NodeKind::Approval,
        workflow::Kind::Summary => NodeKind::Summary,
    };
    let wait_for = node.wait_for.as_ref().map(|wait| match wait {
        workflow::WaitFor::NextTick => WaitFor { kind: WaitKind::NextTick, path: None },
        workflow::WaitFor::Manual => WaitFor { kind: WaitKind::Manual, path: None },
        workflow::WaitFor::FileExists { path } => {
            WaitFor { kind: WaitKind::FileExists, path: Some(path.as_str().to_owned()) }
        }
    });
    if node.when.is_some() {
        return Err(Error::Usage(format!("node {}: `when` is not acted upon yet", node.id)));
    }
    let container =
        node.container.as_ref().map(|container| container_definition(registry, config, workflow, node, container));
    Ok(NodeDefinition {
        id: node.id.clone(),
        title: node.title.clone(),
        kind,
        needs: node.needs.clone(),
        prompt: String::new(),
        outputs_mode: match node.outputs.mode {
            workflow::OutputsMode::Notify => OutputsMode::Notify,
            workflow::OutputsMode::Report => OutputsMode::Report,
        },
        artifact_paths: node.outputs.artifact_paths.iter().map(|path| path.as_str().to_owned()).collect(),
        wait_for,
        session_key: node.session_key.clone(),
        retry: node.retry.as_ref().map(|retry| Retry {
            limit: retry.limit,
            backoff_ms: millis(retry.backoff),
            max_backoff_ms: retry.max_backoff.map_or(3_600_000, millis),
            on: retry.on.iter().map(|code| i64::from(*code)).collect(),
        }),
        continue_on_failure: node.continue_on.contains(&workflow::Ending::Failed),
        container: container.transpose()?,
        metadata: node.metadata.clone(),
    })
}

fn container_definition(
    registry: &Registry,
    config: &Config,
    workflow: &Workflow,
    node: &workflow::Node,
    container: &workflow::Container,
) -> Result<ContainerDefinition, Error> {
    let usage = |message: String| Error::Usage(format!("node {}: {message}", node.id));
    let runtime = match container.runtime {
        workflow::Runtime::Builtin => Runtime::Builtin,
        workflow::Runtime::Command => Runtime::Command,
        workflow::Runtime::Openclaw => Runtime::Openclaw,
    };
    let role = persona(registry, container)?;
    let persona = role.as_ref().map(|(bundle, _)| &bundle.role);
    if let (Some(own), Some(model)) = (&container.model, persona.and_then(|role| role.model.as_ref()))
        && own != model
    {
        return Err(usage(format!("`model` is `{own}`, and its role speaks to `{model}`")));
    }
    let model = container
        .model
        .clone()
        .or_else(|| persona?.model.clone())
        .or_else(|| workflow.defaults.model.clone())
        .or_else(|| config.llm.model.clone())
        .unwrap_or_default();
    if runtime != Runtime::Command && model.is_empty() {
        return Err(usage("no model: set `llm.model` in taskforge.toml, or `container.model`".to_owned()));
    }
    let openclaw = &config.containers.openclaw;
    let made = openclaw.reference();
    let name = match (&container.image, runtime) {
        (Some(image), _) => image.as_str(),
        (None, Runtime::Openclaw) => made.as_str(),
        (None, Runtime::Builtin | Runtime::Command) => config.containers.image.as_str(),
    };
    let image = match config.containers.images.get(name) {
        Some(reference) => reference.clone(),
        None if name.contains(['/', ':', '@']) => name.to_owned(),
        None => return Err(usage(format!("`taskforge.toml` has no image `{name}` under [containers.images]"))),
    };
    let mut capabilities: Vec<Capability> = persona.map(|role| role.capabilities.clone()).unwrap_or_default();
    let own: Vec<Capability> = container
        .capabilities
        .iter()
        .map(|text| Capability::parse(text).map_err(|error| usage(error.to_string())))
        .collect::<Result<_, _>>()?;
    capabilities.extend(own.into_iter().filter(|own| persona.is_none_or(|role| !role.capabilities.contains(own))));
    let defaults = &config.containers.resources;
    let own = within(&container.resources, persona);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked to be a small positive number
    let cpu_millis = (own.cpus.unwrap_or(defaults.cpus) * 1000.0).round() as u64;
    Ok(ContainerDefinition {
        image,
        runtime,
        command: container.command.clone(),
        model,
        capabilities,
        deploy: container.deploy.clone(),
        resources: Resources {
            cpu_millis,
            memory: own.memory.unwrap_or(match runtime {
                Runtime::Openclaw => openclaw.memory,
                Runtime::Builtin | Runtime::Command => defaults.memory,
            }),
            pids: own.pids.unwrap_or(defaults.pids),
            disk: own.disk.unwrap_or(defaults.disk),
            wall_ms: millis(
                least(own.wall.or(node.timeout), persona.and_then(|role| role.tasks.timeout)).unwrap_or(defaults.wall),
            ),
        },
        role: role.map(|(bundle, agent)| RoleBinding {
            role: bundle.role.name.clone(),
            digest: bundle.digest(),
            under: Vec::new(),
            agent,
        }),
        iterations: container.iterations.unwrap_or(config.limits.iterations),
    })
}

/// As what a node works: the role that it names, or that of its agent, as it was when that was hired.
fn persona(registry: &Registry, container: &workflow::Container) -> Result<Option<(Bundle, Option<AgentName>)>, Error> {
    match (&container.role, &container.agent) {
        (_, Some(name)) => {
            let agent = AgentStore::open(registry, name)?.peek()?;
            agent.require_hired()?;
            Ok(Some((roles::of_agent(registry, &agent)?, Some(name.clone()))))
        }
        (Some(role), None) => Ok(Some((roles::role(registry, role)?, None))),
        (None, None) => Ok(None),
    }
}

/// What a node wants of resources, and its role's limits: of two, the smaller.
fn within(own: &workflow::Resources, role: Option<&Role>) -> workflow::Resources {
    let Some(limits) = role.map(|role| role.resources) else { return own.clone() };
    let cpus = match (own.cpus, limits.cpus) {
        (Some(own), Some(limit)) => Some(own.min(limit)),
        (own, limit) => own.or(limit),
    };
    workflow::Resources {
        cpus,
        memory: least(own.memory, limits.memory),
        pids: least(own.pids, limits.pids),
        disk: least(own.disk, limits.disk),
        wall: own.wall,
    }
}

fn least<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
