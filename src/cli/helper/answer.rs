//! What a verb comes down to: JSON for whoever called it, or a sentence that says why not.

use std::io::Write as _;
use std::process::ExitCode;

use serde_json::{Map, Value, json};

use crate::registry::to_printed_json;
use crate::run::record::Record;
use crate::run::state::State;
use crate::run::status::NodeStatus;

use super::sentence::Sentence;

/// JSON to be printed, and the exit code.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) value: Value,
    pub(super) ok: bool,
}

impl From<Value> for Answer {
    fn from(value: Value) -> Self {
        Self { value, ok: true }
    }
}

/// Prints the answer, or says on standard error what went wrong.
pub(super) fn print(outcome: Result<Answer, Sentence>) -> ExitCode {
    match outcome {
        Ok(answer) => match write(&to_printed_json(&answer.value)) {
            Ok(()) if answer.ok => ExitCode::SUCCESS,
            Ok(()) => ExitCode::from(1),
            Err(error) => complain(&format!("cannot write the result: {error}")),
        },
        Err(sentence) => complain(&sentence.0),
    }
}

/// Text for standard output. A reader that has gone is no failure.
pub(super) fn write(text: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

fn complain(sentence: &str) -> ExitCode {
    // It may hold what an argument or a file said.
    let _ = writeln!(std::io::stderr().lock(), "{}", crate::run::visible::visible(sentence));
    ExitCode::from(1)
}

/// An event as OpenTask's helper prints it: without what our journal adds to a line.
pub(super) fn event(record: &Record) -> Value {
    let mut event = Map::new();
    let mut put = |key: &str, value: Value| event.insert(key.to_owned(), value);
    put("event", json!(record.event));
    put("timestamp", json!(record.timestamp));
    put("runId", json!(record.run_id));
    put("payload", json!(record.payload));
    record.node_id.as_ref().map(|node| put("nodeId", json!(node)));
    record.message.as_ref().map(|message| put("message", json!(message)));
    Value::Object(event)
}

/// How many nodes stand where.
pub(super) fn status_counts(state: &State) -> Value {
    const ALL: [NodeStatus; 7] = [
        NodeStatus::Pending,
        NodeStatus::Ready,
        NodeStatus::Running,
        NodeStatus::Waiting,
        NodeStatus::Completed,
        NodeStatus::Failed,
        NodeStatus::Skipped,
    ];
    let count = |status: NodeStatus| state.nodes.iter().filter(|node| node.status == status).count();
    ALL.iter().map(|status| (status.as_str().to_owned(), json!(count(*status)))).collect::<Map<_, _>>().into()
}
