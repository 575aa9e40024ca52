//! A whole chat completion request.

use serde_json::{Map, Value};

use super::parameter::{self, take};
use super::{Choice, Effort, Format, Message, Sampling, Tool, Untranslatable, message, tool};
use crate::provider::Values;

/// What an agent asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Request {
    pub(crate) messages: Vec<Message>,
    pub(crate) tools: Vec<Tool>,
    pub(crate) choice: Choice,
    /// `parallel_tool_calls: false`.
    pub(crate) one_call: bool,
    pub(crate) sampling: Sampling,
    pub(crate) format: Format,
    pub(crate) effort: Option<Effort>,
    pub(crate) stream: bool,
    /// `stream_options.include_usage`.
    pub(crate) include_usage: bool,
    /// What texts that are not read yet may hold of JSON.
    pub(crate) values: Values,
}

impl Request {
    /// Reads a body that [`Ask::parse`](crate::provider::Ask::parse) has let pass.
    ///
    /// # Errors
    /// What is not of the wire's shape, and every parameter that no other wire has.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Untranslatable> {
        let mut values = Values::beside(body).map_err(|error| Untranslatable::complex("body", &error))?;
        let body: Result<Map<String, Value>, _> = serde_json::from_slice(body);
        let mut body = body.map_err(|e| Untranslatable::malformed("body", format!("is not a JSON object: {e}")))?;
        body.shift_remove("model");
        let all = take(&mut body, "messages").unwrap_or_default();
        let all = all.as_array().ok_or_else(|| Untranslatable::malformed("messages", "is not a list"))?;
        let messages = message::messages(all, &mut values)?;
        if !messages.iter().any(|message| !matches!(message, Message::System(_))) {
            return Err(Untranslatable::malformed("messages", "holds no message of a user, a model or a tool"));
        }
        let request = Self {
            messages,
            tools: take(&mut body, "tools").as_ref().map(tool::tools).transpose()?.unwrap_or_default(),
            choice: take(&mut body, "tool_choice").as_ref().map(tool::choice).transpose()?.unwrap_or_default(),
            one_call: take(&mut body, "parallel_tool_calls").and_then(|v| v.as_bool()) == Some(false),
            sampling: parameter::sampling(&mut body)?,
            format: parameter::format(&mut body)?,
            effort: parameter::effort(&mut body)?,
            stream: take(&mut body, "stream").and_then(|v| v.as_bool()).unwrap_or(false),
            include_usage: take(&mut body, "stream_options")
                .and_then(|options| options.get("include_usage")?.as_bool())
                .unwrap_or(false),
            values,
        };
        parameter::nothing_else(&body)?;
        if let Choice::Named(name) = &request.choice
            && !request.tools.iter().any(|tool| tool.name == *name)
        {
            return Err(Untranslatable::malformed("tool_choice", "names none of `tools`"));
        }
        Ok(request)
    }

    /// The text of the system messages at the beginning, and the others.
    ///
    /// # Errors
    /// When a system message comes later: a provider that keeps them apart would move it.
    pub(crate) fn system(&self) -> Result<(Vec<&str>, &[Message]), Untranslatable> {
        let said = self.messages.iter().map_while(|message| match message {
            Message::System(text) => Some(text.as_str()),
            _ => None,
        });
        let system: Vec<&str> = said.collect();
        let rest = &self.messages[system.len()..];
        if let Some(at) = rest.iter().position(|message| matches!(message, Message::System(_))) {
            let place = format!("messages[{}].role", system.len() + at);
            return Err(Untranslatable::content(place, "is a system message after others; they come first here"));
        }
        Ok((system, rest))
    }

    /// How many tool calls the conversation holds: the number that the next one gets where a provider gives none.
    pub(crate) fn calls(&self) -> usize {
        let of = |message: &Message| match message {
            Message::Assistant(assistant) => assistant.calls.len(),
            _ => 0,
        };
        self.messages.iter().map(of).sum()
    }
}
