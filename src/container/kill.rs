//! Ending containers: softly, at once, and all of a registry's.

use std::time::Duration;

use bollard::errors::Error as Bollard;
use bollard::query_parameters::{
    KillContainerOptionsBuilder, RemoveContainerOptionsBuilder, StopContainerOptionsBuilder,
    WaitContainerOptionsBuilder,
};
use futures_util::future::join_all;
use futures_util::{StreamExt as _, pin_mut};

use super::engine::Engine;
use super::error::Error;
use super::list::Summary;
use super::name::is_addressable;

/// How long the Engine may take for one container. A busy one takes a second or two; one that hangs must not hold up the
/// removal of the others, nor the news that it hangs.
const REMOVE: Duration = Duration::from_secs(10);

/// How long the Engine may take for a list, and for a signal.
const BRIEF: Duration = Duration::from_secs(5);

/// What [`Engine::kill_all`] did.
#[derive(Debug, Default)]
pub struct Killed {
    /// Gone, or being removed by someone else.
    pub removed: Vec<Summary>,
    /// Still there, and why.
    pub failed: Vec<(Summary, Error)>,
}

impl Engine {
    /// Removes every container of the registry, in any state, by SIGKILL and in parallel. A container that appears
    /// meanwhile is not seen: who wants none left asks again until [`Killed::removed`] is empty.
    ///
    /// # Errors
    /// The list could not be had. What could not be removed stands in [`Killed::failed`].
    pub async fn kill_all(&self, registry: &str) -> Result<Killed, Error> {
        self.kill_all_but(registry, &[]).await
    }

    /// As [`Engine::kill_all`], without another try at the containers whose ids are `stuck`.
    ///
    /// # Errors
    /// As [`Engine::kill_all`].
    pub async fn kill_all_but(&self, registry: &str, stuck: &[String]) -> Result<Killed, Error> {
        let mut found = self.list_soon(registry).await?;
        found.retain(|summary| !stuck.contains(&summary.id));
        let outcomes = join_all(found.iter().map(|summary| self.end_at_once(&summary.id))).await;
        let mut killed = Killed::default();
        for (summary, outcome) in found.into_iter().zip(outcomes) {
            match outcome {
                Ok(_) => killed.removed.push(summary),
                Err(error) => killed.failed.push((summary, error)),
            }
        }
        Ok(killed)
    }

    /// As [`Engine::list`], of an Engine that may hang.
    ///
    /// # Errors
    /// [`Error::Timeout`] besides those of [`Engine::list`].
    pub async fn list_soon(&self, registry: &str) -> Result<Vec<Summary>, Error> {
        self.within(BRIEF, "list containers", self.list(registry)).await
    }

    /// Removes the containers `names`, for an Engine that does not say which there are. Those that were there.
    pub async fn kill_named(&self, names: &[String]) -> Vec<String> {
        let outcomes = join_all(names.iter().map(|name| self.end_at_once(name))).await;
        let there = names.iter().zip(outcomes).filter(|(_, outcome)| matches!(outcome, Ok(true)));
        there.map(|(name, _)| name.clone()).collect()
    }

    /// Removes a container, or, where the Engine does not do that in time or at all, at least ends what runs in it.
    async fn end_at_once(&self, name: &str) -> Result<bool, Error> {
        let removed = self.within(REMOVE, format!("remove `{name}`"), self.remove(name)).await;
        let Err(error) = removed else { return removed };
        let options = KillContainerOptionsBuilder::default().signal("SIGKILL").build();
        let signal = async {
            let sent = self.docker().kill_container(name, Some(options)).await;
            sent.map_err(|error| self.explain(format!("signal `{name}`"), error))
        };
        // What went wrong first is what is reported: the container is still there either way.
        let _ = self.within(BRIEF, format!("signal `{name}`"), signal).await;
        Err(error)
    }

    async fn within<T>(
        &self,
        patience: Duration,
        what: impl Into<String>,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let answered = tokio::time::timeout(patience, call).await;
        answered.unwrap_or_else(|_| Err(Error::Timeout { what: what.into() }))
    }

    /// Removes one container and its anonymous volumes, by SIGKILL if it runs. `false` if there was none.
    ///
    /// # Errors
    /// The Engine cannot be reached, or fails.
    pub async fn remove(&self, name: &str) -> Result<bool, Error> {
        if !is_addressable(name) {
            return Ok(false);
        }
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        match self.docker().remove_container(name, Some(options)).await {
            Ok(()) => Ok(true),
            Err(Bollard::DockerResponseServerError { status_code: 404, .. }) => Ok(false),
            // Someone else is at it.
            Err(Bollard::DockerResponseServerError { status_code: 409, message })
                if message.contains("already in progress") =>
            {
                Ok(true)
            }
            Err(error) => Err(self.explain(format!("remove `{name}`"), error)),
        }
    }

    /// SIGTERM, and SIGKILL after `grace` seconds. `false` if there was no such container.
    ///
    /// # Errors
    /// The Engine cannot be reached, or fails.
    pub async fn stop(&self, name: &str, grace: u16) -> Result<bool, Error> {
        if !is_addressable(name) {
            return Ok(false);
        }
        let options = StopContainerOptionsBuilder::default().t(i32::from(grace)).build();
        match self.docker().stop_container(name, Some(options)).await {
            Ok(()) => Ok(true),
            Err(Bollard::DockerResponseServerError { status_code: 404, .. }) => Ok(false),
            Err(error) => Err(self.explain(format!("stop `{name}`"), error)),
        }
    }

    /// The exit code, once the container has ended; at once if it has ended already. One that was never started counts
    /// as ended with 0, so that this is asked only of what has been started.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such container.
    pub async fn wait(&self, name: &str) -> Result<i64, Error> {
        if !is_addressable(name) {
            return Err(Error::NotFound { name: name.to_owned() });
        }
        let options = WaitContainerOptionsBuilder::default().condition("not-running").build();
        let stream = self.docker().wait_container(name, Some(options));
        pin_mut!(stream);
        match stream.next().await {
            Some(Ok(answer)) => Ok(answer.status_code),
            // The library makes an error of every exit code but 0.
            Some(Err(Bollard::DockerContainerWaitError { error, code })) if error.is_empty() => Ok(code),
            Some(Err(Bollard::DockerResponseServerError { status_code: 404, .. })) => {
                Err(Error::NotFound { name: name.to_owned() })
            }
            Some(Err(error)) => Err(self.explain(format!("wait for `{name}`"), error)),
            None => Err(Error::Timeout { what: format!("the wait for `{name}` ended without an exit code") }),
        }
    }
}
