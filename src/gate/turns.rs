//! How many LLM requests each node, each grant of models and the run have made. Counted before the request is on record,
//! so that parallel requests do not pass a limit together; a restart goes on from the records.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// How many LLM requests were made, those under way included.
pub(crate) struct Turns(Mutex<Made>);

struct Made {
    run: u64,
    /// By node, and by grant.
    by: HashMap<String, u64>,
}

/// Leave for one LLM request; given back if the request does not get on record.
pub(crate) struct Turn {
    turns: Arc<Turns>,
    /// Whether it counts for the run.
    run: bool,
    by: Vec<String>,
}

/// Who has made as many requests as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    Node,
    /// The node's budget in requests.
    Agent,
    Run,
}

/// How many requests there may be.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Most {
    /// Of the node: its iterations.
    pub(crate) node: u64,
    /// Of the node, by its budget.
    pub(crate) agent: Option<u64>,
    pub(crate) run: Option<u64>,
}

impl Turns {
    /// Goes on from what the records say of each node and of each grant.
    pub(crate) fn new(nodes: HashMap<String, u64>, grants: HashMap<String, u64>) -> Arc<Self> {
        let run = nodes.values().copied().fold(0, u64::saturating_add);
        Arc::new(Self(Mutex::new(Made { run, by: nodes.into_iter().chain(grants).collect() })))
    }

    /// One more request of `node`, unless it or the run has made as many as it may.
    pub(crate) fn take(self: &Arc<Self>, node: &str, most: Most) -> Result<Turn, Full> {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Made { run, by } = &mut *made;
        let own = by.entry(node.to_owned()).or_default();
        if *own >= most.node {
            return Err(Full::Node);
        }
        if most.agent.is_some_and(|ceiling| *own >= ceiling) {
            return Err(Full::Agent);
        }
        if most.run.is_some_and(|ceiling| *run >= ceiling) {
            return Err(Full::Run);
        }
        (*own, *run) = (*own + 1, *run + 1);
        Ok(Turn { turns: self.clone(), run: true, by: vec![node.to_owned()] })
    }

    /// One more request by the grant that is counted as `grant`, unless there were `limit`.
    pub(crate) fn charge(self: &Arc<Self>, grant: &str, limit: u64) -> Option<Turn> {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let made = made.by.entry(grant.to_owned()).or_default();
        if *made >= limit {
            return None;
        }
        *made += 1;
        Some(Turn { turns: self.clone(), run: false, by: vec![grant.to_owned()] })
    }
}

impl Turn {
    /// The request is on record: it counts.
    pub(crate) fn spend(mut self) {
        self.run = false;
        self.by.clear();
    }

    /// Both, as one: they count together or not at all.
    pub(crate) fn and(mut self, mut other: Self) -> Self {
        self.run |= std::mem::take(&mut other.run);
        self.by.append(&mut other.by);
        self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut made = self.turns.0.lock().unwrap_or_else(PoisonError::into_inner);
        made.run = made.run.saturating_sub(u64::from(self.run));
        for name in &self.by {
            if let Some(made) = made.by.get_mut(name) {
                *made = made.saturating_sub(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn most(node: u64, run: Option<u64>) -> Most {
        Most { node, agent: None, run }
    }

    #[test]
    fn a_nodes_budget_is_a_limit_beside_its_iterations() {
        let turns = Turns::new(HashMap::from([("a".to_owned(), 1)]), HashMap::new());
        let most = Most { node: 3, agent: Some(2), run: None };
        turns.take("a", most).into_iter().for_each(Turn::spend);
        assert_eq!(turns.take("a", most).err(), Some(Full::Agent));
        assert_eq!(turns.take("a", Most { node: 2, ..most }).err(), Some(Full::Node));
        assert!(turns.take("b", most).is_ok());
    }

    #[test]
    fn leave_is_bounded_twice_and_given_back() {
        let turns = Turns::new(HashMap::from([("a".to_owned(), 1), ("b".to_owned(), 1)]), HashMap::new());
        let third = turns.take("a", most(2, Some(3))).ok();
        assert!(third.is_some());
        assert_eq!(turns.take("a", most(2, Some(9))).err(), Some(Full::Node));
        assert_eq!(turns.take("b", most(2, Some(3))).err(), Some(Full::Run));
        drop(third);
        turns.take("b", most(2, Some(3))).into_iter().for_each(Turn::spend);
        assert_eq!(turns.take("a", most(2, Some(3))).err(), Some(Full::Run), "what was spent is not given back");
        assert!(turns.take("a", most(2, None)).is_ok());
    }

    #[test]
    fn a_grant_counts_with_the_request_or_not_at_all() {
        let turns = Turns::new(HashMap::new(), HashMap::from([("grant g".to_owned(), 1)]));
        assert!(turns.charge("grant g", 1).is_none());
        let both =
            turns.take("a", most(9, Some(1))).ok().zip(turns.charge("grant g", 2)).map(|(one, two)| one.and(two));
        assert!(both.is_some() && turns.charge("grant g", 2).is_none());
        assert_eq!(turns.take("a", most(9, Some(1))).err(), Some(Full::Run));
        drop(both);
        assert!(turns.charge("grant g", 2).is_some() && turns.take("a", most(9, Some(1))).is_ok());
    }
}
