//! What the gate has to remember of the records: how many LLM requests a node has made, where its conversation
//! stands, what was refused. Rebuilt from the file at each start, so that a restart forgets nothing.

use std::collections::{HashMap, VecDeque};

use chrono::NaiveDate;

use super::{Kind, Record, Taken, Tokens};
use crate::gate::action::Acts;
use crate::gate::allowance;

/// How many refusals of an attempt are remembered.
const DENIALS: usize = 256;

/// What is known of all nodes.
#[derive(Debug, Default)]
pub(crate) struct Index {
    nodes: HashMap<String, Node>,
    denials: HashMap<(String, u32), Denials>,
    /// Connections that were let through.
    passages: HashMap<(String, u32), u64>,
    spent: Spent,
    /// The same for each node, over its attempts.
    by_node: HashMap<String, Spent>,
    /// The same for the newest day (UTC) that a record names.
    day: Day,
    /// What was charged to grants, by their requests' ids.
    charged: HashMap<String, Spent>,
    /// Requests to models without an outcome.
    asking: HashMap<u64, Asking>,
    acts: Acts,
}

/// A request to a model without an outcome.
#[derive(Debug)]
struct Asking {
    /// By its name at the provider.
    model: String,
    /// Whom it is charged to, beside the run.
    grant: Option<String>,
    /// The size of its body, in bytes.
    bytes: u64,
    node: Option<String>,
    /// When it was asked; RFC 3339.
    time: String,
}

/// What was taken within one day.
#[derive(Debug, Default)]
struct Day {
    date: NaiveDate,
    spent: Spent,
    by_node: HashMap<String, Spent>,
}

/// What models have taken.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Spent {
    /// A request that is sent again counts once.
    pub(crate) requests: u64,
    /// By model, as answers have said.
    pub(crate) models: HashMap<String, Tokens>,
}

/// The refusals of one attempt: the newest of them, and how many there were.
#[derive(Debug, Default)]
struct Denials {
    newest: VecDeque<Denial>,
    count: u64,
}

/// What is known of one node; places are offsets of lines.
#[derive(Debug, Default, Clone)]
pub(crate) struct Node {
    pub(crate) llm_requests: u64,
    /// Requests without an outcome: sequence number and place.
    open: HashMap<u64, u64>,
    /// Requests with an answer, and the answer, oldest first.
    pub(crate) answered: Vec<(u64, u64)>,
    /// The newest request, answered or not.
    pub(crate) newest: Option<u64>,
    /// Tool results.
    pub(crate) results: Vec<u64>,
}

/// An egress that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Denial {
    pub(crate) seq: u64,
    pub(crate) surface: String,
    /// `host:port`.
    pub(crate) target: String,
    pub(crate) verdict: String,
    /// What would have had to be granted.
    pub(crate) capability: Option<String>,
}

impl Spent {
    fn take(&mut self, model: &str, tokens: Tokens) {
        let sum = self.models.entry(model.to_owned()).or_default();
        sum.prompt = sum.prompt.saturating_add(tokens.prompt);
        sum.cached = sum.cached.saturating_add(tokens.cached);
        sum.written = sum.written.saturating_add(tokens.written);
        sum.completion = sum.completion.saturating_add(tokens.completion);
    }
}

impl Index {
    pub(crate) fn learn(&mut self, record: &Record) {
        self.count(record);
        self.acts.learn(record);
        let Some(name) = &record.node else {
            return;
        };
        if record.kind == Kind::EgressAllowed {
            *self.passages.entry((name.clone(), record.attempt.unwrap_or(0))).or_default() += 1;
            return;
        }
        if record.kind == Kind::EgressDenied {
            let key = (name.clone(), record.attempt.unwrap_or(0));
            let denials = self.denials.entry(key).or_default();
            denials.count += 1;
            if denials.newest.len() == DENIALS {
                denials.newest.pop_front();
            }
            denials.newest.push_back(Denial {
                seq: record.seq,
                surface: record.text("surface").unwrap_or_default().to_owned(),
                target: record.text("target").unwrap_or_default().to_owned(),
                verdict: record.text("verdict").unwrap_or_default().to_owned(),
                capability: capability(record),
            });
            return;
        }
        let node = self.nodes.entry(name.clone()).or_default();
        match &record.kind {
            Kind::LlmRequest => {
                // The same request again is no other turn.
                node.llm_requests += u64::from(!record.fields.contains_key("retryOf"));
                node.open.insert(record.seq, record.at);
                node.newest = Some(record.at);
            }
            kind if kind.is_outcome() => {
                let request = record.request().and_then(|seq| node.open.remove(&seq));
                if let (Some(request), Kind::LlmResponse) = (request, kind) {
                    node.answered.push((request, record.at));
                }
            }
            Kind::ToolResult => node.results.push(record.at),
            _ => {}
        }
    }

    /// Takes note of what models were asked and what they took, for the run and for the grant that is charged.
    fn count(&mut self, record: &Record) {
        let bytes = record.body().map_or(0, |body| body.bytes);
        if record.kind == Kind::LlmRequest {
            let first = u64::from(!record.fields.contains_key("retryOf"));
            self.each(record.node.as_deref(), &record.time, |spent| spent.requests += first);
            let grant = record.text("grant").map(str::to_owned);
            if let Some(grant) = &grant {
                self.charged.entry(grant.clone()).or_default().requests += first;
            }
            let model = record.text("upstreamModel").or_else(|| record.text("model")).unwrap_or_default().to_owned();
            let (node, time) = (record.node.clone(), record.time.clone());
            self.asking.insert(record.seq, Asking { model, grant, bytes, node, time });
        } else if record.kind.is_outcome()
            && let Some(asking) = record.request().and_then(|seq| self.asking.remove(&seq))
        {
            self.took(&asking, Taken::of(asking.bytes, Some(record)), &record.time);
        }
    }

    /// What is without an outcome will have none: the gate that asked is gone. It took what it took.
    pub(crate) fn give_up(&mut self) {
        for asking in std::mem::take(&mut self.asking).into_values() {
            self.took(&asking, Taken::of(asking.bytes, None), &asking.time);
        }
    }

    fn took(&mut self, asking: &Asking, Taken { tokens, .. }: Taken, time: &str) {
        if let Some(grant) = &asking.grant {
            self.charged.entry(grant.clone()).or_default().take(&asking.model, tokens);
        }
        self.each(asking.node.as_deref(), time, |spent| spent.take(&asking.model, tokens));
    }

    /// Adds to everybody whose taking it is.
    fn each(&mut self, node: Option<&str>, time: &str, add: impl Fn(&mut Spent)) {
        add(&mut self.spent);
        if let Some(node) = node {
            add(self.by_node.entry(node.to_owned()).or_default());
        }
        let Some(date) = time.get(..10).and_then(|date| date.parse::<NaiveDate>().ok()) else { return };
        if date > self.day.date {
            self.day = Day { date, ..Day::default() };
        }
        // A clock that was set back does not open an old day again.
        add(&mut self.day.spent);
        if let Some(node) = node {
            add(self.day.by_node.entry(node.to_owned()).or_default());
        }
    }

    /// What was done for agents.
    pub(crate) fn acts(&self) -> &Acts {
        &self.acts
    }

    pub(crate) fn spent(&self) -> &Spent {
        &self.spent
    }

    /// What one node has taken.
    pub(crate) fn spent_by(&self, node: &str) -> Spent {
        self.by_node.get(node).cloned().unwrap_or_default()
    }

    /// What was taken on `date`; nothing where that is not the newest day of the records.
    pub(crate) fn spent_on(&self, date: NaiveDate) -> Option<&Spent> {
        (self.day.date == date).then_some(&self.day.spent)
    }

    /// What these nodes took on `date`, a part each; as [`spent_on`](Self::spent_on).
    pub(crate) fn spent_on_by<'s>(
        &'s self,
        date: NaiveDate,
        nodes: impl IntoIterator<Item = &'s str>,
    ) -> Option<Vec<&'s Spent>> {
        (self.day.date == date).then(|| nodes.into_iter().filter_map(|node| self.day.by_node.get(node)).collect())
    }

    pub(crate) fn node(&self, name: &str) -> Node {
        self.nodes.get(name).cloned().unwrap_or_default()
    }

    pub(crate) fn llm_requests(&self) -> HashMap<String, u64> {
        self.nodes.iter().map(|(name, node)| (name.clone(), node.llm_requests)).collect()
    }

    /// How many requests were charged to grants, by the names under which they are counted.
    pub(crate) fn charged_requests(&self) -> HashMap<String, u64> {
        self.charged.iter().map(|(grant, charged)| (allowance::key(grant), charged.requests)).collect()
    }

    /// What was charged to the grant of a request.
    pub(crate) fn charged(&self, grant: &str) -> Spent {
        self.charged.get(grant).cloned().unwrap_or_default()
    }

    /// How often the attempt was refused.
    pub(crate) fn denial_count(&self, node: &str, attempt: u32) -> u64 {
        self.denials.get(&(node.to_owned(), attempt)).map_or(0, |d| d.count)
    }

    /// How many connections the attempt has made.
    pub(crate) fn passages(&self, node: &str, attempt: u32) -> u64 {
        self.passages.get(&(node.to_owned(), attempt)).copied().unwrap_or(0)
    }

    /// What the attempt was refused after the record `after`.
    pub(crate) fn denials(&self, node: &str, attempt: u32, after: u64) -> Vec<Denial> {
        let denials = self.denials.get(&(node.to_owned(), attempt));
        denials.into_iter().flat_map(|d| &d.newest).filter(|d| d.seq > after).cloned().collect()
    }
}

/// What a refusal says would have to be granted; those of earlier versions left that to the target.
fn capability(record: &Record) -> Option<String> {
    let named = record.text("capability").map(str::to_owned);
    let required = record.text("verdict") == Some("capability_required");
    named.or_else(|| record.text("target").filter(|_| required).map(|target| format!("net:{target}")))
}
