//! A disposable container: started idle, given commands one after another, removed whatever happens. It carries the
//! registry's label, so that the kill switch finds it, and ends by itself when its time is over, so that none is
//! left behind by a process that died.
//!
//! This file is the room's only contact with the Engine's container API.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bollard::models::{
    ContainerConfig, ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType, ResourcesUlimits,
};
use bollard::query_parameters::{
    CommitContainerOptionsBuilder, CreateContainerOptionsBuilder, InspectContainerOptionsBuilder,
    RemoveContainerOptionsBuilder,
};
use futures_util::StreamExt as _;
use sha2::Digest as _;
use tokio::time::Instant;

use super::arriving::{self, Arriving};
use super::error::{Error, Refusal};
use super::folder;
use super::limits::Limits;
use super::output::{Bounded, Output};
use super::reached;
use crate::run::id::Digest;

/// What maintainer scripts and pip need as root inside the container, and nothing that reaches out of it.
const CAPABILITIES: [&str; 6] = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETGID", "SETUID"];

/// For whom a container runs: its labels and, with the role, its name.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The registry's id.
    pub registry: String,
    /// The run that asked, or empty.
    pub run: String,
    /// What keeps two containers of one role apart: a request's id, a recipe's digest.
    pub key: String,
}

/// The value of the label `io.taskforge.role`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Resolve,
    Fetch,
    Build,
    Probe,
}

impl Role {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Fetch => "fetch",
            Self::Build => "build",
            Self::Probe => "probe",
        }
    }
}

/// A folder or file of the host inside a container.
pub(super) struct Bind {
    pub(super) host: PathBuf,
    pub(super) inside: &'static str,
    pub(super) writable: bool,
}

pub(super) struct Spec<'a> {
    pub(super) image: &'a str,
    pub(super) role: Role,
    pub(super) scope: &'a Scope,
    pub(super) limits: &'a Limits,
    pub(super) deadline: Instant,
    /// Whether it may reach the package index; otherwise its network is `none`.
    pub(super) network: bool,
    /// `uid:gid`; root if absent. Only root gets [`CAPABILITIES`].
    pub(super) user: Option<String>,
    pub(super) read_only: bool,
    pub(super) binds: Vec<Bind>,
}

impl Scope {
    /// `tf-<role>-<16 hex>`: one container a role, registry and key at a time, each part preceded by its length.
    fn name(&self, role: Role) -> String {
        let mut hash = sha2::Sha256::new();
        for part in [&self.registry, role.as_str(), &self.key] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        let digest = Digest::from_bytes(&hash.finalize().into());
        format!("tf-{}-{}", role.as_str(), &digest.as_str()[..16])
    }
}

impl Spec<'_> {
    fn labels(&self) -> HashMap<String, String> {
        let label = |name: &str, value: &str| (format!("io.taskforge.{name}"), value.to_owned());
        HashMap::from([
            label("registry", &self.scope.registry),
            label("run", &self.scope.run),
            label("role", self.role.as_str()),
            label("node", ""),
            label("attempt", ""),
            label("spec", ""),
        ])
    }

    fn body(&self) -> ContainerCreateBody {
        let root = self.user.is_none();
        let lifetime = self.deadline.saturating_duration_since(Instant::now()).as_secs() + 30;
        let memory = i64::try_from(self.limits.memory).unwrap_or(i64::MAX);
        let mount = |bind: &Bind| Mount {
            target: Some(bind.inside.to_owned()),
            source: Some(bind.host.display().to_string()),
            typ: Some(MountType::BIND),
            read_only: Some(!bind.writable),
            ..Mount::default()
        };
        ContainerCreateBody {
            image: Some(self.image.to_owned()),
            user: Some(self.user.clone().unwrap_or_else(|| "0:0".to_owned())),
            entrypoint: Some(vec!["sleep".to_owned()]),
            cmd: Some(vec![lifetime.to_string()]),
            working_dir: Some("/".to_owned()),
            labels: Some(self.labels()),
            host_config: Some(HostConfig {
                auto_remove: Some(true),
                network_mode: Some(if self.network { "bridge" } else { "none" }.to_owned()),
                memory: Some(memory),
                memory_swap: Some(memory),
                pids_limit: Some(self.limits.pids),
                cap_drop: Some(vec!["ALL".to_owned()]),
                cap_add: root.then(|| CAPABILITIES.map(str::to_owned).to_vec()),
                security_opt: Some(crate::container::security_options()),
                readonly_rootfs: Some(self.read_only),
                tmpfs: self.read_only.then(|| HashMap::from([("/tmp".to_owned(), "size=64m,mode=1777".to_owned())])),
                ulimits: Some(vec![ResourcesUlimits { name: Some("core".to_owned()), soft: Some(0), hard: Some(0) }]),
                log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
                mounts: Some(self.binds.iter().map(mount).collect()),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        }
    }
}

/// Who root in a container is on the host, where that is another than root.
pub(super) async fn root_on_host(docker: &Docker) -> Result<Option<(u32, u32)>, Error> {
    let info = docker.info().await.map_err(Error::engine("asking the Engine how it maps users"))?;
    let options = info.security_options.unwrap_or_default();
    let found = crate::container::read_remap(&options, info.docker_root_dir.as_deref().unwrap_or_default());
    let found = found.map_err(|error| Error::NotPermitted { source: Box::new(error) })?;
    Ok(found.map(|remap| (remap.uid, remap.gid)).filter(|root| *root != (0, 0)))
}

/// A command for a [`Sandbox`].
pub(super) struct Command<'a> {
    pub(super) argv: &'a [String],
    pub(super) env: Vec<(String, String)>,
    /// The most bytes of its output that are kept.
    pub(super) keep: usize,
}

/// A running container.
pub(super) struct Sandbox<'a> {
    docker: &'a Docker,
    id: String,
    deadline: Instant,
    limits: &'a Limits,
    /// Folders of the host that it may write to.
    writable: Vec<PathBuf>,
}

/// Starts a container, lets `work` use it, and removes it. `guard` is asked right before the start, and what it
/// returns is held until Docker's start has returned.
pub(super) async fn with_sandbox<T, G, E: Into<Refusal>>(
    docker: &Docker,
    spec: &Spec<'_>,
    guard: &impl Fn() -> Result<G, E>,
    work: impl AsyncFnOnce(&Sandbox<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let name = spec.scope.name(spec.role);
    let permit = guard().map_err(|e| Error::NotPermitted { source: e.into() })?;
    let id = create(docker, spec, &name).await?;
    let writable = spec.binds.iter().filter(|bind| bind.writable).map(|bind| bind.host.clone()).collect();
    let sandbox = Sandbox { docker, id, deadline: spec.deadline, limits: spec.limits, writable };
    let started = docker.start_container(&sandbox.id, None).await.map_err(Error::engine(format!("starting `{name}`")));
    drop(permit);
    let result = match started {
        Ok(()) => work(&sandbox).await,
        Err(e) => Err(e),
    };
    // A failure to remove must not hide why the work failed; the container ends and removes itself anyway.
    let removed = remove(docker, &sandbox.id).await;
    let value = result?;
    removed.map(|()| value)
}

/// Lets `read` have the files of an image as one stream (tar), from a container that is made of it and never started.
///
/// # Errors
/// What `read` says; [`Error::Timeout`], [`Error::Engine`].
pub(super) async fn with_files<T: Send + 'static, G, E: Into<Refusal>>(
    docker: &Docker,
    spec: &Spec<'_>,
    guard: &impl Fn() -> Result<G, E>,
    read: impl FnOnce(Arriving) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let name = spec.scope.name(spec.role);
    let permit = guard().map_err(|e| Error::NotPermitted { source: e.into() })?;
    let id = create(docker, spec, &name).await?;
    drop(permit);
    let work = arriving::pump(docker.export_container(&id), read);
    let result = match tokio::time::timeout_at(spec.deadline, work).await {
        Ok(result) => result,
        Err(_) => Err(Error::Timeout { command: "docker export".to_owned(), limit: spec.limits.wall }),
    };
    let removed = remove(docker, &id).await;
    let value = result?;
    removed.map(|()| value)
}

async fn create(docker: &Docker, spec: &Spec<'_>, name: &str) -> Result<String, Error> {
    let options = || Some(CreateContainerOptionsBuilder::default().name(name).build());
    match docker.create_container(options(), spec.body()).await {
        Ok(created) => return Ok(created.id),
        // What a dead process left: the caller's lock says that nobody else uses it.
        Err(e) if status(&e) == Some(409) => remove(docker, name).await?,
        Err(e) if status(&e) == Some(404) => return Err(Error::NoBase { image: spec.image.to_owned() }),
        Err(e) => return Err(Error::engine(format!("creating `{name}`"))(e)),
    }
    let again = docker.create_container(options(), spec.body()).await;
    again.map(|created| created.id).map_err(Error::engine(format!("creating `{name}`")))
}

async fn remove(docker: &Docker, name: &str) -> Result<(), Error> {
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    match docker.remove_container(name, Some(options)).await {
        Ok(()) => Ok(()),
        // Gone, or going because it ended.
        Err(e) if matches!(status(&e), Some(404 | 409)) => Ok(()),
        Err(e) => Err(Error::engine(format!("removing `{name}`"))(e)),
    }
}

/// Removes what a dead process left of `roles` in this scope, and waits until it is gone: an image that a container
/// uses cannot be removed.
pub(super) async fn remove_leftovers(docker: &Docker, scope: &Scope, roles: &[Role]) -> Result<(), Error> {
    const PATIENCE: Duration = Duration::from_secs(10);
    for role in roles {
        let name = scope.name(*role);
        remove(docker, &name).await?;
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            match docker.inspect_container(&name, None).await {
                Err(e) if status(&e) == Some(404) => break,
                Ok(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                Err(e) => return Err(Error::engine(format!("looking for `{name}`"))(e)),
            }
        }
    }
    Ok(())
}

pub(super) const fn status(error: &bollard::errors::Error) -> Option<u16> {
    match error {
        bollard::errors::Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

impl Sandbox<'_> {
    /// Runs a command to its end.
    ///
    /// # Errors
    /// [`Error::Timeout`] when the container's time is over, [`Error::Engine`]. An exit code other than 0
    /// is a result.
    pub(super) async fn run(&self, command: Command<'_>) -> Result<Output, Error> {
        self.run_into(command, &mut Bounded::new(0)).await
    }

    /// [`Sandbox::run`], and writes both streams to `transcript` as they come, so that it holds what a command that
    /// is cut off had to say.
    pub(super) async fn run_into(&self, command: Command<'_>, transcript: &mut Bounded) -> Result<Output, Error> {
        let shown = command_line(command.argv);
        let work = self.execute(command, &shown, transcript);
        tokio::select! {
            result = tokio::time::timeout_at(self.deadline, work) => match result {
                Ok(result) => result,
                Err(_) => Err(Error::Timeout { command: shown, limit: self.limits.wall }),
            },
            () = self.until_full() => Err(Error::TooMuchDisk { command: shown, limit: self.limits.disk }),
        }
    }

    /// Comes back when the container has written more than it may. The Engine's storage knows no quotas on most disks, so
    /// that its layer is measured; a container that is done sooner than that is not asked about.
    async fn until_full(&self) {
        const LOOK: Duration = Duration::from_secs(1);
        loop {
            tokio::time::sleep(LOOK).await;
            let options = InspectContainerOptionsBuilder::default().size(true).build();
            // One that cannot be asked has ended, or its work fails for the same reason.
            let asked = self.docker.inspect_container(&self.id, Some(options)).await;
            let layer = asked.ok().and_then(|found| found.size_rw).unwrap_or_default();
            let folders: u64 = self.writable.iter().map(|folder| folder::size(folder)).sum();
            if u64::try_from(layer).unwrap_or_default() + folders > self.limits.disk {
                return;
            }
        }
    }

    async fn execute(&self, command: Command<'_>, shown: &str, transcript: &mut Bounded) -> Result<Output, Error> {
        let engine = || Error::engine(format!("running `{shown}`"));
        let options = CreateExecOptions {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            env: Some(command.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
            cmd: Some(command.argv.to_vec()),
            ..CreateExecOptions::default()
        };
        let exec = self.docker.create_exec(&self.id, options).await.map_err(engine())?;
        let started = self.docker.start_exec(&exec.id, None::<StartExecOptions>).await.map_err(engine())?;
        let bounded = || Bounded::new(command.keep);
        let mut output = Output { exit: -1, stdout: bounded(), stderr: bounded() };
        if let StartExecResults::Attached { output: mut stream, .. } = started {
            let mut printed = 0_u64;
            while let Some(chunk) = stream.next().await {
                let chunk = chunk.map_err(engine())?;
                printed += chunk.as_ref().len() as u64;
                if printed > self.limits.output {
                    return Err(Error::TooMuchOutput { command: shown.to_owned(), limit: self.limits.output });
                }
                transcript.push(chunk.as_ref());
                match chunk {
                    LogOutput::StdErr { message } => output.stderr.push(&message),
                    other => output.stdout.push(other.as_ref()),
                }
            }
        }
        loop {
            let state = self.docker.inspect_exec(&exec.id).await.map_err(engine())?;
            if let (Some(false), Some(exit)) = (state.running, state.exit_code) {
                output.exit = exit;
                return Ok(output);
            }
            // The streams close a moment before the Engine learns the exit code.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Runs a command that must succeed.
    ///
    /// # Errors
    /// As [`Sandbox::run`], and [`Error::Step`] with the command's own words.
    pub(super) async fn succeed(&self, command: Command<'_>) -> Result<Output, Error> {
        let shown = command_line(command.argv);
        let output = self.run(command).await?;
        if output.exit == 0 {
            return Ok(output);
        }
        Err(Error::Step { command: shown, exit: output.exit, words: output.words() })
    }

    /// How often something in it tried to reach a network, where it was given none; see [`reached::attempts`].
    ///
    /// # Errors
    /// [`Error::Engine`].
    pub(super) async fn network_attempts(&self) -> Result<Option<u64>, Error> {
        let found = self.docker.inspect_container(&self.id, None).await;
        let found = found.map_err(Error::engine("looking at the container of the installation"))?;
        Ok(found.state.and_then(|state| state.pid).filter(|pid| *pid > 0).and_then(reached::attempts))
    }

    /// Makes the container's present files a layer; the new image's id. `config` stands as given: what Docker would
    /// carry over from this container (its labels, its idle command) is masked.
    pub(super) async fn commit(&self, mut config: ContainerConfig, comment: &str) -> Result<String, Error> {
        let labels = config.labels.get_or_insert_default();
        for name in ["registry", "run", "role", "node", "attempt", "spec"] {
            labels.entry(format!("io.taskforge.{name}")).or_default();
        }
        config.entrypoint.get_or_insert_default();
        let options = CommitContainerOptionsBuilder::default().container(&self.id).comment(comment).pause(true).build();
        let commit = self.docker.commit_container(options, config);
        let committed = tokio::time::timeout_at(self.deadline, commit)
            .await
            .map_err(|_| Error::Timeout { command: "docker commit".to_owned(), limit: self.limits.wall })?;
        Ok(committed.map_err(Error::engine("committing a layer"))?.id)
    }
}

/// The command's first words, for messages.
fn command_line(argv: &[String]) -> String {
    const WORDS: usize = 5;
    let mut line = argv.iter().take(WORDS).map(String::as_str).collect::<Vec<_>>().join(" ");
    if argv.len() > WORDS {
        line.push_str(" …");
    }
    line
}

/// A CA bundle inside a container and the variables that make tools use it.
pub(super) fn ca(bundle: Option<&Path>) -> (Option<Bind>, Vec<(String, String)>) {
    const INSIDE: &str = "/run/taskforge-ca.pem";
    let Some(host) = bundle else {
        return (None, Vec::new());
    };
    let names = ["PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"];
    let env = names.map(|name| (name.to_owned(), INSIDE.to_owned()));
    let host = std::path::absolute(host).unwrap_or_else(|_| host.to_owned());
    (Some(Bind { host, inside: INSIDE, writable: false }), env.to_vec())
}

/// apt's options for the same bundle.
pub(super) fn apt_ca(bundle: Option<&Path>) -> Vec<String> {
    if bundle.is_none() {
        return Vec::new();
    }
    vec!["-o".to_owned(), "Acquire::https::CAInfo=/run/taskforge-ca.pem".to_owned()]
}
