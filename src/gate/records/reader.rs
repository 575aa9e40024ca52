//! The host's view of `traffic.jsonl`: all records, checked against the chain. Reads only.

use std::collections::{BTreeMap, HashMap};
use std::io::BufReader;
use std::path::Path;

use super::chain::Chain;
use super::scan::scan;
use super::{Kind, Record, Taken, Usage};
use crate::gate::Error;
use crate::gate::durable;
use crate::run::id::{Digest, RunId};

pub use super::scan::Torn;

/// The records of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Traffic {
    pub records: Vec<Record>,
    /// How many bytes the digest covers.
    pub bytes: u64,
    /// The digest of these bytes: the head that the run's journal takes up.
    pub head: Digest,
    /// An unfinished line at the end; a gate voids it at its next start.
    pub torn: Option<Torn>,
}

/// Reads `traffic.jsonl` at `path`, which may be being written. A missing file has no records.
///
/// # Errors
/// [`Error::Integrity`] at the first line that does not follow from those before it.
pub fn read(path: &Path, run: &RunId) -> Result<Traffic, Error> {
    let (mut chain, mut records) = (Chain::start(run), Vec::new());
    let torn = match durable::open(path) {
        Ok(file) => scan(path, BufReader::new(file), &mut chain, |record| records.push(record))?,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        Err(e) => return Err(Error::io("read", path)(e)),
    };
    Ok(Traffic { records, bytes: chain.at, head: chain.digest(), torn })
}

impl Traffic {
    /// The records of one kind.
    pub fn of(&self, kind: &Kind) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(move |r| r.kind == *kind)
    }

    /// Each LLM request and its outcome, in the order of the requests; `None` is a request that nothing closed.
    #[must_use]
    pub fn exchanges(&self) -> Vec<(&Record, Option<&Record>)> {
        let outcomes = self.records.iter().filter(|r| r.kind.is_outcome());
        let outcomes: HashMap<u64, &Record> = outcomes.filter_map(|r| Some((r.request()?, r))).collect();
        self.of(&Kind::LlmRequest).map(|r| (r, outcomes.get(&r.seq).copied())).collect()
    }

    /// The request with this number, and its outcome.
    #[must_use]
    pub fn exchange(&self, seq: u64) -> Option<(&Record, Option<&Record>)> {
        let request = self.of(&Kind::LlmRequest).find(|r| r.seq == seq)?;
        let end = self.records.iter().find(|r| r.kind.is_outcome() && r.request() == Some(seq));
        Some((request, end))
    }

    /// The LLM requests that nothing closed: the gate died, or they are under way.
    #[must_use]
    pub fn unclosed(&self) -> Vec<&Record> {
        self.exchanges().into_iter().filter(|(_, outcome)| outcome.is_none()).map(|(request, _)| request).collect()
    }

    /// What was used, by node and model.
    #[must_use]
    pub fn usage(&self) -> BTreeMap<(String, String), Usage> {
        let mut all: BTreeMap<(String, String), Usage> = BTreeMap::new();
        for (request, outcome) in self.exchanges() {
            let model = request.text("model").unwrap_or_default().to_owned();
            let usage = all.entry((request.node.clone().unwrap_or_default(), model)).or_default();
            usage.requests += 1;
            match outcome.map(|o| &o.kind) {
                Some(Kind::LlmResponse) => usage.answered += 1,
                Some(Kind::LlmError) => usage.failed += 1,
                Some(Kind::LlmAborted) => usage.aborted += 1,
                _ => {}
            }
            let sent = request.body().map_or(0, |body| body.bytes);
            let Taken { tokens, .. } = Taken::of(sent, outcome);
            usage.prompt_tokens = usage.prompt_tokens.saturating_add(tokens.prompt);
            usage.completion_tokens = usage.completion_tokens.saturating_add(tokens.completion);
        }
        all
    }
}
