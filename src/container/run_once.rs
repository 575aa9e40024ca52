//! A container for one thing: made, run, watched, read, removed. For resolving, fetching and building, and for looking
//! at the box from inside.

use std::time::Duration;

use bollard::container::LogOutput;
use bollard::query_parameters::AttachContainerOptionsBuilder;
use futures_util::StreamExt as _;

use super::body::create_body;
use super::engine::Engine;
use super::error::Error;
use super::observe::State;
use super::spec::ContainerSpec;

/// What became of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finished {
    /// The exit code; 137 if it was ended for its time.
    pub code: i64,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    /// It was ended because its time was over.
    pub timed_out: bool,
    /// It wrote more than was kept; it was read to its end all the same.
    pub truncated: bool,
    /// The kernel ended one of its processes for want of memory, as the Engine says; a busy one can miss it.
    pub oom: bool,
}

impl Finished {
    /// Exit code 0, in time, with enough memory.
    #[must_use]
    pub const fn succeeded(&self) -> bool {
        self.code == 0 && !self.timed_out && !self.oom
    }
}

impl Engine {
    /// Runs the container to its end, at most for `wall`, and removes it whatever happened. Of each stream the first
    /// `max_output` bytes are kept. A container of the same name and registry, left by a crash, is removed first.
    /// Dropping the future leaves the container to `kill_all`.
    ///
    /// # Errors
    /// As [`Engine::ensure_started`]. An exit code, a timeout or a lack of memory is no error.
    pub async fn run_once<P: Sync>(
        &self,
        spec: &ContainerSpec,
        permit: &P,
        wall: Duration,
        max_output: u64,
    ) -> Result<Finished, Error> {
        let finished = self.run_and_keep(spec, permit, wall, max_output).await;
        let removed = self.remove(&spec.name).await;
        let finished = finished?;
        removed?;
        Ok(finished)
    }

    /// As [`Engine::run_once`], but the ended container stays, for [`Engine::commit`]; the caller removes it. After an
    /// error nothing stays.
    ///
    /// # Errors
    /// As [`Engine::run_once`].
    pub async fn run_and_keep<P: Sync>(
        &self,
        spec: &ContainerSpec,
        _permit: &P,
        wall: Duration,
        max_output: u64,
    ) -> Result<Finished, Error> {
        self.admit(spec)?;
        let id = self.create_anew(spec).await?;
        let finished = self.drive(spec, &id, wall, max_output).await;
        if finished.is_err() {
            // The error that stopped us says more than one from tidying up.
            let _ = self.remove(&id).await;
        }
        finished
    }

    async fn create_anew(&self, spec: &ContainerSpec) -> Result<String, Error> {
        let body = create_body(spec);
        if let Some(id) = self.create(spec, body.clone()).await? {
            return Ok(id);
        }
        if let Some(found) = self.inspect(&spec.name).await? {
            let ours = found.owner().is_some_and(|o| o.registry == spec.labels.registry && o.role == spec.role());
            if !ours {
                return Err(Error::Conflict { name: spec.name.clone(), differs: vec!["registry or role".to_owned()] });
            }
            self.remove(&found.id).await?;
        }
        let made = self.create(spec, body).await?;
        made.ok_or_else(|| Error::NameTaken { name: spec.name.clone() })
    }

    /// Attached before the start, so that no byte is missed and the log files' rotation does not matter.
    async fn drive(&self, spec: &ContainerSpec, id: &str, wall: Duration, max_output: u64) -> Result<Finished, Error> {
        let options = AttachContainerOptionsBuilder::default().stream(true).stdout(true).stderr(true).build();
        let attached = self.docker().attach_container(id, Some(options)).await;
        let attached = attached.map_err(|error| self.explain(format!("attach to `{}`", spec.name), error))?;
        self.start(spec, id).await?;
        let mut finished = Finished::default();
        let mut output = attached.output;
        let mut read = async |finished: &mut Finished| {
            while let Some(piece) = output.next().await {
                let piece = piece.map_err(|error| self.explain(format!("read from `{}`", spec.name), error))?;
                keep(finished, &piece, max_output);
            }
            Ok::<(), Error>(())
        };
        match tokio::time::timeout(wall, async {
            read(&mut finished).await?;
            self.wait(id).await
        })
        .await
        {
            Ok(code) => finished.code = code?,
            Err(_) => {
                finished.timed_out = true;
                self.stop(id, 0).await?;
                finished.code = self.wait(id).await?;
            }
        }
        if let Some(found) = self.inspect(id).await?
            && let State::Exited { oom_killed, .. } = found.state
        {
            finished.oom = oom_killed;
        }
        Ok(finished)
    }
}

fn keep(finished: &mut Finished, piece: &LogOutput, max_output: u64) {
    let kept = if matches!(piece, LogOutput::StdErr { .. }) { &mut finished.stderr } else { &mut finished.stdout };
    let bytes = piece.as_ref();
    let room = usize::try_from(max_output).unwrap_or(usize::MAX).saturating_sub(kept.len());
    kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    if bytes.len() > room {
        finished.truncated = true;
    }
}
