//! `children`: an agent gives a part of its work, and of what it may take, to a run of another role.

use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::capabilities::wait;
use super::{Session, json as input, parameter};
use crate::gate::action::{Doing, deny};
use crate::gate::body::Body;
use crate::gate::budget::{self, Taken};
use crate::gate::inbox::{Child, Room};
use crate::gate::policy::{Attempt, Policy};
use crate::gate::refusal::{Refusal, reply};
use crate::run::id::RoleName;
use crate::workflow::text::is_blank;

/// The largest request body, and the longest task, in bytes.
const LARGEST: u64 = 256 * 1024;
const LONGEST_TASK: usize = 32 * 1024;
/// The longest that a child may be asked to live, in milliseconds: no attempt lives longer.
const LONGEST: u64 = 366 * 24 * 3600 * 1000;

pub(super) async fn ask(session: &Session, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    let mut body = input::object(session, request, LARGEST).await?;
    let role = input::text(&mut body, "role", 64)?;
    let role = RoleName::parse(&role).map_err(|error| Refusal::bad_request(error.to_string()))?;
    let task = input::text(&mut body, "task", LONGEST_TASK)?;
    if is_blank(&task) {
        return Err(Refusal::bad_request("`task` is blank: it says nothing that could be done"));
    }
    let requests = number(&mut body, "requests", u64::from(u32::MAX))?;
    let wall_ms = number(&mut body, "wallMs", LONGEST)?;
    input::nothing_else(&body)?;
    let attempt = session.attempt();
    let Some(delegation) = &attempt.delegation else {
        let refusal = Refusal::new(StatusCode::FORBIDDEN, "not_granted", "this attempt may give no work to others");
        let hint = "`config.delegation` of its role names the roles that it may";
        return Err(denied(session, &role, refusal).await?.hint(hint));
    };
    if !delegation.roles.contains(&role) {
        let names: Vec<&str> = delegation.roles.iter().map(RoleName::as_str).collect();
        let message = format!("this attempt may give work to {}, and not to `{role}`", names.join(", "));
        let refusal = Refusal::new(StatusCode::FORBIDDEN, "not_granted", message);
        return Err(denied(session, &role, refusal).await?);
    }
    let rules = session.gate.rules();
    let taken = budget::spent(&session.gate, &rules.policy, &attempt);
    let mut message = Map::new();
    message.insert("role".into(), json!(role));
    message.insert("task".into(), json!(task));
    message.extend(wall_ms.map(|wall| ("wallMs".to_owned(), json!(wall))));
    // The host, which gives the part, does not read records of a run at work.
    message.insert("taken".into(), json!(taken));
    let of = (&attempt.node, attempt.attempt);
    let room = room(&rules.policy, &attempt, delegation.children, &taken);
    let asked = session.gate.asked.child(of, room, requests, message).await;
    let refusal = match asked.map_err(|error| Refusal::inbox_failed(&error.to_string()))? {
        Child::Asked(id) => {
            return Ok(reply(StatusCode::ACCEPTED, &json!({"id": id, "role": role, "status": "asked"})));
        }
        Child::TooMany => {
            let most = delegation.children;
            Refusal::exhausted(format!("the node `{}` has had all of its {most} children", attempt.node))
        }
        Child::TooMuch { left } => Refusal::exhausted(format!(
            "the node `{}` has {left} requests to models left, and a child needs at least one of them and gets no more",
            attempt.node
        ))
        .with("left", left),
    };
    Err(denied(session, &role, refusal).await?)
}

/// A refusal to give work to `role`, once it is on record.
async fn denied(session: &Session, role: &RoleName, refusal: Refusal) -> Result<Refusal, Refusal> {
    let doing = Doing { name: "delegate", target: role.as_str() };
    deny(&session.gate, &session.socket, doing, refusal.code(), refusal.message()).await?;
    Ok(refusal)
}

/// What there is for further children, by what was taken and what was given.
fn room(policy: &Policy, attempt: &Attempt, most: u32, taken: &Taken) -> Room {
    let had = u32::try_from(attempt.children.len()).unwrap_or(u32::MAX);
    let left = |ceiling: u64, taken: u64| ceiling.saturating_sub(taken);
    let own = left(attempt.limits.llm_requests, taken.node.requests);
    let agent = attempt.ceilings.without(attempt.given).requests.map(|ceiling| left(ceiling, taken.node.requests));
    let everywhere = policy.attempts.iter().flat_map(|attempt| &attempt.children);
    Room {
        known: everywhere.map(|child| child.id.clone()).collect(),
        children: most.saturating_sub(had),
        node: agent.map_or(own, |agent| agent.min(own)),
        run: policy.ceilings.without(policy.given).requests.map(|ceiling| left(ceiling, taken.run.requests)),
    }
}

fn number(body: &mut Map<String, Value>, key: &str, most: u64) -> Result<Option<u64>, Refusal> {
    match body.remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64().filter(|number| (1..=most).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(Refusal::bad_request(format!("`{key}` is not a whole number from 1 to {most}"))),
        },
    }
}

pub(super) fn list(session: &Session) -> Response<Body> {
    reply(StatusCode::OK, &json!({"children": session.attempt().children}))
}

/// A child as it stands; waits for its end if that is asked for.
pub(super) async fn show(session: &Session, request: &Request<Incoming>, id: &str) -> Result<Response<Body>, Refusal> {
    let until = Instant::now() + wait(parameter(request, "wait"))?;
    let mut attempts = session.socket.attempts();
    loop {
        attempts.mark_unchanged();
        let attempt = session.attempt();
        let over = Instant::now() >= until;
        if let Some(child) = attempt.children.iter().find(|child| child.id.as_str() == id) {
            if over || is_over(&child.status) {
                return Ok(reply(StatusCode::OK, &json!(child)));
            }
        } else if !session.gate.asked.is_asked(id).await && !knows(&session.attempt(), id) {
            return Err(Refusal::not_found("there is no such child; what the host refuses is on record in the run"));
        } else if over {
            return Ok(reply(StatusCode::OK, &json!({"id": id, "status": "asked"})));
        }
        let look_again = (Instant::now() + Duration::from_millis(200)).min(until);
        let _ = tokio::time::timeout_at(look_again, attempts.changed()).await;
    }
}

fn knows(attempt: &Attempt, id: &str) -> bool {
    attempt.children.iter().any(|child| child.id.as_str() == id)
}

fn is_over(status: &str) -> bool {
    matches!(status, "completed" | "failed" | "cancelled")
}
