//! How many LLM requests each node, and the run, have made. Counted before the request is on record, so that parallel
//! requests do not pass a limit together; a restart goes on from the records.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// How many LLM requests were made, those under way included.
pub(crate) struct Turns(Mutex<Made>);

#[derive(Default)]
struct Made {
    run: u64,
    nodes: HashMap<String, u64>,
}

/// Leave for one LLM request; given back if the request does not get on record.
pub(crate) struct Turn {
    turns: Arc<Turns>,
    node: Option<String>,
}

/// Who has made as many requests as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    Node,
    Run,
}

impl Turns {
    /// Goes on from what the records say of each node.
    pub(crate) fn new(nodes: HashMap<String, u64>) -> Arc<Self> {
        let run = nodes.values().copied().fold(0, u64::saturating_add);
        Arc::new(Self(Mutex::new(Made { run, nodes })))
    }

    /// One more request of `node`, unless it has made `limit`, or the run as many as `ceiling`.
    pub(crate) fn take(self: &Arc<Self>, node: &str, limit: u64, ceiling: Option<u64>) -> Result<Turn, Full> {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Made { run, nodes } = &mut *made;
        let own = nodes.entry(node.to_owned()).or_default();
        if *own >= limit {
            return Err(Full::Node);
        }
        if ceiling.is_some_and(|ceiling| *run >= ceiling) {
            return Err(Full::Run);
        }
        (*own, *run) = (*own + 1, *run + 1);
        Ok(Turn { turns: self.clone(), node: Some(node.to_owned()) })
    }
}

impl Turn {
    /// The request is on record: it counts.
    pub(crate) fn spend(mut self) {
        self.node = None;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(node) = &self.node {
            let mut made = self.turns.0.lock().unwrap_or_else(PoisonError::into_inner);
            made.run = made.run.saturating_sub(1);
            if let Some(made) = made.nodes.get_mut(node) {
                *made = made.saturating_sub(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leave_is_bounded_twice_and_given_back() {
        let turns = Turns::new(HashMap::from([("a".to_owned(), 1), ("b".to_owned(), 1)]));
        let third = turns.take("a", 2, Some(3)).ok();
        assert!(third.is_some());
        assert_eq!(turns.take("a", 2, Some(9)).err(), Some(Full::Node));
        assert_eq!(turns.take("b", 2, Some(3)).err(), Some(Full::Run));
        drop(third);
        turns.take("b", 2, Some(3)).into_iter().for_each(Turn::spend);
        assert_eq!(turns.take("a", 2, Some(3)).err(), Some(Full::Run), "what was spent is not given back");
        assert!(turns.take("a", 2, None).is_ok());
    }
}
