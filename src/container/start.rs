//! Starting a container exactly once, whatever happened before: the name is taken by the first, and everyone else
//! adopts what the first made, or is told that it is something else.

use std::time::Duration;

use bollard::errors::Error as Bollard;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{CreateContainerOptionsBuilder, StartContainerOptions};

use super::body::create_body;
use super::engine::Engine;
use super::error::Error;
use super::observe::{Observed, State};
use super::spec::ContainerSpec;

/// How a container came to be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Made and started now.
    Fresh,
    /// Someone had made it and died before starting it; started now.
    Completed,
    /// It was running already.
    Running,
    /// It had run and ended already; it was not started again.
    Ended,
}

/// A container that has been started, now or earlier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// The Engine's id, 64 hex digits.
    pub id: String,
    pub how: How,
}

impl Started {
    /// Whether it existed before.
    #[must_use]
    pub const fn adopted(&self) -> bool {
        !matches!(self.how, How::Fresh)
    }
}

/// Between "the name is taken" and "there is no such container" lies another client's create or remove in flight.
const TRIES: u32 = 40;
const PAUSE: Duration = Duration::from_millis(50);

impl Engine {
    /// Makes and starts the container of `spec`, or adopts the one that has its name, if all its labels and its spec's
    /// digest are the same. Two requests where nothing existed. `permit` stands for the caller's right to start
    /// containers now: it is held until this returns.
    ///
    /// A crash at any point is safe: the next call with the same spec finds what is there and goes on.
    ///
    /// # Errors
    /// [`Error::Refused`] before the Engine is asked; [`Error::Conflict`] if the name belongs to something else;
    /// [`Error::ImageMissing`], [`Error::RuntimeMissing`], [`Error::Start`] from the Engine.
    pub async fn ensure_started<P: Sync>(&self, spec: &ContainerSpec, _permit: &P) -> Result<Started, Error> {
        self.admit(spec)?;
        let body = create_body(spec);
        for _ in 0..TRIES {
            if let Some(id) = self.create(spec, body.clone()).await? {
                self.start(spec, &id).await?;
                return Ok(Started { id, how: How::Fresh });
            }
            let Some(found) = self.inspect(&spec.name).await? else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let differs = differences(&found, &body);
            if !differs.is_empty() {
                return Err(Error::Conflict { name: spec.name.clone(), differs });
            }
            let how = match found.state {
                State::Created { .. } => {
                    self.start(spec, &found.id).await?;
                    How::Completed
                }
                State::Running => How::Running,
                State::Exited { .. } => How::Ended,
                State::Removing => {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            return Ok(Started { id: found.id, how });
        }
        Err(Error::NameTaken { name: spec.name.clone() })
    }

    /// The rules of the box, all of them, before the Engine hears of the container.
    pub(crate) fn admit(&self, spec: &ContainerSpec) -> Result<(), Error> {
        let refused = |refusal| Error::Refused { name: spec.name.clone(), refusal };
        spec.check().map_err(refused)?;
        spec.mounts.iter().try_for_each(|mount| mount.check_on_disk(self.socket())).map_err(refused)
    }

    /// The new container's id; `None` if the name is taken.
    pub(crate) async fn create(
        &self,
        spec: &ContainerSpec,
        body: ContainerCreateBody,
    ) -> Result<Option<String>, Error> {
        let options = CreateContainerOptionsBuilder::default().name(&spec.name).build();
        match self.docker().create_container(Some(options), body).await {
            Ok(made) => Ok(Some(made.id)),
            Err(Bollard::DockerResponseServerError { status_code: 409, .. }) => Ok(None),
            Err(Bollard::DockerResponseServerError { status_code: 404, .. }) => {
                Err(Error::ImageMissing { image: spec.image.to_string() })
            }
            Err(error) => Err(self.explain_start(spec, error)),
        }
    }

    /// Starts what has been made; being started already is no error.
    pub(crate) async fn start(&self, spec: &ContainerSpec, id: &str) -> Result<(), Error> {
        match self.docker().start_container(id, None::<StartContainerOptions>).await {
            Ok(()) => Ok(()),
            Err(Bollard::DockerResponseServerError { status_code: 404, message }) if message.contains(id) => {
                Err(Error::NotFound { name: spec.name.clone() })
            }
            Err(error) => Err(self.explain_start(spec, error)),
        }
    }

    fn explain_start(&self, spec: &ContainerSpec, error: Bollard) -> Error {
        let Bollard::DockerResponseServerError { status_code: 400..=599, message } = error else {
            return self.explain(format!("start `{}`", spec.name), error);
        };
        if let Some(runtime) = &spec.runtime {
            let lower = message.to_lowercase();
            if lower.contains("unknown runtime") || lower.contains(&format!("\"{runtime}\": executable file not found"))
            {
                return Error::RuntimeMissing { runtime: runtime.clone(), message };
            }
        }
        Error::Start { name: spec.name.clone(), message }
    }
}

/// Which of our labels, the spec's digest among them, are not those of `body`.
fn differences(found: &Observed, body: &ContainerCreateBody) -> Vec<String> {
    let mut differs: Vec<String> = body
        .labels
        .iter()
        .flatten()
        .filter(|(key, value)| found.labels.get(*key) != Some(value))
        .map(|(key, value)| {
            let there = found.labels.get(key).map_or("nothing", String::as_str);
            format!("`{key}` ({there} instead of {value})")
        })
        .collect();
    differs.sort();
    differs
}
