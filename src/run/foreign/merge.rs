//! The three-way merge: what they changed since the state that we last wrote, upon what we have now.

use std::collections::BTreeSet;

use super::seen::{SeenNode, SeenRun};
use crate::run::adoption::{AdoptedNode, AdoptedStatus, Adoption, Bound, Refused, Rewired};
use crate::run::id::NodeId;
use crate::run::session::{check_needs, is_legal, may_move, passed_by};
use crate::run::state::State;
use crate::run::status::{NodeStatus, RunStatus};

/// What another program left.
#[derive(Debug, Clone, Copy)]
pub struct Theirs<'a> {
    /// Its two files.
    pub run: &'a SeenRun,
    /// What the files said when we last wrote them.
    pub base: &'a SeenRun,
    /// The events it journaled since: name and node. A step back is believed only with the event that goes with it,
    /// since a program that wrote an old copy back looks just the same.
    pub events: &'a [(String, Option<String>)],
}

/// What is taken over of what they changed, and what is not. Empty when they changed nothing.
#[must_use]
pub fn merge(ours: &State, theirs: Theirs<'_>) -> Adoption {
    let mut merge = Merge { ours, theirs, adoption: Adoption::default() };
    merge.nodes();
    merge.run();
    merge.adoption
}

struct Merge<'a> {
    ours: &'a State,
    theirs: Theirs<'a>,
    adoption: Adoption,
}

impl Merge<'_> {
    fn refuse(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.adoption.refused.push(Refused { what: what.into(), why: why.into() });
    }

    fn journaled(&self, name: &str, node: Option<&NodeId>) -> bool {
        let wanted = node.map(NodeId::as_str);
        self.theirs
            .events
            .iter()
            .any(|(event, of)| event.starts_with(name) && (node.is_none() || of.as_deref() == wanted))
    }

    fn nodes(&mut self) {
        let (theirs, base) = (self.theirs.run, self.theirs.base);
        let mut met = BTreeSet::new();
        for node in &theirs.nodes {
            let id = &node.definition.id;
            if !met.insert(id.clone()) {
                self.refuse(format!("node {id}"), "it stands there twice");
                continue;
            }
            match (self.ours.node(id).is_some(), base.node(id)) {
                (true, Some(before)) => self.node(node, before),
                (true, None) => {}
                (false, _) => self.added(node),
            }
        }
        let gone = base.nodes.iter().map(|node| &node.definition.id).filter(|id| theirs.node(id).is_none());
        for id in gone.cloned().collect::<Vec<_>>() {
            self.refuse(format!("node {id}"), "a node is never removed");
        }
    }

    fn added(&mut self, node: &SeenNode) {
        let id = &node.definition.id;
        // Only what stands there already: whatever order they were written in, no cycle can come of it.
        let known =
            |need: &NodeId| self.ours.node(need).is_some() || self.adoption.added.iter().any(|added| added.id == *need);
        if let Some(need) = node.definition.needs.iter().find(|need| !known(need)).cloned() {
            return self.refuse(format!("node {id}"), format!("it needs {need}, which does not stand before it"));
        }
        if self.ours.status.is_terminal() {
            return self.refuse(format!("node {id}"), format!("the run is {}", self.ours.status.as_str()));
        }
        if self.ours.nodes.len() + self.adoption.added.len() >= crate::run::session::MOST_NODES {
            return self.refuse(format!("node {id}"), "the run has as many nodes as it may have");
        }
        self.adoption.added.push(node.definition.clone());
        let status = (node.status != NodeStatus::Pending).then_some(node);
        // In a registry with approvals it begins where every node begins.
        let status = status.filter(|node| !self.ours.needs_decisions() && reaches(NodeStatus::Pending, node.status));
        self.adoption.nodes.push(AdoptedNode {
            node: id.clone(),
            status: status.map(adopted),
            bound: Some(node.bound.clone()),
            notes: None,
        });
    }

    fn node(&mut self, node: &SeenNode, before: &SeenNode) {
        let id = &node.definition.id;
        let what = format!("node {id}");
        let Some((definition, ours)) = self.ours.node(id) else { return };
        let same = |a: &SeenNode, b: &SeenNode| {
            let (a, b) = (&a.definition, &b.definition);
            (&a.title, a.kind, a.outputs_mode, &a.artifact_paths, &a.wait_for)
                == (&b.title, b.kind, b.outputs_mode, &b.artifact_paths, &b.wait_for)
        };
        if !same(node, before) {
            self.refuse(what.as_str(), "what a node is, is frozen with the run");
        }
        if node.definition.needs != before.definition.needs {
            self.rewired(node, before);
        }
        let mut change = AdoptedNode { node: id.clone(), status: None, bound: None, notes: None };
        if node.status != before.status && node.status != ours.status {
            let refusal = may_move(self.ours, definition).err().map(|refusal| refusal.to_string()).or_else(|| {
                let (from, to) = (ours.status, node.status);
                let step = || format!("{} to {}", from.as_str(), to.as_str());
                if ours.status != before.status {
                    Some(format!("{}: it became {} meanwhile", step(), from.as_str()))
                } else if !reaches(from, to) {
                    Some(format!("{}: that is no legal step", step()))
                } else if to == NodeStatus::Ready
                    && from != NodeStatus::Pending
                    && !self.journaled("node.ready", Some(id))
                {
                    Some(format!("{}: no event says so, and it would undo what was acknowledged", step()))
                } else {
                    passed_by(self.ours, id, from, to).map(|approval| format!("{}: it waits for {approval}", step()))
                }
            });
            match refusal {
                Some(why) => self.refuse(what.as_str(), why),
                None => change.status = Some(adopted(node)),
            }
        }
        if node.bound != before.bound {
            change.bound = self.bound(node, before);
        }
        if node.notes != before.notes {
            change.notes = Some(node.notes.clone());
        }
        if change.status.is_some() || change.bound.is_some() || change.notes.is_some() {
            self.adoption.nodes.push(change);
        }
    }

    fn rewired(&mut self, node: &SeenNode, before: &SeenNode) {
        let id = &node.definition.id;
        let what = format!("needs of node {id}");
        let Some((definition, ours)) = self.ours.node(id) else { return };
        if definition.needs == node.definition.needs {
            return;
        }
        let refusal = if definition.needs != before.definition.needs {
            Some("they were changed meanwhile".to_owned())
        } else if !matches!(ours.status, NodeStatus::Pending | NodeStatus::Ready) {
            Some(format!("the node is {}", ours.status.as_str()))
        } else {
            let checked =
                may_move(self.ours, definition).and_then(|()| check_needs(self.ours, id, &node.definition.needs));
            checked.err().map(|refusal| refusal.to_string())
        };
        match refusal {
            Some(why) => self.refuse(what, why),
            // One at a time is checked against the graph as it is: two that close a cycle only together must not pass.
            None if self.adoption.rewired.is_empty() => {
                self.adoption.rewired.push(Rewired { node: id.clone(), needs: node.definition.needs.clone() });
            }
            None => self.refuse(what, "only one node's needs are taken over at a time"),
        }
    }

    /// The bindings, each for itself: a new one counts where ours is still what theirs was.
    fn bound(&mut self, node: &SeenNode, before: &SeenNode) -> Option<Bound> {
        let id = &node.definition.id;
        let (definition, ours) = self.ours.node(id)?;
        if definition.container.is_some() {
            self.refuse(format!("bindings of node {id}"), "the node has a container, and the engine does it");
            return None;
        }
        let mut bound = ours.bound.clone();
        let mut conflicts = Vec::new();
        let fields = [
            ("sessionKey", &mut bound.session_key, &before.bound.session_key, &node.bound.session_key),
            (
                "childSessionKey",
                &mut bound.child_session_key,
                &before.bound.child_session_key,
                &node.bound.child_session_key,
            ),
            ("runId", &mut bound.run_id, &before.bound.run_id, &node.bound.run_id),
        ];
        // A retry of OpenTask's service clears them; an old copy written back does, too.
        let may_clear =
            self.theirs.events.iter().any(|(event, of)| event == "node.ready" && of.as_deref() == Some(id.as_str()));
        for (name, mine, was, now) in fields {
            if now == was || now == mine {
                continue;
            }
            if mine == was && (now.is_some() || may_clear) {
                mine.clone_from(now);
            } else {
                conflicts.push(name);
            }
        }
        for name in conflicts {
            self.refuse(format!("{name} of node {id}"), "it was bound meanwhile, or an old copy was written back");
        }
        (bound != ours.bound).then_some(bound)
    }

    fn run(&mut self) {
        let (theirs, base) = (self.theirs.run, self.theirs.base);
        if theirs.status != base.status && theirs.status != self.ours.status {
            self.status();
        }
        let taken = |now: &Option<String>, was: &Option<String>, ours: &Option<String>| {
            (now != was && now != ours && ours == was && now.is_some()).then(|| now.clone()).flatten()
        };
        self.adoption.cron_job_id = taken(&theirs.cron_job_id, &base.cron_job_id, &self.ours.cron_job_id);
        self.adoption.driver_run_id = taken(&theirs.driver_run_id, &base.driver_run_id, &self.ours.driver_run_id);
        if theirs.counters != base.counters && theirs.counters != self.ours.counters {
            self.adoption.counters = Some(theirs.counters);
        }
        let newer = |(_, at): &&(String, _)| self.ours.last_progress.as_ref().is_none_or(|(_, ours)| at > ours);
        self.adoption.progress = theirs.progress.as_ref().filter(newer).cloned();
        let new = |id: &&String| !base.applied_controls.contains(id) && !self.ours.applied_controls.contains(id);
        self.adoption.applied_controls = theirs.applied_controls.iter().filter(new).cloned().collect();
    }

    /// Ends follow from the nodes and are never taken over; a person's resumption is theirs to journal.
    fn status(&mut self) {
        let (ours, to) = (self.ours.status, self.theirs.run.status);
        let refusal = match (ours, to) {
            (_, RunStatus::Completed | RunStatus::Failed) => return,
            (RunStatus::Running | RunStatus::Draft, RunStatus::Paused) => None,
            (RunStatus::Draft, RunStatus::Running) => None,
            (RunStatus::Paused, RunStatus::Running) if self.ours.is_bare() && self.journaled("run.resum", None) => None,
            // Reopened by a retry of theirs: the nodes say whether it is.
            (RunStatus::Completed | RunStatus::Failed, RunStatus::Running)
                if self.adoption.nodes.iter().any(|node| node.status.as_ref().is_some_and(|s| !s.to.is_terminal())) =>
            {
                None
            }
            (RunStatus::Paused, RunStatus::Running) => Some("a person resumes a paused run".to_owned()),
            _ => Some(format!("{} to {} is no legal step", ours.as_str(), to.as_str())),
        };
        match refusal {
            Some(why) => self.refuse("status", why),
            None => self.adoption.status = Some(to),
        }
    }
}

fn adopted(node: &SeenNode) -> AdoptedStatus {
    AdoptedStatus { to: node.status, started_at: node.started_at, completed_at: node.completed_at }
}

/// Whether legal steps lead from one status to the other: what they did in between is not in their files.
fn reaches(from: NodeStatus, to: NodeStatus) -> bool {
    use NodeStatus::{Completed, Failed, Pending, Ready, Running, Skipped, Waiting};
    const ALL: [NodeStatus; 7] = [Pending, Ready, Running, Waiting, Completed, Failed, Skipped];
    let mut met = vec![from];
    let mut next = 0;
    while next < met.len() {
        let here = met[next];
        next += 1;
        for step in ALL.into_iter().filter(|step| is_legal(here, *step)) {
            if step == to {
                return true;
            }
            if !met.contains(&step) {
                met.push(step);
            }
        }
    }
    false
}
