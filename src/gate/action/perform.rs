//! One action, from the wish to the record of its end. The order is the point: parsed, allowed by a rule, not done already,
//! within its limit, on record; only then is anything sent, and what became of it goes on record too.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use hyper::{Response, StatusCode};
use serde_json::{Map, Value, json};

use super::arguments::{Action, Wrong};
use super::http::Service;
use super::seen::Standing;
use super::{Failure, Found, Outcome, ledger};
use crate::gate::body::Body;
use crate::gate::policy::{AllowedAction, Attempt};
use crate::gate::records::{Entry, Kind, Payload};
use crate::gate::refusal::{Refusal, reply};
use crate::gate::shared::Gate;
use crate::gate::socket::{MOST_REFUSALS, Socket};
use crate::provider::canonical;
use crate::run::capability::ActionLimit;
use crate::run::event::Settled;
use crate::run::id::Digest;
use crate::run::id::RequestId;

/// The longest key, in bytes.
const LONGEST_KEY: usize = 128;
/// The longest text in a record, in characters.
const LONGEST: usize = 300;

/// What an agent asks for.
pub(crate) struct Asked {
    pub(crate) name: String,
    pub(crate) arguments: Map<String, Value>,
    /// Which of several that are the same; the first where it is not said.
    pub(crate) key: Option<String>,
}

/// Something that is about to be done.
struct Act {
    gate: Arc<Gate>,
    socket: Arc<Socket>,
    attempt: Arc<Attempt>,
    name: String,
    action: Action,
    arguments: Bytes,
    /// What tells it from others, and what it is.
    key: String,
    digest: Digest,
}

/// Does it, or says why not. To be run on a task of its own: an agent that leaves does not end what was begun.
pub(crate) async fn perform(gate: Arc<Gate>, socket: Arc<Socket>, asked: Asked) -> Result<Response<Body>, Refusal> {
    let attempt = socket.attempt();
    let Asked { name, arguments, key } = asked;
    let whole = canonical(&Value::Object(arguments.clone()), false);
    let action = match Action::parse(&name, arguments) {
        Ok(action) => action,
        Err(None) => {
            let known: Vec<&str> = attempt.actions_at(Utc::now()).map(|action| action.name.as_str()).collect();
            let message = format!("no gate can do {}", name.chars().take(100).collect::<String>());
            let refusal = Refusal::new(StatusCode::NOT_FOUND, "no_such_action", message);
            deny(&gate, &socket, Doing { name: &name, target: "" }, "no_such_action", "no gate can do this").await?;
            return Err(refusal.hint(format!(
                "this attempt may do: {}",
                if known.is_empty() { "nothing".into() } else { known.join(", ") }
            )));
        }
        Err(Some(Wrong(why))) => {
            deny(&gate, &socket, Doing { name: &name, target: "" }, "bad_arguments", &why).await?;
            return Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_arguments", format!("{name}: {why}")));
        }
    };
    if key
        .as_ref()
        .is_some_and(|key| key.is_empty() || key.len() > LONGEST_KEY || !key.bytes().all(|b| b.is_ascii_graphic()))
    {
        let message = format!("the idempotency key is not 1 to {LONGEST_KEY} visible ASCII characters");
        return Err(Refusal::bad_request(message));
    }
    // Of what is meant, and not of how it was written: a number is the same as text, and a name in capitals.
    let meant = serde_json::to_value(&action).unwrap_or_default();
    let digest = Digest::of(format!("{name}\n{}", canonical(&meant, false)).as_bytes());
    // The agent's own words are not what others see: a key goes into comments and mails.
    let own = key.unwrap_or_default();
    let of = format!("{}\n{}\n{}\n{own}", gate.rules().policy.registry, gate.rules().policy.run, attempt.node);
    let key = match own.is_empty() {
        true => Digest::of(format!("{of}\n{digest}").as_bytes()),
        false => Digest::of(of.as_bytes()),
    };
    let key = key.to_string().chars().take(32).collect();
    let arguments = Bytes::from(whole);
    let act = Act { gate, socket, attempt, name, action, arguments, key, digest };
    act.perform().await
}

impl Act {
    async fn perform(self) -> Result<Response<Body>, Refusal> {
        let rule = self.allowed().await?;
        // One at a time for each key: the second of two that are the same finds the first one done.
        let turn = self.gate.acting.take(&self.key);
        let _turn = turn.lock().await;
        let node = self.attempt.node.as_str();
        if self.action.is_write() {
            let target = bounded(&self.action.target());
            let standing = self
                .gate
                .recorder
                .index(|index| index.acts().standing(node, &self.key, self.digest.as_ref(), (&self.name, &target)));
            match standing {
                Standing::Other => return Err(self.reused().await?),
                Standing::Free => {}
                Standing::Done { record, body } => {
                    let result = body.and_then(|body| self.gate.recorder.bodies().load(&body).ok());
                    let result = result.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or(Value::Null);
                    return Ok(self.answer(record, true, &result));
                }
                Standing::Unclear { intent, since, same } => {
                    if let Some(done) = self.settle(intent, &since).await? {
                        return if same { Ok(done) } else { Err(self.reused().await?) };
                    }
                }
            }
        }
        self.within_limit(&rule).await?;
        // From here on, ending the attempt waits for this, and so does taking back the grant.
        let _upstream = self.socket.upstream();
        let _entered = Entered::by(&self.socket, &rule);
        let intent = self.begin(&rule).await?;
        let outcome = match self.still_allowed(&rule) {
            Ok(()) => self.send().await,
            Err(refusal) => Outcome::NotDone(Failure::new(refusal.code(), "it was taken back before it was done")),
        };
        self.end(intent, outcome).await
    }

    /// The refusal to do something else under a key that was used, once it is on record.
    async fn reused(&self) -> Result<Refusal, Refusal> {
        let message = "this idempotency key was used for something else";
        let doing = Doing { name: &self.name, target: &self.action.target() };
        deny(&self.gate, &self.socket, doing, "key_reused", message).await?;
        let refusal = Refusal::new(StatusCode::CONFLICT, "key_reused", message);
        Ok(refusal.hint("if that was the same in other words, it is done; if it was not, take another key"))
    }

    /// The rule that allows it.
    async fn allowed(&self) -> Result<AllowedAction, Refusal> {
        let of_name = self.attempt.actions_at(Utc::now()).filter(|action| action.name == self.name);
        let mut why = None;
        for rule in of_name {
            match self.action.check(&rule.rules) {
                Ok(()) => return Ok(rule.clone()),
                Err(Wrong(wrong)) => why = Some(wrong),
            }
        }
        let (code, message) = match why {
            None => ("action_not_allowed", format!("nothing allows {}", self.name)),
            Some(why) => ("arguments_not_allowed", format!("{} is not allowed so: {why}", self.name)),
        };
        let doing = Doing { name: &self.name, target: &self.action.target() };
        deny(&self.gate, &self.socket, doing, code, &message).await?;
        let refusal =
            Refusal::new(StatusCode::FORBIDDEN, code, message).with("capability", self.action.capability(&self.name));
        Err(refusal
            .hint("`GET /taskforge/v1/actions` lists what this attempt may do; more is asked for as a capability"))
    }

    fn still_allowed(&self, rule: &AllowedAction) -> Result<(), Refusal> {
        self.gate.check(&self.socket)?;
        if self.socket.attempt().actions_at(Utc::now()).any(|action| action == rule) {
            Ok(())
        } else {
            Err(Refusal::revoked())
        }
    }

    /// Finds out what became of an earlier try; the answer, if it was done. Where that cannot be told, it is not done again.
    async fn settle(&self, intent: u64, since: &str) -> Result<Option<Response<Body>>, Refusal> {
        let unclear = |why: &str, wait: Option<Duration>| {
            let message =
                format!("{} was begun (record {intent}), and whether it was done is not known: {why}", self.name);
            let refusal = Refusal::new(StatusCode::CONFLICT, "action_unclear", message).with("intent", intent);
            let refusal = refusal.hint("it is not done a second time; look there, or have somebody look, who says so with `taskforge action settle`");
            match wait {
                Some(wait) => refusal.retry_after(wait),
                None => refusal,
            }
        };
        let settled = self.gate.rules().policy.settled.iter().find(|settled| settled.record == intent).cloned();
        if let Some(settled) = settled {
            return self.settle_as_told(intent, &settled).await;
        }
        let found = match &self.action {
            Action::Github(call) => match self.service("github") {
                Ok(service) => call.find(&service, &self.key).await,
                Err(failure) => Found::Unknown(failure.message),
            },
            Action::Slack(call) => match self.service("slack") {
                Ok(service) => call.find(&service, &self.key).await,
                Err(failure) => Found::Unknown(failure.message),
            },
            Action::Email(_) => Found::Unknown("a mail server does not say what it has sent".to_owned()),
            Action::Webhook(_) => Found::Unknown("nobody can be asked".to_owned()),
        };
        match found {
            Found::Done(result) => {
                let mut fields = Map::new();
                fields.insert("found".into(), true.into());
                let record = self.record_end(Kind::ActionDone, intent, fields, Some(&result)).await?;
                Ok(Some(self.answer(record, true, &result)))
            }
            Found::NotThere => {
                // What is on its way may still arrive.
                let begun: Option<DateTime<Utc>> = since.parse().ok();
                let age = begun.and_then(|begun| (Utc::now() - begun).to_std().ok()).unwrap_or_default();
                if age < self.gate.settles {
                    return Err(unclear("it may still be on its way", Some(self.gate.settles - age)));
                }
                let mut fields = Map::new();
                fields.insert("code".into(), "not_found_there".into());
                fields.insert("message".into(), "it was looked for where it would be, and is not there".into());
                self.record_end(Kind::ActionFailed, intent, fields, None).await?;
                Ok(None)
            }
            Found::Unknown(why) => Err(unclear(&why.chars().take(LONGEST).collect::<String>(), None)),
        }
    }

    /// Goes on from what a person says became of it: their word is on record before anything is done by it.
    async fn settle_as_told(&self, intent: u64, settled: &Settled) -> Result<Option<Response<Body>>, Refusal> {
        let mut fields = Map::new();
        fields.insert("settledBy".into(), bounded(&settled.by).into());
        if settled.done {
            let result = json!({"settled": "done", "by": settled.by, "comment": settled.comment});
            let record = self.record_end(Kind::ActionDone, intent, fields, Some(&result)).await?;
            return Ok(Some(self.answer(record, true, &result)));
        }
        fields.insert("code".into(), "settled_not_done".into());
        fields.insert("message".into(), bounded(&settled.comment).into());
        self.record_end(Kind::ActionFailed, intent, fields, None).await?;
        Ok(None)
    }

    async fn within_limit(&self, rule: &AllowedAction) -> Result<(), Refusal> {
        for (by, limits) in limits(rule) {
            let doing = Doing { name: &self.name, target: &self.action.target() };
            within(&self.gate, &self.socket, doing, by, &limits).await?;
        }
        Ok(())
    }

    /// Puts the intent on record. What cannot be recorded is not done.
    async fn begin(&self, rule: &AllowedAction) -> Result<u64, Refusal> {
        let mut fields = Map::new();
        fields.insert("action".into(), self.name.as_str().into());
        fields.insert("target".into(), bounded(&self.action.target()).into());
        fields.insert("by".into(), rule.by.as_str().into());
        if self.action.is_write() {
            fields.insert("key".into(), self.key.as_str().into());
            fields.insert("digest".into(), self.digest.to_string().into());
        }
        let body = Some(Payload::whole(self.arguments.clone()));
        let entry = Entry { kind: Kind::ActionRequested, of: Some(of(&self.attempt)), fields, body };
        self.gate.recorder.record(entry).await.map_err(|reason| Refusal::record_failed(&reason))
    }

    fn service(&self, name: &'static str) -> Result<Service, Failure> {
        let services = self.gate.rules().policy.services.clone();
        let endpoint = if name == "github" { services.github } else { services.slack };
        Service::of(&self.gate, name, endpoint.as_ref())
    }

    async fn send(&self) -> Outcome {
        match &self.action {
            Action::Github(call) => match self.service("github") {
                Ok(service) => call.perform(&service, &self.key).await,
                Err(failure) => Outcome::NotDone(failure),
            },
            Action::Slack(call) => match self.service("slack") {
                Ok(service) => call.perform(&service, &self.key).await,
                Err(failure) => Outcome::NotDone(failure),
            },
            Action::Email(mail) => {
                let server = self.gate.rules().policy.services.email.clone();
                mail.perform(&self.gate, server.as_ref(), &self.key, Utc::now()).await
            }
            Action::Webhook(post) => post.perform(&self.gate, &self.socket, &self.key).await,
        }
    }

    async fn end(&self, intent: u64, outcome: Outcome) -> Result<Response<Body>, Refusal> {
        let (failure, unclear) = match outcome {
            Outcome::Done(result) => {
                let record = self.record_end(Kind::ActionDone, intent, Map::new(), Some(&result)).await?;
                return Ok(self.answer(record, false, &result));
            }
            Outcome::NotDone(failure) => (failure, false),
            Outcome::Unclear(failure) => (failure, true),
        };
        let mut fields = Map::new();
        fields.insert("code".into(), failure.code.into());
        fields.insert("message".into(), bounded(&failure.message).into());
        if let Some(status) = failure.status {
            fields.insert("status".into(), status.into());
        }
        if unclear {
            fields.insert("unclear".into(), true.into());
        }
        self.record_end(Kind::ActionFailed, intent, fields, None).await?;
        let status = match failure.code {
            "rate_limited" => StatusCode::TOO_MANY_REQUESTS,
            "service_missing" => StatusCode::SERVICE_UNAVAILABLE,
            "revoked" | "closed" | "killed" | "not_granted" => StatusCode::GONE,
            _ => StatusCode::BAD_GATEWAY,
        };
        let mut refusal = Refusal::new(status, failure.code, failure.message).with("record", intent);
        if let Some(status) = failure.status {
            refusal = refusal.with("status", status);
        }
        if unclear {
            refusal = refusal.with("unclear", true).hint("asked again, it is first looked for; it is not done twice");
        }
        Err(match failure.retry_after {
            Some(wait) => refusal.retry_after(wait),
            None => refusal,
        })
    }

    async fn record_end(
        &self,
        kind: Kind,
        intent: u64,
        more: Map<String, Value>,
        body: Option<&Value>,
    ) -> Result<u64, Refusal> {
        let mut fields = Map::new();
        fields.insert("intent".into(), intent.into());
        fields.insert("action".into(), self.name.as_str().into());
        fields.extend(more);
        let body = body.map(|body| Payload::whole(Bytes::from(body.to_string())));
        let entry = Entry { kind, of: Some(of(&self.attempt)), fields, body };
        // It has happened: without its record it stands as begun, and is looked for before it is done again.
        self.gate.recorder.record(entry).await.map_err(|reason| Refusal::record_failed(&reason))
    }

    fn answer(&self, record: u64, repeated: bool, result: &Value) -> Response<Body> {
        let answer = json!({"action": self.name, "record": record, "repeated": repeated, "result": result});
        reply(StatusCode::OK, &answer)
    }
}

/// What is about to be done, for a record.
#[derive(Clone, Copy)]
pub(crate) struct Doing<'a> {
    pub(crate) name: &'a str,
    pub(crate) target: &'a str,
}

/// By whom it counts, each once: those above may be of the same role.
fn limits(rule: &AllowedAction) -> Vec<(&str, Vec<ActionLimit>)> {
    let own = rule.rules.limit.map(|limit| (rule.by.as_str(), limit));
    let above = rule.counts.iter().map(|counted| (counted.by.as_str(), counted.limit));
    let mut each: Vec<(&str, Vec<ActionLimit>)> = Vec::new();
    for (by, limit) in own.into_iter().chain(above) {
        match each.iter_mut().find(|(known, _)| *known == by) {
            None => each.push((by, vec![limit])),
            Some((_, limits)) if limits.contains(&limit) => {}
            Some((_, limits)) => limits.push(limit),
        }
    }
    each
}

/// Counts one more of what `by` may do within `limits`; before it is done, and so at worst too much.
///
/// # Errors
/// The refusal, which is on record, when that is one too many; when it cannot be counted.
pub(crate) async fn within(
    gate: &Gate,
    socket: &Socket,
    doing: Doing<'_>,
    by: &str,
    limits: &[ActionLimit],
) -> Result<(), Refusal> {
    let (folder, scope) = (gate.ledger.folder().to_owned(), format!("{by}\n{}", doing.name));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let limits = limits.to_vec();
    let taken = tokio::task::spawn_blocking(move || ledger::take(&folder, &scope, &limits, now)).await;
    let taken = taken.map_err(|error| error.to_string()).and_then(|taken| taken.map_err(|error| error.to_string()));
    match taken.map_err(|reason| Refusal::record_failed(&reason))? {
        Ok(()) => Ok(()),
        Err((limit, wait)) => {
            let message = format!("{} may be done {limit}, and was (by {by})", doing.name);
            deny(gate, socket, doing, "action_limit", &message).await?;
            let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, "action_limit", message);
            Err(refusal.with("limit", limit.to_string()).retry_after(wait))
        }
    }
}

/// A place among what is under way by a grant.
struct Entered(Arc<Socket>, Option<RequestId>);

impl Entered {
    fn by(socket: &Arc<Socket>, rule: &AllowedAction) -> Self {
        let request = rule.by.strip_prefix("request ").and_then(|id| RequestId::parse(id).ok());
        if let Some(request) = &request {
            socket.enter(request);
        }
        Self(socket.clone(), request)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        if let Some(request) = &self.1 {
            self.0.leave(request);
        }
    }
}

/// Puts a refusal on record, up to as many as one attempt is heard with.
pub(crate) async fn deny(gate: &Gate, socket: &Socket, doing: Doing<'_>, code: &str, why: &str) -> Result<(), Refusal> {
    let Doing { name, target } = doing;
    // Nothing has happened: a loop that tries for ever must not fill the disk.
    if socket.refuse() >= MOST_REFUSALS {
        return Ok(());
    }
    let attempt = socket.attempt();
    let mut fields = Map::new();
    fields.insert("action".into(), bounded(name).into());
    if !target.is_empty() {
        fields.insert("target".into(), bounded(target).into());
    }
    fields.insert("code".into(), code.into());
    fields.insert("message".into(), bounded(why).into());
    let entry = Entry { kind: Kind::ActionDenied, of: Some(of(&attempt)), fields, body: None };
    gate.recorder.record(entry).await.map(drop).map_err(|reason| Refusal::record_failed(&reason))
}

/// Whose a record is.
pub(crate) fn of(attempt: &Attempt) -> (String, u32) {
    (attempt.node.as_str().to_owned(), attempt.attempt)
}

fn bounded(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::gate::policy::Counted;
    use crate::run::capability::ActionRules;

    #[test]
    fn whoever_counts_twice_is_counted_once() {
        let limit = |text: &str| ActionLimit::parse(text).unwrap();
        let rules = ActionRules { limit: Some(limit("4/hour")), ..ActionRules::default() };
        let counted = |by: &str, text: &str| Counted { by: by.to_owned(), limit: limit(text) };
        let counts =
            vec![counted("role worker", "4/hour"), counted("agent ada", "3/hour"), counted("role worker", "9/day")];
        let rule = AllowedAction { by: "role worker".to_owned(), name: "github.pr.list".to_owned(), rules, counts };
        let expected = [("role worker", vec![limit("4/hour"), limit("9/day")]), ("agent ada", vec![limit("3/hour")])];
        assert_eq!(limits(&rule), expected);
    }
}
