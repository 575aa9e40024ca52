//! Proving a hired agent: its journal byte by byte, the role that it was hired with, and what it remembers.

use super::store::AgentStore;
use crate::audit::{self, Problem};
use crate::engine::error::Error;
use crate::engine::roles;
use crate::engine::seal::Sealable;
use crate::engine::verify::{Given, checkpoints};
use crate::registry::Registry;
use crate::role::agent::Agent;
use crate::run::id::AgentName;

/// Verifies the agent `name`: its journal against itself and this machine's last head and its checkpoints, its role against the digest of its
/// hiring, and the files of its memory against the journal. Reads only.
///
/// # Errors
/// When there is no such agent, or its journal cannot be read. What is wrong is in the report.
pub fn verify(registry: &Registry, name: &AgentName) -> Result<audit::Report, Error> {
    verify_against(registry, name, &Given::default())
}

/// [`verify`], and against checkpoints from elsewhere.
///
/// # Errors
/// As [`verify`].
pub fn verify_against(registry: &Registry, name: &AgentName, given: &Given) -> Result<audit::Report, Error> {
    let (heads, problems, warnings) = checkpoints(registry, Sealable::Agent(name), given)?;
    let mut report = audit::verify_agent_journal(registry, name, &heads)?;
    report.checkpoints = heads.len() as u64;
    report.problems.extend(problems);
    report.warnings.extend(warnings);
    match AgentStore::open(registry, name).and_then(|store| Ok((store.load()?, store))) {
        Ok((agent, store)) => {
            // One that cannot be read is not what was pinned, and must not hide what is wrong with other agents.
            if let Err(error) = roles::of_agent(registry, &agent) {
                report.problems.push(Problem::of("role", 0, 0, error.to_string()));
            }
            memory(&store, &agent, &mut report);
        }
        // The walk says where it breaks; without it, this is all that there is to say.
        Err(error) if report.problems.is_empty() => {
            report.problems.push(Problem::of("events.jsonl", 0, 0, error.to_string()));
        }
        Err(_) => {}
    }
    Ok(report)
}

/// The files say again what the journal says, and the next command writes them anew: a difference proves nothing wrong
/// in the journal, but whoever reads the file is misled.
fn memory(store: &AgentStore<'_>, agent: &Agent, report: &mut audit::Report) {
    let layout = store.layout();
    for (key, entry) in &agent.remembered {
        let found = std::fs::read(layout.remembered(key));
        if !found.is_ok_and(|bytes| bytes == entry.value.as_bytes()) {
            let file = format!("memory/{key}.md");
            report.warnings.push(Problem::of(&file, 0, 0, "is not what the journal says; the next command mends it"));
        }
    }
}
