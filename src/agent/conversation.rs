//! The conversation as a state machine without I/O: from what was said so far it follows what has to happen next.
//! What a model is sent must be the same whether the conversation went on in one attempt or was resumed in another.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::brief::Brief;
use super::turn::{self, Call};

/// Answers without a tool call in a row before the attempt fails.
const SILENT_LIMIT: u32 = 2;
const NUDGE: &str = "You answered without a tool call, so nothing happened. Use the tools to go on, and call finish \
                     when the work is done.";

const NO_MORE: &str = "Some of what you were granted is not yours any more. Go on without it, or ask again:";

/// Everything said so far, in the form that is sent.
#[derive(Debug, Clone)]
pub(crate) struct Conversation {
    messages: Vec<Value>,
    /// Calls whose results the gate has on record already.
    recorded: BTreeSet<String>,
    silent: u32,
}

/// What has to happen next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    /// Send the messages to the model.
    Ask,
    /// Answer these calls first, in this order of the results.
    Run(Vec<Call>),
    /// The model does not work with the tools.
    GiveUp(String),
}

impl Conversation {
    pub(crate) fn start(brief: &Brief) -> Self {
        let messages =
            vec![json!({"role": "system", "content": brief.system}), json!({"role": "user", "content": brief.prompt})];
        Self { messages, recorded: BTreeSet::new(), silent: 0 }
    }

    /// Goes on where an earlier attempt ended; `None` if nothing was said yet. `messages` come from the gate's
    /// records: what was sent last, the model's answer as it came, and the results recorded since.
    pub(crate) fn resume(messages: &[Value]) -> Option<Self> {
        let objects = messages.iter().filter(|message| role(message).is_some());
        let messages: Vec<Value> = objects
            .enumerate()
            .filter_map(|(position, message)| match role(message) {
                Some("assistant") => turn::canonical(message, position),
                _ => Some(message.clone()),
            })
            .collect();
        if messages.is_empty() {
            return None;
        }
        let mut conversation = Self { messages, recorded: BTreeSet::new(), silent: 0 };
        if let Some((asked, _)) = conversation.last_calls() {
            conversation.recorded = conversation.messages[asked + 1..].iter().filter_map(answered).collect();
            conversation.put_results_in_order();
        }
        Some(conversation)
    }

    /// Tells what is not so any more, unless it was told before.
    pub(crate) fn tell(&mut self, notices: &[String]) {
        let told = |text: &str| {
            let content = |message: &Value| message.get("content").and_then(Value::as_str).map(str::to_owned);
            let mut said = self.messages.iter().filter(|message| role(message) == Some("user")).filter_map(content);
            said.any(|said| said.contains(text))
        };
        let new: Vec<&str> = notices.iter().map(String::as_str).filter(|notice| !told(notice)).collect();
        if !new.is_empty() {
            let text = format!("{NO_MORE}\n- {}", new.join("\n- "));
            self.messages.push(json!({"role": "user", "content": text}));
        }
    }

    pub(crate) fn messages(&self) -> &[Value] {
        &self.messages
    }

    /// The model's turns so far.
    pub(crate) fn turns(&self) -> usize {
        self.messages.iter().filter(|message| role(message) == Some("assistant")).count()
    }

    /// What follows from what was said. Appends a reminder if the model's last answer asked for nothing.
    pub(crate) fn next(&mut self) -> Next {
        let pending = self.pending();
        if !pending.is_empty() {
            return Next::Run(pending);
        }
        if self.messages.last().and_then(role) == Some("assistant") {
            if self.silent >= SILENT_LIMIT {
                return Next::GiveUp(format!(
                    "the model answered {SILENT_LIMIT} times in a row without calling a tool, though it was told to \
                     call finish when done; a model that supports tool calls is needed"
                ));
            }
            self.messages.push(json!({"role": "user", "content": NUDGE}));
        }
        Next::Ask
    }

    /// Takes in the model's answer and returns the message it became.
    ///
    /// # Errors
    /// Why nothing can be made of `answer`; the conversation is unchanged then.
    pub(crate) fn accept(&mut self, answer: &Value) -> Result<&Value, String> {
        let message = turn::read_answer(answer, self.messages.len())?;
        self.silent = if message.get("tool_calls").is_some() { 0 } else { self.silent + 1 };
        self.messages.push(message);
        Ok(&self.messages[self.messages.len() - 1])
    }

    /// The calls of the last turn that have no result.
    pub(crate) fn pending(&self) -> Vec<Call> {
        let Some((asked, calls)) = self.last_calls() else { return Vec::new() };
        let done: BTreeSet<String> = self.messages[asked + 1..].iter().filter_map(answered).collect();
        calls.into_iter().filter(|call| !done.contains(&call.id)).collect()
    }

    /// Answers a pending call. Results stand in the order of their calls, whatever order they came in; a call that is
    /// not pending is not answered twice.
    pub(crate) fn answer(&mut self, id: &str, result: &Value) {
        if self.pending().iter().any(|call| call.id == id) {
            self.messages.push(json!({"role": "tool", "tool_call_id": id, "content": result.to_string()}));
            self.put_results_in_order();
        }
    }

    /// Results of the last turn that the gate does not have yet: id and content. The next request would carry them.
    pub(crate) fn unrecorded(&self) -> Vec<(String, String)> {
        let Some((asked, _)) = self.last_calls() else { return Vec::new() };
        let results = self.messages[asked + 1..].iter().filter_map(|message| {
            let content = message.get("content")?.as_str()?.to_owned();
            Some((answered(message)?, content))
        });
        results.filter(|(id, _)| !self.recorded.contains(id)).collect()
    }

    pub(crate) fn mark_recorded(&mut self, id: &str) {
        self.recorded.insert(id.to_owned());
    }

    /// The last turn with its place, if since then there was nothing but results.
    fn last_calls(&self) -> Option<(usize, Vec<Call>)> {
        let asked = self.messages.iter().rposition(|message| role(message) != Some("tool"))?;
        let calls = turn::calls(&self.messages[asked]);
        (role(&self.messages[asked]) == Some("assistant") && !calls.is_empty()).then_some((asked, calls))
    }

    fn put_results_in_order(&mut self) {
        let Some((asked, calls)) = self.last_calls() else { return };
        let place = |message: &Value| {
            let id = answered(message);
            calls.iter().position(|call| Some(&call.id) == id.as_ref())
        };
        // A result that answers nothing, or answers twice, would make the request invalid.
        let mut seen = BTreeSet::new();
        let mut results = self.messages.split_off(asked + 1);
        results.retain(|message| place(message).is_some_and(|place| seen.insert(place)));
        results.sort_by_key(place);
        self.messages.append(&mut results);
    }
}

fn role(message: &Value) -> Option<&str> {
    message.get("role")?.as_str()
}

fn answered(message: &Value) -> Option<String> {
    (role(message) == Some("tool")).then_some(())?;
    Some(message.get("tool_call_id")?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests;
