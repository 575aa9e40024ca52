//! Everything a person decides on, as one value with one digest.

use serde::{Deserialize, Serialize};

use super::edited::Edited;
use super::effect;
use super::error::DecisionError;
use super::render;
use super::request::Request;
use crate::image::{Lock, Recipe};
use crate::run::canonical;
use crate::run::capability::Capability;
use crate::run::deployment::Proposed;
use crate::run::folder::Folder;
use crate::run::id::Digest;
use crate::run::timetable::Scheduled;

/// Fewer digits could be met by chance among the requests of a day.
const LEAST: usize = 8;

/// What is shown before a decision. All of it is covered by the digest, so that nothing can change between the look
/// and the word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Review {
    /// 1.
    pub format: u32,
    pub request: Request,
    /// Who asks: `agent:<id>`, or the node.
    pub requested_by: String,
    /// What a person made of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited: Option<Edited>,
    /// Why, in the agent's own words; hostile text.
    pub reason: String,
    /// What the policies say: `ask (no rule)`.
    pub policy_view: String,
    /// What would be in force for the run afterwards, versions resolved.
    pub grants: Vec<Capability>,
    /// What a grant does, one sentence a line; empty if the request changes an image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effect: Vec<String>,
    /// The packages of the image afterwards; `None` if the request changes no image.
    pub lock: Option<Lock>,
    /// The packages of the image now.
    pub lock_before: Option<Lock>,
    /// The identity of the image afterwards.
    pub recipe: Option<Digest>,
    /// The Dockerfile of the image afterwards; empty if the request changes no image.
    pub dockerfile: String,
    pub dockerfile_before: Option<String>,
    /// What would be deployed on a `port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<Proposed>,
    /// What would be done on a `schedule`, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Scheduled>,
}

impl Review {
    /// The review of a package request that was resolved to `recipe`. `before` is the recipe of the run's image now,
    /// or `None` if it still runs in the base; `approved` is what was granted so far.
    #[must_use]
    #[allow(clippy::too_many_arguments)] // what a person is shown, in its order
    pub fn of_packages(
        request: Request,
        requested_by: String,
        reason: String,
        policy_view: String,
        approved: &[Capability],
        recipe: &Recipe,
        before: Option<&Recipe>,
        edited: Option<Edited>,
    ) -> Self {
        let meant = edited.as_ref().map_or(std::slice::from_ref(&request.capability), |edited| &edited.list);
        let granted = meant.iter().map(|one| recipe.lock().granted(one).unwrap_or_else(|| one.clone()));
        let mut grants = approved.to_vec();
        grants.extend(granted);
        grants.sort_unstable();
        grants.dedup();
        Self {
            format: 1,
            request,
            requested_by,
            edited,
            reason,
            policy_view,
            grants,
            effect: Vec::new(),
            lock: Some(recipe.lock().clone()),
            lock_before: before.map(|b| b.lock().clone()),
            recipe: Some(recipe.identity()),
            dockerfile: recipe.dockerfile(),
            dockerfile_before: before.map(Recipe::dockerfile),
            deployment: None,
            schedule: None,
        }
    }

    /// The review of a request for what is given without another image. `grants` is all that would be given to the run
    /// afterwards; `folder` is the one that is meant, with the uid that the agent runs as, if that is known.
    #[must_use]
    pub fn of_given(
        request: Request,
        requested_by: String,
        reason: String,
        policy_view: String,
        grants: Vec<Capability>,
        folder: Option<(&Folder, Option<u32>)>,
        edited: Option<Edited>,
    ) -> Self {
        // What a grant does is what is granted.
        let meant = edited.as_ref().and_then(|edited| edited.list.first()).unwrap_or(&request.capability);
        let meant = Request { capability: meant.clone(), ..request.clone() };
        let effect = match folder {
            Some((folder, uid)) => effect::of_folder(&meant, folder, uid),
            None => effect::of(&meant),
        };
        Self {
            format: 1,
            request,
            requested_by,
            edited,
            reason,
            policy_view,
            grants,
            effect,
            lock: None,
            lock_before: None,
            recipe: None,
            dockerfile: String::new(),
            dockerfile_before: None,
            deployment: None,
            schedule: None,
        }
    }

    /// The review of a request for a `port`, over everything that would be deployed there.
    #[must_use]
    pub fn deploying(self, deployment: Proposed) -> Self {
        let effect = effect::of_deployment(&self.request, &deployment);
        Self { effect, deployment: Some(deployment), ..self }
    }

    /// The review of a request for a `schedule`, over all that would be done, and when.
    #[must_use]
    pub fn scheduling(self, schedule: Scheduled) -> Self {
        let effect = effect::of_schedule(&self.request, &schedule);
        Self { effect, schedule: Some(schedule), ..self }
    }

    /// SHA-256 over the whole review as canonical JSON: what a decision names.
    #[must_use]
    pub fn digest(&self) -> Digest {
        // Strings, numbers and lists only: this cannot fail. If it did, null is no review's digest.
        let value = serde_json::to_value(self).unwrap_or_default();
        canonical::digest("taskforge-review-v1", &value)
    }

    /// Whether `given`, a digest or the beginning of one, is this review's.
    ///
    /// # Errors
    /// [`DecisionError::Prefix`] if it is too short or no digest, [`DecisionError::Stale`] if it is another's.
    pub fn check_digest(&self, given: &str) -> Result<Digest, DecisionError> {
        let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if given.len() < LEAST || given.len() > 64 || !given.bytes().all(hex) {
            let given = given.chars().take(80).collect();
            return Err(DecisionError::Prefix { given, least: LEAST });
        }
        let current = self.digest();
        if current.as_str().starts_with(given) {
            return Ok(current);
        }
        Err(DecisionError::Stale {
            request: self.request.id.to_string(),
            given: given.to_owned(),
            current: current.short().to_owned(),
        })
    }

    /// The review as plain text for a terminal. What agents and indexes wrote cannot move the cursor, hide, or look
    /// like a part of the text around it.
    #[must_use]
    pub fn render(&self) -> String {
        render::render(self)
    }
}
