//! What is asked of a running gateway. Through `openclaw gateway call`, because that returns as soon as a turn has begun
//! (`openclaw agent` waits for its end) and because `chat.send` knows an id that it has seen: asking twice is harmless.

use serde_json::{Map, Value, json};

use super::cli::OpenclawCli;
use super::error::{Error, Result};
use super::patch;

/// One argument may hold 128 KiB on Linux, and JSON escapes can make six bytes of one.
const TEXT: usize = 16 * 1024;
const KEY: usize = 512;

/// How far a message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// A turn of the session begins with it, or will when the turn in progress has ended.
    Started,
    /// The gateway has had it under this id before.
    Known,
}

impl OpenclawCli {
    /// Starts a turn in `session` with `text`, and does not wait for its end. `id` names the request: the gateway takes
    /// each id once.
    ///
    /// # Errors
    /// Every one of [`Error`].
    pub fn wake(&self, session: &str, text: &str, id: &str) -> Result<Sent> {
        self.chat(session, text, id, false)
    }

    /// Says `text` in `session`, whose reply goes where that session's replies go. `id` as for [`wake`](Self::wake).
    ///
    /// # Errors
    /// Every one of [`Error`].
    pub fn send_message(&self, session: &str, text: &str, id: &str) -> Result<Sent> {
        self.chat(session, text, id, true)
    }

    fn chat(&self, session: &str, text: &str, id: &str, deliver: bool) -> Result<Sent> {
        fit("session key", session, KEY)?;
        fit("message's id", id, KEY)?;
        if text.trim().is_empty() || text.len() > TEXT || text.contains('\0') {
            return Err(Error::Unfit(format!("a message has 1 to {TEXT} bytes and no NUL, this has {}", text.len())));
        }
        let params = json!({"sessionKey": session, "message": text, "deliver": deliver, "idempotencyKey": id});
        let answer = self.gateway("chat.send", &params)?;
        match answer.get("status").and_then(Value::as_str) {
            Some("started" | "accepted") => Ok(Sent::Started),
            Some("in_flight" | "ok") => Ok(Sent::Known),
            _ => Err(Error::Unexpected { command: "gateway call chat.send".to_owned(), what: answer.to_string() }),
        }
    }

    /// Changes the automation `job` by `patch`, in the form of the gateway's `cron.update`: its name, description,
    /// whether it is enabled, and when it runs. What it does cannot be changed this way, because a patch comes from a
    /// file of the run and a job may run any program as the gateway's user.
    ///
    /// # Errors
    /// Every one of [`Error`]; [`Error::Unfit`] names a key that is not passed on.
    pub fn patch_cron(&self, job: &str, patch: &Map<String, Value>) -> Result<()> {
        fit("job id", job, KEY)?;
        let patch = patch::checked(patch)?;
        self.gateway("cron.update", &json!({"id": job, "patch": patch})).map(drop)
    }

    /// Calls a method of the gateway.
    ///
    /// # Errors
    /// Every one of [`Error`].
    pub(crate) fn gateway(&self, method: &str, params: &Value) -> Result<Value> {
        self.json(&["gateway", "call", method, "--json", "--params", &params.to_string()])
    }
}

fn fit(what: &str, text: &str, limit: usize) -> Result<()> {
    if text.is_empty() || text.len() > limit || text.chars().any(char::is_control) {
        return Err(Error::Unfit(format!("a {what} has 1 to {limit} bytes and no control characters: {text:.80?}")));
    }
    Ok(())
}
