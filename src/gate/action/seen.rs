//! What the records say of actions: which were begun, and how they ended. Rebuilt from them at each start, so that nothing is
//! done twice because a gate was.

use std::collections::HashMap;

use crate::gate::records::{BodyRef, Kind, Record};

/// What is known of all actions of a run, by node and key.
#[derive(Debug, Default)]
pub(crate) struct Acts {
    acts: HashMap<(String, String), Act>,
    /// Which of them an intent began.
    begun: HashMap<u64, (String, String)>,
}

#[derive(Debug, Clone)]
struct Act {
    /// The record of the newest intent.
    intent: u64,
    /// When that was, as it stands there.
    time: String,
    /// What was to be done, as a digest: a key is for one thing.
    digest: String,
    /// The action, and upon what: where it would be looked for.
    place: (String, String),
    standing: Ended,
}

#[derive(Debug, Clone)]
enum Ended {
    /// Nothing says how.
    Open,
    Done {
        record: u64,
        body: Option<BodyRef>,
    },
    NotDone,
    Unclear,
}

/// How far an action has come.
#[derive(Debug, Clone)]
pub(crate) enum Standing {
    /// It was never begun, or is known not to have been done.
    Free,
    Done {
        record: u64,
        body: Option<BodyRef>,
    },
    /// It was begun, and nothing says how it ended; since when, and whether it was the same to the letter.
    Unclear {
        intent: u64,
        since: String,
        same: bool,
    },
    /// The key stands for something else.
    Other,
}

impl Acts {
    pub(crate) fn learn(&mut self, record: &Record) {
        let Some(node) = &record.node else { return };
        match record.kind {
            Kind::ActionRequested => {
                let Some(key) = record.text("key") else { return };
                let by = (node.clone(), key.to_owned());
                let digest = record.text("digest").unwrap_or_default().to_owned();
                let word = |field| record.text(field).unwrap_or_default();
                let place = (word("action").to_owned(), whereabouts(word("target")).to_owned());
                let (intent, time) = (record.seq, record.time.clone());
                self.begun.insert(intent, by.clone());
                self.acts.insert(by, Act { intent, time, digest, place, standing: Ended::Open });
            }
            Kind::ActionDone | Kind::ActionFailed => {
                let intent = record.fields.get("intent").and_then(serde_json::Value::as_u64);
                let Some(intent) = intent else { return };
                let Some(act) = self.begun.get(&intent).and_then(|place| self.acts.get_mut(place)) else { return };
                if act.intent != intent {
                    return;
                }
                let unclear = record.fields.get("unclear").and_then(serde_json::Value::as_bool) == Some(true);
                act.standing = match record.kind {
                    Kind::ActionDone => Ended::Done { record: record.seq, body: record.body() },
                    _ if unclear => Ended::Unclear,
                    _ => Ended::NotDone,
                };
            }
            _ => {}
        }
    }

    /// How far the action with `key` has come, of which `digest` says what is meant now, and `place` what is done upon what.
    ///
    /// What was not done has not used its key. What may have been done in other words is looked for where it would be.
    pub(crate) fn standing(&self, node: &str, key: &str, digest: &str, place: (&str, &str)) -> Standing {
        let Some(act) = self.acts.get(&(node.to_owned(), key.to_owned())) else { return Standing::Free };
        let same = act.digest == digest;
        // Where it would be has to be all that it can differ in: a message may be in another thread.
        let there = act.place.0.starts_with("github.") && act.place.0 == place.0 && act.place.1 == whereabouts(place.1);
        match &act.standing {
            Ended::NotDone => Standing::Free,
            Ended::Done { record, body } if same => Standing::Done { record: *record, body: body.clone() },
            Ended::Open | Ended::Unclear if same || there => {
                Standing::Unclear { intent: act.intent, since: act.time.clone(), same }
            }
            Ended::Done { .. } | Ended::Open | Ended::Unclear => Standing::Other,
        }
    }
}

/// The pull request of a review's target, without its verdict: that is what a second wording may change.
fn whereabouts(target: &str) -> &str {
    target.split(' ').next().unwrap_or_default()
}
