//! The built-in agent: asks the model, does what it calls for, until it calls finish, waits for a decision or fails.
//! It decides nothing by itself: [`Conversation`] says what is next, the gate says what may be.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::brief::Brief;
use super::capability_request::{poll, request_id};
use super::conversation::{Conversation, Next};
use super::decision::{Standing, standing};
use super::error::AgentError;
use super::gate_client::{GateClient, Reply};
use super::narration::{Narration, complain, line, readable};
use super::tools::{Roots, Tool, Work, read_file, shell, write_file};
use super::turn::{Call, spoken};
use super::verbs::{ask_memory, begin_child, child_id, follow_child, look_at_child};
use super::{chat, env, exit, refusal};
use crate::run::id::RequestId;

/// How long a decision is waited for before the attempt suspends: a policy that allows answers within that.
const DECISION: Duration = Duration::from_secs(2);
const INTERRUPTED: &str = "interrupted: the attempt ended before this finished";

/// Where the built-in agent works.
#[derive(Debug, Clone)]
pub struct LoopOptions {
    /// The gate's unix socket.
    pub socket: PathBuf,
    pub roots: Roots,
    /// The pause before a model is asked again; four times as long before the third try.
    pub backoff: Duration,
    /// For how long a gate that cannot be reached is waited for.
    pub patience: Duration,
}

impl LoopOptions {
    /// The settings that the host put into the environment ([`env`]).
    #[must_use]
    pub fn from_env() -> Self {
        Self {
            socket: env::gate_socket(),
            roots: Roots::with_workspace(env::workspace()),
            backoff: Duration::from_secs(1),
            patience: Duration::from_secs(10),
        }
    }
}

/// Works on the brief until the attempt ends, telling the story to `out`; what went wrong stands on stderr. Returns
/// the exit code for this process, one of [`exit`].
#[must_use]
pub fn run_loop(options: &LoopOptions, out: &mut dyn Write) -> u8 {
    let attempt = async {
        let gate = GateClient::new(&options.socket, options.patience);
        let mut agent = Agent::prepare(options, gate, Narration::new(out)).await?;
        let ended = agent.work().await;
        if ended.is_err() {
            // A later attempt need not do again what this one did.
            let _ = agent.record_results().await;
        }
        ended
    };
    match super::runtime().and_then(|runtime| runtime.block_on(attempt)) {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            error.exit_code()
        }
    }
}

struct Agent<'a> {
    options: &'a LoopOptions,
    gate: GateClient,
    brief: Brief,
    conversation: Conversation,
    resumed: bool,
    /// The number of the last refusal that was seen.
    heard: u64,
    narration: Narration<'a>,
}

/// What a message's calls came to.
enum Outcome {
    GoOn,
    Suspend,
    Finished,
}

/// A request that is not decided.
struct Waiting {
    call: String,
    capability: String,
    request: String,
}

impl<'a> Agent<'a> {
    async fn prepare(options: &'a LoopOptions, gate: GateClient, narration: Narration<'a>) -> Result<Self, AgentError> {
        let reply = gate.get("/taskforge/v1/brief").await?;
        let brief: Brief =
            serde_json::from_value(reply.json()?).map_err(|error| reply.unexpected(error.to_string()))?;
        let earlier = gate.get("/taskforge/v1/conversation").await?.json()?;
        let messages = earlier.get("messages").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let resumed = Conversation::resume(messages);
        Ok(Self {
            options,
            gate,
            resumed: resumed.is_some(),
            conversation: resumed.unwrap_or_else(|| Conversation::start(&brief)),
            brief,
            heard: 0,
            narration,
        })
    }

    async fn work(&mut self) -> Result<u8, AgentError> {
        if self.resumed {
            self.narration.step(&format!("going on after {} turns", self.conversation.turns()));
        }
        let notices = std::mem::take(&mut self.brief.notices);
        // The gate counts over all attempts; this count only ends a loop with a gate that does not.
        let mut left = self.brief.iterations;
        loop {
            match self.conversation.next() {
                Next::Ask => {
                    // Once in a conversation, and after what it waited for: what it counts on may be gone.
                    self.conversation.tell(&notices);
                    let Some(fewer) = left.checked_sub(1) else {
                        let limit = self.brief.iterations;
                        return Err(AgentError::Model(format!("the model did not finish within {limit} turns")));
                    };
                    left = fewer;
                    match self.ask().await {
                        // It goes on where it stopped, with what a person allows.
                        Err(AgentError::Refused(refusal)) if refusal.awaits_a_decision() => {
                            self.narration.step(&refusal.to_string());
                            return Ok(exit::SUSPENDED);
                        }
                        other => other?,
                    }
                }
                Next::Run(calls) => match self.perform(&calls).await? {
                    Outcome::GoOn => {}
                    Outcome::Suspend => return Ok(exit::SUSPENDED),
                    Outcome::Finished => return Ok(exit::DONE),
                },
                Next::GiveUp(reason) => return Err(AgentError::Model(reason)),
            }
            self.resumed = false;
        }
    }

    async fn ask(&mut self) -> Result<(), AgentError> {
        let backoff = self.options.backoff;
        let tools = Tool::definitions_for(self.brief.memory, self.brief.delegates);
        let message = chat::ask(&self.gate, &self.brief.model, &mut self.conversation, &tools, backoff).await?;
        let spoken = spoken(&message);
        if !spoken.is_empty() {
            self.narration.detail(&spoken);
        }
        let titles: Vec<String> = self
            .conversation
            .pending()
            .iter()
            .map(|call| call.tool.as_ref().map_or_else(|_| "a call that is not in order".to_owned(), Tool::title))
            .collect();
        let doing = if titles.is_empty() { spoken } else { titles.join("; ") };
        let progress = json!({"message": line(&format!("turn {}: {doing}", self.conversation.turns()))});
        // Progress is for people who watch; the work does not depend on it.
        let _ = self.gate.post("/taskforge/v1/progress", &progress).await;
        Ok(())
    }

    /// Answers the calls of one message: first what works by itself, in order, then what a person decides, and the
    /// end last, whatever order the model named them in.
    async fn perform(&mut self, calls: &[Call]) -> Result<Outcome, AgentError> {
        for call in calls {
            let result = match &call.tool {
                Err(message) => json!({"error": message}),
                Ok(Tool::RequestCapability { .. }) => continue,
                // What ran when the last attempt ended may have done half of its work: the model has to look.
                Ok(_) if self.resumed => json!({"error": INTERRUPTED}),
                Ok(Tool::Finish { .. }) => continue,
                Ok(tool) => {
                    self.narration.step(&tool.title());
                    self.work_with(tool).await?
                }
            };
            self.answer(&call.id, &result);
        }
        if self.request_capabilities(calls).await? {
            return Ok(Outcome::Suspend);
        }
        for call in self.conversation.pending() {
            let Ok(Tool::Finish { summary }) = &call.tool else { continue };
            self.narration.step(&format!("finish: {summary}"));
            match self.finish(summary).await? {
                None => return Ok(Outcome::Finished),
                Some(error) => self.answer(&call.id, &json!({"error": error})),
            }
        }
        Ok(Outcome::GoOn)
    }

    async fn work_with(&mut self, tool: &Tool) -> Result<Value, AgentError> {
        Ok(match tool {
            Tool::Shell { command, timeout_seconds } => {
                let (before, _) = self.refusals(self.heard).await?;
                let limit = Duration::from_secs(*timeout_seconds);
                let mut result = shell(self.options.roots.workspace(), command, limit).await;
                let (heard, refused) = self.refusals(before).await?;
                self.heard = heard;
                result["refused"] = refused.into();
                result
            }
            Tool::ReadFile { path } => read_file(&self.options.roots, path),
            Tool::WriteFile { path, content } => write_file(&self.options.roots, path, content),
            Tool::Act { action: None, .. } => self.gate.get("/taskforge/v1/actions").await?.json()?,
            Tool::Act { action: Some(action), arguments, key } => {
                let mut body = json!({"arguments": arguments});
                if let Some(key) = key {
                    body["key"] = key.as_str().into();
                }
                let reply = self.gate.post(&format!("/taskforge/v1/actions/{action}"), &body).await?;
                match reply.is_success() {
                    // The record's number differs between runs of the same work.
                    true => json!({"result": reply.json()?["result"]}),
                    false => json!({"error": reply.refusal().told()}),
                }
            }
            Tool::Memory(verb) => {
                let reply = ask_memory(&self.gate, verb.clone(), &mut std::io::empty()).await?;
                match for_the_model(&reply)? {
                    Some(error) => json!({"error": error}),
                    None => reply.json()?,
                }
            }
            Tool::Delegate { work, wait_seconds } => self.delegate(work, Duration::from_secs(*wait_seconds)).await?,
            Tool::RequestCapability { .. } | Tool::Finish { .. } => Value::Null,
        })
    }

    /// Gives work away, or waits for what was given away before: what is known of the child at the end.
    async fn delegate(&self, work: &Work, patience: Duration) -> Result<Value, AgentError> {
        let until = Instant::now() + patience;
        let (id, first) = match work {
            Work::New(asked) => {
                let reply = begin_child(&self.gate, asked).await?;
                if let Some(error) = for_the_model(&reply)? {
                    return Ok(json!({"error": error}));
                }
                let known = reply.json()?;
                (child_id(&known), Some(known))
            }
            Work::Known(id) if RequestId::parse(id).is_ok() => (id.clone(), None),
            Work::Known(_) => return Ok(json!({"error": "`child` is not the id of a child"})),
        };
        let last = match (follow_child(&self.gate, &id, until).await?, first) {
            (Some(reply), _) => reply,
            (None, Some(known)) => return Ok(known),
            (None, None) => look_at_child(&self.gate, &id, 0).await?,
        };
        match for_the_model(&last)? {
            Some(error) => Ok(json!({"error": error})),
            None => last.json(),
        }
    }

    /// What the gate refused this attempt after `after`, and the number to ask from next time.
    async fn refusals(&self, after: u64) -> Result<(u64, Vec<Value>), AgentError> {
        let path = format!("/taskforge/v1/refusals?after={after}");
        let reply = self.gate.get(&path).await?.json()?;
        let seq = reply.get("seq").and_then(Value::as_u64).unwrap_or(after);
        let all = reply.get("refusals").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        Ok((seq, refusal::lasting(all)))
    }

    fn answer(&mut self, id: &str, result: &Value) {
        self.narration.detail(&readable(result));
        self.conversation.answer(id, result);
    }

    /// Posts every capability that `calls` ask for, then waits once for all of them. True if the attempt suspends.
    async fn request_capabilities(&mut self, calls: &[Call]) -> Result<bool, AgentError> {
        let mut waiting = Vec::new();
        for call in calls {
            let Ok(Tool::RequestCapability { capability, reason, deploy, schedule }) = &call.tool else { continue };
            self.narration.step(&format!("request_capability: {capability} — {reason}"));
            let mut body = json!({"capability": capability, "reason": reason});
            if let Some(deploy) = deploy {
                body["deploy"] = json!(deploy);
            }
            if let Some(schedule) = schedule {
                body["schedule"] = json!(schedule);
            }
            let reply = self.gate.post("/taskforge/v1/capabilities", &body).await?;
            if let Some(error) = for_the_model(&reply)? {
                self.answer(&call.id, &json!({"error": error}));
                continue;
            }
            let mut known = reply.json()?;
            let request = request_id(&reply, &known)?;
            if known.get("answer").is_none_or(Value::is_null) && known["status"] != "pending" {
                known = self.gate.get(&format!("/taskforge/v1/capabilities/{request}")).await?.json()?;
            }
            match standing(&known).map_err(|why| reply.unexpected(why))? {
                Standing::Pending => {
                    waiting.push(Waiting { call: call.id.clone(), capability: capability.clone(), request });
                }
                Standing::Approved(told) | Standing::Refused(told) => self.answer(&call.id, &told),
            }
        }
        let until = Instant::now() + DECISION;
        let mut undecided = Vec::new();
        for request in waiting {
            match poll(&self.gate, &request.request, until).await? {
                Standing::Refused(told) => self.answer(&request.call, &told),
                // Approved meanwhile suspends too: this container was made without it, the next one has it.
                Standing::Pending | Standing::Approved(_) => undecided.push(request),
            }
        }
        if undecided.is_empty() {
            return Ok(false);
        }
        for call in self.conversation.pending() {
            if matches!(call.tool, Ok(Tool::Finish { .. })) {
                let error = "not finished: a capability asked for in the same message was not decided yet";
                self.answer(&call.id, &json!({"error": error}));
            }
        }
        self.record_results().await?;
        for Waiting { capability, request, .. } in undecided {
            self.narration.step(&format!("waiting for a decision on {capability} (request {request})"));
        }
        Ok(true)
    }

    /// Puts on record what no request has carried to the gate yet.
    async fn record_results(&mut self) -> Result<(), AgentError> {
        for (id, content) in self.conversation.unrecorded() {
            let reply = self.gate.post("/taskforge/v1/turns", &json!({"toolCallId": id, "content": content})).await?;
            reply.accepted()?;
            self.conversation.mark_recorded(&id);
        }
        Ok(())
    }

    /// Hands in the result, or says what is missing: a container that ends without its files has failed.
    async fn finish(&self, summary: &str) -> Result<Option<String>, AgentError> {
        let missing: Vec<&str> = self.brief.outputs.iter().map(String::as_str).filter(|o| self.is_missing(o)).collect();
        if !missing.is_empty() {
            return Ok(Some(format!("not finished: missing under /workspace: {}", missing.join(", "))));
        }
        let reply = self.gate.post("/taskforge/v1/result", &json!({"summary": summary})).await?;
        for_the_model(&reply)
    }

    fn is_missing(&self, output: &str) -> bool {
        // The host has the last word on patterns.
        let pattern = output.contains(['*', '?', '[']);
        !pattern && !self.options.roots.workspace().join(Path::new(output)).exists()
    }
}

/// What the model did wrong, by the gate's word (a 4xx): it can do better. Anything else is not the model's business.
fn for_the_model(reply: &Reply) -> Result<Option<String>, AgentError> {
    if reply.is_success() {
        return Ok(None);
    }
    let refusal = reply.refusal();
    if refusal.ends_the_attempt() || !(400..500).contains(&refusal.status) {
        return Err(AgentError::Refused(Box::new(refusal)));
    }
    let hint = refusal.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
    Ok(Some(format!("{}{hint}", refusal.message)))
}
