//! Who is asked, in which order, and how often: the tries of one request.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::refusal::Refusal;
use super::retry::{self, Remedy};
use super::shared::Gate;
use crate::provider::{Outgoing, Prepared, Provider, Target};

/// Bodies above this size are looked through on a thread of their own, in bytes.
pub(crate) const LARGE: usize = 64 * 1024;

/// A provider that is asked.
#[derive(Clone)]
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) target: Target,
    /// It may be sent addresses that it fetches.
    pub(crate) addresses: bool,
    /// How often it is asked again.
    pub(crate) retries: u32,
}

/// A request ready to be sent.
pub(crate) struct Try {
    pub(crate) step: Step,
    pub(crate) prepared: Prepared,
}

/// What is left to be tried.
pub(crate) struct Plan {
    gate: Arc<Gate>,
    pub(crate) request: Outgoing,
    current: Step,
    /// Tries of the current step that have failed.
    failed: u32,
    others: VecDeque<Step>,
}

impl Plan {
    /// The plan over `steps`, and its first try.
    ///
    /// # Errors
    /// When there is no step, or the first provider cannot be asked for this: nobody else is asked instead.
    pub(crate) async fn new(gate: Arc<Gate>, steps: Vec<Step>, request: Outgoing) -> Result<(Self, Try), Refusal> {
        let mut others = VecDeque::from(steps);
        let current = others.pop_front().ok_or_else(|| Refusal::not_found("no provider serves this model"))?;
        let plan = Self { gate, request, current, failed: 0, others };
        let first = plan.prepare(plan.current.clone()).await?;
        Ok((plan, first))
    }

    /// The next try after a failure, and how long to wait before; `None` if that was the last.
    pub(crate) async fn next(&mut self, remedy: Remedy) -> Option<(Try, Duration)> {
        let again = match remedy {
            Remedy::None => return None,
            Remedy::Elsewhere => None,
            Remedy::Again(wait) => Some(wait),
        };
        self.failed += 1;
        if let Some(wait) = again
            && self.failed <= self.current.retries
            && let Ok(next) = self.prepare(self.current.clone()).await
        {
            let pause = wait.unwrap_or_else(|| retry::pause(self.failed, chance()));
            return Some((next, pause));
        }
        while let Some(step) = self.others.pop_front() {
            // What another provider cannot be asked is no reason to hide the first one's failure.
            if let Ok(next) = self.prepare(step.clone()).await {
                (self.current, self.failed) = (step, 0);
                return Some((next, Duration::ZERO));
            }
        }
        None
    }

    async fn prepare(&self, step: Step) -> Result<Try, Refusal> {
        if self.request.body.len() <= LARGE {
            let prepared = step.provider.prepare(&self.request, &step.target)?;
            return Ok(Try { step, prepared });
        }
        let request = self.request.clone();
        // As a tree a body takes several times its size: one of them at a time.
        let _alone = self.gate.parsing.lock().await;
        let preparing = tokio::task::spawn_blocking(move || {
            let prepared = step.provider.prepare(&request, &step.target);
            prepared.map(|prepared| Try { step, prepared })
        });
        Ok(preparing.await.map_err(|e| Refusal::bad_request(e.to_string()))??)
    }
}

/// Any number.
fn chance() -> u8 {
    let [.., last] = ulid::Ulid::generate().to_bytes();
    last
}
