//! Which packages are in force: what every grant that stands needs, whatever the order in which others have ended.
//!
//! Packages are resolved one request upon the other, so that a lock holds what lies beneath it. When something beneath a
//! grant ends, the grant goes on with another lock, which is a part of the one that was shown.

use serde_json::Value;

use super::event::Resolution;
use super::id::{Digest, RequestId};
use super::state::{Request, State};

impl Request {
    /// The recipe of the image that has the set of this request.
    #[must_use]
    pub fn recipe(&self) -> Option<&Digest> {
        let resolved = || self.resolution.as_ref().map(|resolution| &resolution.recipe);
        self.relocked.as_ref().map(|relocked| &relocked.recipe).or_else(resolved)
    }

    /// The lock of that image.
    #[must_use]
    pub fn lock(&self) -> Option<&Value> {
        let resolved = || self.resolution.as_ref().map(|resolution| &resolution.lock);
        self.relocked.as_ref().map(|relocked| &relocked.lock).or_else(resolved)
    }

    /// The requests beneath this one whose packages its lock leaves out, since they had ended.
    #[must_use]
    pub fn without(&self) -> Vec<RequestId> {
        let resolved = self.resolution.iter().flat_map(|resolution| &resolution.without);
        let relocked = self.relocked.iter().flat_map(|relocked| &relocked.without);
        let mut all: Vec<RequestId> = resolved.chain(relocked).cloned().collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

impl State {
    /// The requests that `resolution` was made upon, the newest first, whether they still stand or not.
    #[must_use]
    pub fn beneath(&self, resolution: &Resolution) -> Vec<&Request> {
        let mut found: Vec<&Request> = Vec::new();
        let mut next = resolution.upon.as_ref();
        while let Some(request) = next.and_then(|id| self.request(id)) {
            found.push(request);
            // Each was resolved after the one beneath it was approved, so that the chain ends.
            next = request.resolution.as_ref().and_then(|earlier| earlier.upon.as_ref());
            next = next.filter(|_| found.len() < self.requests.len());
        }
        found
    }

    /// The requests beneath `request` that have ended while its lock still holds their packages.
    #[must_use]
    pub fn ended_beneath(&self, request: &Request) -> Vec<RequestId> {
        let Some(resolution) = &request.resolution else { return Vec::new() };
        let gone = request.without();
        let beneath = self.beneath(resolution).into_iter().filter(|other| other.has_ended());
        beneath.map(|other| other.id.clone()).filter(|id| !gone.contains(id)).collect()
    }

    /// The grants whose lock is the set of a base and holds what has ended: no container starts with it.
    #[must_use]
    pub fn to_relock(&self) -> Vec<&Request> {
        let granted = self.approved.iter().filter_map(|id| self.request(id));
        let newest = granted.filter(|request| {
            let base = request.resolution.as_ref().map(|resolution| resolution.base.as_str());
            base.and_then(|base| self.granted(base)).is_some_and(|newest| newest.id == request.id)
        });
        newest.filter(|request| !self.ended_beneath(request).is_empty()).collect()
    }
}
