//! How many LLM requests each node has made. Counted before the request is on record, so that parallel requests do
//! not pass the limit together; a restart goes on from the records.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// How many LLM requests each node has made, those under way included.
pub(crate) struct Turns(Mutex<HashMap<String, u64>>);

/// Leave for one LLM request; given back if the request does not get on record.
pub(crate) struct Turn {
    turns: Arc<Turns>,
    keys: Vec<String>,
}

impl Turns {
    /// Goes on from what the records say.
    pub(crate) fn new(made: HashMap<String, u64>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(made)))
    }

    /// One more request of `node`, unless it has made `limit`.
    pub(crate) fn take(self: &Arc<Self>, node: &str, limit: u64) -> Option<Turn> {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let made = made.entry(node.to_owned()).or_default();
        if *made >= limit {
            return None;
        }
        *made += 1;
        Some(Turn { turns: self.clone(), keys: vec![node.to_owned()] })
    }
}

impl Turn {
    /// The request is on record: it counts.
    pub(crate) fn spend(mut self) {
        self.keys.clear();
    }

    /// Both, as one: they count together or not at all.
    pub(crate) fn and(mut self, mut other: Self) -> Self {
        self.keys.append(&mut other.keys);
        self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut made = self.turns.0.lock().unwrap_or_else(PoisonError::into_inner);
        for key in &self.keys {
            if let Some(made) = made.get_mut(key) {
                *made = made.saturating_sub(1);
            }
        }
    }
}
