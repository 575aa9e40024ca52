//! Ending containers: softly, at once, and all of a registry's.

use std::collections::HashMap;
use std::time::Duration;

use bollard::errors::Error as Bollard;
use bollard::query_parameters::{
    KillContainerOptionsBuilder, RemoveContainerOptionsBuilder, StopContainerOptionsBuilder,
    WaitContainerOptionsBuilder,
};
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt as _, pin_mut};

use super::engine::Engine;
use super::error::Error;
use super::list::Summary;
use super::name::is_addressable;
use super::patience::Patience;

/// How often it is looked whether what cannot be seen to end gets on.
const LOOK: Duration = Duration::from_millis(250);

/// How long a list may take before what is known without one is ended meanwhile.
const FIRST_LOOK: Duration = Duration::from_millis(700);

/// How long the Engine may take to send a signal, when it has not removed a container.
const SIGNAL: Duration = Duration::from_millis(500);

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
        self.kill_all_but(registry, &[], &mut Patience::default()).await
    }

    /// As [`Engine::kill_all`], without another try at the containers whose ids are `stuck`.
    ///
    /// # Errors
    /// As [`Engine::kill_all`].
    pub async fn kill_all_but(
        &self,
        registry: &str,
        stuck: &[String],
        patience: &mut Patience,
    ) -> Result<Killed, Error> {
        let mut found = self.list_within(registry, patience.left().clamp(LOOK, FIRST_LOOK)).await?;
        patience.heard();
        found.retain(|summary| !stuck.contains(&summary.id));
        let ids: Vec<String> = found.iter().map(|summary| summary.id.clone()).collect();
        let mut outcomes = self.end_at_once(&ids, Some(registry), patience).await;
        let mut killed = Killed::default();
        for summary in found {
            match outcomes.remove(&summary.id) {
                Some(Ok(_)) => killed.removed.push(summary),
                Some(Err(error)) => killed.failed.push((summary, error)),
                None => {
                    let what = format!("remove `{}`", summary.name);
                    killed.failed.push((summary, Error::Timeout { what }));
                }
            }
        }
        Ok(killed)
    }

    /// As [`Engine::list`], of an Engine that may hang.
    ///
    /// # Errors
    /// [`Error::Timeout`] besides those of [`Engine::list`].
    pub async fn list_soon(&self, registry: &str) -> Result<Vec<Summary>, Error> {
        self.list_within(registry, Patience::default().left()).await
    }

    async fn list_within(&self, registry: &str, wait: Duration) -> Result<Vec<Summary>, Error> {
        let listed = tokio::time::timeout(wait, self.list(registry)).await;
        listed.unwrap_or_else(|_| Err(Error::Timeout { what: "list containers".to_owned() }))
    }

    /// Removes the containers `names`, for an Engine that does not say which there are. Those that were there.
    pub async fn kill_named(&self, names: &[String], patience: &mut Patience) -> Vec<String> {
        let outcomes = self.end_at_once(names, None, patience).await;
        names.iter().filter(|name| matches!(outcomes.get(*name), Some(Ok(true)))).cloned().collect()
    }

    /// Removes containers, or, where the Engine does not do that or does not get on with it, at least ends what runs in
    /// them. By name or id, what became of each that the Engine said anything of.
    async fn end_at_once(
        &self,
        names: &[String],
        registry: Option<&str>,
        patience: &mut Patience,
    ) -> HashMap<String, Result<bool, Error>> {
        let mut removals: FuturesUnordered<_> =
            names.iter().map(|name| async move { (name.clone(), self.remove(name).await) }).collect();
        let mut outcomes = HashMap::new();
        let mut before = None;
        let mut looking = std::pin::pin!(self.states(registry));
        loop {
            tokio::select! {
                removed = removals.next() => match removed {
                    Some((name, outcome)) => {
                        patience.heard();
                        outcomes.insert(name, outcome);
                    }
                    None => break,
                },
                states = &mut looking => {
                    if let Some(states) = states {
                        patience.heard();
                        if before.as_ref().is_some_and(|before| *before != states) {
                            patience.moved();
                        }
                        before = Some(states);
                    }
                    looking.set(self.states(registry));
                }
                () = tokio::time::sleep(patience.left()) => if patience.is_over() { break },
            }
        }
        drop(removals);
        let left = names.iter().filter(|name| !matches!(outcomes.get(*name), Some(Ok(_))));
        // What went wrong first is what is reported: the container is still there either way.
        let signals = join_all(left.map(|name| self.signal(name)));
        let _ = tokio::time::timeout(SIGNAL, signals).await;
        outcomes
    }

    /// A moment later, which containers there are and in what state; nothing if that cannot be had.
    async fn states(&self, registry: Option<&str>) -> Option<Vec<(String, String)>> {
        tokio::time::sleep(LOOK).await;
        let found = self.list(registry?).await.ok()?;
        Some(found.into_iter().map(|summary| (summary.id, summary.status)).collect())
    }

    async fn signal(&self, name: &str) {
        let options = KillContainerOptionsBuilder::default().signal("SIGKILL").build();
        let _ = self.docker().kill_container(name, Some(options)).await;
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
