//! What all agents of a role may take of models within one day, in whatever runs: a ledger of its own for each role,
//! beside the one of all runs. At a ceiling the gate asks a person for more, for the run that reached it, as it does at
//! every other one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::ledger::Ledger;
use super::policy::Ceilings;
use crate::run::id::{NodeId, RoleName, RunId};

/// A role's ceilings within one day, and the nodes of this run that work as it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RoleBudget {
    pub day: Ceilings,
    /// Those that have ended included: what they took counts.
    pub nodes: Vec<NodeId>,
}

/// The folder of a role's days, in that of all days. No date is called so.
#[must_use]
pub fn folder(spent: &Path, role: &RoleName) -> PathBuf {
    spent.join(format!("@{role}"))
}

/// The ledgers of the roles of a run, opened when one is first asked for.
pub(crate) struct RoleLedgers {
    spent: PathBuf,
    run: RunId,
    open: Mutex<BTreeMap<RoleName, Arc<Ledger>>>,
}

impl RoleLedgers {
    pub(crate) fn new(spent: &Path, run: &RunId) -> Self {
        Self { spent: spent.to_owned(), run: run.clone(), open: Mutex::default() }
    }

    pub(crate) fn of(&self, role: &RoleName) -> Arc<Ledger> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let ledger = || Ledger::new(&folder(&self.spent, role), &self.run);
        open.entry(role.clone()).or_insert_with(ledger).clone()
    }

    /// Puts on the disk what is not there yet.
    pub(crate) async fn settle(&self, own: impl Fn(&RoleName, NaiveDate) -> Option<super::ledger::Sums>) {
        let all: Vec<(RoleName, Arc<Ledger>)> = {
            let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.iter().map(|(role, ledger)| (role.clone(), ledger.clone())).collect()
        };
        for (role, ledger) in all {
            ledger.settle(|date| own(&role, date)).await;
        }
    }
}
