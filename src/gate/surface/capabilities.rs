//! `capabilities`: an agent asks and can wait. It is answered from the policy, which only the host writes.

use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::grammar::{check_capability, check_deployment, check_timetable};
use super::{Session, forwards, json as input, parameter};
use crate::gate::body::Body;
use crate::gate::inbox::{Asker, Asking, Wish};
use crate::gate::policy::{Attempt, CapabilityRequest, RequestStatus};
use crate::gate::refusal::{Refusal, reply};
use crate::run::capability::Capability;
use crate::run::deployment::Proposal;
use crate::run::timetable::Timetable;

/// The largest request body, and the longest reason, in bytes.
const LARGEST: u64 = 64 * 1024;
const LONGEST_REASON: usize = 4096;
/// The longest that an agent may wait in one request.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

pub(super) async fn ask(session: &Session, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    let mut asked = input::object(session, request, LARGEST).await?;
    let capability = input::text(&mut asked, "capability", 512)?;
    let reason = match asked.contains_key("reason") {
        true => input::text(&mut asked, "reason", LONGEST_REASON)?,
        false => String::new(),
    };
    let deploy = asked.remove("deploy").map(serde_json::from_value::<Proposal>).transpose();
    let deploy = deploy.map_err(|e| Refusal::bad_request(format!("`deploy` is not understood: {e}")))?;
    let schedule = asked.remove("schedule").map(serde_json::from_value::<Timetable>).transpose();
    let schedule = schedule.map_err(|e| Refusal::bad_request(format!("`schedule` is not understood: {e}")))?;
    input::nothing_else(&asked)?;
    let capability = check_capability(&capability).map_err(|rule| {
        Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_request", rule).hint(
            "a package is asked for as pip:<name>, apt:<name> or npm:<name>, with ==<version>, =<version> or @<version> if it \
             must be one; a way out as net:<host>:<port> or tcp:<host>:<port>; a folder of the host as mount:<path>:ro or :rw; a model as \
             llm:<name>; a deployment as port:<port> with its command; a task at times as schedule:<name> with `when` and `task`",
        )
    })?;
    check_deployment(&capability, deploy.as_ref())
        .and_then(|()| check_timetable(&capability, schedule.as_ref()))
        .map_err(|rule| Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_request", rule))?;
    let (attempt, rules) = (session.attempt(), session.gate.rules());
    let asker = Asker { attempt: &attempt, is_gate: false, in_force: session.socket.in_force() };
    let (deploy, schedule) = (deploy.as_ref(), schedule.as_ref());
    let wish = Wish { capability: &capability, deploy, schedule, reason: &reason };
    let asking = session.gate.asked.ask(&rules, &asker, wish).await;
    match asking.map_err(|e| Refusal::inbox_failed(&e.to_string()))? {
        Asking::Pending(id) => Ok(reply(StatusCode::ACCEPTED, &json!({"id": id, "status": "pending"}))),
        Asking::Known(id) => {
            let own = own(&attempt, id.as_str());
            let known = own.or_else(|| rules.request(id.as_str())).map(shown);
            Ok(reply(StatusCode::OK, &known.unwrap_or_default()))
        }
        Asking::Exhausted => {
            let limit = attempt.limits.capability_requests;
            let message = format!("the node `{}` has made all of its {limit} capability requests", attempt.node);
            Err(Refusal::exhausted(message).with("limit", limit))
        }
    }
}

pub(super) async fn show(session: &Session, request: &Request<Incoming>, id: &str) -> Result<Response<Body>, Refusal> {
    let until = Instant::now() + wait(parameter(request, "wait"))?;
    let (mut changes, mut attempts) = (session.gate.rules.subscribe(), session.socket.attempts());
    loop {
        changes.mark_unchanged();
        attempts.mark_unchanged();
        let rules = session.gate.rules();
        let attempt = session.attempt();
        if let Some(known) = own(&attempt, id).or_else(|| rules.request(id)) {
            if is_answered(session, known) || known.is_for_the_next() || Instant::now() >= until {
                if known.is_for_the_next() {
                    return Ok(reply(StatusCode::OK, &shown(known)));
                }
                if !is_answered(session, known) {
                    return Ok(reply(StatusCode::OK, &undecided(id, &known.capability)));
                }
                let mut answer = shown(known);
                if let Some(listen) = forwards::ready(session, known).await {
                    answer["listen"] = listen.into();
                }
                return Ok(reply(StatusCode::OK, &answer));
            }
        } else {
            let capability = session.gate.asked.pending(id).await;
            // The policy may have taken it up between the two looks.
            if session.gate.rules().request(id).is_some() {
                continue;
            }
            let capability = capability.ok_or_else(|| Refusal::not_found("there is no such capability request"))?;
            if Instant::now() >= until {
                return Ok(reply(StatusCode::OK, &undecided(id, &capability)));
            }
        }
        // Either way the next look decides.
        let change = async {
            tokio::select! {
                _ = changes.changed() => {}
                _ = attempts.changed() => {}
            }
        };
        let _ = tokio::time::timeout_at(until, change).await;
    }
}

/// The request `id` as it stands for `attempt`: a folder that was granted is another attempt's as long as it is not this
/// one's.
fn own<'a>(attempt: &'a Attempt, id: &str) -> Option<&'a CapabilityRequest> {
    attempt.requests.iter().find(|request| request.id.as_str() == id)
}

/// Whether `known` has an answer that holds for this attempt. What the gate gives to another node, this one has once the
/// host has taken note that it asks, too.
fn is_answered(session: &Session, known: &CapabilityRequest) -> bool {
    if known.is_of_gate() && known.status.is_granted() {
        return session.attempt().gives(known);
    }
    known.status != RequestStatus::Pending
}

fn undecided(id: &str, capability: &str) -> Value {
    json!({"id": id, "capability": capability, "status": "pending", "answer": null})
}

fn shown(request: &CapabilityRequest) -> Value {
    let mut shown = Map::new();
    shown.insert("id".into(), json!(request.id));
    shown.insert("capability".into(), request.capability.as_str().into());
    shown.insert("status".into(), json!(request.status));
    shown.insert("answer".into(), json!(request.answer));
    if let Ok(Capability::Mount(mount)) = Capability::parse(&request.capability)
        && request.status.is_granted()
    {
        shown.insert("path".into(), mount.target().into());
    }
    Value::Object(shown)
}

/// `30s` or `30`; at most a minute.
pub(in crate::gate::surface) fn wait(text: Option<&str>) -> Result<Duration, Refusal> {
    let Some(text) = text else {
        return Ok(Duration::ZERO);
    };
    let seconds = text.strip_suffix('s').unwrap_or(text).parse();
    let seconds = seconds.map_err(|_| Refusal::bad_request("`wait` is not a number of seconds, such as 30s"))?;
    Ok(Duration::from_secs(seconds).min(LONGEST_WAIT))
}
